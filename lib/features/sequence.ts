// Sequence features: up to maxLength ids per row, the last ones of a longer list, then id 0 as padding; embedded, combined.
// Unknown and missing items are id 0 too, so they are not counted by a mean.

import { z } from 'zod'

import { parseOptions, quote } from '../core/check.js'
import { type Column, numberText, type StringColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { largestWidth } from '../core/limits.js'
import { type CodedColumn, codedColumn, countKeys, type Key } from './distinct.js'
import { checkIds, idsOf } from './encode-ids.js'
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
  readonly separator?: string
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
  return Object.freeze(parseOptions(`feature ${quote(String(name))}`, sequenceSchema, spec)) as SequenceFeature<Name>
}

/** Items of all rows, coded: row r has items offsets[r] .. offsets[r + 1]. */
interface CodedLists extends CodedColumn {
  readonly offsets: Int32Array
}

/** Fits a vocabulary on the training rows, where the feature has an open one. */
export function fitSequence(feature: SequenceFeature, column: Column): SequenceEncoder {
  const given = givenIds(feature)
  if (given !== undefined) return sequenceEncoder(feature, given)
  const lists = codedLists(feature, column)
  return sequenceEncoder(feature, fittedIds(orderedVocabulary(lists.keys, countKeys(lists), feature.minCount ?? 1)))
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
      const lists = codedLists(feature, column)
      const { ids, unknown } = idsOf(name, lists, source, 0, (position) => rowAt(lists.offsets, position))
      return { data: padded(ids, lists.offsets, width), width, unknown }
    },
    check(data) {
      checkIds(name, data, width, source.tableRows)
      return { data, width }
    },
    toJSON: () => ({ feature, ...(source.values && { values: source.values }) }),
  })
}

function padded(ids: Int32Array, offsets: Int32Array, width: number): Int32Array {
  const rows = offsets.length - 1
  const data = new Int32Array(rows * width)
  for (let row = 0; row < rows; row += 1) {
    const end = offsets[row + 1] ?? 0
    const start = Math.max(offsets[row] ?? 0, end - width)
    for (let item = start; item < end; item += 1) data[row * width + item - start] = ids[item] ?? 0
  }
  return data
}

function rowAt(offsets: Int32Array, position: number): number {
  return offsets.findIndex((offset) => offset > position) - 1
}

function codedLists(feature: SequenceFeature, column: Column): CodedLists {
  const { name, separator } = feature
  if (column.kind === 'list') return { ...codedColumn(name, column.items), offsets: column.offsets }
  if (column.kind === 'string') {
    if (separator !== undefined) return splitLists(column, separator)
    throw new DataError(
      `feature "${name}": expected lists, or text and a separator, found text; say how to split it: separator: '|'`,
      { column: name },
    )
  }
  // One item per row: a file in which no row has two reads as numbers.
  const { keys, codes } = codedColumn(name, column)
  const items = {
    keys: separator === undefined ? keys : keys.map((key): Key => (typeof key === 'number' ? numberText(key) : key)),
    codes,
  }
  return { ...items, offsets: Int32Array.from({ length: codes.length + 1 }, (_, row) => row) }
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
  return { keys: [...codeOf.keys()], codes: items, offsets }
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
