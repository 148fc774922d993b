// A lowered model: the layout of its weights and programs over them. Plain data that can be inspected: it holds no memory and knows no
// dataset and no optimizer. Training adds the step and binds the programs to a device.

import type { Table, Tensor } from '../core/layout.js'
import type { View } from '../core/op-fields.js'
import type { LoweredProgram } from '../core/program.js'

import type { TaskKind as HeadKind, HeadTask } from '../layers/heads.js'
import type { EmbeddedInput, TableGradient } from '../layers/inputs.js'
import type { WatchedGate } from '../layers/tape.js'
import type { TaskKind } from '../tasks/task.js'

export type { ParameterGroup, Table, Tensor } from '../core/layout.js'
export type { LoweredProgram } from '../core/program.js'
export type { TableGradient } from '../layers/inputs.js'

export interface Network {
  readonly parameters: { readonly tensors: readonly Tensor[]; readonly elements: number }
  readonly tables: readonly Table[]
  /** Forward, losses and backward, up to the complete gradients: the first part of a training step. */
  readonly rows: LoweredProgram
  /** The gradients' places after `rows`. */
  readonly gradients: { readonly parameters: View; readonly tables: readonly TableGradient[] }
  /** Forward, losses and predictions. */
  readonly evaluate: LoweredProgram
  /** Forward and predictions, without labels. */
  readonly predict: LoweredProgram
  /** Forward, and the gate probabilities of each level as the row output `gates:<level>`. Also the signals of the towers. */
  readonly gates: LoweredProgram
  /** The columns of these row outputs, by level. Empty for a model without gates. */
  readonly gateLevels: readonly (readonly WatchedGate[])[]
  /** The row outputs of that program with the signal of each task's tower, by task. */
  readonly signals: ReadonlyMap<string, string>
  /** Lowered when asked for, once: few runs need it, and it has an op for every expert. */
  readonly experts: () => ExpertOutputs
}

export interface ExpertOutputs {
  /** As `gates`, and the outputs of all experts of each level side by side as the row output `experts:<level>`. */
  readonly program: LoweredProgram
  /** The names of the experts, by level, in that order. */
  readonly levels: readonly (readonly string[])[]
}

/** What a program makes of a batch for the balance of its tasks: scalar outputs from `output` on, one per pair of the list `tasks`. */
export interface GramPlace {
  readonly output: number
  /** Numbers of tasks. Their gradients' products lie in the order (0,0), (0,1) .., (1,1) .. of this list. */
  readonly tasks: readonly number[]
}

/**
 * Rows of a training step with a gradient per task: first their Gram matrix over the shared parameters, in the phase of gradients, then the
 * sum by weights that are set in between, in the phase of updates.
 */
export interface TaskGradients extends Pick<Network, 'rows' | 'gradients'> {
  /** The gradients of the dense parameters, by task. */
  readonly tasks: ReadonlyMap<string, View>
  /** The dense parameters that the losses of several tasks depend on. */
  readonly shared: readonly View[]
  /** Empty if nothing is shared. */
  readonly grams: readonly GramPlace[]
  /** The scalar input of the first task's weight; the others follow. */
  readonly weights: number
}

/** Forward, losses, and backward down to the signals that stand for what the tasks share, without an update. */
export interface RepresentationGradients {
  readonly rows: LoweredProgram
  /** The Gram matrix of the tasks' gradients is their sum. Empty if nothing before the representation is trained. */
  readonly grams: readonly GramPlace[]
}

/** A feature as a network sees it. It is fitted, so its table size is known. */
export type NetworkFeature =
  | (EmbeddedFeature & { readonly kind: 'sparse' })
  | (EmbeddedFeature & { readonly kind: 'sequence'; readonly length: number; readonly combiner: 'mean' | 'sum' })
  | { readonly kind: 'dense'; readonly name: string; readonly width: number }

interface EmbeddedFeature extends Pick<EmbeddedInput, 'table' | 'frozen'> {
  readonly name: string
  /** Rows of the feature's table. */
  readonly rows: number
  readonly dim: number
}

/** A task as a network sees it. Labels are the row input `label:<name>`, weights `weight:<name>`. */
export type NetworkTask = HeadTask & { readonly kind: WithHead<TaskKind, HeadKind> }

/** Fails to compile if a kind of task has no head (the first), or a head no kind of task (the second). */
type WithHead<Kind extends HeadKind, Head extends TaskKind> = Kind & Head
