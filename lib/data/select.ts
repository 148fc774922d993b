// Takes rows out of columns: a range (without a copy if possible), or any rows (with a copy). Dictionaries are always shared, and the
// value type is kept.

import { quote } from '../core/check.js'
import type { Column, ListColumn, NumberValues, ScalarColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { mostItems } from '../core/limits.js'
import { allocate } from '../core/memory.js'

/** Rows `from` to `to` (exclusive). `name` is the name of the column, for messages. */
export function sliceRows(name: string, column: Column, from: number, to: number): Column {
  if (column.kind !== 'list') return sliceScalar(column, from, to)
  const { offsets, items } = column
  if (from === 0 && to === offsets.length - 1) return column
  const first = offsets[from] ?? 0
  const moved = allocate(described(name, to - from), Int32Array, to - from + 1)
  for (let row = from; row <= to; row += 1) moved[row - from] = (offsets[row] ?? 0) - first
  return { kind: 'list', offsets: moved, items: sliceScalar(items, first, offsets[to] ?? 0) }
}

/**
 * The rows with these numbers, in this order.
 * @throws ERR_MULTIGATE_OUT_OF_MEMORY; ERR_MULTIGATE_DATA for lists with more than `most` items together.
 */
export function selectRows(name: string, column: Column, rows: Int32Array, most = mostItems): Column {
  if (column.kind === 'list') return selectLists(name, column, rows, most)
  return selectScalars(column, rows, described(name, rows.length))
}

function described(name: string, rows: number): string {
  return `column ${quote(name)}, ${rows.toLocaleString('en-US')} rows`
}

function sliceScalar(column: ScalarColumn, from: number, to: number): ScalarColumn {
  if (column.kind === 'number') return { ...column, values: column.values.subarray(from, to) }
  return { ...column, codes: column.codes.subarray(from, to) }
}

function selectScalars(column: ScalarColumn, rows: Int32Array, what: string): ScalarColumn {
  if (column.kind === 'number') {
    const values = alike(column.values, what, rows.length)
    for (let index = 0; index < rows.length; index += 1) values[index] = column.values[rows[index] ?? 0] ?? NaN
    return { ...column, values }
  }
  const codes = allocate(what, Int32Array, rows.length)
  for (let index = 0; index < rows.length; index += 1) codes[index] = column.codes[rows[index] ?? 0] ?? -1
  return { ...column, codes }
}

function selectLists(name: string, { offsets, items }: ListColumn, rows: Int32Array, most: number): ListColumn {
  const what = described(name, rows.length)
  const moved = allocate(what, Int32Array, rows.length + 1)
  let count = 0
  for (let index = 0; index < rows.length; index += 1) {
    const row = rows[index] ?? 0
    count += (offsets[row + 1] ?? 0) - (offsets[row] ?? 0)
    if (count > most) {
      throw new DataError(`${what}: expected at most ${most} items in all lists together, found more; take fewer rows at once`, {
        column: name,
      })
    }
    moved[index + 1] = count
  }
  if (items.kind === 'number') {
    const values = alike(items.values, what, count)
    selectItems(values, items.values, rows, offsets)
    return { kind: 'list', offsets: moved, items: { ...items, values } }
  }
  const codes = allocate(what, Int32Array, count)
  selectItems(codes, items.codes, rows, offsets)
  return { kind: 'list', offsets: moved, items: { ...items, codes } }
}

function selectItems(into: NumberValues, from: NumberValues, rows: Int32Array, offsets: Int32Array): void {
  let at = 0
  for (let index = 0; index < rows.length; index += 1) {
    const row = rows[index] ?? 0
    const end = offsets[row + 1] ?? 0
    for (let position = offsets[row] ?? 0; position < end; position += 1) into[at++] = from[position] ?? NaN
  }
}

function alike(values: NumberValues, what: string, length: number): NumberValues {
  return allocate<NumberValues>(what, values.constructor as Float64ArrayConstructor, length)
}
