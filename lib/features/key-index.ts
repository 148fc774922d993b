// Distinct keys, numbered in the order in which they come, as many as memory holds: JavaScript's Map ends at 2^24 entries. Keys are
// never taken out. Room is made beforehand and in slices, so that no single key waits for all others to be moved.

import { getHeapStatistics } from 'node:v8'

import { MultigateError } from '../core/errors.js'
import { allocate, bytesText } from '../core/memory.js'
import { type Sliced, sliceValues } from '../core/slices.js'
import type { Key } from './cast.js'

export interface KeyIndex<K extends Key = Key> {
  /** Distinct keys so far. */
  readonly size: number
  /** The number of a key, or -1. */
  indexOf(key: K): number
  /** The number of a key, which is a new one where it has none. Room must have been made. */
  add(key: K): number
  keyAt(index: number): K
  /** Makes room for so many keys more. @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
  reserve(more: number): Sliced<void>
}

/** Ids are 32-bit integers. */
const mostKeys = 2 ** 31 - 2

/** Numbers: a table of open addresses over typed arrays, at most half full. */
export class NumberIndex implements KeyIndex<number> {
  #size = 0
  #keys = new Float64Array(64)
  /** Number of a key plus one; 0 is free. */
  #slots = new Int32Array(128)

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

  *reserve(more: number): Sliced<void> {
    const needed = this.#size + more
    if (needed <= this.#keys.length) return
    if (needed > mostKeys) throw tooMany(needed)
    const capacity = 2 ** Math.ceil(Math.log2(needed))
    const keys = allocate('distinct numbers', Float64Array, capacity)
    const slots = allocate('distinct numbers', Int32Array, 2 * capacity)
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

/** Mixes all bits, so that neighbours and multiples of a power of two lie apart. */
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

/** From here on texts are spread over many maps: one of them grows in a moment, and none comes to the end of what a Map holds. */
const mostInOneMap = 2 ** 16
const manyMaps = 2 ** 9
/** What a text costs beside its characters: in the map, in the list, and its own header. */
const bytesPerText = 100
/** Of V8's heap, beyond which it ends the process. */
const usableHeap = 0.9
const textsBetweenLooks = 2 ** 16

/** Texts are listed in chunks of so many, 2 to this power: one long list would be moved as it grows. */
const chunkBits = 16

/** Texts. */
export class TextIndex implements KeyIndex<string> {
  #size = 0
  readonly #texts: string[][] = []
  #maps: Map<string, number>[] = [new Map()]
  #checkedFor = textsBetweenLooks

  get size(): number {
    return this.#size
  }

  indexOf(key: string): number {
    return this.#mapOf(key).get(key) ?? -1
  }

  add(key: string): number {
    const map = this.#mapOf(key)
    const known = map.get(key)
    if (known !== undefined) return known
    const index = this.#size
    map.set(key, index)
    ;(this.#texts[index >>> chunkBits] ??= []).push(key)
    this.#size += 1
    if (index === mostInOneMap) this.#spread()
    return index
  }

  keyAt(index: number): string {
    return this.#texts[index >>> chunkBits]?.[index & (2 ** chunkBits - 1)] ?? ''
  }

  // biome-ignore lint/correctness/useYield: maps grow by themselves.
  *reserve(more: number): Sliced<void> {
    const needed = this.size + more
    if (needed > mostKeys) throw tooMany(needed)
    if (needed <= this.#checkedFor) return
    checkHeap((needed - this.size) * bytesPerText)
    this.#checkedFor = needed + textsBetweenLooks
  }

  #mapOf(key: string): Map<string, number> {
    const maps = this.#maps
    return maps[maps.length === 1 ? 0 : spreadOf(key)] as Map<string, number>
  }

  #spread(): void {
    this.#maps = Array.from({ length: manyMaps }, () => new Map())
    for (let index = 0; index < this.#size; index += 1) {
      const text = this.keyAt(index)
      this.#mapOf(text).set(text, index)
    }
  }
}

/** Over short texts whole, over long ones some of their characters. */
function spreadOf(text: string): number {
  const step = 1 + (text.length >>> 5)
  let hash = text.length
  for (let at = 0; at < text.length; at += step) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return (hash ^ (hash >>> 15)) & (manyMaps - 1)
}

/** V8 ends the process where its heap is full: asked before. */
function checkHeap(bytes: number): void {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
  if (used + bytes <= usableHeap * limit) return
  throw outOfMemory(
    `JavaScript's heap of ${bytesText(limit)}, of which ${bytesText(used)} are in use, has no room for more texts; use hash, pass numbers, or start Node with --max-old-space-size`,
  )
}

function tooMany(keys: number): MultigateError {
  return outOfMemory(`expected at most ${mostKeys} values, found ${keys} or more; use hash`)
}

function outOfMemory(message: string): MultigateError {
  return new MultigateError('ERR_MULTIGATE_OUT_OF_MEMORY', `distinct values: ${message}`)
}
