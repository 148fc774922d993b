// Raw columns: what a dataset holds and what features and tasks read. They do not depend on a model. Datasets share columns, and
// nothing writes to a column after it is made.

import { allocate } from './memory.js'
import { atOnce, type Sliced, sliceValues } from './slices.js'

/** How numbers are stored. 32-bit integers or floats take half the memory; they are used when nothing is lost. */
export type NumberValues = Float64Array | Float32Array | Int32Array

/** What the values of a column mean. Dates are stored as texts, booleans as the numbers 0 and 1. */
export type ValueType = 'number' | 'string' | 'boolean' | 'date'

/** Numbers; NaN is a missing value. */
export interface NumberColumn {
  readonly kind: 'number'
  /** [rows] */
  readonly values: NumberValues
  /** `'boolean'`: 0 is false and 1 is true. Default: numbers. */
  readonly type?: 'boolean' | undefined
  /** Each number was read from exactly the text that `numberText` makes of it, so that text may replace it. */
  readonly asWritten?: true | undefined
}

/** Texts. Each distinct text is stored once, byte for byte. */
export interface StringColumn {
  readonly kind: 'string'
  /** `'date'`: days and times as `dateText` writes them. Default: texts. */
  readonly type?: 'date' | undefined
  /** Distinct texts. Some may occur in no row: slices share the dictionary of the whole. */
  readonly dictionary: readonly string[]
  /** [rows] positions in the dictionary. -1 is a missing value. */
  readonly codes: Int32Array
}

/** A list of items per row. A missing list is empty. */
export interface ListColumn {
  readonly kind: 'list'
  /** `[rows + 1]`: row r has the items from `offsets[r]` to `offsets[r + 1]`. */
  readonly offsets: Int32Array
  readonly items: NumberColumn | StringColumn
}

export type ScalarColumn = NumberColumn | StringColumn
export type Column = ScalarColumn | ListColumn

/** What the values of a column without lists mean. */
export function valueTypeOf(column: ScalarColumn): ValueType {
  return column.type ?? column.kind
}

/** Number of rows of a column. */
export function rowsOf(column: Column): number {
  if (column.kind === 'number') return column.values.length
  return column.kind === 'string' ? column.codes.length : column.offsets.length - 1
}

/** The value of one row in JavaScript; null if it is missing. For messages and tests: too slow for loops over data. */
export function rowValue(column: Column, row: number): number | string | null | (number | string | null)[] {
  if (column.kind === 'number') {
    const value = column.values[row] ?? NaN
    return Number.isNaN(value) ? null : value
  }
  if (column.kind === 'string') return column.dictionary[column.codes[row] ?? -1] ?? null
  const [from, to] = [column.offsets[row] ?? 0, column.offsets[row + 1] ?? 0]
  return Array.from({ length: to - from }, (_, index) => rowValue(column.items, from + index) as number | string | null)
}

/**
 * The same numbers, as 32-bit integers if all of them fit. -0 becomes 0: both are the same id.
 * @param what names the numbers in an error. @throws ERR_MULTIGATE_OUT_OF_MEMORY.
 */
export function narrowed(values: Float64Array, what?: string): Float64Array | Int32Array {
  return atOnce(narrowing(values, what))
}

/** Like `narrowed`, slice by slice. */
export function* narrowing(values: Float64Array, what = 'a column'): Sliced<Float64Array | Int32Array> {
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row] ?? NaN
    if ((value | 0) !== value) return values
    if (row % sliceValues === sliceValues - 1) yield
  }
  const narrow = allocate(what, Int32Array, values.length)
  for (let from = 0; from < values.length; from += sliceValues) {
    narrow.set(values.subarray(from, from + sliceValues), from)
    yield
  }
  return narrow
}

/** Fills `into` with the result of `change` for each number. `TypedArray.from` with a function takes twenty times as long. */
export function mapInto<Floats extends Float32Array | Float64Array>(
  into: Floats,
  from: NumberValues,
  change: (value: number, row: number) => number,
): Floats {
  for (let row = 0; row < from.length; row += 1) into[row] = change(from[row] ?? NaN, row)
  return into
}

const dateForm = /^(\d{4,6}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:Z|[+-]00(?::?00)?)?)?$/

/**
 * The one text form of a day or time that ISO 8601 or DuckDB wrote: `2024-01-02`, or `2024-01-02 03:04:05.6` if the time is not
 * midnight. Times are in UTC. Undefined for any other text.
 */
export function dateText(text: string): string | undefined {
  const [, day, time = '', fraction = ''] = dateForm.exec(text) ?? []
  if (day === undefined) return undefined
  const digits = fraction.replace(/0+$/, '')
  if (digits === '' && (time === '' || time === '00:00:00')) return day
  return digits === '' ? `${day} ${time}` : `${day} ${time}.${digits}`
}

/** The text of a number. It reads back as the same number. Hashing and comparison with texts use it. */
export function numberText(value: number): string {
  return Object.is(value, -0) ? '0' : String(value)
}

const numberForm = /^[ \t]*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[ \t]*$/

/** The decimal number that a text holds; outer blanks are allowed. Undefined if the text is not a number. */
export function numberOf(text: string): number | undefined {
  return numberForm.test(text) ? Number(text) : undefined
}

/**
 * One number for all forms of the same value. A number that float32 holds exactly becomes the shortest decimal that float32 rounds to
 * it, so 0.1 is the same value as FLOAT and as DOUBLE. Zero has no sign.
 */
export function sameNumber(value: number): number {
  return Number.isInteger(value) || Math.fround(value) !== value ? value + 0 : shortestOfFloat32(value)
}

function shortestOfFloat32(value: number): number {
  // Nine digits are always enough.
  for (let digits = 1; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return Number(value.toPrecision(9))
}
