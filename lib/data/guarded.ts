// Reading a caller's value runs the caller's code: getters, proxies, iterators. If that throws, the error is ours, with the thrown
// value as its cause.

import { isNativeError } from 'node:util/types'

import { describeValue } from '../core/check.js'
import { ArgumentError, DataError, type DataPlace, MultigateError } from '../core/errors.js'

/** The result of `read`. @throws `unreadable` of anything that `read` throws. */
export function guarded<Result>(what: string, place: DataPlace | undefined, read: () => Result): Result {
  try {
    return read()
  } catch (cause) {
    throw unreadable(what, place, cause)
  }
}

/** An error of ours unchanged. Any other becomes a DataError, or without a `place` an ArgumentError about `what`. */
export function unreadable(what: string, place: DataPlace | undefined, cause: unknown): Error {
  if (cause instanceof MultigateError) return cause
  const message = `${what}: expected readable values, found an error on reading them: ${messageOf(cause)}`
  return place === undefined ? new ArgumentError(message, { field: what, cause }) : new DataError(message, { ...place, cause })
}

function messageOf(cause: unknown): string {
  try {
    return isNativeError(cause) ? String(cause.message) : describeValue(cause)
  } catch {
    return 'something that cannot be read either'
  }
}
