// Whether device 'cuda' can be tested: on a GPU, or on the emulation, which MULTIGATE_CUDA_PATH names. Where it cannot, tests are
// skipped, and their name tells the reason.

import { loadNative } from '../../lib/native/loader.js'

const { available = false, reason = 'unknown' } =
  loadNative()
    .devices()
    .find(({ name }) => name === 'cuda') ?? {}

export const usable = available

/** Whether there is a second one. The emulation has two. */
export const hasTwo = loadNative()
  .devices()
  .some(({ name, available }) => name === 'cuda:1' && available)

/** The name of a group of tests. */
export function onCuda(what: string): string {
  return usable ? what : `${what} (skipped: ${reason})`
}
