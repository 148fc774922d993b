// Columns from values in memory. Typed arrays are copied in bulk, everything else value by value.

import { describeValue, quote } from '../core/check.js'
import { type Column, type NumberValues, narrowed, type ScalarColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
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

/** Values of a column that holds no lists; null, undefined and NaN are missing. */
export type ScalarValues = NumberArray | BigInt64Array | BigUint64Array | readonly ScalarValue[]

/** Lists one behind the other, as Arrow lays them out: what many long lists take least memory and time in. */
export interface FlatLists {
  readonly items: ScalarValues
  /** `[rows + 1]`: row r has the items from `offsets[r]` to `offsets[r + 1]`. Starts at 0, never falls, ends at the number of items. */
  readonly offsets: ArrayLike<number>
}

/** What `Dataset.fromColumns` takes for a column: numbers, texts or lists of them; null, undefined and NaN are missing. */
export type ColumnValues = ScalarValues | readonly Value[] | FlatLists

/** A column from values. @throws ERR_MULTIGATE_DATA naming the row of a value that does not fit. */
export function columnOfValues(name: string, values: ColumnValues): Column {
  if (ArrayBuffer.isView(values) && isDetached(values)) {
    throw new DataError(`column ${quote(name)}: expected an array, found one whose memory was transferred away`, { column: name })
  }
  if (isFlatLists(values)) return { kind: 'list', items: itemsOf(name, values), offsets: offsetsOf(name, values) }
  if (isNumberArray(values)) return { kind: 'number', values: numbersOf(values) }
  if (!isArray(values)) {
    throw new DataError(
      `column ${quote(name)}: expected an array, a typed array or { items, offsets }, found ${describeValue(values)}`,
      { column: name },
    )
  }
  const builder = new ColumnBuilder(name)
  for (let row = 0; row < values.length; row += 1) builder.append(values[row])
  return builder.finish()
}

/** A copy. */
export function numbersOf(values: NumberArray): NumberValues {
  if (values instanceof Float32Array || values instanceof Int32Array) return values.slice()
  return narrowed(Float64Array.from(values))
}

function itemsOf(name: string, { items }: FlatLists): ScalarColumn {
  const column = columnOfValues(name, items)
  if (column.kind !== 'list') return column
  throw new DataError(`column ${quote(name)}: expected items that are numbers or texts, found lists`, { column: name })
}

function offsetsOf(name: string, { items, offsets }: FlatLists): Int32Array {
  const wrong = (at: number, expected: string) =>
    new DataError(`column ${quote(name)}: expected offsets[${at}] to be ${expected}, found ${describeValue(offsets[at])}`, {
      column: name,
    })
  if (offsets.length === 0) throw wrong(0, '0')
  const copy = new Int32Array(offsets.length)
  let last = 0
  for (let at = 0; at < offsets.length; at += 1) {
    const offset = offsets[at] as number
    if (at === 0 && offset !== 0) throw wrong(0, '0')
    if (!Number.isInteger(offset) || offset < last || offset > items.length) {
      throw wrong(at, `an integer from ${last}, the one before, to ${items.length}, the number of items`)
    }
    copy[at] = last = offset
  }
  if (last !== items.length) throw wrong(offsets.length - 1, `${items.length}, the number of items`)
  return copy
}

/** It looks empty; newer versions of Node.js say so. */
function isDetached({ byteLength, buffer }: ArrayBufferView): boolean {
  if (byteLength > 0) return false
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
}

function isFlatLists(values: ColumnValues): values is FlatLists {
  if (typeof values !== 'object' || values === null || !('items' in values && 'offsets' in values)) return false
  return isArray(values.items) && isArray(values.offsets)
}

function isArray(values: unknown): values is ArrayLike<unknown> {
  return Array.isArray(values) || (ArrayBuffer.isView(values) && !(values instanceof DataView))
}

function isNumberArray(values: ColumnValues): values is NumberArray {
  return isArray(values) && ArrayBuffer.isView(values) && !(values instanceof BigInt64Array || values instanceof BigUint64Array)
}
