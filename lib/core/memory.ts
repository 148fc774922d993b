// Memory: how much there is, and arrays that fail with a named error if it is not enough. Without this check, a machine that
// overcommits ends the process later without a message, and an impossible size is a bare RangeError.

import { freemem, totalmem } from 'node:os'

import { groupLimits } from './cgroups.js'
import { MultigateError } from './errors.js'

/**
 * Bytes that this process can still allocate on this machine and in its container. File caches count as free.
 * @param root of the file system to read, for tests.
 */
export function availableBytes(root?: string): number {
  // macOS counts file caches as used and does not report them separately.
  return Math.min(process.platform === 'darwin' ? totalmem() : freemem(), groupLimits(root).available)
}

/** Total memory in bytes of the machine or the container, whichever is smaller. */
export function totalBytes(root?: string): number {
  return Math.min(totalmem(), groupLimits(root).memory)
}

/** Below this many bytes, asking costs more than it saves. */
const small = 2 ** 20

/**
 * An array of zeros. `what` names it in an error: `column "id", 5,000 rows`.
 * @throws ERR_MULTIGATE_OUT_OF_MEMORY if it is larger than the available memory.
 */
export function allocate<A extends ArrayBufferView>(
  what: string,
  type: { new (length: number): A; readonly BYTES_PER_ELEMENT: number },
  length: number,
  available: () => number = availableBytes,
): A {
  checkMemory(what, length * type.BYTES_PER_ELEMENT, available)
  try {
    return new type(length)
  } catch (cause) {
    throw outOfMemory(what, length * type.BYTES_PER_ELEMENT, available(), cause)
  }
}

/** @throws ERR_MULTIGATE_OUT_OF_MEMORY if these bytes are more than the available memory. */
export function checkMemory(what: string, bytes: number, available: () => number = availableBytes): void {
  if (bytes < small) return
  const there = available()
  if (!(bytes <= there)) throw outOfMemory(what, bytes, there)
}

function outOfMemory(what: string, bytes: number, available: number, cause?: unknown): Error {
  return new MultigateError(
    'ERR_MULTIGATE_OUT_OF_MEMORY',
    `${what}: expected memory for ${bytesText(bytes)}, found ${bytesText(available)} available; take fewer rows or columns at once`,
    cause === undefined ? undefined : { cause },
  )
}

const smallest = ['KiB', 2 ** 10] as const
const units = [['GiB', 2 ** 30], ['MiB', 2 ** 20], smallest] as const

/** Bytes as people read them: `1.5 GiB`. */
export function bytesText(bytes: number): string {
  const [unit, size] = units.find(([, one]) => bytes >= one) ?? smallest
  return `${(bytes / size).toLocaleString('en-US', { maximumFractionDigits: 1 })} ${unit}`
}
