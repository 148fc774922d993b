// Distinct keys, numbered in order of first appearance. Only memory limits their number; JavaScript's Map ends at 2^24 entries. Keys
// are never removed. Room is made in advance and in slices, so that no single key waits for a move of all others.

import type { ValueType } from '../../core/columns.js'
import { MultigateError } from '../../core/errors.js'
import { allocate } from '../../core/memory.js'
import { type Sliced, sliceValues } from '../../core/slices.js'
import { sortedBy } from '../../core/sort.js'
import { TextIndex } from '../../core/text-index.js'
import { isNumeric, type Key } from './cast.js'

export interface KeyIndex<K extends Key = Key> {
  /** Distinct keys so far. */
  readonly size: number
  /** The number of a key, or -1. */
  indexOf(key: K): number
  /** The number of a key. A new key gets a new number. Call `reserve` first, if it exists. */
  add(key: K): number
  keyAt(index: number): K
  /** Writes what `indexOf` says of each key. Absent where that is no faster. */
  indexOfAll?(keys: readonly K[], into: Int32Array): void
  /** Writes what `add` says of each key. Absent where that is no faster. */
  addAll?(keys: readonly K[], into: Int32Array): void
  /** Makes room for `more` keys. Absent if `add` makes room itself. @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
  reserve?(more: number): Sliced<void>
}

/** Keys that a vocabulary can be picked from. */
export interface CountedKeys<K extends Key = Key> extends KeyIndex<K> {
  /** These numbers by count, the largest first, then by key. @param counts by number. */
  sorted(numbers: Int32Array, counts: Float64Array): Sliced<Int32Array>
  /** A new index of the keys with these numbers, in this order. */
  picked(numbers: Int32Array): Sliced<KeyIndex<K>>
}

/** Keys between two yields. */
const blockKeys = 2 ** 14

/** Ids are 32-bit integers. */
const mostKeys = 2 ** 31 - 2

/** An index for the keys of a type. @param what names the owner of the keys in an error about memory. */
export function keyIndexFor(type: ValueType, what: string): CountedKeys {
  return isNumeric(type) ? new NumberIndex(what) : (new TextIndex() as CountedKeys)
}

/** An index of keys in a given order. @param what names the owner of the keys in an error about memory. */
export function* indexOfKeys(what: string, type: ValueType, size: number, keyAt: (position: number) => Key): Sliced<KeyIndex> {
  const index = keyIndexFor(type, what)
  if (index.reserve !== undefined) yield* index.reserve(size)
  for (let position = 0; position < size; position += 1) {
    index.add(keyAt(position))
    if (position % blockKeys === 0) yield
  }
  return index
}

/** Numbers in a hash table with open addressing over typed arrays, at most half full. */
export class NumberIndex implements CountedKeys<number> {
  readonly #what: string
  #size = 0
  #keys = new Float64Array(64)
  /** Number of a key plus one; 0 is free. */
  #slots = new Int32Array(128)

  constructor(what: string) {
    this.#what = what
  }

  get size(): number {
    return this.#size
  }

  indexOf(key: number): number {
    const slots = this.#slots
    const mask = slots.length - 1
    for (let slot = hashOf(key) & mask; ; slot = (slot + 1) & mask) {
      const index = (slots[slot] ?? 0) - 1
      if (index < 0 || this.#keys[index] === key) return index
    }
  }

  add(key: number): number {
    const slots = this.#slots
    const mask = slots.length - 1
    for (let slot = hashOf(key) & mask; ; slot = (slot + 1) & mask) {
      const index = (slots[slot] ?? 0) - 1
      if (index >= 0 && this.#keys[index] !== key) continue
      if (index >= 0) return index
      slots[slot] = this.#size + 1
      this.#keys[this.#size] = key
      this.#size += 1
      return this.#size - 1
    }
  }

  keyAt(index: number): number {
    return this.#keys[index] ?? NaN
  }

  *sorted(numbers: Int32Array, counts: Float64Array): Sliced<Int32Array> {
    return yield* sortedBy(numbers, (left, right) => {
      return (counts[right] ?? 0) - (counts[left] ?? 0) || (this.keyAt(left) < this.keyAt(right) ? -1 : 1)
    })
  }

  *picked(numbers: Int32Array): Sliced<KeyIndex<number>> {
    const keyAt = (position: number) => this.keyAt(numbers[position] ?? 0)
    return (yield* indexOfKeys(this.#what, 'number', numbers.length, keyAt)) as KeyIndex<number>
  }

  *reserve(more: number): Sliced<void> {
    const needed = this.#size + more
    if (needed <= this.#keys.length) return
    if (needed > mostKeys) throw tooMany(this.#what, needed)
    const capacity = 2 ** Math.ceil(Math.log2(needed))
    const keys = allocate(`${this.#what}: distinct numbers`, Float64Array, capacity)
    const slots = allocate(`${this.#what}: distinct numbers`, Int32Array, 2 * capacity)
    const mask = slots.length - 1
    for (let index = 0; index < this.#size; index += 1) {
      const key = this.#keys[index] ?? NaN
      keys[index] = key
      let slot = hashOf(key) & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = index + 1
      if (index % sliceValues === 0) yield
    }
    this.#keys = keys
    this.#slots = slots
  }
}

const float = new Float64Array(1)
const words = new Uint32Array(float.buffer)

/** Mixes all bits, so that neighbours and multiples of a power of two spread out. */
function hashOf(key: number): number {
  let bits = key | 0
  if (bits !== key) {
    float[0] = key
    bits = (words[0] ?? 0) ^ Math.imul(words[1] ?? 0, 0x85ebca6b)
  }
  bits = Math.imul(bits ^ (bits >>> 16), 0x7feb352d)
  bits = Math.imul(bits ^ (bits >>> 15), 0x846ca68b)
  return bits ^ (bits >>> 16)
}

function tooMany(what: string, keys: number): MultigateError {
  const message = `${what}: expected at most ${mostKeys} distinct values, found ${keys} or more; use hash`
  return new MultigateError('ERR_MULTIGATE_OUT_OF_MEMORY', message)
}
