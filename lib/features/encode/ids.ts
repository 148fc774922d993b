// How a value becomes an id: unchanged, hashed, or by a vocabulary. Each feature has one id source. It sees keys of the feature's type,
// not rows or columns.

import { numberOf, sameNumber, type ValueType } from '../../core/columns.js'
import { hashedId, hashedNumber } from '../../core/hash.js'
import { atOnce } from '../../core/slices.js'
import { Texts } from '../../core/texts.js'
import type { IdOptions } from '../spec/id-options.js'
import { describeType, isNumeric, type Key } from './cast.js'
import { indexOfKeys, type KeyIndex } from './key-index.js'
import { type Expected, refused } from './key-reader.js'

export interface IdSource extends Expected {
  /** The type of the values. Undefined in files of earlier versions, and if no training row had a value. */
  readonly type: ValueType | undefined
  /** Rows of the embedding table: ids lie in [0, tableRows). */
  readonly tableRows: number
  /** The id of a missing value, or `refused`. */
  readonly missing: number
  /** The id of a value that is not of the feature's type. Absent if that is an error. */
  readonly outside?: number | undefined
  idOf(key: Key): number
  /** Writes what `idOf` says of each text. Absent where that is no faster. */
  idsOf?: ((texts: readonly string[], into: Int32Array) => void) | undefined
  /** Whether an integer in [0, tableRows) is its own id. */
  readonly asIs?: boolean | undefined
  /** Whether id 0 is an ordinary value. */
  readonly zeroIsKnown?: boolean | undefined
  /** The values of a fitted vocabulary. The first has id 1. */
  readonly vocabulary?: KeyIndex | undefined
  /** The day on which each of these values was last seen. */
  readonly lastSeen?: Int32Array | undefined
}

/** The type of a feature's values, if its options determine it. */
export function declaredType({ type, vocabulary, buckets }: IdOptions): ValueType | undefined {
  if (type !== undefined) return type
  if (typeof vocabulary === 'object') return typeof vocabulary[0] === 'string' ? 'string' : 'number'
  return vocabulary !== undefined || buckets !== undefined ? 'number' : undefined
}

/** The id source of a feature that needs no fitted vocabulary; undefined for other features. */
export function givenIds(options: IdOptions, type: ValueType | undefined): IdSource | undefined {
  const { vocabulary, hash, buckets, outOfRange = 'error' } = options
  if (buckets !== undefined) return bucketIds(buckets, type)
  if (typeof vocabulary === 'object') return listedIds(vocabulary, type)
  if (vocabulary !== undefined) return integersAsIds(vocabulary, type, outOfRange === 'oov' ? 0 : refused)
  return hash === undefined ? undefined : hashedIds(hash, type)
}

/** The id source of a fitted vocabulary. Unknown values get id 0. */
export function fittedIds(vocabulary: KeyIndex, type: ValueType | undefined, lastSeen?: Int32Array): IdSource {
  const source = { type, tableRows: vocabulary.size + 1, missing: 0, vocabulary, lastSeen }
  if (type !== undefined) {
    const idsOf =
      vocabulary.indexOfAll &&
      ((texts: readonly string[], into: Int32Array) => {
        vocabulary.indexOfAll?.(texts, into)
        for (let at = 0; at < into.length; at += 1) into[at] = (into[at] ?? 0) + 1
      })
    return { ...source, idOf: (key) => vocabulary.indexOf(key) + 1, idsOf }
  }
  const texts = typeof vocabulary.keyAt(0) === 'string'
  return {
    ...source,
    expected: 'text, as in the training rows',
    next: "read the column as text (`types: { ...: 'string' }` of Dataset.fromCsv) or pass strings",
    idOf(key) {
      if (typeof key === 'string' && !texts) return vocabulary.indexOf(numberOf(key) ?? NaN) + 1
      // A number has lost its original text: ' 07' is not '7'. Counting it as unknown would be a silent guess.
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
    next: "raise vocabulary, or map such values to id 0 with outOfRange: 'oov'",
    idOf(key) {
      const id = typeof key === 'number' ? key : numberOf(key)
      return id !== undefined && Number.isInteger(id) && id >= 0 && id < size ? id : outside
    },
  }
}

/** The id source of a vocabulary that the feature lists. */
function listedIds(values: readonly Key[], type: ValueType | undefined): IdSource {
  const ofValues = typeof values[0] === 'string' ? 'string' : 'number'
  const keys = type === 'number' ? values.map((value) => sameNumber(Number(value))) : values
  const { vocabulary: _, lastSeen: __, ...source } = fittedIds(listedKeys(keys, type ?? ofValues), type)
  return { ...source, expected: `${describeType(type ?? ofValues)}, as in the vocabulary` }
}

/** Listed texts may be any, also those that UTF-8 cannot hold: a model's file has them in its JSON. */
function listedKeys(keys: readonly Key[], type: ValueType): KeyIndex {
  if (isNumeric(type)) return atOnce(indexOfKeys('vocabulary', type, keys.length, (at) => keys[at] ?? ''))
  const texts = new Texts('vocabulary')
  for (const key of keys) texts.add(String(key))
  return texts as KeyIndex
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
