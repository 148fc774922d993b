// Reads the values of columns as keys of a feature's type and passes each to a resolver. The resolver gives its id, or its number
// among the counted keys. Each distinct text is resolved once, even over many rows and parts of a column.

import type { NumberColumn, ScalarColumn, StringColumn, ValueType } from '../../core/columns.js'
import { adviceFor, castNumbers, castTexts, describeType, type Key } from './cast.js'
import { notFinite, wrongValue } from './errors.js'

/** The result for a missing value. */
export const absent = -2
/** The result for a value that the feature does not accept. */
export const refused = -1
const unresolved = -3

/** Gives keys their results. */
export interface Resolver {
  /** A number >= 0, or `refused`. */
  of(key: Key): number
  /** Writes what `of` says of each text. Absent where that is no faster. */
  ofTexts?: ((texts: readonly string[], into: Int32Array) => void) | undefined
}

type Cast = ((value: number) => Key | undefined) | undefined

/** The cache holds pairs of an integer and its result plus this offset. 0 means an empty place. */
const knownFrom = 2
const smallest = 2 * 2 ** 6
const largest = 2 * 2 ** 17
const manyValues = 2 ** 12

export class KeyReader {
  readonly #resolve: Resolver
  readonly #type: ValueType | undefined
  /** Integers in [0, ids) are their own result. */
  readonly #ids: number
  #dictionary: readonly string[] | undefined
  #resolved = new Int32Array(0)
  #met = new Int32Array(smallest)

  /** @param type undefined: numbers and texts are keys unchanged, as in files of earlier versions. */
  constructor(resolve: Resolver, type: ValueType | undefined, ids = 0) {
    this.#resolve = resolve
    this.#type = type
    this.#ids = ids
  }

  /** Writes the results of the values at positions `from` to `to` (exclusive) to the start of `into`. */
  read(column: ScalarColumn, from: number, to: number, into: Int32Array): void {
    if (column.kind === 'number') this.#readNumbers(column, from, to, into)
    else this.#readTexts(column, from, to, into)
  }

  #readNumbers(column: NumberColumn, from: number, to: number, into: Int32Array): void {
    const { values } = column
    const ids = this.#ids
    const open = this.#type === undefined
    const cast = this.#type === undefined ? undefined : castNumbers(this.#type, column)
    const met = this.#integersMet(to - from)
    for (let position = from; position < to; position += 1) {
      const value = values[position] ?? NaN
      const integer = value | 0
      if (integer !== value) {
        into[position - from] = Number.isNaN(value) ? absent : this.#numberOf(value, open, cast)
      } else if (integer >= 0 && integer < ids) {
        into[position - from] = integer
      } else {
        const slot = (integer & (met.length / 2 - 1)) * 2
        const known = (met[slot + 1] ?? 0) - knownFrom
        into[position - from] = known >= refused && met[slot] === integer ? known : this.#meet(integer, slot, met, open, cast)
      }
    }
  }

  #meet(integer: number, slot: number, met: Int32Array, open: boolean, cast: Cast): number {
    const found = this.#numberOf(integer, open, cast)
    met[slot] = integer
    met[slot + 1] = found + knownFrom
    return found
  }

  #numberOf(value: number, open: boolean, cast: Cast): number {
    if (open) return Number.isFinite(value) ? this.#resolve.of(value) : refused
    const key = Number.isFinite(value) ? cast?.(value) : undefined
    return key === undefined ? refused : this.#resolve.of(key)
  }

  /** A cache of recent integers and their results: most integers recur. It grows only for many values. */
  #integersMet(values: number): Int32Array {
    if (this.#met.length === smallest && values >= manyValues) this.#met = new Int32Array(largest)
    return this.#met
  }

  #readTexts(column: StringColumn, from: number, to: number, into: Int32Array): void {
    const { codes, dictionary } = column
    const resolved = this.#resolvedOf(dictionary)
    this.#resolveTexts(column, from, to, resolved)
    for (let position = from; position < to; position += 1) {
      const code = codes[position] ?? -1
      into[position - from] = code < 0 ? absent : (resolved[code] ?? refused)
    }
  }

  /** Resolves the texts that are met for the first time. */
  #resolveTexts(column: StringColumn, from: number, to: number, resolved: Int32Array): void {
    const { codes, dictionary } = column
    const cast = this.#type === undefined ? (text: string) => text : castTexts(this.#type, column)
    const [texts, places]: [string[], number[]] = [[], []]
    for (let position = from; position < to; position += 1) {
      const code = codes[position] ?? -1
      if (code < 0 || resolved[code] !== unresolved) continue
      const key = cast?.(dictionary[code] ?? '')
      if (typeof key === 'string' && this.#resolve.ofTexts !== undefined) {
        resolved[code] = refused
        texts.push(key)
        places.push(code)
      } else resolved[code] = key === undefined ? refused : this.#resolve.of(key)
    }
    if (texts.length === 0) return
    const results = new Int32Array(texts.length)
    this.#resolve.ofTexts?.(texts, results)
    for (const [at, code] of places.entries()) resolved[code] = results[at] ?? refused
  }

  /** The known results of a dictionary's texts. A dictionary may have grown since the last call. */
  #resolvedOf(dictionary: readonly string[]): Int32Array {
    const known = this.#dictionary === dictionary ? this.#resolved : new Int32Array(0)
    this.#dictionary = dictionary
    if (known.length >= dictionary.length && this.#resolved === known) return known
    const resolved = new Int32Array(Math.max(dictionary.length, known.length * 2)).fill(unresolved)
    resolved.set(known)
    return (this.#resolved = resolved)
  }
}

/** What a feature accepts, for messages. */
export interface Expected {
  readonly type: ValueType | undefined
  /** Default: a description of the type. */
  readonly expected?: string | undefined
  /** The next step for a value that does not fit. */
  readonly next?: string | undefined
}

/** The error for a refused value. */
export function refusedValue(
  feature: string,
  row: number,
  column: ScalarColumn,
  position: number,
  { type, expected, next }: Expected,
): Error {
  const what = expected ?? (type === undefined ? 'a number or text' : `${describeType(type)}, as in the training rows`)
  const value = column.kind === 'number' ? column.values[position] : column.dictionary[column.codes[position] ?? -1]
  if (value === undefined || Number.isNaN(value)) return wrongValue(feature, row, what, null, next)
  if (value === Infinity || value === -Infinity) return notFinite(feature, row, value)
  return wrongValue(feature, row, what, value, next ?? (type === undefined ? undefined : adviceFor(type, column)))
}
