// Models on the GPU beside the CPU: the same numbers to float32's rounding, whatever is trained, and files that go both ways.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import {
  adagrad,
  adam,
  binary,
  type Dataset,
  Dataset as Datasets,
  dense,
  ESMM,
  type FitOptions,
  ftrl,
  loadModel,
  MMoE,
  type Model,
  multiclass,
  type Optimizer,
  PLE,
  regression,
  rmsprop,
  rowwiseAdagrad,
  SharedBottom,
  sequence,
  sgd,
  sparse,
} from '../../lib/index.js'
import { readSafetensors } from '../../lib/io/safetensors.js'
import type { ComputeOptions } from '../../lib/runtime/compute.js'
import { columns } from '../support/small-data.js'
import { onCuda, usable } from './usable.js'

// 300 rows in batches of 128: two whole ones and a last one that is smaller.
const batchSize = 128
const train = log(300, 1)
const test = log(70, 2)

function log(rows: number, seed: number): Dataset {
  const { user, city, price, click, buy } = columns({ rows, seed, missing: 0.1 })
  const ids = [...(user as Int32Array)]
  return Datasets.fromColumns({
    user: user ?? [],
    city: city ?? [],
    price: price ?? [],
    tags: ids.map((id) => [1 + (id % 9), 1 + (id % 4), 0].slice(0, 1 + (id % 3))),
    click: click ?? [],
    buy: buy ?? [],
    weight: ids.map((id) => (id % 5) / 2),
    time: ids.map((id) => Math.sin(id)),
    spent: ids.map((id) => Math.max(0, 2 * Math.sin(id))),
    kind: ids.map((id) => ['a', 'b', 'c'][id % 3] ?? ''),
  })
}

const features = [
  sparse('user', { vocabulary: 30, dim: 4 }),
  sparse('city', { dim: 3 }),
  sequence('tags', { vocabulary: 10, dim: 5, maxLength: 3, combiner: 'mean' }),
  dense('price', { transform: 'standardize' }),
]
const tasks = [binary('click'), binary('buy', { weight: 0.5, weightColumn: 'weight' })] as const
// tanh: a relu at its kink may fall to either side.
const common = {
  features,
  tasks,
  activation: 'tanh',
  towerHiddenUnits: [4],
  seed: 5,
  l2: { embedding: 1e-4, kernel: 1e-3 },
} as const
const experts = { ...common, expertHiddenUnits: [12, 8], gateBias: true } as const
const steering = {
  gateTemperature: { schedule: 'linear', start: 3, end: 0.5, epochs: 2 },
  gateNoise: 0.2,
  gateDropout: 0.3,
} as const
const funnel = [binary('click'), binary('both', { label: 'buy' })] as const
const kinds = [binary('click'), regression('time'), multiclass('kind', { classes: ['a', 'b', 'c'] })] as const

const losses = [
  binary('click', { focal: { gamma: 2, alpha: 0.3 }, labelSmoothing: 0.1 }),
  binary('buy', { where: { click: 1 }, outsideWeight: 0.5, positiveWeight: 2, atMost: 'click' }),
  binary('rare', { label: 'buy', negativeRate: 0.2 }),
  regression('huber', { label: 'time', loss: 'huber', transform: 'standardize' }),
  regression('quantile', { label: 'time', loss: { kind: 'quantile', quantile: 0.8 } }),
  regression('logCosh', { label: 'spent', loss: 'logCosh', transform: 'log1pStandardize' }),
  regression('poisson', { label: 'spent', loss: 'poisson', where: { kind: ['a', 'b'] } }),
  regression('tweedie', { label: 'spent', loss: 'tweedie' }),
  regression('odds', { label: 'spent', loss: 'weightedLogistic' }),
  regression('ziln', { label: 'spent', loss: 'ziln' }),
  regression('buckets', { label: 'spent', loss: { kind: 'buckets', count: 6 } }),
] as const

type Any = Model<readonly never[], never>
type Make = (compute: ComputeOptions) => unknown

