// Callbacks watch `fit` and take part in it. A plain function is called after every epoch. Callbacks hold no state between two
// runs: `onStart` begins anew, `resume` restores what a checkpoint kept.

import type { FilePath } from '../core/path.js'
import type { LearningRate } from '../optimizers/schedule.js'
import type { UnknownValues } from '../runtime/unknown.js'
import type { Snapshot } from '../runtime/weights.js'
import type { Continuation } from './growth.js'
import type { EpochRecord, History } from './history.js'

/** The run that is about to start. */
export interface FitPlan {
  readonly model: string
  readonly device: string
  readonly isa: string
  readonly threads: number
  /** Why `device: 'auto'` did not take the machine's GPU; undefined if there is no GPU. */
  readonly fallback: string | undefined
  /** The count of trainable numbers, including embeddings. */
  readonly parameters: number
  readonly tasks: readonly string[]
  readonly epochs: number
  /** How many of these epochs the resumed checkpoint already has; 0 without `resume`. */
  readonly epochsBefore: number
  /** What it took over from an earlier `fit` by `from` or `grow`; undefined otherwise, and with `resume`. */
  readonly continues: Continuation | undefined
  /** Steps of these epochs. Those of an epoch that was broken off do not count. */
  readonly stepsBefore: number
  readonly stepsPerEpoch: number
  readonly batchSize: number
  /** The optimizer's rate or schedule. */
  readonly learningRate: LearningRate
  readonly trainRows: number
  readonly validationRows: number
  /** Values unknown to the features' vocabularies; empty for validation rows that were not given. */
  readonly unknownValues: { readonly training: UnknownValues; readonly validation: UnknownValues }
  /** Speed of encoding all datasets, in rows per second. */
  readonly encodedRowsPerSecond: number
  /** Names that can be monitored. */
  readonly monitors: readonly string[]
}

/** After one step. */
export interface StepRecord {
  readonly epoch: number
  /** Number of the step within the epoch, from 1. */
  readonly step: number
  /** Rows of the epoch so far. */
  readonly rows: number
  /** Mean losses of the epoch so far, in total and by task, as in `EpochRecord`. */
  readonly losses: Readonly<Record<string, number>>
  readonly loss: number
  /** The rate of this step. */
  readonly learningRate: number
}

/** What a callback may do while it is being called. */
export interface FitControl {
  /** Ends training after this epoch. */
  stop(reason: string): void
  /**
   * The learning rate of the next step. With `rate`, the next step takes that one, and all later ones of a schedule change by the same
   * factor.
   * @throws ERR_MULTIGATE_ARGUMENT for a number that is no rate of the optimizer.
   */
  learningRate(rate?: number): number
  /**
   * Sets the weights of some tasks for the steps to come, 0 or more. Those that are left out stay. What `loss` and `val_loss` sum does not
   * change. @throws ERR_MULTIGATE_ARGUMENT.
   */
  taskWeights(weights: Readonly<Record<string, number>>): void
  /** Copies the current weights. */
  snapshot(): Promise<Snapshot>
  /** Restores a copy of the weights that was made after `epoch`. */
  restore(snapshot: Snapshot, epoch: number): Promise<void>
  /** Writes a checkpoint: the model and the state of this run, so that another run can resume from it. */
  save(path: FilePath): Promise<void>
}

/** What a callback keeps from epoch to epoch: plain JSON, and weights. */
export interface CallbackState {
  readonly json: unknown
  readonly weights?: Snapshot | undefined
}

/** All methods are optional. Each may return a promise, and training waits for it. An error or a rejection ends the run. */
export interface Callback {
  /** Before the first step. */
  onStart?(plan: FitPlan, control: FitControl): unknown
  /** After every step; the next step waits, so return quickly. It slows steps of a few milliseconds: use `onProgress` for these. */
  onStep?(step: StepRecord): unknown
  /** How often `onSteps` is called, in steps of the optimizer. 1 or more. */
  readonly everySteps?: number | undefined
  /** After every `everySteps` steps. A file saved here resumes in the middle of the epoch. */
  onSteps?(step: StepRecord, control: FitControl): unknown
  /** After a group of steps, about every tenth of a second; the next group waits, so return quickly. */
  onProgress?(step: StepRecord): unknown
  /** After the steps of an epoch, before validation. */
  onValidationStart?(epoch: number): unknown
  onEpochEnd?(record: EpochRecord, control: FitControl): unknown
  /** After every callback's `onEpochEnd`. A file saved here includes what those did. */
  onEpochSettled?(record: EpochRecord, control: FitControl): unknown
  /** After the last epoch. */
  onEnd?(history: History, control: FitControl): unknown
  /** Instead of `onEnd`, if the run fails or is aborted; `error` is the cause. What this method throws is dropped. */
  onFailure?(error: unknown): unknown
  /** Returns what a checkpoint must keep of this callback. */
  state?(): CallbackState | undefined | Promise<CallbackState | undefined>
  /** After `onStart` of a resumed run, with what `state` returned at the same place in the list, if anything. */
  resume?(state: CallbackState): unknown
}

/** The names of its methods. */
export const hooks: readonly Exclude<keyof Callback, 'everySteps'>[] = [
  'onStart',
  'onStep',
  'onSteps',
  'onProgress',
  'onValidationStart',
  'onEpochEnd',
  'onEpochSettled',
  'onEnd',
  'onFailure',
  'state',
  'resume',
]

/** A callback, or a function to call after every epoch. */
export type CallbackLike = Callback | ((record: EpochRecord, control: FitControl) => unknown)

/** Functions as callbacks. */
export function toCallback(callback: CallbackLike): Callback {
  return typeof callback === 'function' ? { onEpochEnd: callback } : callback
}
