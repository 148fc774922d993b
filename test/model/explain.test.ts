// Explanations of rows: their numbers beside predictions, gates and Shapley values by definition, what became of values, and refusals.

import { describe, expect, it } from 'vitest'

import {
  adam,
  binary,
  Dataset,
  dense,
  ESMM,
  type Explanation,
  explainTable,
  MMoE,
  type Model,
  multiclass,
  PLE,
  regression,
  SharedBottom,
  sequence,
  sparse,
} from '../../lib/index.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 1000 })

/** A task's logit for raw rows, from the probability that the model gives on the float64 reference. */
async function logitsOf(net: Model, rows: Dataset, task: string): Promise<number[]> {
  const scores = (await net.predict(rows)) as Record<string, Float32Array>
  return [...(scores[task] ?? [])].map((p) => Math.log(p / (1 - p)))
}

function only<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('expected an explanation')
  return value
}

function factorial(n: number): number {
  return n <= 1 ? 1 : n * factorial(n - 1)
}

/** Shapley values by the sum over all subsets of features. `value`: by the bits of the subset. */
function shapley(features: number, value: (subset: number) => number): number[] {
  return Array.from({ length: features }, (_, feature) => {
    let sum = 0
    for (let subset = 0; subset < 2 ** features; subset += 1) {
      if (subset & (1 << feature)) continue
      const size = [...subset.toString(2)].filter((bit) => bit === '1').length
      const weight = (factorial(size) * factorial(features - size - 1)) / factorial(features)
      sum += weight * (value(subset | (1 << feature)) - value(subset))
    }
    return sum
  })
}

const names = ['user', 'city', 'price']
const rowOf = (set: Dataset, row: number) => {
  const { user, city, price } = Object.fromEntries(
    names.map((name) => [name, set.slice(row, row + 1).column(name)]),
  ) as never as {
    user: { values: Int32Array }
    city: { codes: Int32Array; dictionary: string[] }
    price: { values: Float64Array }
  }
  return { user: user.values[0] ?? 0, city: city.dictionary[city.codes[0] ?? 0] ?? '', price: price.values[0] ?? 0 }
}

const three = () =>
  new MMoE({
    features: [sparse('user', { dim: 4 }), sparse('city', { dim: 4 }), dense('price')],
    tasks: [binary('click'), binary('buy', { weight: 0.5 })],
    numExperts: 3,
    expertHiddenUnits: [8],
    towerHiddenUnits: [4],
    seed: 5,
  })

