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
  /** The largest length of each of these gradients. Undefined: any. */
  readonly taskNorm?: number | undefined
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
  /** Whether an average of the weights is kept. */
  readonly averages?: boolean | undefined
  /** Whether the step gives its predictions too. */
  readonly scored?: boolean | undefined
}

/**
 * @throws ERR_MULTIGATE_ARGUMENT if nothing is trained, the tasks share nothing to balance or to limit, or a cut step should give
 * predictions or read another gradient.
 */
export function lowerBalancedStep(
  { definition, options, network, target: all }: SteppedModel,
  { groups, balancing, clip, averages, scored = false }: BalancedStepOptions,
): BalancedStep {
  const isFrozen = (weights: Tensor | Table): boolean => groups.of(weights) === null
  if ([...network.parameters.tensors, ...network.tables].every(isFrozen)) {
    throw invalidArgument('fit.freeze', 'groups that leave something to train', groups.options.freeze)
  }
  const target = { ...all, isFrozen }
  const update = stepOptions(options, groups.of, { clip, averages })
  const { before, after } = needsOf(balancing)
  const readsGram = before === 'gram' || after === 'gram'
  const on = readsGram && 'on' in balancing ? balancing.on : undefined
  const limitsTasks = clip?.taskNorm !== undefined
  const losses = (): LoweredProgram => definition.lowerLosses(options as never, target)
  if (on === 'parameters' || limitsTasks) {
    if (on === 'representation') throw cannotLimit()
    if (scored) throw cannotScore(limitsTasks)
    const separate = definition.lowerTaskGradients(options as never, target)
    if (separate.grams.length === 0) throw limitsTasks ? nothingLimited(clip.taskNorm) : nothingShared(balancing)
    const program = lowerStep({ ...network, ...separate }, update)
    return { balancing, program, separate, taskNorm: clip?.taskNorm, after: after === 'again' ? losses() : undefined }
  }
  const plain = groups.options.freeze.length === 0 && !scored
  const rows = plain ? network : definition.lower(options as never, { ...target, scored })
  const program = lowerStep(rows, update)
  if (readsGram) {
    const { rows: measured, grams } = definition.lowerRepresentation(options as never, target)
    if (grams.length === 0) throw nothingBefore(balancing)
    return { balancing, program, before: { program: measured, grams } }
  }
  const measured = before === 'losses' || after === 'again' ? losses() : undefined
  return {
    balancing,
    program,
    before: before === 'losses' && measured ? { program: measured, grams: [] } : undefined,
    after: after === 'again' ? measured : undefined,
  }
}

function cannotScore(limitsTasks: boolean): Error {
  const beside = limitsTasks ? 'clip.taskNorm' : 'a balance on parameters'
  const next = limitsTasks ? 'leave one of them out' : 'balance on the representation, or leave it out'
  return invalidArgument('fit.trainingMetrics', `false beside ${beside}`, true, next)
}

function cannotLimit(): Error {
  const next = "set on: 'parameters', or leave clip.taskNorm out"
  return invalidArgument(
    'fit.balance.on',
    "'parameters' beside clip.taskNorm, which limits those gradients",
    'representation',
    next,
  )
}

function nothingLimited(limit: number): Error {
  return invalidArgument(
    'fit.clip.taskNorm',
    'a model whose tasks share dense parameters that are trained, such as experts or a bottom',
    limit,
    'pass clip: { norm } instead',
  )
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
