// How a value becomes an id: as it is, hashed, or by a fitted vocabulary. One id source per feature; it knows values, not
// rows or columns. Fitted vocabularies are sorted by count, then value, so that ids do not depend on the order of rows.

import { numberOf, numberText } from '../core/columns.js'
import type { Key } from './distinct.js'
import { hashedId } from './hash.js'
import type { IdOptions } from './id-options.js'

/** What `idOf` gives for a value that the feature does not take. */
export const refused = -1

export interface IdSource {
  /** Rows of the embedding table: ids lie in [0, tableRows). */
  readonly tableRows: number
  /** The id of a missing value, or `refused`. */
  readonly missing: number
  /** What it takes, for messages. */
  readonly expected: string
  /** What to do about a value that it does not take, for messages, where that is not plain. */
  readonly next?: string
  idOf(key: Key): number
  /** Whether an integer in [0, tableRows) is its own id. */
  readonly asIs?: boolean
  /** Whether id 0 is a value like others. */
  readonly zeroIsKnown?: boolean
  /** Known values of a fitted vocabulary, that of id 1 first. */
  readonly values?: readonly Key[]
}

/** The id source of a feature that needs no fitting, or undefined. */
export function givenIds({ vocabulary, hash, buckets, outOfRange = 'error' }: IdOptions): IdSource | undefined {
  if (buckets !== undefined) return bucketIds(buckets)
  if (typeof vocabulary === 'object') return listedIds(vocabulary)
  if (vocabulary !== undefined) return integersAsIds(vocabulary, outOfRange === 'oov' ? 0 : refused)
  return hash === undefined ? undefined : hashedIds(hash)
}

/** Values in the order of their ids: by count, most first, then by value. Those that come less often than `minCount` are left out. */
export function orderedVocabulary(keys: readonly Key[], counts: Int32Array, minCount: number): Key[] {
  const known = [...keys.keys()].filter((code) => (counts[code] ?? 0) >= Math.max(1, minCount))
  known.sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || compareKeys(keys[a] ?? 0, keys[b] ?? 0))
  return known.map((code) => keys[code] ?? 0)
}

/** The id source of a fitted vocabulary: id 0 for what is not in it. */
export function fittedIds(values: readonly Key[]): IdSource {
  const idOf = new Map(values.map((value, index) => [value, index + 1]))
  const texts = typeof values[0] === 'string'
  return {
    tableRows: values.length + 1,
    missing: 0,
    values,
    expected: 'text, as in the training rows',
    next: "read the column as text (`types: { ...: 'string' }` of Dataset.fromCsv) or pass strings",
    idOf(key) {
      if (typeof key === 'string' && !texts) return idOf.get(numberOf(key) ?? NaN) ?? 0
      // A number has lost the text that the vocabulary knows: ' 07' is not '7'. Unknown would be a silent guess.
      if (typeof key === 'number' && texts) return refused
      return idOf.get(key) ?? 0
    },
  }
}

function integersAsIds(size: number, outside: number): IdSource {
  return {
    tableRows: size,
    asIs: true,
    zeroIsKnown: outside === refused,
    missing: outside,
    expected: `an integer in [0, ${size})`,
    next: "raise vocabulary, or give such values id 0 with outOfRange: 'oov'",
    idOf(key) {
      const id = typeof key === 'number' ? key : numberOf(key)
      return id !== undefined && Number.isInteger(id) && id >= 0 && id < size ? id : outside
    },
  }
}

/** A vocabulary that the feature itself lists; texts and numbers as they are written there. */
function listedIds(values: readonly Key[]): IdSource {
  const { values: _, ...source } = fittedIds(values)
  return { ...source, expected: 'text, as in the vocabulary' }
}

function bucketIds(boundaries: readonly number[]): IdSource {
  return {
    tableRows: boundaries.length + 2,
    missing: 0,
    expected: 'a number',
    idOf(key) {
      const value = typeof key === 'number' ? key : numberOf(key)
      if (value === undefined) return refused
      const above = boundaries.findIndex((boundary) => value < boundary)
      return 1 + (above < 0 ? boundaries.length : above)
    },
  }
}

function hashedIds(size: number): IdSource {
  return {
    tableRows: size,
    missing: 0,
    expected: 'a number or text',
    idOf: (key) => hashedId(typeof key === 'number' ? numberText(key) : key, size),
  }
}

/** Numbers before texts, numbers by size, texts by code unit. */
function compareKeys(left: Key, right: Key): number {
  if (typeof left === typeof right) return left < right ? -1 : left > right ? 1 : 0
  return typeof left === 'number' ? -1 : 1
}
