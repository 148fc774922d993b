// The census file as data/README.md beside the data says it is.

import { expect, it } from 'vitest'

import type { Column } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'
import { sharedPath } from '../support/golden.js'

const path = sharedPath('data/census-income.csv.gz')

function count(column: Column, text: string): number {
  if (column.kind !== 'string') return NaN
  const code = column.dictionary.indexOf(text)
  return column.codes.reduce((sum, found) => sum + (found === code ? 1 : 0), 0)
}

function distinct(column: Column): number {
  return new Set<number>(column.kind === 'number' ? column.values : column.kind === 'string' ? column.codes : []).size
}

it.skipIf(path === undefined)('census-income: rows, columns, categories and labels', async () => {
  const started = performance.now()
  const data = await Dataset.fromCsv(path ?? '')
  console.info(`census-income loaded in ${Math.round(performance.now() - started)} ms`)
  expect(data.rows).toBe(99_762)
  expect(data.columnNames).toHaveLength(42)

  const { train, validation, test } = data.split({ rowMod: 10, validation: [8], test: [9] })
  expect([train, validation, test].map(({ rows }) => rows)).toEqual([79_810, 9_976, 9_976])
  expect([train, validation, test].map((part) => count(part.column('income_50k'), ' 50000+.'))).toEqual([4923, 612, 651])
  expect([train, validation, test].map((part) => count(part.column('marital_stat'), ' Never married'))).toEqual([
    34_559, 4_324, 4_260,
  ])

  const numbers = data.columnNames.filter((name) => data.column(name).kind === 'number')
  expect(numbers).toEqual([
    'age',
    'det_ind_code',
    'det_occ_code',
    'wage_per_hour',
    'capital_gains',
    'capital_losses',
    'stock_dividends',
    'instance_weight',
    'num_emp',
    'own_or_self',
    'vet_benefits',
    'weeks_worked',
    'year',
  ])
  const categories = {
    class_worker: 9,
    det_ind_code: 52,
    state_prev_res: 51,
    mig_chg_msa: 10,
    country_father: 43,
    own_or_self: 3,
    year: 2,
  }
  for (const [name, want] of Object.entries(categories)) expect([name, distinct(data.column(name))]).toEqual([name, want])
  expect(count(data.column('country_father'), ' ?')).toBeGreaterThan(0)
})
