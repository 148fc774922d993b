// Counts the values of a feature over the parts of a column, and makes a vocabulary from them.

import type { ScalarColumn, ValueType } from '../../core/columns.js'
import { allocate } from '../../core/memory.js'
import { type Sliced, sliceValues } from '../../core/slices.js'
import { wrongValue } from './errors.js'
import { type CountedKeys, type KeyIndex, keyIndexFor } from './key-index.js'
import { absent, KeyReader } from './key-reader.js'

/** Half of a surrogate pair. UTF-8, and so a saved file, cannot hold it. */
export const loneSurrogate = /\p{Surrogate}/u

/** Values between two checks of the capacity. */
const blockValues = 2 ** 14

export class KeyCounter {
  readonly type: ValueType
  readonly #what: string
  readonly #index: CountedKeys
  readonly #reader: KeyReader
  #counts = new Float64Array(64)
  readonly #block = new Int32Array(blockValues)

  /** @param what names the owner of the values, for messages. */
  constructor(what: string, type: ValueType) {
    this.type = type
    this.#what = what
    const index = keyIndexFor(type, what)
    this.#index = index
    this.#reader = new KeyReader({ of: (key) => index.add(key), ofTexts: index.addAll?.bind(index) }, type)
  }

  /** Counts the values at positions `from` to `to` (exclusive). @returns the first refused position, or -1. */
  *addAll(column: ScalarColumn, from: number, to: number): Sliced<number> {
    for (let start = from; start < to; start += blockValues) {
      const end = Math.min(start + blockValues, to)
      yield* this.#reserve(end - start)
      const wrong = this.#countBlock(column, start, end)
      if (wrong >= 0) return wrong
      yield
    }
    return -1
  }

  #countBlock(column: ScalarColumn, start: number, end: number): number {
    const [counts, block] = [this.#counts, this.#block]
    this.#reader.read(column, start, end, block)
    for (let at = 0; at < end - start; at += 1) {
      const key = block[at] ?? absent
      if (key >= 0) counts[key] = (counts[key] ?? 0) + 1
      else if (key !== absent) return start + at
    }
    return -1
  }

  /** Makes room for `more` values. */
  *#reserve(more: number): Sliced<void> {
    if (this.#index.reserve !== undefined) yield* this.#index.reserve(more)
    const needed = this.#index.size + more
    if (needed <= this.#counts.length) return
    const counts = allocate(`${this.#what}: counts of distinct values`, Float64Array, 2 ** Math.ceil(Math.log2(needed)))
    counts.set(this.#counts)
    this.#counts = counts
  }

  /**
   * The keys that occurred at least `minCount` times. They are sorted by count, most frequent first, then by value, so that ids do not
   * depend on the order of rows. The first key has id 1.
   */
  *finish(minCount: number): Sliced<KeyIndex> {
    const counts = this.#counts
    const index = this.#index
    const kept = new Int32Array(index.size)
    let size = 0
    for (let key = 0; key < kept.length; key += 1) {
      if ((counts[key] ?? 0) >= Math.max(1, minCount)) kept[size++] = key
      if (key % sliceValues === 0) yield
    }
    return yield* index.picked(yield* index.sorted(kept.subarray(0, size), counts))
  }

  /** How many keys occurred at least `minCount` times. */
  *frequent(minCount: number): Sliced<number> {
    let frequent = 0
    for (let key = 0; key < this.#index.size; key += 1) {
      if ((this.#counts[key] ?? 0) >= minCount) frequent += 1
      if (key % sliceValues === 0) yield
    }
    return frequent
  }
}

/** The error for a text that no file can hold. */
export function illFormed(feature: string, row: number, text: string): Error {
  return wrongValue(
    feature,
    row,
    'valid Unicode text',
    text,
    'it has half of a surrogate pair: replace that, or leave the row out',
  )
}
