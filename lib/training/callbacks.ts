// Callbacks: what may look on and take part in `fit`. A plain function is called after every epoch. Callbacks hold no
// state between two runs: `onStart` begins anew, `resume` takes up what a checkpoint has kept.

import type { FilePath } from '../core/path.js'
import type { UnknownValues } from '../runtime/unknown.js'
import type { Snapshot } from '../runtime/weights.js'
import type { EpochRecord, History } from './history.js'

/** What a run is about to do. */
export interface FitPlan {
  readonly model: string
  readonly device: string
  readonly isa: string
  readonly threads: number
  /** Why `device: 'auto'` did not take the GPU of this machine; undefined where it has none. */
  readonly fallback: string | undefined
  /** Numbers that training changes, embeddings included. */
  readonly parameters: number
  readonly tasks: readonly string[]
  readonly epochs: number
  /** Of those, how many the checkpoint has that is resumed from; else 0. */
  readonly epochsBefore: number
  readonly stepsPerEpoch: number
  readonly batchSize: number
  readonly trainRows: number
  readonly validationRows: number
  /** What their features' vocabularies do not know: nothing of validation rows that there are not. */
  readonly unknownValues: { readonly training: UnknownValues; readonly validation: UnknownValues }
  /** Encoding them all, rows per second. */
  readonly encodedRowsPerSecond: number
  /** Names that can be monitored. */
  readonly monitors: readonly string[]
}

/** After one step. */
export interface StepRecord {
  readonly epoch: number
  /** From 1, within the epoch. */
  readonly step: number
  /** Rows of the epoch so far. */
  readonly rows: number
  /** Mean losses of the epoch so far, by task and in all, as in `EpochRecord`. */
  readonly losses: Readonly<Record<string, number>>
  readonly loss: number
}

/** What a callback may do. Only while it is being called. */
export interface FitControl {
  /** Ends training after this epoch. */
  stop(reason: string): void
  /** A copy of the weights as they are now. */
  snapshot(): Promise<Snapshot>
  /** Takes weights back to a copy, which was made after `epoch`. */
  restore(snapshot: Snapshot, epoch: number): Promise<void>
  /** Writes a checkpoint: the model and the state of this run, from which another can be resumed. */
  save(path: FilePath): Promise<void>
}

/** What a callback remembers from epoch to epoch: plain JSON, and weights. */
export interface CallbackState {
  readonly json: unknown
  readonly weights?: Snapshot | undefined
}

/** All methods are optional; each may return a promise, which training waits for. What one throws or rejects with ends the run. */
export interface Callback {
  /** Before the first step. */
  onStart?(plan: FitPlan, control: FitControl): unknown
  /** After every step; the next one waits for it. To be quick. Steps of a few milliseconds get slower by being told one by one: see `onProgress`. */
  onStep?(step: StepRecord): unknown
  /** After the last of some steps that were done together: about a tenth of a second lies between two calls. The next ones wait for it. To be quick. */
  onProgress?(step: StepRecord): unknown
  /** After the steps of an epoch, before it is validated. */
  onValidationStart?(epoch: number): unknown
  onEpochEnd?(record: EpochRecord, control: FitControl): unknown
  /** After every callback's `onEpochEnd`: what is saved here has seen this epoch whole. */
  onEpochSettled?(record: EpochRecord, control: FitControl): unknown
  /** After the last epoch. */
  onEnd?(history: History, control: FitControl): unknown
  /** Instead of `onEnd`, where the run fails or is aborted, of which `error` is the cause. It hides what this one throws. */
  onFailure?(error: unknown): unknown
  /** For a checkpoint: what it remembers now. */
  state?(): CallbackState | undefined | Promise<CallbackState | undefined>
  /** After `onStart` of a resumed run: what `state` gave to the checkpoint, if this one's place in the list has any. */
  resume?(state: CallbackState): unknown
}

/** The names of its methods. */
export const hooks: readonly (keyof Callback)[] = [
  'onStart',
  'onStep',
  'onProgress',
  'onValidationStart',
  'onEpochEnd',
  'onEpochSettled',
  'onEnd',
  'onFailure',
  'state',
  'resume',
]

/** A callback, or what to do after every epoch. */
export type CallbackLike = Callback | ((record: EpochRecord, control: FitControl) => unknown)

/** Functions as callbacks. */
export function toCallback(callback: CallbackLike): Callback {
  return typeof callback === 'function' ? { onEpochEnd: callback } : callback
}
