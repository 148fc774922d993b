// A model as data: a name, its options and its lowering. Training and the registry know nothing else of a model.

import type { z } from 'zod'

import { parseOptions } from '../core/check.js'
import type { Task } from '../tasks/task.js'
import {
  type BodyBuilder,
  type LoweringTarget,
  lowerLosses,
  lowerModel,
  lowerRepresentation,
  lowerTaskGradients,
} from './lowering.js'
import type { LoweredProgram, Network, RepresentationGradients, TaskGradients } from './network.js'
import type { CommonOptions } from './options.js'

/** A model of the registry. `Input`: the options as a user writes them. `Options`: the same with defaults filled in. */
export interface ModelDefinition<Input, Options extends CommonOptions = CommonOptions> {
  readonly name: string
  /** Checks options and fills in defaults. @throws ERR_MULTIGATE_ARGUMENT naming the field. */
  parse(options: Input): Options
  /** @throws ERR_MULTIGATE_ARGUMENT if the model cannot have these tasks, or if its options do not fit tasks and features. */
  check(parts: NamedParts, options: Options): void
  /** Lowers the model to a layout and its programs. Plain data: nothing is allocated. */
  lower(options: Options, target: LoweringTarget): Network
  /** Lowers the rows of a training step over the same layout, with a gradient per task. */
  lowerTaskGradients(options: Options, target: LoweringTarget): TaskGradients
  /** Lowers the rows of a training step up to the Gram matrix of the tasks' gradients by the representation. */
  lowerRepresentation(options: Options, target: LoweringTarget): RepresentationGradients
  /** Lowers the rows of a training step up to the losses. */
  lowerLosses(options: Options, target: LoweringTarget): LoweredProgram
}

/** Features and tasks of a model. */
export interface NamedParts {
  readonly features: readonly { readonly name: string }[]
  readonly tasks: readonly Task[]
}

/** Options as a user writes them; lists may be readonly. */
export type Written<T> = T extends readonly (infer Item)[]
  ? readonly Written<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Written<T[Key]> }
    : T

/** A model's options with its features and tasks. Both keep their literal names, which type inputs and predictions. */
export type ModelOptions<NetworkOptions, Features, Tasks extends readonly { readonly name: string }[]> = NetworkOptions & {
  readonly features: Features
  readonly tasks: Tasks
}

/** The names of tasks as literal types. */
export type TaskName<Tasks extends readonly { readonly name: string }[]> = Tasks[number]['name']

interface ModelParts<Options extends CommonOptions> {
  readonly name: string
  readonly schema: z.ZodType<Options>
  readonly body: BodyBuilder<Options>
  /** Default: accepts any features and tasks. */
  readonly check?: ModelDefinition<never, Options>['check'] | undefined
}

/** Builds a model's definition from its parts. */
export function defineModel<Input, Options extends CommonOptions>({
  name,
  schema,
  body,
  check = () => undefined,
}: ModelParts<Options>): ModelDefinition<Input, Options> {
  return {
    name,
    parse: (options) => parseOptions(name, schema, options),
    check,
    lower: (options, target) => lowerModel(body, options, target),
    lowerTaskGradients: (options, target) => lowerTaskGradients(body, options, target),
    lowerRepresentation: (options, target) => lowerRepresentation(body, options, target),
    lowerLosses: (options, target) => lowerLosses(body, options, target),
  }
}
