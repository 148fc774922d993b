// Distinct texts of a column, in JavaScript's memory. A single map holds at most 2^24 and pauses for a second when it grows beyond some
// millions. So one map holds the first texts, which is enough for most columns, and many maps share the rest.

import { getHeapStatistics } from 'node:v8'

import { MultigateError } from './errors.js'
import { bytesText } from './memory.js'

const mostFirst = 2 ** 16
const sharing = 128
/** Distinct texts between two checks of the heap. */
const lookEvery = 2 ** 20
/** The share of the heap's limit that may be used. V8 ends the process at the limit. */
const fullest = 0.9

/** Distinct texts, numbered in order of first appearance. */
export class Texts {
  readonly #what: string
  readonly #texts: string[] = []
  readonly #first = new Map<string, number>()
  readonly #maps: Map<string, number>[] = []

  /** @param what names the owner of the texts in an error about memory. */
  constructor(what: string) {
    this.#what = what
  }

  /** All texts, in the order of their numbers. */
  get all(): readonly string[] {
    return this.#texts
  }

  get size(): number {
    return this.#texts.length
  }

  keyAt(number: number): string {
    return this.#texts[number] ?? ''
  }

  /** The number of a text, or -1. */
  indexOf(text: string): number {
    return this.#first.get(text) ?? (this.#maps.length === 0 ? -1 : (this.#mapOf(text).get(text) ?? -1))
  }

  /** The number of a text. A new text gets a new number. @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
  add(text: string): number {
    const known = this.#first.get(text)
    if (known !== undefined) return known
    const map = this.#first.size < mostFirst ? this.#first : this.#mapOf(text)
    const number = map.get(text)
    if (number !== undefined) return number
    const { length } = this.#texts
    if (length % lookEvery === lookEvery - 1) this.#checkHeap()
    map.set(text, length)
    this.#texts.push(text)
    return length
  }

  #mapOf(text: string): Map<string, number> {
    // Texts differ more at the end than at the beginning.
    let hash = text.length
    for (let at = Math.max(0, text.length - 12); at < text.length; at += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0
    const index = ((hash ^ (hash >>> 15)) >>> 0) % sharing
    return (this.#maps[index] ??= new Map())
  }

  #checkHeap(): void {
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
    if (used <= fullest * limit) return
    throw new MultigateError(
      'ERR_MULTIGATE_OUT_OF_MEMORY',
      `${this.#what}: expected at most ${100 * fullest}% of JavaScript's heap of ${bytesText(limit)} in use, found ${bytesText(used)} with ${this.#texts.length} distinct texts; start Node.js with --max-old-space-size=<MiB>, pass numbers, or use hash`,
    )
  }
}
