// Reads the values of columns as keys of a feature's type, and hands each to a resolver, which says what stands for it: its id, or
// its number among the keys that are being counted. Of texts every distinct one is resolved once, however many rows have it and in
// however many parts the column comes.

import type { NumberColumn, ScalarColumn, StringColumn, ValueType } from '../core/columns.js'
import { adviceFor, castNumbers, castTexts, describeType, type Key } from './cast.js'
import { notFinite, wrongValue } from './errors.js'

/** What stands for a missing value. */
export const absent = -2
/** What a resolver gives for a value that the feature does not take. */
export const refused = -1
const unresolved = -3

/** A number >= 0 for a key, or `refused`. */
export type Resolver = (key: Key) => number

/** Gives what stands for the value of a position, `absent` or `refused`. */
export type Reading = (position: number) => number

export class KeyReader {
  readonly #resolve: Resolver
  readonly #type: ValueType | undefined
  /** Integers in [0, ids) stand for themselves. */
  readonly #ids: number
  #dictionary: readonly string[] | undefined
  #resolved = new Int32Array(0)

  /** @param type undefined: numbers and texts are keys as they come, as in files of before. */
  constructor(resolve: Resolver, type: ValueType | undefined, ids = 0) {
    this.#resolve = resolve
    this.#type = type
    this.#ids = ids
  }

  of(column: ScalarColumn): Reading {
    return column.kind === 'number' ? this.#ofNumbers(column) : this.#ofTexts(column)
  }

  #ofNumbers(column: NumberColumn): Reading {
    const { values } = column
    const resolve = this.#resolve
    const ids = this.#ids
    const cast = this.#type === undefined ? undefined : castNumbers(this.#type, column)
    const none = this.#type !== undefined && cast === undefined
    return (position) => {
      const value = values[position] ?? NaN
      const integer = value | 0
      if (integer === value && integer >= 0 && integer < ids) return integer
      if (Number.isNaN(value)) return absent
      if (none || value - value !== 0) return refused
      const key = cast === undefined ? value : cast(value)
      return key === undefined ? refused : resolve(key)
    }
  }

  #ofTexts(column: StringColumn): Reading {
    const { codes, dictionary } = column
    const resolved = this.#resolvedOf(dictionary)
    const resolve = this.#resolve
    const cast = this.#type === undefined ? (text: string) => text : castTexts(this.#type, column)
    return (position) => {
      const code = codes[position] ?? -1
      if (code < 0) return absent
      const known = resolved[code] ?? unresolved
      if (known !== unresolved) return known
      const key = cast?.(dictionary[code] ?? '')
      return (resolved[code] = key === undefined ? refused : resolve(key))
    }
  }

  /** What its texts stand for, as far as that is known. A dictionary may have grown since it was last seen. */
  #resolvedOf(dictionary: readonly string[]): Int32Array {
    const known = this.#dictionary === dictionary ? this.#resolved : new Int32Array(0)
    this.#dictionary = dictionary
    if (known.length >= dictionary.length && this.#resolved === known) return known
    const resolved = new Int32Array(Math.max(dictionary.length, known.length * 2)).fill(unresolved)
    resolved.set(known)
    return (this.#resolved = resolved)
  }
}

/** What a feature takes, for messages. */
export interface Expected {
  readonly type: ValueType | undefined
  /** Default: what the type says. */
  readonly expected?: string | undefined
  /** What to do about a value that it does not take. */
  readonly next?: string | undefined
}

/** The error about a value that was refused. */
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
