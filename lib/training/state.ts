// What a run of `fit` remembers beside the weights, so that another run can continue as if there had been no break.

import type { Optimizer } from '../optimizers/optimizer.js'
import type { CallbackState } from './callbacks.js'
import type { ByGroup, WeightGroup } from './groups.js'
import type { EpochRecord } from './history.js'
import type { BalanceState } from './task-balance.js'
import type { Ema } from './weight-average.js'

/** Where a run is in the middle of an epoch. */
export interface WithinEpoch {
  readonly epoch: number
  /** Steps and rows of the epoch that are done, and how long they took. */
  readonly step: number
  readonly rows: number
  readonly seconds: number
  /** What the order of the rows depends on, beside the seed. */
  readonly order: OrderOfRows
  /** The sums of `EpochLosses`. */
  readonly losses: readonly number[]
  /** The sums of `TaskBalance`. */
  readonly balance: readonly number[]
  /** The sums of `GradientNorms`; empty without them. */
  readonly norms: readonly number[]
}

export interface OrderOfRows {
  readonly rows: number
  readonly batchSize: number
  readonly shuffle: boolean
  /** Of rows in parts, if they have several shards; else 0. */
  readonly shardRows: number
  readonly blockRows: number
}

export interface TrainingState {
  readonly optimizer: Optimizer
  readonly optimizers: ByGroup<Optimizer>
  readonly freeze: readonly WeightGroup[]
  /** Undefined: no average is kept. The weights of the file are the averages; what training goes on with is among the moments. */
  readonly ema?: Ema | undefined
  /** Steps of the optimizer since it began. */
  readonly steps: number
  /** What callbacks have made of the optimizer's learning rates. */
  readonly rateFactor: number
  /** Undefined in files of versions that knew no balance. */
  readonly balance: BalanceState | undefined
  readonly epochs: readonly EpochRecord[]
  readonly stopReason: string | undefined
  /** The epoch that these weights come from. */
  readonly weightsEpoch: number
  /** Undefined between two epochs. */
  readonly within: WithinEpoch | undefined
  /** States by place in the list; undefined for a callback without one. */
  readonly callbacks: readonly (CallbackState | undefined)[]
}

/**
 * How much all `fit`s of a model have drawn from its seed, failed ones too: one order of rows per epoch, dropout once per step. Later
 * draws continue from here.
 */
export interface Drawn {
  epochs: number
  steps: number
}