describe('contributions', () => {
  it('are the Shapley values of the definition, with rows where values are missing', async () => {
    using net = three()
    await net.fit(train, { epochs: 30, batchSize: 100, optimizer: adam({ learningRate: 0.02 }) })
    const row = rowOf(train, 7)
    const subsets = await Dataset.fromRows(
      Array.from({ length: 8 }, (_, subset) =>
        Object.fromEntries(names.map((name, bit) => [name, subset & (1 << bit) ? row[name as never] : null])),
      ),
    )
    const [explained] = await net.explain(train.slice(7, 8))
    for (const task of ['click', 'buy'] as const) {
      const logits = await logitsOf(net, subsets, task)
      const want = shapley(3, (subset) => logits[subset] ?? NaN)
      const { logit, base, contributions } = only(explained).tasks[task]
      expect(Math.max(...want.map(Math.abs))).toBeGreaterThan(0.3)
      for (const [at, name] of names.entries()) expect(contributions[name]).toBeCloseTo(want[at] ?? NaN, 4)
      expect(base).toBeCloseTo(logits[0] ?? NaN, 4)
      expect(logit).toBeCloseTo(logits[7] ?? NaN, 4)
    }
  })

  it('are the means of Shapley values over rows to compare with', async () => {
    using net = three()
    await net.fit(train, { epochs: 10, batchSize: 100, optimizer: adam({ learningRate: 0.02 }) })
    const [own, others] = [rowOf(train, 3), [20, 40, 60].map((at) => rowOf(train, at))]
    const mixed = others.flatMap((other) =>
      Array.from({ length: 8 }, (_, subset) =>
        Object.fromEntries(names.map((name, bit) => [name, (subset & (1 << bit) ? own : other)[name as never]])),
      ),
    )
    const logits = await logitsOf(net, await Dataset.fromRows(mixed), 'click')
    const all = others.map((_, at) => shapley(3, (subset) => logits[8 * at + subset] ?? NaN))
    const [explained] = await net.explain(train.slice(3, 4), { background: train.select([20, 40, 60]) })
    for (const [at, name] of names.entries()) {
      const want = all.reduce((sum, values) => sum + (values[at] ?? NaN) / 3, 0)
      expect(explained?.tasks.click.contributions[name]).toBeCloseTo(want, 4)
    }
  })

  it('add up from the base to the logit, with random orders and any background', async () => {
    const random = randomOf(4)
    const columns = Object.fromEntries(
      Array.from({ length: 12 }, (_, at) => [`x${at}`, Float32Array.from({ length: 300 }, () => 2 * random() - 1)]),
    )
    const y = Float32Array.from({ length: 300 }, (_, row) =>
      Number((columns['x0']?.[row] ?? 0) * (columns['x1']?.[row] ?? 0) > 0),
    )
    const rows = Dataset.fromColumns({ ...columns, y })
    using net = new SharedBottom({
      features: Object.keys(columns).map((name) => dense(name)),
      tasks: [binary('y')],
      bottomHiddenUnits: [16],
    })
    await net.fit(rows, { epochs: 20, batchSize: 50, optimizer: adam({ learningRate: 0.02 }) })
    const seen = new Set<number>()
    for (const options of [
      {},
      { background: rows },
      { orders: 7, seed: 3 },
      { orders: 7, seed: 4 },
      { background: rows, orders: 1 },
    ]) {
      for (const { tasks } of await net.explain(rows.slice(0, 3), options)) {
        const { logit, base, contributions } = tasks.y
        const sum = Object.values(contributions).reduce((total, one) => total + one, base)
        expect(sum).toBeCloseTo(logit, 5)
        seen.add(contributions['x0'] ?? NaN)
      }
    }
    expect(seen.size).toBe(15)
    expect(await net.explain(rows.slice(0, 2), { orders: 7, seed: 3 })).toEqual(
      await net.explain(rows.slice(0, 2), { orders: 7, seed: 3 }),
    )
  })

  it('are the parts of a sum for a linear model, whatever the orders, and nothing for a feature that it does not use', async () => {
    using net = new SharedBottom({
      features: [
        dense('price'),
        dense('twice', { column: 'price', transform: 'minmax' }),
        sparse('user', { vocabulary: 30, dim: 4, outOfRange: 'oov' }),
      ],
      tasks: [binary('click')],
      bottomHiddenUnits: [4],
      activation: 'linear',
      initializers: { embedding: 'zeros' },
    })
    await net.fit(train, { epochs: 2, freeze: ['embedding'], optimizer: adam({ learningRate: 0.001 }) })
    const at = async (price: number) =>
      (await logitsOf(net, Dataset.fromColumns({ price: [price], user: [3] }), 'click'))[0] ?? NaN
    const [explained] = await net.explain({ price: [108], user: [3] }, { background: train.slice(0, 50), orders: 3 })
    const { base, contributions } = only(explained).tasks.click
    expect(contributions['user']).toBe(0)
    // Both read one column, so their contributions together are what a change of that column does.
    const both = (contributions['price'] ?? NaN) + (contributions['twice'] ?? NaN)
    expect(both).toBeCloseTo((await at(108)) - base, 4)
    const again = await net.explain({ price: [108], user: [3] }, { background: train.slice(0, 1), orders: 3, seed: 9 })
    const other = await net.explain({ price: [108], user: [3] }, { background: train.slice(0, 1), orders: 1, seed: 2 })
    expect(again[0]?.tasks.click.contributions['price']).toBeCloseTo(other[0]?.tasks.click.contributions['price'] ?? NaN, 5)
  })
})

