// A scalar column as its distinct values and a code per row, so that ids are found once per value and not once per row.

import { describeValue, quote } from '../core/check.js'
import type { NumberValues, ScalarColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'

/** A value that can have an id. */
export type Key = number | string

export interface CodedColumn {
  /** Each value once; texts may hold some that occur in no row. */
  readonly keys: readonly Key[]
  /** [rows], positions in `keys`; -1 is a missing value. */
  readonly codes: Int32Array
}

/** Distinct values of a column. @throws ERR_MULTIGATE_DATA naming the row of an infinite number. */
export function codedColumn(feature: string, column: ScalarColumn): CodedColumn {
  if (column.kind === 'string') return { keys: column.dictionary, codes: column.codes }
  const range = integerRange(feature, column.values)
  return range === undefined ? codedByMap(column.values) : codedByRange(column.values, range)
}

/** How often each key occurs. */
export function countKeys({ keys, codes }: CodedColumn): Int32Array {
  const counts = new Int32Array(keys.length)
  for (let row = 0; row < codes.length; row += 1) {
    const code = codes[row] ?? -1
    if (code >= 0) counts[code] = (counts[code] ?? 0) + 1
  }
  return counts
}

/** An error for a value that a feature cannot take; `row` undefined where it is not known. */
export function wrongValue(feature: string, row: number | undefined, expected: string, value: unknown, next?: string): DataError {
  const place = row === undefined ? `feature ${quote(feature)}` : `feature ${quote(feature)}, row ${row}`
  const message = `${place}: expected ${expected}, found ${value === null ? 'a missing value' : describeValue(value)}`
  return new DataError(next === undefined ? message : `${message}; ${next}`, { column: feature, row, value })
}

/** An infinite number is never fed on. */
export function notFinite(feature: string, row: number, value: unknown): DataError {
  return wrongValue(feature, row, 'a finite number', value, 'make it missing (NaN or null), or leave the row out')
}

interface Range {
  readonly low: number
  readonly high: number
}

/** The range of a column of integers, where a table over it is no larger than a few columns. */
function integerRange(feature: string, values: NumberValues): Range | undefined {
  let [low, high, integers] = [Infinity, -Infinity, true]
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row] ?? NaN
    if (value < low) low = value
    if (value > high) high = value
    if (integers && !Number.isInteger(value) && !Number.isNaN(value)) integers = false
  }
  if (low === -Infinity || high === Infinity) {
    const row = values.findIndex((value) => value === Infinity || value === -Infinity)
    throw notFinite(feature, row, values[row])
  }
  return integers && high - low < 4 * values.length + 1024 ? { low, high } : undefined
}

function codedByRange(values: NumberValues, { low, high }: Range): CodedColumn {
  const codeOf = new Int32Array(high >= low ? high - low + 1 : 0).fill(-1)
  const keys: number[] = []
  const codes = new Int32Array(values.length)
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row] ?? NaN
    if (Number.isNaN(value)) {
      codes[row] = -1
      continue
    }
    let code = codeOf[value - low] ?? -1
    if (code < 0) {
      code = keys.length
      codeOf[value - low] = code
      // No negative zero: it is the same id as zero.
      keys.push(value + 0)
    }
    codes[row] = code
  }
  return { keys, codes }
}

function codedByMap(values: NumberValues): CodedColumn {
  const codeOf = new Map<number, number>()
  const codes = new Int32Array(values.length)
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row] ?? NaN
    if (Number.isNaN(value)) {
      codes[row] = -1
      continue
    }
    let code = codeOf.get(value)
    if (code === undefined) codeOf.set(value, (code = codeOf.size))
    codes[row] = code
  }
  return { keys: [...codeOf.keys()], codes }
}
