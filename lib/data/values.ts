// Columns from values in memory. Typed arrays are copied in bulk, everything else value by value.

import { describeValue, quote } from '../core/check.js'
import type { Column } from '../core/columns.js'
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

/** What `Dataset.fromColumns` takes for a column: numbers, texts or lists of them; null, undefined and NaN are missing. */
export type ColumnValues = NumberArray | BigInt64Array | BigUint64Array | readonly ScalarValue[] | readonly Value[]

/** A column from values. @throws ERR_MULTIGATE_DATA naming the row of a value that does not fit. */
export function columnOfValues(name: string, values: ColumnValues): Column {
  if (isNumberArray(values)) return { kind: 'number', values: Float64Array.from(values) }
  if (!Array.isArray(values) && (!ArrayBuffer.isView(values) || values instanceof DataView)) {
    throw new DataError(`column ${quote(name)}: expected an array or a typed array, found ${describeValue(values)}`, {
      column: name,
    })
  }
  const builder = new ColumnBuilder(name)
  for (let row = 0; row < values.length; row += 1) builder.append(values[row])
  return builder.finish()
}

function isNumberArray(values: ColumnValues): values is NumberArray {
  if (!ArrayBuffer.isView(values) || values instanceof DataView) return false
  return !(values instanceof BigInt64Array || values instanceof BigUint64Array)
}