const family: Readonly<Record<string, Make>> = {
  MMoE: (compute) => new MMoE({ ...experts, numExperts: 3, gateHiddenUnits: [6], ...compute }),
  'MMoE with dropout and exact updates': (compute) =>
    new MMoE({ ...experts, numExperts: 3, dropout: 0.2, sparseUpdate: 'exact', ...compute }),
  'MMoE with gates that are steered': (compute) =>
    new MMoE({ ...experts, ...steering, numExperts: 3, gateHiddenUnits: [6], ...compute }),
  'PLE with gates that are steered': (compute) =>
    new PLE({ ...experts, ...steering, numSharedExperts: 2, numSpecificExperts: [0, 2], numLevels: 2, ...compute }),
  'MMoE of every kind of task': (compute) => new MMoE({ ...experts, tasks: kinds, numExperts: 3, ...compute }),
  'MMoE of every loss': (compute) => new MMoE({ ...experts, tasks: losses, numExperts: 3, ...compute }),
  PLE: (compute) => new PLE({ ...experts, numSharedExperts: 2, numSpecificExperts: [0, 2], numLevels: 2, ...compute }),
  'PLE with fusion': (compute) =>
    new PLE({ ...experts, numSharedExperts: 1, numSpecificExperts: 1, numLevels: 2, fusion: ['product', 'sum'], ...compute }),
  SharedBottom: (compute) => new SharedBottom({ ...common, bottomHiddenUnits: [16, 8], ...compute }),
  ESMM: (compute) => new ESMM({ ...common, tasks: funnel, towerHiddenUnits: [16], ...compute }),
}

const made = (name: string, compute: ComputeOptions): Any => family[name]?.(compute) as Any
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')

interface Ending {
  readonly losses: readonly number[]
  readonly scores: Readonly<Record<string, Float32Array>>
  readonly metrics: unknown
  readonly path: string
}

async function trained(
  model: Any,
  optimizer: Optimizer = adam({ learningRate: 0.01 }),
  options: FitOptions = {},
): Promise<Ending> {
  const { epochs } = await model.fit(train, { batchSize, epochs: 2, optimizer, ...options })
  const { tasks: metrics } = await model.evaluate(test)
  const path = newPath()
  await model.save(path)
  return { losses: epochs.map(({ loss }) => loss), scores: await model.predict(test), metrics, path }
}

function expectClose(
  got: Readonly<Record<string, Float32Array>>,
  want: Readonly<Record<string, Float32Array>>,
  limit: number,
): void {
  expect(Object.keys(got)).toEqual(Object.keys(want))
  for (const [name, values] of Object.entries(want)) {
    const errors = values.map((value, index) => Math.abs((got[name]?.[index] ?? NaN) - value))
    expect(Math.max(...errors), name).toBeLessThan(limit)
  }
}

async function tensorsOf(path: string): Promise<Map<string, unknown>> {
  const { tensors } = await readSafetensors(path)
  return new Map([...tensors].map(([name, { data }]) => [name, data]))
}

