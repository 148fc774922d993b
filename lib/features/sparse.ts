// Sparse features: one id per row, embedded. The spec is plain data; the encoder is what is fitted on the training rows.

import { z } from 'zod'

import { called, parseOptions } from '../core/check.js'
import { type Column, rowsOf, type ScalarColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { checkIds, IdEncoding } from './encode-ids.js'
import type { Fitter, SparseEncoder } from './encoder.js'
import { IdFitter } from './id-fitter.js'
import { type IdOptions, idOptions, oneKindOfIds } from './id-options.js'
import type { IdSource } from './ids.js'

export const sparseSchema = oneKindOfIds(z.strictObject({ kind: z.literal('sparse'), ...idOptions }))

/** One id per row, embedded. */
export interface SparseFeature<Name extends string = string> extends IdOptions {
  readonly kind: 'sparse'
  readonly name: Name
}

/**
 * One id per row, embedded.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example sparse('userid', { vocabulary: 20_001, dim: 16 })
 */
export function sparse<const Name extends string>(name: Name, options: IdOptions): SparseFeature<Name> {
  const spec = { ...options, kind: 'sparse', name }
  return Object.freeze(parseOptions(called('feature', name), sparseSchema, spec)) as SparseFeature<Name>
}

/** Fits the type of its values on the training rows, and a vocabulary where the feature has an open one. */
export function sparseFitter(feature: SparseFeature): Fitter<SparseEncoder> {
  const ids = new IdFitter(feature)
  return {
    add: (column) => ids.add({ items: scalarOf(feature, column) }, rowsOf(column)),
    *finish() {
      return sparseEncoder(feature, yield* ids.finish())
    },
  }
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
    begin() {
      const ids = new IdEncoding(name, source, 1)
      return {
        encode: (column, data) => void ids.encode({ items: scalarOf(feature, column) }, source.missing, data),
        counts: () => ids,
      }
    },
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
