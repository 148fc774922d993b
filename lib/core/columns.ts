// Raw columns: what a dataset holds and what features and tasks read. They know no model. Columns are shared between
// datasets and never written after they are made.

import { allocate } from './memory.js'
import { atOnce, type Sliced, sliceValues } from './slices.js'

/** How numbers are kept: as 32-bit integers or floats where nothing is lost, for half the memory. */
export type NumberValues = Float64Array | Float32Array | Int32Array

/** What the values of a column stand for. Dates are kept as texts, booleans as the numbers 0 and 1. */
export type ValueType = 'number' | 'string' | 'boolean' | 'date'

/** Numbers; NaN is a missing value. */
export interface NumberColumn {
  readonly kind: 'number'
  /** [rows] */
  readonly values: NumberValues
  /** `'boolean'`: 0 is false and 1 is true. Default: numbers. */
  readonly type?: 'boolean' | undefined
  /** Each number was read from the very text that `numberText` makes of it, so that this text may stand for it. */
  readonly asWritten?: true | undefined
}

/** Texts, each kept once and byte for byte. */
export interface StringColumn {
  readonly kind: 'string'
  /** `'date'`: days and moments as `dateText` writes them. Default: texts. */
  readonly type?: 'date' | undefined
  /** Distinct texts. Some may occur in no row: slices share the dictionary of the whole. */
  readonly dictionary: readonly string[]
  /** [rows], positions in the dictionary; -1 is a missing value. */
  readonly codes: Int32Array
}

/** A list of items per row; a missing list is an empty one. */
export interface ListColumn {
  readonly kind: 'list'
  /** `[rows + 1]`: row r has the items from `offsets[r]` to `offsets[r + 1]`. */
  readonly offsets: Int32Array
  readonly items: NumberColumn | StringColumn
}

export type ScalarColumn = NumberColumn | StringColumn
export type Column = ScalarColumn | ListColumn

/** What the values of a column without lists stand for. */
export function valueTypeOf(column: ScalarColumn): ValueType {
  return column.type ?? column.kind
}

/** Number of rows of a column. */
export function rowsOf(column: Column): number {
  if (column.kind === 'number') return column.values.length
  return column.kind === 'string' ? column.codes.length : column.offsets.length - 1
}

/** The value of one row as JavaScript has it; null where it is missing. For messages and tests, not for loops over data. */
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
 * The same numbers, as 32-bit integers where all of them are; -0 becomes 0, as both are one id.
 * @param what these are, for the error. @throws ERR_MULTIGATE_OUT_OF_MEMORY.
 */
export function narrowed(values: Float64Array, what?: string): Float64Array | Int32Array {
  return atOnce(narrowing(values, what))
}

/** The same as `narrowed`, slice by slice. */
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

/** Fills `into` with what `change` makes of each number; `TypedArray.from` with a function takes twenty times as long. */
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
 * A day or moment, as ISO 8601 and DuckDB write one, in the one text that stands for it: `2024-01-02`, and where the time is not
 * midnight `2024-01-02 03:04:05.6`. Moments are in UTC. Undefined for any other text.
 */
export function dateText(text: string): string | undefined {
  const [, day, time = '', fraction = ''] = dateForm.exec(text) ?? []
  if (day === undefined) return undefined
  const digits = fraction.replace(/0+$/, '')
  if (digits === '' && (time === '' || time === '00:00:00')) return day
  return digits === '' ? `${day} ${time}` : `${day} ${time}.${digits}`
}

/** The text of a number: one that reads back as the same number. What hashing and comparing with texts use. */
export function numberText(value: number): string {
  return Object.is(value, -0) ? '0' : String(value)
}

const numberForm = /^[ \t]*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[ \t]*$/

/** The number that a text spells in decimal, outer blanks allowed; undefined where it spells none. */
export function numberOf(text: string): number | undefined {
  return numberForm.test(text) ? Number(text) : undefined
}
