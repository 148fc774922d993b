// Prints of rows: the same for the same values, however they are cut, and others for other values.
import { expect, it } from 'vitest'

import { atOnce } from '../../lib/core/slices.js'
import { Dataset } from '../../lib/data/dataset.js'
import { RowsPrint } from '../../lib/runtime/rows-print.js'

const rows = 300
const each = <Value>(of: (row: number) => Value): Value[] => Array.from({ length: rows }, (_, row) => of(row))
const columns = {
  id: each((row) => (row % 7 === 0 ? null : row * 3)),
  part: each((row) => row / 8),
  text: each((row) => (row % 11 === 0 ? null : `t${row % 13}`)),
  tags: each((row) => Array.from({ length: row % 4 }, (_, at) => `x${row + at}`)),
  numbers: each((row) => Array.from({ length: row % 3 }, (_, at) => row - at)),
}
const names = Object.keys(columns)

function printOf(data: Dataset, cuts: readonly number[]): RowsPrint {
  const print = new RowsPrint()
  for (const [at, from] of cuts.entries()) atOnce(print.add(data.slice(from, cuts[at + 1] ?? data.rows), names))
  return print
}

const whole = printOf(Dataset.fromColumns(columns), [0])

it.each([
  ['after the first row', [0, 1]],
  ['in thirds', [0, 100, 200]],
  ['in odd places', [0, 7, 8, 150, 299]],
  ['row by row', [...Array(rows).keys()]],
])('cut %s they are the same', (_, cuts) => {
  const cut = printOf(Dataset.fromColumns(columns), cuts)
  expect([cut.rows, whole.differing(cut)]).toEqual([rows, undefined])
})

it('name the column that differs, also by where a list ends', () => {
  const tags = columns.tags.map((list) => [...list])
  const moved = tags[2]?.pop()
  tags[3]?.unshift(moved ?? '')
  for (const [name, values] of Object.entries({
    id: columns.id.with(5, 16),
    part: columns.part.with(5, 0.75),
    text: columns.text.with(5, null),
    tags,
    numbers: columns.numbers.with(4, [4, 5]),
  }))
    expect(whole.differing(printOf(Dataset.fromColumns({ ...columns, [name]: values as never }), [0]))).toBe(name)
})
