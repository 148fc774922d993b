// The encoder of a sparse feature: one id per row.

import { type Column, rowsOf, type ScalarColumn, type ValueType } from '../../core/columns.js'
import { DataError } from '../../core/errors.js'
import type { SparseFeature } from '../spec/sparse.js'
import { checkIds, IdEncoding } from './encode-ids.js'
import type { Fitter, SparseEncoder } from './encoder.js'
import { idsOfFew } from './few.js'
import { IdFitter, type ValueCollector } from './id-fitter.js'
import type { IdSource } from './ids.js'

/** Fits the type of the values on the training rows, and a vocabulary if the feature gives none. */
export function sparseFitter(feature: SparseFeature): Fitter<SparseEncoder> {
  const ids = new IdFitter(feature)
  return {
    add: (column) => ids.add({ items: scalarOf(feature, column) }, rowsOf(column)),
    closed: ids.closed,
    *finish() {
      return sparseEncoder(feature, yield* ids.finish())
    },
  }
}

/** Collects the values of a feature whose type is known. */
export function sparseCollector(feature: SparseFeature, type: ValueType | undefined): ValueCollector {
  const ids = new IdFitter(feature, type)
  return { add: (column) => ids.add({ items: scalarOf(feature, column) }, rowsOf(column)), met: () => ids.met() }
}

/** The encoder of a feature with its id source. */
export function sparseEncoder(feature: SparseFeature, source: IdSource): SparseEncoder {
  const { name, dim } = feature
  return Object.freeze<SparseEncoder>({
    kind: 'sparse',
    feature,
    width: 1,
    tableRows: source.tableRows,
    dim,
    type: source.type,
    vocabulary: source.vocabulary,
    lastSeen: source.lastSeen,
    begin() {
      const ids = new IdEncoding(name, source, 1)
      return {
        encode: (column, data) => void ids.encode({ items: scalarOf(feature, column) }, source.missing, data),
        counts: () => ids,
      }
    },
    encodeFew: (values, rows, data, counts) => idsOfFew(source, values, rows, data, counts),
    check(data) {
      checkIds(name, data, 1, source.tableRows)
      return { data, width: 1 }
    },
  })
}

function scalarOf({ name }: SparseFeature, column: Column): ScalarColumn {
  if (column.kind !== 'list') return column
  throw new DataError(`feature "${name}": expected one value per row, found lists; declare it with sequence('${name}', ...)`, {
    column: name,
  })
}
