// A table that is read in parts. Each loop over it reads it anew, from the first row.

import { wrongArgument } from '../core/check.js'
import type { Dataset } from './dataset.js'
import { type Part, parseSplit, type SplitOptions } from './split.js'

/** The three parts of a stream, each with its rows in their order. */
export interface StreamSplit {
  readonly train: DatasetStream
  readonly validation: DatasetStream
  readonly test: DatasetStream
}

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

  /**
   * Splits the rows as `Dataset.split` does, by row number, by a column, by cuts in time or by a hash. Each part is a stream that reads the
   * whole table and gives its own rows. A part may have no rows.
   * @throws ERR_MULTIGATE_ARGUMENT for a wrong option, and for shares of time and `stratify`, which need all rows at once.
   * @example const { train, validation } = Dataset.streamParquet('log.parquet').split({ hash: ['user'], validation: 0.01 })
   */
  split(options: SplitOptions): StreamSplit {
    const split = parseSplit(options)
    const next = 'split by a hash, by a column, by cuts in time or by row number'
    if ('stratify' in split) throw wrongArgument('split', `expected a split of row by row, found stratify; ${next}`)
    if ('time' in split) {
      const part = (['validation', 'test'] as const).find((one) => typeof split[one] === 'number')
      if (part !== undefined) throw wrongArgument(`split.${part}`, `expected from and to, found a share; ${next}`)
    }
    const of = (part: Part): DatasetStream => new DatasetStream(() => partsOf(this, split, part))
    return { train: of('train'), validation: of('validation'), test: of('test') }
  }
}

async function* partsOf(stream: DatasetStream, split: SplitOptions, part: Part): AsyncGenerator<Dataset, void, undefined> {
  for await (const rows of stream) yield await rows.partOf(split, part)
}
