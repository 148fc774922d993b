// Where the rows of `fit` come from: shards of encoded rows, one after the other, every epoch anew.

import type { EncodedRows } from './encode.js'

/** Rows to train on. */
export interface RowSource {
  /** Of all shards together. */
  readonly rows: number
  /** Values per feature, and how many of them its vocabulary does not know, of all shards together. */
  readonly counts: EncodedRows['counts']
  /** The shard that an epoch gave last; before the first epoch the first shard. */
  readonly current: EncodedRows
  /** Steps of an epoch. The last batch of a shard may be smaller than the others. */
  stepsOf(batchSize: number): number
  /** The shards of one epoch. Each is there until the next one is asked for. */
  epoch(): AsyncIterable<EncodedRows>
}

/** Rows that are in memory, all of them: one shard. */
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
