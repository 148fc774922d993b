// Rows of parts of parts are those that the same parts of a list are.

import { expect, it } from 'vitest'

import { listOf, rangeOf, remaindersOf, type Selection } from '../../lib/data/selection.js'

const rowsOf = (selection: Selection): number[] => Array.from({ length: selection.rows }, (_, row) => selection.at(row))
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, row) => from + row)

it.each([
  [2, [1]],
  [10, [8, 9]],
  [10, [0, 3, 9]],
  [7, [6, 0, 2, 1]],
  [3, [1, 2]],
  [5, []],
  [100, [0, 7, 99]],
  [2 ** 40, [3, 2 ** 39]],
])('modulo %s, %s are the rows that a loop over all finds, and the others all others', (rowMod, listed) => {
  for (const rows of [0, 1, 9, 10, 23, 24, 25, 140]) {
    for (const first of [0, 1000]) {
      const all = rangeOf(first, rows)
      const is = (row: number): boolean => listed.includes((row - first) % rowMod)
      const [chosen, others] = [remaindersOf(all, rowMod, listed), remaindersOf(all, rowMod, listed, { others: true })]
      expect(rowsOf(chosen)).toEqual(range(first, first + rows).filter(is))
      expect(rowsOf(others)).toEqual(range(first, first + rows).filter((row) => !is(row)))
    }
  }
})

it('parts of parts are the rows that the same parts of a list are', () => {
  const list = range(0, 60).map((row) => (row * 7) % 60)
  const parts: [Selection, number[]][] = [
    [rangeOf(0, 60), range(0, 60)],
    [listOf(Int32Array.from(list)), list],
  ]
  for (const [selection, rows] of parts) {
    const sliced: [Selection, number[]] = [selection.slice(5, 50), rows.slice(5, 50)]
    for (const [part, expected] of [[selection, rows], sliced] as const) {
      const odd = remaindersOf(part, 4, [1, 3])
      const expectedOdd = expected.filter((_, row) => row % 2 === 1)
      expect(rowsOf(odd)).toEqual(expectedOdd)
      expect(rowsOf(odd.slice(3, 9).slice(1, 4))).toEqual(expectedOdd.slice(4, 7))
      const rest = remaindersOf(odd.slice(1, 20), 3, [0], { others: true })
      expect(rowsOf(rest)).toEqual(expectedOdd.slice(1, 20).filter((_, row) => row % 3 !== 0))
      expect(rowsOf(rest.slice(2, 5))).toEqual(rowsOf(rest).slice(2, 5))
    }
  }
})

it('rows that follow one another stay so', () => {
  expect(rangeOf(3, 10).slice(2, 5)).toMatchObject({ first: 5, rows: 3 })
  expect(remaindersOf(rangeOf(3, 10), 4, [], { others: true }).first).toBe(3)
  expect(remaindersOf(rangeOf(3, 10), 4, [1]).first).toBeUndefined()
})

it('takes no time per row', () => {
  const billion = rangeOf(0, 2 ** 31 - 1)
  const [train, test] = [remaindersOf(billion, 10, [9], { others: true }), remaindersOf(billion, 10, [9])]
  expect([train.rows, test.rows]).toEqual([1_932_735_283, 214_748_364])
  expect([train.at(1_932_735_282), test.at(214_748_363)]).toEqual([2_147_483_646, 2_147_483_639])
})
