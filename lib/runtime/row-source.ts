// Where the rows of `fit` come from: shards of encoded rows, one after the other, anew in every epoch.

/// <reference lib="esnext.disposable" preserve="true" />

import type { EncodedRows } from './encode.js'

/** Consecutive rows of an epoch, in memory. */
export interface Shard {
  readonly rows: EncodedRows
  /** The number of the order that its rows are shuffled in. */
  readonly order: number
  /** How many of its rows are done already. */
  readonly start: number
}

/** An epoch to go through. */
export interface EpochOfRows {
  /** The number of its order: other numbers, other orders. */
  readonly draw: number
  /** Rows that are done already. They are those of whole steps. */
  readonly done: number
  /** Whether another epoch is likely to follow. */
  readonly more: boolean
}

/** Rows to train on. */
export interface RowSource extends AsyncDisposable {
  /** Rows of all shards together. */
  readonly rows: number
  /** What the orders of its rows depend on, beside the seed: rows of a shard, and rows that stay together. Undefined: on nothing. */
  readonly form: RowForm | undefined
  /** Values per feature, and how many of them its vocabulary does not know, over all shards. */
  readonly counts: EncodedRows['counts']
  /** Steps of an epoch. The last batch of each shard may be smaller. */
  stepsOf(batchSize: number): number
  /** The shards of one epoch. Each one lives until the next is asked for. */
  epoch(of: EpochOfRows): AsyncIterable<Shard>
  /** The shard that was given last. Before the first epoch: any. It lives as those of an epoch do. */
  latest(): Promise<EncodedRows>
}

export interface RowForm {
  readonly shardRows: number
  readonly blockRows: number
}

/** All rows in memory, as one shard. */
export class RowsInMemory implements RowSource {
  readonly #rows: EncodedRows
  readonly form = undefined

  constructor(rows: EncodedRows) {
    this.#rows = rows
  }

  get rows(): number {
    return this.#rows.rows
  }

  get counts(): EncodedRows['counts'] {
    return this.#rows.counts
  }

  stepsOf(batchSize: number): number {
    return Math.ceil(this.rows / batchSize)
  }

  async *epoch({ draw, done }: EpochOfRows): AsyncGenerator<Shard, void, undefined> {
    yield { rows: this.#rows, order: draw, start: done }
  }

  async latest(): Promise<EncodedRows> {
    return this.#rows
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#rows[Symbol.dispose]()
  }
}