describe.skipIf(!usable)(onCuda('models on cuda'), () => {
  it.each(Object.keys(family))('%s trains and scores as on the CPU, and its file goes both ways', async (name) => {
    using cpu = made(name, { device: 'cpu' })
    using cuda = made(name, { device: 'cuda' })
    expect(cuda.device.name).toBe('cuda')
    const [want, got] = [await trained(cpu), await trained(cuda)]
    got.losses.forEach((loss, epoch) => {
      expect(loss).toBeCloseTo(want.losses[epoch] ?? NaN, 4)
    })
    expectClose(got.scores, want.scores, 1e-3)

    using there = await loadModel(got.path, { device: 'cpu' })
    expectClose(await there.predict(test), got.scores, 1e-5)
    const path = newPath()
    await there.save(path)
    expect(await tensorsOf(path)).toEqual(await tensorsOf(got.path))
    using back = await loadModel(path, { device: 'cuda' })
    expect(await back.predict(test)).toEqual(got.scores)
    expect((await back.evaluate(test)).tasks).toEqual(got.metrics)
  })

  it.each([
    adagrad({ learningRate: 0.05 }),
    rmsprop({ learningRate: 0.003, momentum: 0.5, centered: true }),
    ftrl({ learningRate: 0.1 }),
    sgd({ learningRate: 0.1, momentum: 0.9, nesterov: true }),
    adam({ learningRate: 0.01, form: 'torch' }),
  ])('$name moves the weights as on the CPU', async (optimizer) => {
    using cpu = made('MMoE', { device: 'cpu' })
    using cuda = made('MMoE', { device: 'cuda' })
    expectClose((await trained(cuda, optimizer)).scores, (await trained(cpu, optimizer)).scores, 1e-3)
  })

  it.each(['MMoE', 'MMoE with dropout and exact updates'])(
    'row-wise Adagrad moves the tables of %s as on the CPU',
    async (name) => {
      const optimizers = { embedding: rowwiseAdagrad({ learningRate: 0.05 }) }
      using cpu = made(name, { device: 'cpu' })
      using cuda = made(name, { device: 'cuda' })
      const [there, here] = [await trained(cpu, adam(), { optimizers }), await trained(cuda, adam(), { optimizers })]
      expectClose(here.scores, there.scores, 1e-3)
    },
  )

  it('two runs end with the same bits', async () => {
    using one = made('MMoE with dropout and exact updates', { device: 'cuda' })
    using two = made('MMoE with dropout and exact updates', { device: 'cuda', threads: 3 })
    const [first, second] = [await trained(one), await trained(two)]
    expect(second.losses).toEqual(first.losses)
    expect(await tensorsOf(second.path)).toEqual(await tensorsOf(first.path))
  })

  it.each(['tf32', 'bfloat16'] as const)('%s stays near float32', async (precision) => {
    using cpu = made('PLE', { device: 'cpu' })
    using cuda = made('PLE', { device: 'cuda', precision })
    const [want, got] = [await trained(cpu), await trained(cuda)]
    expectClose(got.scores, want.scores, 3e-2)
    expect(got.scores).not.toEqual(want.scores)
  })

  it.each(['uncertainty', 'famo', { method: 'upgrad', on: 'representation' }, { method: 'upgrad', on: 'parameters' }] as const)(
    'balances tasks by %o as on the CPU',
    async (balance) => {
      for (const name of ['MMoE of every kind of task', 'PLE', 'SharedBottom']) {
        using cpu = made(name, { device: 'cpu' })
        using cuda = made(name, { device: 'cuda' })
        const options = { batchSize, epochs: 2, balance, optimizer: sgd({ learningRate: 0.05 }) }
        const [want, got] = [await cpu.fit(train, options), await cuda.fit(train, options)]
        for (const [epoch, { balance: record }] of want.epochs.entries()) {
          for (const [task, weight] of Object.entries(record?.weights ?? {}))
            expect(got.epochs[epoch]?.balance?.weights[task], `${name} ${task}`).toBeCloseTo(weight, 2)
        }
        expectClose(await cuda.predict(test), await cpu.predict(test), 1e-2)
      }
    },
  )

  const scored = Object.keys(family).filter((name) => name !== 'MMoE of every loss') // refused beside changed labels
  it.each(scored)('%s: metrics of training are those of the CPU, and change no bit', async (name) => {
    const options = { batchSize, epochs: 2 }
    using cpu = made(name, { device: 'cpu' })
    using plain = made(name, { device: 'cuda' })
    using cuda = made(name, { device: 'cuda' })
    const want = await cpu.fit(train, { ...options, trainingMetrics: true })
    const got = await cuda.fit(train, { ...options, trainingMetrics: true })
    await plain.fit(train, options)
    expect(await cuda.predict(test)).toEqual(await plain.predict(test))
    for (const [epoch, { metrics }] of want.epochs.entries()) {
      expect(Object.keys(got.epochs[epoch]?.metrics ?? {})).toEqual(Object.keys(metrics))
      for (const [metric, value] of Object.entries(metrics))
        expect(got.epochs[epoch]?.metrics[metric], metric).toBeCloseTo(value, 2)
    }
  })

  it("'auto' takes the GPU", () => {
    using model = made('MMoE', {})
    expect(model.device).toEqual(expect.objectContaining({ name: 'cuda', reason: undefined }))
  })
})
