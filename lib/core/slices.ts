// Work that is cut into slices, so that other users of the thread (timers, requests) wait for one slice, not for the whole. The work
// is a generator that may pause at each `yield`.

import { AbortedError } from './errors.js'

/** Work that yields every few milliseconds, where it may pause. */
export type Sliced<Result> = Generator<void, Result, void>

/** Values that a loop of simple operations processes between two yields: about a millisecond. */
export const sliceValues = 2 ** 16

/** How long one slice lasts, in milliseconds. */
const sliceMilliseconds = 10

/** The used part of an `AbortSignal`. Not every environment has that type. */
export interface Signal {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener?(type: 'abort', listener: () => void): void
  removeEventListener?(type: 'abort', listener: () => void): void
}

/** Runs all of it at once, on this thread. */
export function atOnce<Result>(work: Sliced<Result>): Result {
  for (;;) {
    const { done, value } = work.next()
    if (done === true) return value
  }
}

/**
 * Runs all of it, slice by slice. Other work of this thread runs between two slices.
 * @param signal checked before each slice. @param check called before each slice; if it throws, the work ends.
 * @throws ERR_MULTIGATE_ABORTED naming `what`.
 */
export async function inSlices<Result>(
  work: Sliced<Result>,
  {
    what = 'the call',
    signal,
    check,
  }: { readonly what?: string; readonly signal?: Signal | undefined; readonly check?: () => void } = {},
): Promise<Result> {
  const pause = new Pause()
  for (;;) {
    try {
      check?.()
      if (signal?.aborted === true) throw new AbortedError(what, signal.reason)
    } catch (error) {
      // Runs the `finally` blocks of the work.
      work.return(undefined as never)
      throw error
    }
    do {
      const { done, value } = work.next()
      if (done === true) return value
    } while (!pause.due)
    await pause.taken()
  }
}

/** For loops that also wait for something else: tells when a slice is over, and lets other work of this thread run. */
export class Pause {
  #end = performance.now() + sliceMilliseconds

  get due(): boolean {
    return performance.now() >= this.#end
  }

  /** Lets other work run if the slice is over. */
  async ifDue(): Promise<void> {
    if (this.due) await this.taken()
  }

  async taken(): Promise<void> {
    await new Promise((resolve) => void setImmediate(resolve))
    this.#end = performance.now() + sliceMilliseconds
  }
}

/**
 * Goes over `[from, to)` in blocks and yields after each. `work` is a plain function, so loops in it run at full speed.
 * @param size of a block. Choose less if one number takes more than a simple operation.
 */
export function* inBlocks(
  from: number,
  to: number,
  work: (from: number, to: number) => void,
  size: number = sliceValues,
): Sliced<void> {
  for (let start = from; start < to; start += size) {
    work(start, Math.min(start + size, to))
    yield
  }
}
