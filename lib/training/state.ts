// What a run of `fit` remembers beside the weights, so that another can go on from there as if nothing had been between.

import type { Optimizer } from '../optimizers/optimizer.js'
import type { CallbackState } from './callbacks.js'
import type { EpochRecord } from './history.js'

export interface TrainingState {
  readonly optimizer: Optimizer
  /** The optimizer's, since it began. */
  readonly steps: number
  readonly epochs: readonly EpochRecord[]
  readonly stopReason: string | undefined
  /** The epoch whose weights these are. */
  readonly weightsEpoch: number
  /** By their place in the list; undefined of one that remembers nothing. */
  readonly callbacks: readonly (CallbackState | undefined)[]
}

/**
 * What all `fit`s of a model have drawn from its seed, failed ones too: orders of rows, one an epoch, and dropout, one a step. The
 * next ones are drawn after these.
 */
export interface Drawn {
  epochs: number
  steps: number
}
