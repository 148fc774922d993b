// That most values are unknown to a model is said wherever it learns from them or is measured on them.

import { expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { progress } from '../../lib/report/progress.js'
import { historyTable, resultsTable } from '../../lib/report/results.js'
import { unknownLines } from '../../lib/report/unknown.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 300 })

/** The same rows, some of whose cities are written otherwise. */
function misspelt(share: number): Dataset {
  const columns = Object.fromEntries(
    ['user', 'price', 'click', 'buy'].map((name) => {
      const column = train.column(name)
      return [name, column.kind === 'number' ? column.values : []]
    }),
  )
  const city = train.column('city')
  if (city.kind !== 'string') throw new Error('a column of texts')
  const texts = Array.from(city.codes, (code, row) => `${city.dictionary[code] ?? ''}${row < share * 300 ? ' ' : ''}`)
  return Dataset.fromColumns({ ...columns, city: texts })
}

it('by fit, progress, evaluate and their tables, with the share and the reasons', async () => {
  using net = model()
  const first = await net.fit(train)
  expect(first).toMatchObject({ unknownValues: {}, unknownShares: {} })
  expect(historyTable(first)).not.toContain('vocabulary')
  for (const bar of [false, true]) {
    const lines: string[] = []
    const stream = { write: (text: string) => void lines.push(text), isTTY: bar, columns: 200 }
    const history = await net.fit(misspelt(0.5), { validation: misspelt(0.02), callbacks: [progress({ stream, bar })] })
    expect(history).toMatchObject({ unknownValues: { city: 150 }, unknownShares: { city: 0.5 } })
    const shown = lines.join('')
    expect(shown).toContain('training data: values that no vocabulary knows: city 150 (50%)')
    expect(shown).toContain('warning: training data: 50% of the values of feature "city" are unknown to its vocabulary')
    expect(shown).toContain('validation data: values that no vocabulary knows: city 6 (2%)')
    expect(shown).not.toContain('warning: validation data')
    expect(historyTable(history)).toContain('warning: training data: 50%')
    expect(history.epochs[0]?.validation).toMatchObject({ unknownValues: { city: 6 } })
  }
  const results = { test: await net.evaluate(misspelt(1)) }
  expect(results.test).toMatchObject({ unknownValues: { city: 300 }, unknownShares: { city: 1 } })
  expect(resultsTable(results)).toMatch(
    /test: values that no vocabulary knows: city 300 \(100%\)\nwarning: test: 100% .*separator/,
  )
})

it('and the plan of a run has them, for callbacks', async () => {
  using net = model()
  await net.build(train)
  let found: unknown
  const onStart = ({ unknownValues }: { readonly unknownValues: unknown }): void => {
    found = unknownValues
  }
  await net.fit(misspelt(0.1), { callbacks: [{ onStart }] })
  expect(found).toEqual({
    training: { unknownValues: { city: 30 }, unknownShares: { city: 0.1 } },
    validation: { unknownValues: {}, unknownShares: {} },
  })
})

it('is a warning from a tenth on, and never rounded to none or all', () => {
  const lines = (unknown: number) => unknownLines('test', { unknownValues: { a: unknown }, unknownShares: { a: unknown / 1000 } })
  expect(lines(1)).toEqual(['test: values that no vocabulary knows: a 1 (< 1%)'])
  expect(lines(99)).toHaveLength(1)
  expect(lines(100)).toHaveLength(2)
  expect(lines(999)[0]).toContain('(99%)')
  expect(lines(1000)[1]).toContain('100% of the values')
  expect(unknownLines('test', {})).toEqual([])
  // Of results that were kept before shares were.
  expect(unknownLines('test', { unknownValues: { a: 5 } })).toEqual(['test: values that no vocabulary knows: a 5'])
})

it('does not pass on what a terminal would obey', () => {
  const [line] = unknownLines('test', { unknownValues: { '\u001b[2J': 5 }, unknownShares: { '\u001b[2J': 1 } })
  expect(line).toBe('test: values that no vocabulary knows: \\u001b[2J 5 (100%)')
})
