// Rows out of columns: a range without a copy where that can be, or any rows with one. Dictionaries are always shared.

import type { Column, ListColumn, NumberValues, ScalarColumn } from '../core/columns.js'

/** Rows `from` to `to` (exclusive). */
export function sliceRows(column: Column, from: number, to: number): Column {
  if (column.kind !== 'list') return sliceScalar(column, from, to)
  const { offsets, items } = column
  const first = offsets[from] ?? 0
  const moved = offsets.subarray(from, to + 1).map((offset) => offset - first)
  return { kind: 'list', offsets: moved, items: sliceScalar(items, first, offsets[to] ?? 0) }
}

/** The rows of these numbers, in this order. */
export function selectRows(column: Column, rows: Int32Array): Column {
  return column.kind === 'list' ? selectLists(column, rows) : selectScalars(column, rows)
}

function sliceScalar(column: ScalarColumn, from: number, to: number): ScalarColumn {
  if (column.kind === 'number') return { ...column, values: column.values.subarray(from, to) }
  return { ...column, codes: column.codes.subarray(from, to) }
}

function selectScalars(column: ScalarColumn, rows: Int32Array): ScalarColumn {
  if (column.kind === 'number') {
    const values = new (column.values.constructor as new (length: number) => NumberValues)(rows.length)
    for (let index = 0; index < rows.length; index += 1) values[index] = column.values[rows[index] ?? 0] ?? NaN
    return { ...column, values }
  }
  const codes = new Int32Array(rows.length)
  for (let index = 0; index < rows.length; index += 1) codes[index] = column.codes[rows[index] ?? 0] ?? -1
  return { ...column, codes }
}

function selectLists({ offsets, items }: ListColumn, rows: Int32Array): ListColumn {
  const moved = new Int32Array(rows.length + 1)
  rows.forEach((row, index) => {
    moved[index + 1] = (moved[index] ?? 0) + (offsets[row + 1] ?? 0) - (offsets[row] ?? 0)
  })
  const picked = new Int32Array(moved[rows.length] ?? 0)
  rows.forEach((row, index) => {
    const [from, to] = [moved[index] ?? 0, moved[index + 1] ?? 0]
    for (let position = from; position < to; position += 1) picked[position] = (offsets[row] ?? 0) + position - from
  })
  return { kind: 'list', offsets: moved, items: selectScalars(items, picked) }
}
