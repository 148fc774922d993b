// Distinct texts: of a column, or of a vocabulary. One map of them all would hold no more than 2^24, and stand still for a second where it grows
// beyond some millions: a map of the first texts, which most columns never leave, and beyond it many that share the rest.

import { getHeapStatistics } from 'node:v8'

import { MultigateError } from './errors.js'
import { bytesText } from './memory.js'

const mostFirst = 2 ** 16
const sharing = 128
/** Distinct texts between two looks at the heap. */
const lookEvery = 2 ** 20
/** Of the heap's limit, beyond which V8 ends the process. */
const fullest = 0.9

/** Distinct texts, numbered as they first come. */
export class Texts {
  readonly #what: string
  readonly #texts: string[] = []
  readonly #first = new Map<string, number>()
  readonly #maps: Map<string, number>[] = []

  /** @param what these are the texts of, for the error where they are more than memory can hold. */
  constructor(what: string) {
    this.#what = what
  }

  /** In the order of their numbers. */
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

  /** The number of a text, which is a new one where it has none. @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
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
    // Ends of texts differ more than beginnings.
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
      `${this.#what}: ${this.#texts.length} distinct texts and all else take ${bytesText(used)} of the ${bytesText(limit)} of JavaScript's heap; start Node.js with --max-old-space-size=<MiB>, pass numbers, or use hash`,
    )
  }
}
