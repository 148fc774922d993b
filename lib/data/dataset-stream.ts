// A table that is read in parts. Each loop over it reads it anew, from the first row.

import type { Dataset } from './dataset.js'

/**
 * Parts of a table, in order. Every `for await` reads the source anew.
 * @example for await (const part of Dataset.streamParquet('log.parquet')) console.log(part.rows)
 */
export class DatasetStream implements AsyncIterable<Dataset> {
  readonly #open: () => AsyncGenerator<Dataset, void, undefined>

  /** @internal */
  constructor(open: () => AsyncGenerator<Dataset, void, undefined>) {
    this.#open = open
  }

  [Symbol.asyncIterator](): AsyncGenerator<Dataset, void, undefined> {
    return this.#open()
  }
}
