// Errors about values of a feature.

import { describeValue, quote } from '../../core/check.js'
import { DataError } from '../../core/errors.js'

/** An error for a value that does not fit a feature. `row` is undefined if it is unknown. */
export function wrongValue(feature: string, row: number | undefined, expected: string, value: unknown, next?: string): DataError {
  const place = row === undefined ? `feature ${quote(feature)}` : `feature ${quote(feature)}, row ${row}`
  const message = `${place}: expected ${expected}, found ${value === null ? 'a missing value' : describeValue(value)}`
  return new DataError(next === undefined ? message : `${message}; ${next}`, { column: feature, row, value })
}

/** An error for an infinite number. */
export function notFinite(feature: string, row: number, value: unknown): DataError {
  return wrongValue(feature, row, 'a finite number', value, 'make it missing (NaN or null), or leave the row out')
}
