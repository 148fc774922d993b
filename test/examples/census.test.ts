// The configurations of the census example make models as large as those in Keras.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

import { readConfig } from '../../lib/cli/config.js'
import { Dataset } from '../../lib/data/dataset.js'
import { modelClasses } from '../../lib/model/classes.js'
import { sharedPath } from '../support/golden.js'

const folder = fileURLToPath(new URL('../../examples/census/', import.meta.url))
const data = sharedPath('data/census-income.csv.gz')
const { models } = JSON.parse(readFileSync(`${folder}expected.json`, 'utf8')) as {
  readonly models: Readonly<Record<string, { readonly parameters: number }>>
}

it('every configuration is one of expected.json', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.json') && !['expected.json', 'census.json'].includes(name))
  expect(files.map((name) => basename(name, '.json')).sort()).toEqual(Object.keys(models).sort())
})

it.skipIf(data === undefined)('every model has as many parameters as in Keras', { timeout: 60_000 }, async () => {
  const table = await Dataset.fromCsv(data ?? '')
  const found: Record<string, unknown> = {}
  for (const name of Object.keys(models)) {
    const { model, options, split } = await readConfig(`${folder}${name}.json`)
    using built = new modelClasses[model](options as never)
    await built.build(split === undefined ? table : table.split(split).train)
    const { parameters } = built.describe()
    found[name] = { ...models[name], parameters }
  }
  expect(found).toEqual(models)
})

it.skipIf(data === undefined)('rows without a label train what they can', { timeout: 120_000 }, () => {
  const args = [`${folder}missing.js`, '--data', data ?? '', '--seeds', '1', '--epochs', '1']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  const aucs = stdout.split('\n').map((line) => [...line.matchAll(/'([\d.]+) ±/g)].map(([, auc]) => Number(auc)))
  const [both = [], all = [], income = [], married = []] = aucs.filter((line) => line.length > 0)
  expect([both.length, all.length, income.length, married.length]).toEqual([2, 2, 1, 1])
  for (const auc of [...both, ...all, ...income, ...married]) expect(auc).toBeGreaterThan(0.7)
  // Twice as many rows have the label of the second task.
  expect(all[1]).toBeGreaterThan(both[1] ?? 1)
})
