// Splits of tables that are read in parts: the same rows as of the whole table, and joined parts are the whole.

import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

import { rowValue } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'
import type { SplitOptions } from '../../lib/data/split.js'
import { refusal } from '../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-'))
const path = join(folder, 'rows.csv')
const day = (row: number): string => `2021-05-${String(1 + (row % 9)).padStart(2, '0')}`
writeFileSync(path, `id,user,day\n${Array.from({ length: 1000 }, (_, row) => `${row},u${row % 37},${day(row)}`).join('\n')}\n`)
const stream = Dataset.streamCsv(path, { chunkRows: 130 })

const valuesOf = (data: Dataset) =>
  data.columnNames.map((name) => Array.from({ length: data.rows }, (_, row) => rowValue(data.column(name), row)))

it.each<[string, SplitOptions]>([
  ['row number', { rowMod: 7, validation: [0, 5], test: [6] }],
  ['hash', { hash: 'user', validation: 0.2, test: 0.1, seed: 3 }],
  ['column', { column: 'day', train: ['2021-05-01', '2021-05-05'], validation: '2021-05-07' }],
  ['values that few parts have', { column: 'id', validation: { values: [3, 999] } }],
  ['cuts in time', { time: 'day', validation: { from: '2021-05-07' }, test: { from: '2021-05-09' } }],
])('gives the rows that the whole table gives: by %s', async (_, options) => {
  const whole = (await Dataset.fromCsv(path)).split(options)
  const parts = stream.split(options)
  for (const part of ['train', 'validation', 'test'] as const) {
    const joined = await Dataset.fromParts(parts[part])
    expect(valuesOf(joined)).toEqual(valuesOf(whole[part]))
  }
})

it('refuses what needs all rows at once', () => {
  const refused = (options: SplitOptions, field: string, says: string) =>
    expect(() => stream.split(options)).toThrow(refusal('ARGUMENT', { field, says }))
  refused({ stratify: 'user', by: 'id', test: 0.1 }, 'split', 'stratify')
  refused({ time: 'day', validation: 0.1 }, 'split.validation', 'a share')
  refused({ rowMod: 1 }, 'split.rowMod', '1')
})

it('joins lists, booleans, dates and numbers of any width, and refuses parts that do not match', async () => {
  const of = (from: number) => {
    const rows = [0, 1, 2].map((row) => row + from)
    return Dataset.fromColumns({
      list: rows.map((row) => Array.from({ length: row % 3 }, (_, item) => row + item / 2)),
      words: rows.map((row) => (row % 2 === 0 ? null : [`w${row}`, 'w'])),
      flag: rows.map((row) => row % 2 === 0),
      date: rows.map((row) => new Date(Date.UTC(2024, 0, row + 1))),
      number: from === 0 ? Int32Array.from(rows) : Float64Array.from(rows, (row) => row / 3),
    })
  }
  const parts = [of(0), of(3).slice(1, 3), of(6).slice(0, 0), of(9)]
  const joined = await Dataset.fromParts(parts)
  const all = parts.map(valuesOf)
  expect(valuesOf(joined)).toEqual(joined.columnNames.map((_, column) => all.flatMap((part) => part[column] ?? [])))
  expect(joined.column('flag')).toMatchObject({ kind: 'number', type: 'boolean' })
  expect(joined.column('date')).toMatchObject({ kind: 'string', type: 'date' })
  const one = Dataset.fromColumns({ a: [1] })
  await expect(Dataset.fromParts([one, Dataset.fromColumns({ a: ['x'] })])).rejects.toThrow(
    refusal('DATA', { column: 'a', says: ['numbers', 'text'] }),
  )
  await expect(Dataset.fromParts([one, Dataset.fromColumns({ b: [1] })])).rejects.toThrow(refusal('DATA', { column: 'a' }))
  await expect(Dataset.fromParts([])).rejects.toThrow(refusal('DATA'))
  for (const wrong of [7, null, [7]])
    await expect(Dataset.fromParts(wrong as never)).rejects.toThrow(refusal('ARGUMENT', { field: 'parts' }))
})
