// Sparse features: one id per row, embedded. The spec is plain data; the encoder is what is fitted on the training rows.

import { z } from 'zod'

import { called, parseOptions } from '../core/check.js'
import type { Column, ScalarColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { codedColumn, countKeys } from './distinct.js'
import { checkIds, encodeIds, idValues } from './encode-ids.js'
import type { SparseEncoder } from './encoder.js'
import { type IdOptions, idOptions, oneKindOfIds } from './id-options.js'
import { fittedIds, givenIds, type IdSource, orderedVocabulary } from './ids.js'

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

/** Fits a vocabulary on the training rows, where the feature has an open one. */
export function fitSparse(feature: SparseFeature, column: Column): SparseEncoder {
  const given = givenIds(feature)
  if (given !== undefined) return sparseEncoder(feature, given)
  const coded = codedColumn(feature.name, scalarOf(feature, column))
  return sparseEncoder(feature, fittedIds(orderedVocabulary(coded.keys, countKeys(coded), feature.minCount ?? 1)))
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
    encode(column) {
      const values = idValues(name, scalarOf(feature, column), source)
      return encodeIds(name, { values }, source, source.missing, 1)
    },
    check(data) {
      checkIds(name, data, 1, source.tableRows)
      return { data, width: 1 }
    },
    toJSON: () => ({ feature, ...(source.values && { values: source.values }) }),
  })
}

function scalarOf({ name }: SparseFeature, column: Column): ScalarColumn {
  if (column.kind !== 'list') return column
  throw new DataError(`feature "${name}": expected one value per row, found lists; declare it with sequence('${name}', ...)`, {
    column: name,
  })
}
