// `evaluate` and validation on rows that are read in parts.

import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { MMoE } from '../../lib/model/classes.js'
import { rowsAtOnce } from '../../lib/runtime/runner.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

/** Columns of every kind of task. Groups appear in the rows in another order than in the alphabet. */
function columnsOf(rows: number, seed = 1): Record<string, ColumnValues> {
  const random = randomOf(seed)
  const numbers = (of: () => number): number[] => Array.from({ length: rows }, of)
  return {
    user: numbers(() => Math.floor(40 * random())),
    name: numbers(() => Math.floor(300 * random() ** 2)).map((one) => `u${(one * 7) % 300}`),
    price: numbers(random),
    click: numbers(() => (random() < 0.1 ? NaN : random() < 0.3 ? 1 : 0)),
    buy: numbers(() => (random() < 0.5 ? 1 : 0)),
    watched: numbers(() => 60 * random() ** 3),
    shop: numbers(() => Math.floor(3 * random())),
    importance: numbers(() => Math.floor(4 * random())),
  }
}

/** Parts with dictionaries of their own. */
function* parts(columns: Record<string, ColumnValues>, size: number): Generator<Dataset, void, undefined> {
  const rows = (columns['user'] as number[]).length
  for (let from = 0; from < rows; from += size) {
    const own = Object.entries(columns).map(([name, values]) => [name, (values as number[]).slice(from, from + size)])
    yield Dataset.fromColumns(Object.fromEntries(own))
  }
}

const every = () =>
  new MMoE({
    features: [sparse('user', { vocabulary: 40, dim: 4 }), sparse('name', { dim: 2 }), dense('price')],
    tasks: [
      binary('click', { weightColumn: 'importance' }),
      binary('buy', { where: { shop: [0, 1] }, labelSmoothing: 0.1 }),
      regression('watched', { transform: 'standardize' }),
      multiclass('shop', { classes: 3 }),
    ],
    numExperts: 2,
    expertHiddenUnits: [4],
    towerHiddenUnits: [2],
    seed: 3,
  })

const rows = rowsAtOnce + 5000
const columns = columnsOf(rows)
const whole = Dataset.fromColumns(columns)
const asked = { metrics: ['prauc', 'ndcg@3', 'ece', 'xauc'] as const, score: { click_auc: 2, buy_auc: 1 } }

describe('evaluate on rows in parts', () => {
  it('measures the bits of the dataset in memory, however rows are cut', { timeout: 60_000 }, async () => {
    using net = every()
    await net.fit(whole.slice(0, 3000), { batchSize: 500 })
    const byName = { ...asked, groups: 'name' }
    const expected = await net.evaluate(whole, byName)
    expect(await net.evaluate(() => parts(columns, 19_999), byName)).toEqual(expected)
    // Slices share a dictionary that has its texts in the order of another table.
    const turned = whole.slice(rows - 2000, rows)
    const joined = await Dataset.fromParts([turned, whole])
    expect(await net.evaluate(joined.slice(2000, rows + 2000), byName)).toEqual(expected)
    expect(await net.evaluate([joined.slice(2000, 40_000), joined.slice(40_000, rows + 2000)], byName)).toEqual(expected)
    const halves = [whole.slice(0, rowsAtOnce), whole.slice(rowsAtOnce, rows)]
    for (const options of [{ groups: 'user' }, {}])
      expect(await net.evaluate(halves, options)).toEqual(await net.evaluate(whole, options))
  })

  it('takes an iterator, whose source may use the model meanwhile', async () => {
    using net = model()
    const set = data({ rows: 900 })
    await net.build(set)
    async function* source() {
      for (let from = 0; from < 900; from += 250) {
        await net.predict(set.slice(from, from + 1))
        yield set.slice(from, Math.min(from + 250, 900))
      }
    }
    const scratch = mkdtempSync(join(tmpdir(), 'multigate-scratch-'))
    expect(await net.evaluate(source(), { stream: { scratch } })).toEqual(await net.evaluate(set))
    expect(readdirSync(scratch)).toEqual([])
  })

  it('refuses what it cannot measure', async () => {
    using net = model()
    const set = data({ rows: 300 })
    await net.build(set)
    const refuses = async (source: unknown, error: Error, options: object = {}) =>
      await expect(net.evaluate(source as never, options)).rejects.toThrow(error)
    await refuses([], refusal('DATA', { says: 'at least one row' }))
    await refuses([set.slice(0, 0)], refusal('DATA', { says: 'at least one row' }))
    await refuses([set, { user: [1] }], refusal('ARGUMENT', { field: 'evaluate.data: a part' }))
    await refuses({ user: [1] }, refusal('ARGUMENT', { field: 'evaluate.data' }))
    await refuses([set], refusal('ARGUMENT', { field: 'evaluate.stream.memory' }), { stream: { memory: 5 } })
    const file = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'file')
    writeFileSync(file, '')
    await refuses([set], refusal('WRITE', { file, says: 'evaluate.stream.scratch' }), { stream: { scratch: file } })
    const withGroups = (groups: ColumnValues) =>
      Dataset.fromColumns({ user: [1], city: ['Rome'], price: [1], click: [1], buy: [0], groups })
    const mixed = [withGroups(['a']), withGroups([1])]
    const groups = { groups: 'groups' }
    await refuses(mixed, refusal('DATA', { column: 'groups', says: ['expected text', 'found numbers'] }), groups)
    await refuses(mixed.toReversed(), refusal('DATA', { column: 'groups', says: 'expected numbers' }), groups)
    await refuses([withGroups([['a']])], refusal('DATA', { column: 'groups', says: 'lists' }), groups)
    await refuses([set], refusal('DATA', { says: "set 'groups'" }), groups)
    const wrong = Dataset.fromColumns({ user: [1, 1], city: ['Rome', 'Rome'], price: [1, 1], click: [1, 2], buy: [0, 0] })
    await refuses([set, wrong], refusal('DATA', { says: 'row 301 of all' }))
    const stop = new AbortController()
    const source = function* () {
      yield set
      stop.abort()
      yield set
    }
    await refuses(source, refusal('ABORTED'), { signal: stop.signal })
  })
})

describe('validation rows in parts', () => {
  it('give the history of the dataset in memory, from one reading', async () => {
    const train = data({ rows: 2000 })
    const validation = data({ rows: 700, seed: 2, missing: 0.2 })
    const history = async (rowsToMeasure: Dataset | Iterable<Dataset>) => {
      using net = model()
      let plan: unknown
      const { epochs } = await net.fit(train, {
        validation: rowsToMeasure,
        epochs: 3,
        groups: 'user',
        callbacks: [{ onStart: (given) => void (plan = given.validationRows) }, earlyStopping({ monitor: 'val_click_uauc' })],
      })
      return { plan, epochs: epochs.map(({ seconds, rowsPerSecond, ...epoch }) => epoch) }
    }
    function* once() {
      for (let from = 0; from < 700; from += 300) yield validation.slice(from, Math.min(from + 300, 700))
    }
    const expected = await history(validation)
    expect(expected.plan).toBe(700)
    expect(await history(once())).toEqual(expected)
  })

  it('name themselves in errors', async () => {
    using net = model()
    const refused = (validation: unknown) => net.fit(data({ rows: 200 }), { validation: validation as never })
    await expect(refused([])).rejects.toThrow(refusal('DATA', { says: ['validation data', 'at least one row'] }))
    await expect(refused(() => 5)).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.validation' }))
    await expect(refused(5)).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.validation', says: 'rows in parts' }))
    expect(net.built).toBe(false)
  })
})
