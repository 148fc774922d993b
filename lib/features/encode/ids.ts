// How a value becomes an id: as it is, hashed, or by a vocabulary. One id source per feature; it knows keys of the feature's type, not
// rows or columns.

import { numberOf, type ValueType } from '../../core/columns.js'
import { atOnce } from '../../core/slices.js'
import type { IdOptions } from '../spec/id-options.js'
import { describeType, type Key, sameNumber } from './cast.js'
import { hashedId, hashedNumber } from './hash.js'
import { indexOfKeys } from './key-counter.js'
import type { KeyIndex } from './key-index.js'
import { type Expected, refused } from './key-reader.js'

export interface IdSource extends Expected {
  /** Of the values. Undefined in files of before, which tell numbers and texts apart by how they come, and where no training row had a value. */
  readonly type: ValueType | undefined
  /** Rows of the embedding table: ids lie in [0, tableRows). */
  readonly tableRows: number
  /** The id of a missing value, or `refused`. */
  readonly missing: number
  /** The id of a value that is not of the feature's type; absent where that is an error. */
  readonly outside?: number | undefined
  idOf(key: Key): number
  /** Whether an integer in [0, tableRows) is its own id. */
  readonly asIs?: boolean | undefined
  /** Whether id 0 is a value like others. */
  readonly zeroIsKnown?: boolean | undefined
  /** Known values of a fitted vocabulary: that of id 1 first. */
  readonly vocabulary?: KeyIndex | undefined
}

/** The type of a feature's values where that does not depend on any. */
export function declaredType({ type, vocabulary, buckets }: IdOptions): ValueType | undefined {
  if (type !== undefined) return type
  if (typeof vocabulary === 'object') return typeof vocabulary[0] === 'string' ? 'string' : 'number'
  return vocabulary !== undefined || buckets !== undefined ? 'number' : undefined
}

/** The id source of a feature that needs no vocabulary of its own, or undefined. */
export function givenIds(options: IdOptions, type: ValueType | undefined): IdSource | undefined {
  const { vocabulary, hash, buckets, outOfRange = 'error' } = options
  if (buckets !== undefined) return bucketIds(buckets, type)
  if (typeof vocabulary === 'object') return listedIds(vocabulary, type)
  if (vocabulary !== undefined) return integersAsIds(vocabulary, type, outOfRange === 'oov' ? 0 : refused)
  return hash === undefined ? undefined : hashedIds(hash, type)
}

/** The id source of a fitted vocabulary: id 0 for what is not in it. */
export function fittedIds(vocabulary: KeyIndex, type: ValueType | undefined): IdSource {
  const source = { type, tableRows: vocabulary.size + 1, missing: 0, vocabulary }
  if (type !== undefined) return { ...source, idOf: (key) => vocabulary.indexOf(key) + 1 }
  const texts = typeof vocabulary.keyAt(0) === 'string'
  return {
    ...source,
    expected: 'text, as in the training rows',
    next: "read the column as text (`types: { ...: 'string' }` of Dataset.fromCsv) or pass strings",
    idOf(key) {
      if (typeof key === 'string' && !texts) return vocabulary.indexOf(numberOf(key) ?? NaN) + 1
      // A number has lost the text that the vocabulary knows: ' 07' is not '7'. Unknown would be a silent guess.
      if (typeof key === 'number' && texts) return refused
      return vocabulary.indexOf(key) + 1
    },
  }
}

function integersAsIds(size: number, type: ValueType | undefined, outside: number): IdSource {
  return {
    type,
    tableRows: size,
    asIs: true,
    zeroIsKnown: outside === refused,
    missing: outside,
    ...(outside !== refused && { outside }),
    expected: `an integer in [0, ${size})`,
    next: "raise vocabulary, or give such values id 0 with outOfRange: 'oov'",
    idOf(key) {
      const id = typeof key === 'number' ? key : numberOf(key)
      return id !== undefined && Number.isInteger(id) && id >= 0 && id < size ? id : outside
    },
  }
}

/** A vocabulary that the feature itself lists. */
function listedIds(values: readonly Key[], type: ValueType | undefined): IdSource {
  const ofValues = typeof values[0] === 'string' ? 'string' : 'number'
  const keys = type === 'number' ? values.map((value) => sameNumber(Number(value))) : values
  const { vocabulary: _, ...source } = fittedIds(
    atOnce(indexOfKeys('vocabulary', type ?? ofValues, keys.length, (at) => keys[at] ?? '')),
    type,
  )
  return { ...source, expected: `${describeType(type ?? ofValues)}, as in the vocabulary` }
}

function bucketIds(boundaries: readonly number[], type: ValueType | undefined): IdSource {
  return {
    type,
    tableRows: boundaries.length + 2,
    missing: 0,
    expected: 'a number',
    idOf(key) {
      const value = typeof key === 'number' ? key : numberOf(key)
      return value === undefined ? refused : 1 + countUpTo(boundaries, value)
    },
  }
}

/** How many of the ascending boundaries are at most `value`: a binary search. */
function countUpTo(boundaries: readonly number[], value: number): number {
  let [low, high] = [0, boundaries.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (value < (boundaries[middle] ?? Infinity)) high = middle
    else low = middle + 1
  }
  return low
}

function hashedIds(size: number, type: ValueType | undefined): IdSource {
  return {
    type,
    tableRows: size,
    missing: 0,
    idOf: (key) => (typeof key === 'number' ? hashedNumber(key, size) : hashedId(key, size)),
  }
}
