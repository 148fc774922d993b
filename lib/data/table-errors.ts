// Errors about the columns of a table.

import { quote } from '../core/check.js'
import { nearest } from '../core/did-you-mean.js'
import { DataError } from '../core/errors.js'

/** The error for a column that is not there. It names the nearest ones that are. */
export function noColumn(name: string, names: readonly string[]): DataError {
  const near = nearest(name, names).map(quote).join(', ')
  return new DataError(`no column ${quote(name)} among the ${names.length}; the nearest are ${near}`, { column: name })
}

/** The error for a column that is longer or shorter than the first. */
export function otherLength(name: string, found: number, first: string, rows: number): DataError {
  return new DataError(`column ${quote(name)}: expected ${rows} rows, as ${quote(first)} has, found ${found}`, { column: name })
}

/** The error for a table without columns. */
export function noColumns(): DataError {
  return new DataError('dataset: expected at least one column, found none')
}
