// A training step that weighs its tasks, as programs: the step, and what its method of balancing runs before or after it.

import { type Balancing, needsOf } from '../balancing/registry.js'
import { invalidArgument } from '../core/check.js'
import type { Table, Tensor } from '../core/layout.js'
import type { LoweredProgram } from '../core/program.js'
import type { ModelDefinition } from '../models/definition.js'
import type { LoweringTarget } from '../models/lowering.js'
import type { GramPlace, Network, TaskGradients } from '../models/network.js'
import type { CommonOptions } from '../models/options.js'
import type { Groups } from './groups.js'
import type { ClipOptions } from './options.js'
import { lowerStep, stepOptions } from './step-program.js'

/** A step with weighted tasks, and the programs that its method needs. */
export interface BalancedStep {
  readonly balancing: Balancing
  readonly program: LoweredProgram
  /** The step has a gradient per task. It is cut: first their Gram matrix, then, with weights, their sum. Undefined: one gradient. */
  readonly separate?: Pick<TaskGradients, 'grams' | 'weights'> | undefined
  /** Runs before the step, for its losses and its Gram matrix. Undefined: the method does not read them before. */
  readonly before?: { readonly program: LoweredProgram; readonly grams: readonly GramPlace[] } | undefined
  /** Runs after the step, for the losses after the update. */
  readonly after?: LoweredProgram | undefined
}

/** A model that a step is lowered for. */
export interface SteppedModel {
  readonly definition: ModelDefinition<never>
  readonly options: CommonOptions
  readonly network: Network
  readonly target: LoweringTarget
}

export interface BalancedStepOptions {
  readonly groups: Groups
  readonly balancing: Balancing
  readonly clip?: ClipOptions | undefined
  /** Whether the step gives its predictions too. */
  readonly scored?: boolean | undefined
}

/** @throws ERR_MULTIGATE_ARGUMENT if nothing is trained, the tasks share nothing to balance, or a cut step should give predictions. */
export function lowerBalancedStep(
  { definition, options, network, target: all }: SteppedModel,
  { groups, balancing, clip, scored = false }: BalancedStepOptions,
): BalancedStep {
  const isFrozen = (weights: Tensor | Table): boolean => groups.of(weights) === null
  if ([...network.parameters.tensors, ...network.tables].every(isFrozen)) {
    throw invalidArgument('fit.freeze', 'groups that leave something to train', groups.options.freeze)
  }
  const target = { ...all, isFrozen }
  const update = stepOptions(options, groups.of, clip)
  const { before, after } = needsOf(balancing)
  const readsGram = before === 'gram' || after === 'gram'
  if (readsGram && 'on' in balancing && balancing.on === 'parameters') {
    if (scored) throw cannotScore()
    const separate = definition.lowerTaskGradients(options as never, target)
    if (separate.grams.length === 0) throw nothingShared(balancing)
    return { balancing, program: lowerStep({ ...network, ...separate }, update), separate }
  }
  const plain = groups.options.freeze.length === 0 && !scored
  const rows = plain ? network : definition.lower(options as never, { ...target, scored })
  const program = lowerStep(rows, update)
  if (readsGram) {
    const { rows: measured, grams } = definition.lowerRepresentation(options as never, target)
    if (grams.length === 0) throw nothingBefore(balancing)
    return { balancing, program, before: { program: measured, grams } }
  }
  const losses = before === 'losses' || after === 'again' ? definition.lowerLosses(options as never, target) : undefined
  return {
    balancing,
    program,
    before: before === 'losses' && losses ? { program: losses, grams: [] } : undefined,
    after: after === 'again' ? losses : undefined,
  }
}

function cannotScore(): Error {
  const next = 'balance on the representation, or leave it out'
  return invalidArgument('fit.trainingMetrics', 'false beside a balance on parameters', true, next)
}

function nothingShared({ method }: Balancing): Error {
  return invalidArgument(
    'fit.balance',
    'a model whose tasks share dense parameters that are trained, such as experts or a bottom',
    method,
    "choose a method that reads losses alone, such as 'uncertainty'",
  )
}

function nothingBefore({ method }: Balancing): Error {
  return invalidArgument(
    'fit.balance.on',
    'trained embeddings or bottom layers in front of the experts',
    method,
    "set on: 'parameters'",
  )
}
