// Reading what a caller hands over runs the caller's code: getters, proxies, iterators. What that throws is said in our words,
// with the thrown value as the cause.

import { isNativeError } from 'node:util/types'

import { describeValue } from '../core/check.js'
import { ArgumentError, DataError, type DataPlace, MultigateError } from '../core/errors.js'

/** The result of `read`. @throws what `unreadable` makes of anything that it throws. */
export function guarded<Result>(what: string, place: DataPlace | undefined, read: () => Result): Result {
  try {
    return read()
  } catch (cause) {
    throw unreadable(what, place, cause)
  }
}

/** An error of ours as it is; any other as one about the data, or without a place in them about the argument `what`. */
export function unreadable(what: string, place: DataPlace | undefined, cause: unknown): Error {
  if (cause instanceof MultigateError) return cause
  const message = `${what}: its values cannot be read: ${messageOf(cause)}`
  return place === undefined ? new ArgumentError(message, { field: what, cause }) : new DataError(message, { ...place, cause })
}

function messageOf(cause: unknown): string {
  try {
    return isNativeError(cause) ? String(cause.message) : describeValue(cause)
  } catch {
    return 'something that cannot be read either'
  }
}
