// Where the rows of `fit` come from: shards of encoded rows, one after the other, anew in every epoch.

import type { EncodedRows } from './encode.js'

/** Rows to train on. */
export interface RowSource {
  /** Rows of all shards together. */
  readonly rows: number
  /** Values per feature, and how many of them its vocabulary does not know, over all shards. */
  readonly counts: EncodedRows['counts']
  /** The shard that an epoch gave last. Before the first epoch: the first shard. */
  readonly current: EncodedRows
  /** Steps of an epoch. The last batch of each shard may be smaller. */
  stepsOf(batchSize: number): number
  /** The shards of one epoch. Each one lives until the next is asked for. */
  epoch(): AsyncIterable<EncodedRows>
}

/** All rows in memory, as one shard. */
export class RowsInMemory implements RowSource {
  readonly current: EncodedRows

  constructor(rows: EncodedRows) {
    this.current = rows
  }

  get rows(): number {
    return this.current.rows
  }

  get counts(): EncodedRows['counts'] {
    return this.current.counts
  }

  stepsOf(batchSize: number): number {
    return Math.ceil(this.rows / batchSize)
  }

  async *epoch(): AsyncGenerator<EncodedRows, void, undefined> {
    yield this.current
  }
}
