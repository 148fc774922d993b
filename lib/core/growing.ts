// Arrays of numbers that grow in chunks of bounded size. An ordinary array ends the process when it cannot grow, and an array that
// doubles copies everything while the thread waits.

import type { NumberValues } from './columns.js'
import { allocate } from './memory.js'
import { type Sliced, sliceValues } from './slices.js'

/** Values of the first chunk and of the largest chunks. */
const firstChunk = 16
const largestChunk = 2 ** 18

type NumbersType<A extends NumberValues> = { new (length: number): A; readonly BYTES_PER_ELEMENT: number }

/** Numbers of one type, in order of arrival. */
export class Growing<A extends NumberValues> {
  readonly type: NumbersType<A>
  readonly #what: string
  readonly #full: A[] = []
  #last: A
  /** Values in the full chunks, and in the last one. */
  #before = 0
  #used = 0

  /** @param what names the numbers in an error about memory. */
  constructor(what: string, type: NumbersType<A>) {
    this.#what = what
    this.type = type
    this.#last = new type(0)
  }

  get length(): number {
    return this.#before + this.#used
  }

  /** @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
  push(value: number): void {
    if (this.#used === this.#last.length) this.#grow()
    this.#last[this.#used++] = value
  }

  /** @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
  pushAll(values: ArrayLike<number> & { subarray(from: number, to: number): ArrayLike<number> }, length: number): void {
    for (let from = 0; from < length; ) {
      if (this.#used === this.#last.length) this.#grow()
      const to = Math.min(length, from + this.#last.length - this.#used)
      this.#last.set(from === 0 && to === length ? values : values.subarray(from, to), this.#used)
      this.#used += to - from
      from = to
    }
  }

  /** The same numbers in another type. */
  as<B extends NumberValues>(type: NumbersType<B>): Growing<B> {
    const other = new Growing(this.#what, type)
    for (const chunk of this.#full) other.pushAll(chunk, chunk.length)
    other.pushAll(this.#last, this.#used)
    return other
  }

  /** All numbers in one array. Copied chunks are released, so nothing can be added afterwards. @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
  *joined(): Sliced<A> {
    const all = allocate(this.#what, this.type, this.length)
    let at = 0
    for (const [index, chunk] of this.#full.entries()) {
      all.set(chunk, at)
      at += chunk.length
      this.#full[index] = this.#last
      if (chunk.length >= sliceValues) yield
    }
    all.set(this.#last.subarray(0, this.#used), at)
    return all
  }

  #grow(): void {
    if (this.#used > 0) this.#full.push(this.#last)
    this.#before += this.#used
    this.#last = allocate(this.#what, this.type, Math.min(Math.max(firstChunk, this.#before), largestChunk))
    this.#used = 0
  }
}
