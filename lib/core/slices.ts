// Work that is cut into slices, so that whoever shares the thread (timers, requests) waits for a slice and not for the whole. The
// work is a generator: each `yield` is a place where it may stop for a while. Nothing here knows what the work is.

import { AbortedError } from './errors.js'

/** Work that yields where it may be interrupted, every few milliseconds. */
export type Sliced<Result> = Generator<void, Result, void>

/** Values that a loop of simple operations goes through between two yields: about a millisecond. */
export const sliceValues = 2 ** 16

/** How long one slice lasts, in milliseconds. */
const sliceMilliseconds = 10

/** What is looked at of an `AbortSignal`; its own type is not everywhere. */
export interface Signal {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener?(type: 'abort', listener: () => void): void
  removeEventListener?(type: 'abort', listener: () => void): void
}

/** All of it at once, on this thread. */
export function atOnce<Result>(work: Sliced<Result>): Result {
  for (;;) {
    const { done, value } = work.next()
    if (done === true) return value
  }
}

/**
 * All of it, slice by slice: other work of this thread runs between two slices.
 * @param signal looked at before each slice. @param check called before each slice: what it throws ends the work.
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
      // Ends what the work holds open.
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

/** For loops that wait for something else too: whether a slice is over, and letting other work of this thread run. */
export class Pause {
  #end = performance.now() + sliceMilliseconds

  get due(): boolean {
    return performance.now() >= this.#end
  }

  /** Lets others have the thread where a slice is over. */
  async ifDue(): Promise<void> {
    if (this.due) await this.taken()
  }

  async taken(): Promise<void> {
    await new Promise((resolve) => void setImmediate(resolve))
    this.#end = performance.now() + sliceMilliseconds
  }
}

/**
 * Goes over `[from, to)` in blocks, and yields after each. `work` is a plain function: loops in it run at full speed.
 * @param size of a block; less where the work of one number is more than a simple operation.
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
