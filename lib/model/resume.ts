// Resumes from a checkpoint. The file must be of the same model, so that training continues exactly as it would have. Also compares models
// and optimizers for a fit that goes on from a file.

import { isDeepStrictEqual } from 'node:util'

import { describeValue } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import type { LoweredProgram } from '../core/program.js'
import type { Feature } from '../features/spec/feature.js'
import type { ModelConfig } from '../files/format.js'
import type { ModelFile } from '../files/read.js'
import type { ModelDefinition } from '../models/definition.js'
import type { Optimizer } from '../optimizers/optimizer.js'
import type { NetworkRunner } from '../runtime/runner.js'
import type { Resumed } from '../training/fit.js'
import type { TrainingState } from '../training/state.js'

/** What a model is, apart from its weights. */
export interface ModelIdentity {
  readonly config: ModelConfig
  readonly features: readonly Feature[]
  readonly definition: ModelDefinition<never>
}

/** @throws ERR_MULTIGATE_ARGUMENT naming the first option, feature or task that differs from the file. */
export function checkSameModel(file: ModelFile, model: ModelIdentity): void {
  const difference = modelDifference(file, model)
  if (difference === undefined) return
  throw wrongFile('fit.resume', difference, file, "in this model; make the model with the checkpoint's options")
}

/** Options that a model may change while its weights keep their meaning, by place. */
const changeable = [/^(dropout|l1|l2|lossReduction|sparseUpdate)(\.|$)/, /^tasks\.\d+\.weight$/, /^features\.\d+\.minCount$/]

/**
 * @param field names the file in the message.
 * @throws ERR_MULTIGATE_ARGUMENT naming the first option, feature or task on which the meaning of weights depends and that differs.
 */
export function checkCompatible(field: string, file: ModelFile, model: ModelIdentity): void {
  const difference = modelDifference(file, model, (name) => changeable.some((pattern) => pattern.test(name)))
  if (difference === undefined) return
  const next = 'only dropout, penalties, lossReduction, sparseUpdate, weights of tasks and minCount may differ'
  throw wrongFile(field, difference, file, `in this model; ${next}`)
}

function modelDifference(
  file: ModelFile,
  { config, features, definition }: ModelIdentity,
  ignored: (name: string) => boolean = () => false,
): Difference | undefined {
  // Both sides have their defaults filled in, so a default that is written out makes no difference.
  const parse = (options: object): object => definition.parse(options as never)
  const theirs = {
    model: file.model,
    ...(file.model === config.model && file.check(() => parse(file.options))),
    features: file.encoder.encoders.map(({ feature }) => feature),
    tasks: file.tasks,
  }
  const ours = { model: config.model, ...parse(config.options), features, tasks: config.tasks }
  return firstDifference(plain(theirs), plain(ours), ignored)
}

function wrongFile(field: string, { name, theirs, ours }: Difference, { path }: ModelFile, where: string): ArgumentError {
  const [expected, found] = [describeValue(theirs), describeValue(ours)]
  return new ArgumentError(`${field}: expected ${name} ${expected}, as in ${path}, found ${found} ${where}`, { field })
}

/** What the moments of a run depend on. */
export type Trained = Pick<TrainingState, 'optimizer' | 'optimizers' | 'freeze' | 'ema'>

/**
 * The optimizers' moments depend on all their numbers except the learning rates, which may change, on the groups of weights, and on `ema`.
 * @throws ERR_MULTIGATE_ARGUMENT naming the first number that differs from the file.
 */
export function checkSameOptimizer(file: ModelFile, training: TrainingState, own: Trained): void {
  const difference = optimizerDifference(training, own)
  if (difference === undefined) return
  const next = "pass the optimizers, frozen groups and ema of the checkpoint's run; only learning rates may differ"
  throw wrongFile('fit.resume', difference, file, `in this fit; ${next}`)
}

/** What differs between two sets of optimizers, frozen groups and averages, learning rates aside. */
export function optimizerDifference(training: TrainingState, own: Trained): Difference | undefined {
  return firstDifference(trainedBy(training), trainedBy(own))
}

function trainedBy({ optimizer, optimizers, freeze, ema }: Trained): Fields {
  const groups = Object.entries(optimizers).map(([group, one]) => [group, one && ofMoments(one)])
  return { optimizer: ofMoments(optimizer), optimizers: Object.fromEntries(groups), freeze: [...new Set(freeze)].sort(), ema }
}

/** Compare name and form first: other numbers depend on them. */
function ofMoments({ name, learningRate: _, ...numbers }: Optimizer): Fields {
  return { name, ...('form' in numbers && { form: numbers.form }), ...numbers }
}

/** What a resumed run starts from. */
export function resumed(file: ModelFile, state: TrainingState, runner: NetworkRunner): Resumed {
  return { state, readMoments: (program: LoweredProgram) => file.readMoments(program, runner) }
}

type Fields = Readonly<Record<string, unknown>>

/** A value that differs, by its place. */
export interface Difference {
  readonly name: string
  readonly theirs: unknown
  readonly ours: unknown
}

/** Compares inside objects and lists, so that the place is exact. */
function firstDifference(
  theirs: Fields,
  ours: Fields,
  ignored: (name: string) => boolean = () => false,
  prefix = '',
): Difference | undefined {
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
    const [expected, found] = [theirs[key], ours[key]]
    const name = `${prefix}${key}`
    if (isDeepStrictEqual(expected, found) || ignored(name)) continue
    if (!isFields(expected) || !isFields(found)) return { name, theirs: expected, ours: found }
    const inside = firstDifference(expected, found, ignored, `${name}.`)
    if (inside !== undefined) return inside
  }
  return undefined
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}

/** The value as a file would give it back. */
function plain(value: object): Fields {
  return JSON.parse(JSON.stringify(value)) as Fields
}
