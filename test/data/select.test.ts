// Rows of a column: cut and gathered, lists too.

import { expect, it } from 'vitest'

import type { Column, ListColumn, NumberColumn } from '../../lib/core/columns.js'
import { selectRows, sliceRows } from '../../lib/data/select.js'
import { refusal } from '../support/refusal.js'

const dictionary = ['2024-01-02', '2024-01-03']
const columns: Column[] = [
  { kind: 'number', type: 'boolean', asWritten: true, values: Int32Array.of(1, 0, 1) },
  { kind: 'number', asWritten: true, values: Float32Array.of(0.5, NaN, 2) },
  { kind: 'string', type: 'date', dictionary, codes: Int32Array.of(0, -1, 1) },
]
const lists = columns.map((items): ListColumn => ({ kind: 'list', offsets: Int32Array.of(0, 2, 2, 3), items }) as ListColumn)

it('keeps what values stand for, how they were written and how they are kept', () => {
  for (const column of [...columns, ...lists]) {
    const whole = sliceRows('a', column, 0, 3)
    expect(whole).toEqual(column)
    expect(selectRows('a', column, Int32Array.of(0, 1, 2))).toEqual(column)
  }
})

it('cuts and gathers lists with offsets of their own', () => {
  const [list] = lists as [ListColumn]
  expect(sliceRows('a', list, 1, 3)).toEqual({
    kind: 'list',
    offsets: Int32Array.of(0, 0, 1),
    items: { ...columns[0], values: Int32Array.of(1) },
  })
  expect(selectRows('a', list, Int32Array.of(2, 0, 0))).toEqual({
    kind: 'list',
    offsets: Int32Array.of(0, 1, 3, 5),
    items: { ...columns[0], values: Int32Array.of(1, 1, 0, 1, 0) },
  })
  expect((sliceRows('a', columns[1] as Column, 1, 3) as NumberColumn).values.buffer).toBe(
    (columns[1] as NumberColumn).values.buffer,
  )
})

it('names a column whose lists have more items than can be numbered', () => {
  const rows = Int32Array.of(0, 0, 0)
  expect(() => selectRows('a', lists[0] as Column, rows, 6)).not.toThrow()
  expect(() => selectRows('a', lists[0] as Column, rows, 5)).toThrow(refusal('DATA', { column: 'a', says: ['3', '5'] }))
})