describe('the numbers of a row', () => {
  const features = [
    sparse('user', { vocabulary: 30, dim: 4, outOfRange: 'oov' }),
    sparse('city', { dim: 4 }),
    dense('price', { transform: 'standardize' }),
  ]
  const tasks = [binary('click'), binary('buy')] as const
  it.each<[string, () => Model]>([
    ['MMoE', () => new MMoE({ features, tasks, numExperts: 3, expertHiddenUnits: [8], towerHiddenUnits: [4] })],
    ['PLE', () => new PLE({ features, tasks, numLevels: 2, numSharedExperts: 2, numSpecificExperts: 1, expertHiddenUnits: [8] })],
    ['ESMM', () => new ESMM({ features, tasks, towerHiddenUnits: [4] }) as Model],
    ['the float64 reference', () => new MMoE({ features, tasks, numExperts: 2, expertHiddenUnits: [4], device: 'reference' })],
    [
      'every kind of task',
      () =>
        new MMoE({
          features: [features[0] as never, features[1] as never],
          tasks: [
            binary('click', { negativeRate: 0.5 }),
            multiclass('city_id', { label: 'user', classes: 30 }),
            regression('price', { loss: 'ziln' }),
            regression('log', { label: 'price', transform: 'log1p' }),
          ],
          numExperts: 2,
          expertHiddenUnits: [4],
        }),
    ],
  ])('equal those of predict and gates to the bit: %s', async (_, make) => {
    using net = make()
    await net.fit(train, { epochs: 2, batchSize: 100 })
    const rows = train.select([5, 900, 5, 17])
    const scores = (await net.predict(rows)) as Record<string, Float32Array>
    const explained = await net.explain(rows, { orders: 20 })
    expect(explained).toHaveLength(4)
    for (const [row, { predictions, gates }] of explained.entries()) {
      expect(Object.keys(predictions)).toEqual(Object.keys(scores))
      for (const [name, values] of Object.entries(scores)) {
        const width = values.length / 4
        const own = [...values.slice(row * width, (row + 1) * width)]
        expect(predictions[name]).toEqual(width === 1 ? own[0] : own)
      }
      expect(gates).toEqual(await net.gates(rows.slice(row, row + 1)))
    }
  })

  it('have the logit of the own step of an ESMM', async () => {
    using net = new ESMM({ features, tasks, towerHiddenUnits: [4] })
    await net.fit(train, { epochs: 3, batchSize: 100 })
    const [explained] = await net.explain(train.slice(0, 1))
    const sigmoid = (logit = NaN): number => 1 / (1 + Math.exp(-logit))
    expect(sigmoid(explained?.tasks.click.logit)).toBeCloseTo(Number(explained?.predictions['click']), 6)
    expect(sigmoid(explained?.tasks.buy.logit)).toBeCloseTo(Number(explained?.predictions['buy_given_click']), 6)
  })

  it('have a logit per class', async () => {
    using net = new MMoE({
      features: features.slice(0, 2),
      tasks: [multiclass('user', { classes: 30 })],
      numExperts: 2,
      expertHiddenUnits: [4],
    })
    await net.fit(train, { epochs: 3, batchSize: 100 })
    const [explained] = await net.explain(train.slice(0, 1))
    const { predictions, tasks: explainedTasks } = only(explained)
    const { logit, base, contributions } = explainedTasks.user
    const logits = logit as number[]
    const sum = logits.reduce((total, one) => total + Math.exp(one), 0)
    const at = (values: unknown, place: number): number => (values as number[])[place] ?? NaN
    logits.forEach((value, place) => {
      expect(Math.exp(value) / sum).toBeCloseTo(at(predictions['user'], place), 5)
      const parts = Object.values(contributions).map((one) => at(one, place))
      expect(parts.reduce((total, part) => total + part, at(base, place))).toBeCloseTo(value, 5)
    })
    expect(explainTable(explained as Explanation)).toMatch(/user\[\d+\]/)
  })
})

