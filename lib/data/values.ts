// Columns from values in memory. Typed arrays are copied in bulk, other arrays value by value.

import { goneMemory, isGone, lengthOf, typedArrayName } from '../core/arrays.js'
import { describeValue, guarded, quote } from '../core/check.js'
import { type Column, type NumberValues, narrowed, rowsOf } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { mostRows } from '../core/limits.js'
import { allocate } from '../core/memory.js'
import { ColumnBuilder, type ScalarValue, type Value } from './builder.js'

export type NumberArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array

/** Values of a column without lists. Null, undefined and NaN are missing. */
export type ScalarValues = NumberArray | BigInt64Array | BigUint64Array | readonly ScalarValue[]

/** Concatenated lists, as in Arrow: the form with the least memory and time for many long lists. */
export interface FlatLists {
  readonly items: ScalarValues
  /** `[rows + 1]`: row r has items `offsets[r]` to `offsets[r + 1]`. It starts at 0, never falls, and ends at the number of items. */
  readonly offsets: ArrayLike<number>
}

/** What `Dataset.fromColumns` takes for a column: numbers, texts or lists of them. Null, undefined and NaN are missing. */
export type ColumnValues = ScalarValues | readonly Value[] | FlatLists

/**
 * A column from values.
 * @throws ERR_MULTIGATE_DATA naming the row of a value that does not fit; ERR_MULTIGATE_OUT_OF_MEMORY.
 */
export function columnOfValues(name: string, values: ColumnValues): Column {
  return guarded(`column ${quote(name)}`, { column: name }, () => {
    const lists = flatListsOf(values)
    return lists === undefined ? plainColumn(name, values) : listColumn(name, lists)
  })
}

function plainColumn(name: string, values: unknown): Column {
  if (typedArrayName(values) !== undefined) return { kind: 'number', values: numbersOf(name, values as NumberArray) }
  if (!Array.isArray(values)) {
    throw wrong(name, `expected an array, a typed array or { items, offsets }, found ${describeValue(values)}`)
  }
  const { length } = values
  // Checked first, so that no time is lost.
  if (length > mostRows) throw wrong(name, `expected at most ${mostRows} rows, found ${length}`)
  const builder = new ColumnBuilder(name)
  for (let row = 0; row < length; row += 1) builder.append(values[row] as Value)
  return builder.finish()
}

/**
 * A copy of a typed array.
 * @throws ERR_MULTIGATE_DATA if its memory is gone or an integer is beyond 2^53; ERR_MULTIGATE_OUT_OF_MEMORY.
 */
export function numbersOf(name: string, values: NumberArray | BigInt64Array | BigUint64Array): NumberValues {
  if (isGone(values)) throw wrong(name, `expected an array, found ${goneMemory}`)
  const what = `column ${quote(name)}`
  const length = lengthOf(values)
  switch (typedArrayName(values)) {
    case 'Float32Array':
    case 'Float16Array':
      return copied(allocate(what, Float32Array, length), values as NumberArray)
    case 'Float64Array':
    case 'Uint32Array':
      return narrowed(copied(allocate(what, Float64Array, length), values as NumberArray), what)
    case 'BigInt64Array':
    case 'BigUint64Array':
      return narrowed(exactNumbers(name, values as BigInt64Array, allocate(what, Float64Array, length)), what)
    default:
      return copied(allocate(what, Int32Array, length), values as NumberArray)
  }
}

function copied<A extends NumberValues>(into: A, values: NumberArray): A {
  into.set(values)
  return into
}

function exactNumbers(name: string, values: BigInt64Array | BigUint64Array, into: Float64Array): Float64Array {
  for (let row = 0; row < into.length; row += 1) {
    const value = values[row]
    const number = Number(value)
    if (!Number.isSafeInteger(number)) {
      const expected = `expected an integer up to 2^53, found ${describeValue(value)}; pass larger ids as strings`
      throw new DataError(`column ${quote(name)}, row ${row}: ${expected}`, { column: name, row, value })
    }
    into[row] = number
  }
  return into
}

function listColumn(name: string, { items, offsets }: FlatLists): Column {
  const column = plainColumn(name, items)
  if (column.kind === 'list') throw wrong(name, 'expected numbers or texts as items, found lists')
  return { kind: 'list', items: column, offsets: offsetsOf(name, rowsOf(column), offsets) }
}

function offsetsOf(name: string, items: number, offsets: ArrayLike<number>): Int32Array {
  const unfit = (at: number, expected: string, found: unknown) =>
    wrong(name, `expected offsets[${at}] to be ${expected}, found ${describeValue(found)}`)
  const { length } = offsets
  if (length === 0) throw unfit(0, '0', undefined)
  const copy = allocate(`column ${quote(name)}`, Int32Array, length)
  let last = 0
  for (let at = 0; at < length; at += 1) {
    const offset = offsets[at]
    if (at === 0 && offset !== 0) throw unfit(0, '0', offset)
    if (typeof offset !== 'number' || !Number.isInteger(offset) || offset < last || offset > items) {
      throw unfit(at, `an integer from ${last} (the offset before) to ${items} (the number of items)`, offset)
    }
    copy[at] = last = offset
  }
  if (last !== items) throw unfit(length - 1, `${items}, the number of items`, last)
  return copy
}

function flatListsOf(values: unknown): FlatLists | undefined {
  if (typeof values !== 'object' || values === null || isArray(values) || !('items' in values && 'offsets' in values))
    return undefined
  const { items, offsets } = values as FlatLists
  return isArray(items) && isArray(offsets) ? { items, offsets } : undefined
}

function isArray(values: unknown): boolean {
  return Array.isArray(values) || typedArrayName(values) !== undefined
}

function wrong(name: string, message: string): DataError {
  return new DataError(`column ${quote(name)}: ${message}`, { column: name })
}
