// A vocabulary of texts in the addon's memory. Millions of texts are added and sorted in 0.4 of the time that JavaScript's maps and
// strings take, and the limit of JavaScript's heap does not count. The texts met first are in a map as well, where a look-up is cheaper
// than a call of the addon.

import type { NativeTexts } from '../native/binding.js'
import { loadNative } from '../native/loader.js'
import type { Sliced } from './slices.js'

const mostMapped = 2 ** 16
/** As many texts as a request has. */
const fewTexts = 2 ** 12
/** Texts, or comparisons of a sort, between two yields: about two milliseconds. */
const sliceTexts = 2 ** 13
const sliceWork = 2 ** 16

/** Distinct texts, numbered in order of first appearance. */
export class TextIndex {
  readonly #texts: NativeTexts = loadNative().createTexts()
  readonly #mapped = new Map<string, number>()

  get size(): number {
    return this.#texts.size
  }

  keyAt(number: number): string {
    return number < this.size ? this.#texts.at(number) : ''
  }

  /** The number of a text, or -1. */
  indexOf(text: string): number {
    return this.#mapped.get(text) ?? this.#met(text, this.#texts.indexOf(text))
  }

  /** The number of a text. A new text gets a new number. -1 for a text with half of a surrogate pair, which no file can hold. */
  add(text: string): number {
    return this.#mapped.get(text) ?? this.#met(text, this.#texts.add(text))
  }

  /** Writes what `indexOf` says of each text. */
  indexOfAll(texts: readonly string[], into: Int32Array): void {
    if (texts.length > fewTexts && this.size > mostMapped) this.#texts.indexOfAll(texts, into)
    else this.#indexOfFew(texts, into)
  }

  /** One call of the addon for all texts that the map does not have. */
  #indexOfFew(texts: readonly string[], into: Int32Array): void {
    const mapped = this.#mapped
    const others: number[] = []
    for (let at = 0; at < texts.length; at += 1) {
      const number = mapped.get(texts[at] ?? '')
      if (number === undefined) others.push(at)
      into[at] = number ?? -1
    }
    if (others.length === 0 || mapped.size === this.size) return
    const left = others.map((at) => texts[at] ?? '')
    const found = new Int32Array(left.length)
    this.#texts.indexOfAll(left, found)
    for (const [index, at] of others.entries()) into[at] = this.#met(left[index] ?? '', found[index] ?? -1)
  }

  /** Writes what `add` says of each text. */
  addAll(texts: readonly string[], into: Int32Array): void {
    this.#texts.addAll(texts, into)
  }

  /** These numbers by count, the largest first, then by text. @param counts by number. */
  *sorted(numbers: Int32Array, counts: Float64Array): Sliced<Int32Array> {
    const texts = this.#texts
    texts.beginOrder(numbers, counts)
    while (!texts.advanceOrder(sliceWork)) yield
    const sorted = new Int32Array(numbers.length)
    texts.endOrder(sorted)
    return sorted
  }

  /** A new index of the texts with these numbers, in this order. */
  *picked(numbers: Int32Array): Sliced<TextIndex> {
    const index = new TextIndex()
    for (let start = 0; start < numbers.length; start += sliceTexts) {
      index.#texts.addFrom(this.#texts, numbers.subarray(start, start + sliceTexts))
      yield
    }
    return index
  }

  /** Adds UTF-8 texts that lie side by side; each ends before its `ends`. @returns how many come before the first that is not UTF-8. */
  addBytes(bytes: Uint8Array, ends: Float64Array): number {
    return this.#texts.addBytes(bytes, ends)
  }

  /** The lengths in bytes of `count` texts. */
  lengths(first: number, count: number): Int32Array {
    const lengths = new Int32Array(count)
    this.#texts.readLengths(first, lengths)
    return lengths
  }

  /** `count` texts side by side, as UTF-8. @param length of all together. */
  bytes(first: number, count: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    this.#texts.readBytes(first, count, bytes)
    return bytes
  }

  #met(text: string, number: number): number {
    if (number >= 0 && this.#mapped.size < mostMapped) this.#mapped.set(text, number)
    return number
  }
}
