// The encoder of a sequence feature: up to maxLength ids per row, then id 0 as padding. A longer list keeps its last ids. Unknown and
// missing items get id 0 too, so a mean does not count them.

import { type Column, rowsOf, type ValueType } from '../../core/columns.js'
import { DataError } from '../../core/errors.js'
import type { SequenceFeature } from '../spec/sequence.js'
import { checkIds, IdEncoding, type Values } from './encode-ids.js'
import type { Fitter, SequenceEncoder } from './encoder.js'
import { idsOfFewLists } from './few.js'
import { IdFitter, type ValueCollector } from './id-fitter.js'
import type { IdSource } from './ids.js'
import { Splitter } from './splitter.js'

/** Fits the type of the values on the training rows, and a vocabulary if the feature gives none. */
export function sequenceFitter(feature: SequenceFeature): Fitter<SequenceEncoder> {
  // Items of a split text are texts. A file whose rows all have one item may be read as numbers.
  const ids = new IdFitter(feature, feature.separator === undefined ? undefined : 'string')
  const lists = new Lists(feature, true)
  return {
    add: (column) => ids.add(lists.of(column), rowsOf(column)),
    // Texts to split are counted, to warn of a wrong separator.
    closed: ids.closed && feature.separator === undefined,
    *finish() {
      lists.warn()
      return sequenceEncoder(feature, yield* ids.finish())
    },
  }
}

/** Collects the items of a feature whose type is known. */
export function sequenceCollector(feature: SequenceFeature, type: ValueType | undefined): ValueCollector {
  const ids = new IdFitter(feature, type ?? (feature.separator === undefined ? undefined : 'string'))
  const lists = new Lists(feature, true)
  return { add: (column) => ids.add(lists.of(column), rowsOf(column)), met: () => ids.met() }
}

/** The encoder of a feature with its id source. */
export function sequenceEncoder(feature: SequenceFeature, source: IdSource): SequenceEncoder {
  const { name, dim, maxLength: width } = feature
  return Object.freeze<SequenceEncoder>({
    kind: 'sequence',
    feature,
    width,
    tableRows: source.tableRows,
    dim,
    type: source.type,
    vocabulary: source.vocabulary,
    lastSeen: source.lastSeen,
    begin() {
      const ids = new IdEncoding(name, source, width)
      // Files of earlier versions keep the blanks around items.
      const lists = new Lists(feature, source.type !== undefined)
      return { encode: (column, data) => void ids.encode(lists.of(column), 0, data), counts: () => ids }
    },
    encodeFew: (values, rows, data, counts) => idsOfFewLists(source, values, rows, width, data, counts),
    check(data) {
      checkIds(name, data, width, source.tableRows)
      return { data, width }
    },
  })
}

/** The lists of a column, which may come in parts. */
class Lists {
  readonly #feature: SequenceFeature
  readonly #splitter: Splitter | undefined
  readonly #typed: boolean

  constructor(feature: SequenceFeature, typed: boolean) {
    const { separator, padding } = feature
    this.#feature = feature
    this.#typed = typed
    this.#splitter = separator === undefined ? undefined : new Splitter(separator, { trim: typed, padding })
  }

  of(column: Column): Values {
    if (column.kind === 'list') return column
    if (column.kind === 'string') {
      if (this.#splitter !== undefined) return this.#splitter.split(column)
      const { name } = this.#feature
      throw new DataError(
        `feature "${name}": expected lists, or text and a separator, found text; set how to split it, such as separator: '|'`,
        { column: name },
      )
    }
    // One item per row: such a file is read as numbers. In files of earlier versions the items were their texts.
    return { items: this.#splitter !== undefined && !this.#typed ? { ...column, asWritten: true } : column }
  }

  warn(): void {
    const { name, vocabulary } = this.#feature
    this.#splitter?.warn(name, { zeroIsPadding: typeof vocabulary === 'number' })
  }
}