describe('what became of values', () => {
  const rows = [
    { id: 2, word: 'b', hashed: 'q', age: 25, tags: ['a', 'c'], x: 3, v: [1, 2], y: 1 },
    { id: 0, word: 'a', hashed: 'r', age: 5, tags: ['b'], x: 1, v: [3, 4], y: 0 },
    { id: 9, word: 'b', hashed: null, age: 60, tags: ['a', 'b', 'a'], x: 2, v: [5, 6], y: 1 },
  ]
  const features = [
    sparse('id', { vocabulary: 4, dim: 2, outOfRange: 'oov' }),
    sparse('word', { dim: 2 }),
    sparse('hashed', { hash: 10, dim: 2 }),
    sparse('age', { buckets: [18, 30, 50], dim: 2 }),
    sequence('tags', { dim: 2, maxLength: 2, combiner: 'mean' }),
    dense('x', { transform: 'minmax' }),
    dense('v', { width: 2, transform: 'none' }),
  ]

  it('is said by kind of feature', async () => {
    const set = await Dataset.fromRows(rows)
    using net = new SharedBottom({ features, tasks: [binary('y')], bottomHiddenUnits: [4] })
    await net.build(set)
    const given = [...rows.slice(0, 1), { id: 7, word: 'z', hashed: null, age: null, tags: ['a', 'z', 'b'], x: null, v: [7, 8] }]
    const [first, second] = await net.explain(await Dataset.fromRows(given), { orders: 2 })
    expect(first?.features).toEqual({
      id: { kind: 'sparse', value: 2, id: 2, state: 'known' },
      word: { kind: 'sparse', value: 'b', id: 1, state: 'known', entry: 'b' },
      hashed: { kind: 'sparse', value: 'q', id: expect.any(Number) as number, state: 'hashed' },
      age: { kind: 'sparse', value: 25, id: 2, state: 'bucket', bucket: { from: 18, to: 30 } },
      tags: { kind: 'sequence', value: ['a', 'c'], ids: [1, 3], entries: ['a', 'c'], unknown: 0 },
      x: { kind: 'dense', value: 3, numbers: [1], missing: false },
      v: { kind: 'dense', value: [1, 2], numbers: [1, 2], missing: false },
    })
    expect(second?.features).toMatchObject({
      id: { value: 7, id: 0, state: 'unknown' },
      word: { value: 'z', id: 0, state: 'unknown' },
      hashed: { value: null, id: 0, state: 'missing' },
      age: { value: null, id: 0, state: 'missing' },
      // The last two of three items.
      tags: { value: ['a', 'z', 'b'], ids: [0, 2], entries: [null, 'b'], unknown: 1 },
      x: { value: null, numbers: [0.5], missing: true },
    })
    const batch = net.createBatch(2)
    net.fill(batch, await Dataset.fromRows(given))
    expect(second?.features['v']).toMatchObject({ numbers: [...batch.v.slice(2, 4)] })
    expect(first?.features['hashed']).toMatchObject({ id: batch.hashed[0] })
    const text = explainTable(second as Explanation)
    for (const part of ['tags', '[a, z, b]', 'ids 0 2, 1 unknown', 'missing, id 0', 'base', 'prediction'])
      expect(text).toContain(part)
    expect(explainTable(first as Explanation)).toContain('[18, 30), id 2')
  })
})

describe('mistakes', () => {
  it('a value that may not be missing asks for rows to compare with', async () => {
    using net = model()
    await net.fit(train)
    await expect(net.explain(train.slice(0, 1))).rejects.toThrow(
      refusal('ARGUMENT', { field: 'explain.background', says: ['user', 'pass some rows'] }),
    )
    expect(await net.explain(train.slice(0, 1), { background: train })).toHaveLength(1)
    expect(await net.explain(train.slice(0, 0), { background: train })).toEqual([])
    await expect(net.explain(train.slice(0, 1), { background: train.slice(0, 0) })).rejects.toThrow(refusal('DATA'))
    const other = Dataset.fromColumns({ user: [99], city: ['Rome'], price: [1] })
    await expect(net.explain(train.slice(0, 1), { background: other })).rejects.toThrow(
      refusal('DATA', { says: ['background', '99'] }),
    )
    await expect(net.explain(other, { background: train })).rejects.toThrow(refusal('DATA', { says: ['99'] }))
  })

  it.each([
    [{ background: [{ user: 1 }] }, 'explain.background'],
    [{ orders: 0 }, 'explain.orders'],
    [{ orders: 1e9 }, 'explain.orders'],
    [{ seed: -1 }, 'explain.seed'],
    [{ rows: 3 }, 'explain.rows'],
  ])('%o', async (options, field) => {
    using net = model()
    await net.build(train)
    await expect(net.explain(train.slice(0, 1), options as never)).rejects.toThrow(refusal('ARGUMENT', { field }))
  })

  it('a model that is not built, a signal, and what is no explanation', async () => {
    using net = model()
    await expect(net.explain(train)).rejects.toThrow(refusal('NOT_BUILT'))
    await net.build(train)
    await expect(net.explain(train, { background: train, signal: AbortSignal.abort() })).rejects.toThrow(refusal('ABORTED'))
    for (const wrong of [null, {}, { features: { a: { kind: 'sparse' } }, predictions: {}, gates: [], tasks: {} }])
      expect(() => explainTable(wrong as never)).toThrow(refusal('ARGUMENT'))
  })
})
