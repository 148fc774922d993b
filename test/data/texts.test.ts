// Texts of a table arrive byte for byte, however many rows and distinct texts there are.
import { expect, it } from 'vitest'

import { Dataset } from '../../lib/index.js'

const odd = [
  '',
  ' ',
  '\ufeff',
  '\ufeffa',
  'a',
  'é',
  'e\u0301',
  '👍',
  '漢字',
  'x\ty\nz',
  "'",
  'NULL',
  'a'.repeat(70_000),
  'é'.repeat(50_000),
]

/** A query of `rows` rows: the odd texts in turn, every 20th row missing, else a text per row. */
function query(rows: number): string {
  const texts = odd.map((text) => `'${text.replaceAll("'", "''")}'`).join(', ')
  return `SELECT CASE WHEN i % 20 = 19 THEN NULL WHEN i % 20 < ${odd.length} THEN ([${texts}])[1 + i % 20] ELSE 'naïve_' || i END AS text
    FROM range(${rows}) t(i) ORDER BY i`
}

it.each([1000, 40_000])('texts of %i rows', async (rows) => {
  const data = await Dataset.fromQuery(query(rows))
  const column = data.column('text')
  if (column.kind !== 'string') throw new Error('expected texts')
  const { codes, dictionary } = column
  expect(new Set(dictionary).size).toBe(dictionary.length)
  const wrong = Array.from({ length: rows }, (_, row) => {
    const want = row % 20 === 19 ? undefined : (odd[row % 20] ?? `naïve_${row}`)
    return dictionary[codes[row] ?? -1] === want ? -1 : row
  }).filter((row) => row >= 0)
  expect(wrong).toEqual([])
})
