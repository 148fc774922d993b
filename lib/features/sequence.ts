// Sequence features: up to maxLength ids per row, the last ones of a longer list, then id 0 as padding; embedded, combined.
// Unknown and missing items are id 0 too, so they are not counted by a mean.

import { z } from 'zod'

import { called, parseOptions } from '../core/check.js'
import { type Column, numberText, type StringColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { largestWidth } from '../core/limits.js'
import { type CodedColumn, codedColumn, countKeys, type Key } from './distinct.js'
import { checkIds, encodeIds, type IdValues, idValues } from './encode-ids.js'
import type { SequenceEncoder } from './encoder.js'
import { type IdOptions, idOptions, oneKindOfIds } from './id-options.js'
import { fittedIds, givenIds, type IdSource, orderedVocabulary } from './ids.js'

export const sequenceSchema = oneKindOfIds(
  z.strictObject({
    kind: z.literal('sequence'),
    ...idOptions,
    maxLength: z.int().min(1).max(largestWidth),
    combiner: z.enum(['mean', 'sum']),
    separator: z.string().min(1).optional(),
  }),
)

export interface SequenceOptions extends IdOptions {
  /** Ids kept per row: the last ones of a longer list. */
  readonly maxLength: number
  /** How the embeddings of a row become one; id 0 is padding and not counted. */
  readonly combiner: 'mean' | 'sum'
  /** Splits the text of a column of texts into items: `'a|b'` by `'|'`. Empty items are left out. */
  readonly separator?: string | undefined
}

/** A list of ids per row, embedded and combined. */
export interface SequenceFeature<Name extends string = string> extends SequenceOptions {
  readonly kind: 'sequence'
  readonly name: Name
}

/**
 * A list of ids per row, embedded and combined.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example sequence('tags', { dim: 16, maxLength: 11, combiner: 'mean', separator: ';' })
 */
export function sequence<const Name extends string>(name: Name, options: SequenceOptions): SequenceFeature<Name> {
  const spec = { ...options, kind: 'sequence', name }
  return Object.freeze(parseOptions(called('feature', name), sequenceSchema, spec)) as SequenceFeature<Name>
}

/** Fits a vocabulary on the training rows, where the feature has an open one. */
export function fitSequence(feature: SequenceFeature, column: Column): SequenceEncoder {
  const given = givenIds(feature)
  if (given !== undefined) return sequenceEncoder(feature, given)
  const { values } = codedLists(feature, column)
  return sequenceEncoder(feature, fittedIds(orderedVocabulary(values.keys, countKeys(values), feature.minCount ?? 1)))
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
    encode(column) {
      const lists =
        column.kind === 'list' ? { ...column, values: idValues(name, column.items, source) } : codedLists(feature, column)
      return encodeIds(name, lists, source, 0, width)
    },
    check(data) {
      checkIds(name, data, width, source.tableRows)
      return { data, width }
    },
    toJSON: () => ({ feature, ...(source.values && { values: source.values }) }),
  })
}

interface CodedLists extends IdValues {
  readonly values: CodedColumn
}

function codedLists(feature: SequenceFeature, column: Column): CodedLists {
  const { name, separator } = feature
  if (column.kind === 'list') return { values: codedColumn(name, column.items), offsets: column.offsets }
  if (column.kind === 'string') {
    if (separator !== undefined) return splitLists(column, separator)
    throw new DataError(
      `feature "${name}": expected lists, or text and a separator, found text; say how to split it: separator: '|'`,
      { column: name },
    )
  }
  // One item per row: a file in which no row has two reads as numbers.
  const { keys, codes } = codedColumn(name, column)
  if (separator === undefined) return { values: { keys, codes } }
  return { values: { keys: keys.map((key): Key => (typeof key === 'number' ? numberText(key) : key)), codes } }
}

/** Splits each text of the dictionary that occurs once, then lays the items out by row. */
function splitLists({ dictionary, codes }: StringColumn, separator: string): CodedLists {
  const codeOf = new Map<string, number>()
  const itemsOf: (readonly number[] | undefined)[] = []
  const offsets = new Int32Array(codes.length + 1)
  for (let row = 0; row < codes.length; row += 1) {
    const code = codes[row] ?? -1
    const items = code < 0 ? none : (itemsOf[code] ??= splitText(dictionary[code] ?? '', separator, codeOf))
    offsets[row + 1] = (offsets[row] ?? 0) + items.length
  }
  const items = new Int32Array(offsets[codes.length] ?? 0)
  for (let row = 0; row < codes.length; row += 1) items.set(itemsOf[codes[row] ?? -1] ?? none, offsets[row] ?? 0)
  return { values: { keys: [...codeOf.keys()], codes: items }, offsets }
}

const none: readonly number[] = []

function splitText(text: string, separator: string, codeOf: Map<string, number>): number[] {
  const items = text.split(separator).filter((item) => item !== '')
  return items.map((item) => {
    const code = codeOf.get(item) ?? codeOf.size
    codeOf.set(item, code)
    return code
  })
}
