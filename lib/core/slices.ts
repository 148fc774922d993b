// Work that is cut into slices, so that whoever shares the thread (timers, requests) waits for a slice and not for the whole. The
// work is a generator: each `yield` is a place where it may stop for a while. Nothing here knows what the work is.

import { AbortedError } from './errors.js'

/** Work that yields where it may be interrupted, every few milliseconds. */
export type Sliced<Result> = Generator<void, Result, void>

/** Values that a loop of simple operations goes through between two yields: about a millisecond. */
export const sliceValues = 2 ** 16

/** How long one slice lasts, in milliseconds. */
const sliceMilliseconds = 10

/** All of it at once, on this thread. */
export function atOnce<Result>(work: Sliced<Result>): Result {
  for (;;) {
    const { done, value } = work.next()
    if (done === true) return value
  }
}

/**
 * All of it, slice by slice: other work of this thread runs between two slices.
 * @param signal looked at between two slices. @throws ERR_MULTIGATE_ABORTED naming `what`.
 */
export async function inSlices<Result>(
  work: Sliced<Result>,
  { what = 'the call', signal }: { readonly what?: string; readonly signal?: AbortSignal | undefined } = {},
): Promise<Result> {
  const pause = new Pause()
  for (;;) {
    if (signal?.aborted === true) {
      // Ends what the work holds open.
      work.return(undefined as never)
      throw new AbortedError(what, signal.reason)
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

  async taken(): Promise<void> {
    await new Promise((resolve) => void setImmediate(resolve))
    this.#end = performance.now() + sliceMilliseconds
  }
}
