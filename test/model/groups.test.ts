// Groups of weights in training: frozen ones, and those with a rate or an optimizer of their own.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import {
  adagrad,
  adam,
  adamw,
  binary,
  CGC,
  checkpoint,
  Dataset,
  dense,
  ESMM,
  type FitOptions,
  MMoE,
  type Model,
  OMoE,
  PLE,
  SharedBottom,
  SingleTask,
  sgd,
  sparse,
} from '../../lib/index.js'
import { readSafetensors } from '../../lib/io/safetensors.js'
import { builtOf } from '../../lib/model/model.js'
import { models } from '../../lib/models/registry.js'
import type { DeviceName } from '../../lib/native/binding.js'
import type { ComputeOptions } from '../../lib/runtime/compute.js'
import { Groups } from '../../lib/training/groups.js'
import { lowerStep, stepOptions } from '../../lib/training/step-program.js'
import { refusal } from '../support/refusal.js'
import { columns, data } from '../support/small-data.js'

const train = data({ rows: 200, missing: 0.1 })
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')

const features = [
  sparse('user', { vocabulary: 30, dim: 4 }),
  sparse('city', { dim: 3 }),
  dense('price', { transform: 'standardize' }),
]
const tasks = [binary('click'), binary('buy', { weight: 0.5 })] as const
const common = {
  features,
  tasks,
  activation: 'tanh',
  bottomHiddenUnits: [6],
  towerHiddenUnits: [4],
  dropout: 0.2,
  seed: 5,
  l2: { embedding: 1e-3, kernel: 1e-3 },
} as const
const experts = { ...common, expertHiddenUnits: [7, 5], gateHiddenUnits: [6], gateBias: true } as const

type Any = Model<readonly never[], never>
const family: Readonly<Record<string, (compute: ComputeOptions) => unknown>> = {
  MMoE: (compute) => new MMoE({ ...experts, numExperts: 3, ...compute }),
  OMoE: (compute) => new OMoE({ ...experts, numExperts: 3, ...compute }),
  CGC: (compute) =>
    new CGC({
      ...experts,
      expertHiddenUnits: [5],
      gateHiddenUnits: [],
      numSharedExperts: 2,
      numSpecificExperts: [2, 1],
      ...compute,
    }),
  PLE: (compute) => new PLE({ ...experts, numSharedExperts: 1, numSpecificExperts: [0, 2], numLevels: 3, ...compute }),
  'PLE with fusion': (compute) =>
    new PLE({ ...experts, numSharedExperts: 1, numSpecificExperts: 1, fusion: ['sum', 'product', 'concat'], ...compute }),
  SharedBottom: (compute) => new SharedBottom({ ...common, ...compute }),
  SingleTask: (compute) => new SingleTask({ ...common, tasks: [binary('click')], ...compute }),
  ESMM: (compute) =>
    new ESMM({ ...common, tasks: [binary('click'), binary('buy'), binary('both', { label: 'buy' })], ...compute }),
}

const devices: DeviceName[] = ['cpu', 'reference', ...(process.env.MULTIGATE_TEST_CUDA === '1' ? (['cuda'] as const) : [])]

type Weights = ReadonlyMap<string, readonly number[]>

async function weightsOf(model: Any): Promise<Weights> {
  const path = newPath()
  await model.save(path)
  const { tensors } = await readSafetensors(path)
  return new Map(
    [...tensors].flatMap(([name, { data: values }]) =>
      name.startsWith('vocabulary') ? [] : [[name, [...(values as Float32Array)]]],
    ),
  )
}

/** Weights before and after these calls of `fit`. */
async function trained(make: (compute: ComputeOptions) => unknown, compute: ComputeOptions, ...fits: FitOptions[]) {
  using model = make(compute) as Any
  await model.build(train)
  const before = await weightsOf(model)
  for (const options of fits) await model.fit(train, { batchSize: 64, ...options })
  return { before, after: await weightsOf(model) }
}

/** The group of a saved array, and its longer name. */
function groupsOf(name: string): string[] {
  const [, group = '', rest = ''] = /^(?:level\.\d+\.)?(embedding|bottom|expert|gate|tower)(?:\.([^.]*))?/.exec(name) ?? []
  return [group, `${group}.${rest}`]
}

function distance(one: readonly number[], other: readonly number[]): number {
  const norm = (values: readonly number[]): number => Math.hypot(...values)
  return norm(one.map((value, index) => value - (other[index] ?? NaN))) / Math.max(norm(other), 1e-3)
}

const frozenSets = [
  ['embedding'],
  ['bottom'],
  ['expert'],
  ['gate'],
  ['tower'],
  ['tower.click'],
  ['embedding.user', 'bottom'],
  ['embedding.city'],
  ['embedding', 'bottom', 'expert', 'gate'],
  ['embedding', 'bottom', 'expert', 'gate', 'tower.click'],
  ['bottom', 'expert', 'gate', 'tower'],
] as const

describe.each(devices)('frozen groups on %s', (device) => {
  it.each(Object.keys(family))('%s', async (name) => {
    const make = family[name] as (compute: ComputeOptions) => unknown
    const step = { epochs: 1, batchSize: 200, optimizer: sgd({ learningRate: 0.1 }) }
    const whole = await trained(make, { device }, step)
    for (const freeze of frozenSets) {
      const isFrozen = (weight: string): boolean =>
        groupsOf(weight).some((group) => (freeze as readonly string[]).includes(group))
      const names = [...whole.before.keys()]
      if (names.every(isFrozen)) continue
      // One step of descent moves the others as if nothing were frozen.
      const once = await trained(make, { device }, { ...step, freeze })
      for (const [weight, values] of once.after) {
        if (isFrozen(weight)) expect(values, `${freeze}: ${weight}`).toEqual(once.before.get(weight))
        else expect(distance(values, whole.after.get(weight) ?? []), `${freeze}: ${weight}`).toBeLessThan(1e-6)
      }
      // Nothing moves them, momentum and decay least of all.
      const often = await trained(make, { device }, { epochs: 2, optimizer: adamw({ learningRate: 0.01 }), freeze })
      for (const [weight, values] of often.after) {
        const before = often.before.get(weight)
        if (isFrozen(weight)) expect(values, `${freeze}: ${weight}`).toEqual(before)
        else if (!weight.endsWith('bias')) expect(values, `${freeze}: ${weight}`).not.toEqual(before)
      }
    }
  })
})

describe('what is frozen costs nothing', () => {
  const all = { optimizer: adam(), optimizers: {}, rates: {} }
  const { features: _, tasks: __, ...rest } = experts
  const own = { ...rest, gateHiddenUnits: [], expertHiddenUnits: [5], numExperts: 3, l2: {} }
  const lowered = async (freeze: Groups['options']['freeze']) => {
    using model = new MMoE({ features, tasks, ...own })
    await model.build(train)
    const path = newPath()
    await model.fit(train, { freeze, callbacks: [checkpoint({ path })] })
    const { tensors } = await readSafetensors(path)
    const moments = [...tensors]
      .filter(([name]) => name.startsWith('training.moment'))
      .map(([, { shape }]) => shape.reduce((a, b) => a * b))
    return { built: builtOf(model), elements: moments.reduce((a, b) => a + b, 0) }
  }

  it('has no moments', async () => {
    const none = await lowered([])
    const body = await lowered(['embedding', 'bottom', 'expert', 'gate'])
    // Two moments of two towers: kernels [5, 4] and [4, 1], biases [4] and [1], each in a place of a multiple of 16 elements.
    expect(body.elements).toBe(2 * 2 * (32 + 16 + 16 + 16))
    expect(none.elements).toBeGreaterThan(3 * body.elements)
  })

  it.each<[string, Groups['options']['freeze'], Record<string, number>]>([
    ['nothing', [], { mixture_backward: 1, dense_backward: 1 + 2 * 2, optimize: 1, embedding_update: 2 }],
    [
      'the body',
      ['embedding', 'bottom', 'expert', 'gate'],
      { mixture_backward: 0, dense_backward: 2 * 2, optimize: 1, embedding_update: 0 },
    ],
    [
      'all but a tower',
      ['embedding', 'bottom', 'expert', 'gate', 'tower.buy'],
      { mixture_backward: 0, dense_backward: 2, optimize: 1 },
    ],
    ['bottom and a tower', ['bottom', 'tower.click'], { mixture_backward: 1, optimize: 2, embedding_update: 2 }],
  ])('has no backward pass that only frozen weights would need: %s', async (_, freeze, counts) => {
    const { built } = await lowered([])
    const { features, tasks } = built.encoder
    const groups = new Groups({ ...all, freeze })
    const options = models.MMoE.parse(own as never)
    const network = models.MMoE.lower(options, { features, tasks, isFrozen: (weights) => groups.of(weights) === null })
    expect(network.parameters).toEqual(built.runner.network.parameters)
    const { ops } = lowerStep(network, stepOptions(options, groups.of)).spec
    for (const [name, count] of Object.entries(counts))
      expect(
        ops.filter(({ op }) => op === name),
        name,
      ).toHaveLength(count)
  })
})

describe('rates', () => {
  const optimizer = adam({ learningRate: 0.02 })
  const make = family['PLE'] as (compute: ComputeOptions) => unknown

  it('of all groups alike are another learning rate, to the bit', async () => {
    const rates = { embedding: 0.5, bottom: 0.5, expert: 0.5, gate: 0.5, tower: 0.5 }
    const { after } = await trained(make, {}, { epochs: 3, optimizer, rates })
    expect(after).toEqual((await trained(make, {}, { epochs: 3, optimizer: adam({ learningRate: 0.01 }) })).after)
    expect(after).not.toEqual((await trained(make, {}, { epochs: 3, optimizer })).after)
  })

  it.each(['embedding', 'bottom', 'expert', 'gate', 'tower', 'tower.buy', 'embedding.user'] as const)(
    'of %s are its own',
    async (group) => {
      const step = { batchSize: 200, optimizer: sgd({ learningRate: 0.1 }) }
      const { after } = await trained(make, {}, { ...step, rates: { [group]: 0.25 } })
      const [fast, slow] = [
        await trained(make, {}, step),
        await trained(make, {}, { ...step, optimizer: sgd({ learningRate: 0.025 }) }),
      ]
      for (const [weight, values] of after) {
        expect(values, weight).toEqual((groupsOf(weight).includes(group) ? slow : fast).after.get(weight))
      }
    },
  )

  it('of a tower go before those of all towers', async () => {
    const step = { batchSize: 200, optimizer: sgd({ learningRate: 0.1 }) }
    const { after } = await trained(make, {}, { ...step, rates: { tower: 0.5, 'tower.buy': 0.25, embedding: 1 } })
    const only = async (rates: object) => (await trained(make, {}, { ...step, rates })).after
    const [half, quarter] = [await only({ tower: 0.5 }), await only({ tower: 0.25 })]
    expect(after.get('tower.click.0.kernel')).toEqual(half.get('tower.click.0.kernel'))
    expect(after.get('tower.buy.0.kernel')).toEqual(quarter.get('tower.buy.0.kernel'))
  })
})

/**
 * Two embeddings, a number and a tower without hidden layers: logistic regression, trained here in float64 with plain loops. Adagrad for
 * the table of users, frozen cities, Adam for the tower, both along a schedule.
 */
describe('optimizers of groups', () => {
  const rows = 120
  const raw = columns({ rows, seed: 3 })
  const [user, price, click] = [raw['user'] as Int32Array, raw['price'] as Float64Array, raw['click'] as number[]]
  const plain = Dataset.fromColumns({
    user: [...user],
    city: [...user].map((id) => id % 3),
    price: [...price].map((p) => p / 100 - 1),
    click,
  })
  const make = (compute: ComputeOptions) =>
    new SingleTask({
      features: [
        sparse('user', { vocabulary: 30, dim: 2 }),
        sparse('city', { vocabulary: 3, dim: 2 }),
        dense('price', { transform: 'none' }),
      ],
      tasks: [binary('click')],
      ...compute,
    })
  const schedule = { schedule: 'polynomial', rate: 0.1, steps: 10, end: 0.01, warmup: 2 } as const
  const options = {
    epochs: 3,
    batchSize: 30,
    shuffle: false,
    optimizer: adam({ learningRate: schedule }),
    optimizers: { embedding: adagrad({ learningRate: 0.2 }) },
    rates: { 'embedding.user': 0.5 },
    freeze: ['embedding.city'],
  } as const

  it.each(devices)('follow their own formulas on %s', async (device) => {
    using model = make({ device })
    await model.build(plain)
    const before = await weightsOf(model as never)
    const { epochs } = await model.fit(plain, options)
    const after = await weightsOf(model as never)
    const [table, cities, kernel, bias] = ['embedding.user', 'embedding.city', 'tower.click.0.kernel', 'tower.click.0.bias'].map(
      (name) => [...(before.get(name) ?? [])],
    ) as [number[], number[], number[], number[]]
    const accumulated = table.map(() => 0.1)
    const [w, m, v] = [[...kernel, ...bias], Array.from({ length: 6 }, () => 0), Array.from({ length: 6 }, () => 0)]
    for (let t = 0; t < 12; t += 1) {
      const of = (t % 4) * 30
      const gradient = w.map(() => 0)
      const ofTable = new Map<number, number[]>()
      for (let row = of; row < of + 30; row += 1) {
        const id = user[row] as number
        const x = [
          ...table.slice(2 * id, 2 * id + 2),
          ...cities.slice(2 * (id % 3), 2 * (id % 3) + 2),
          (price[row] as number) / 100 - 1,
          1,
        ]
        const z = x.reduce((sum, value, index) => sum + value * (w[index] as number), 0)
        const dz = (1 / (1 + Math.exp(-z)) - (click[row] as number)) / 30
        x.forEach((value, index) => {
          gradient[index] = (gradient[index] as number) + dz * value
        })
        const own = ofTable.get(id) ?? [0, 0]
        ofTable.set(
          id,
          [0, 1].map((index) => (own[index] as number) + dz * (w[index] as number)),
        )
      }
      for (const [id, own] of ofTable) {
        own.forEach((g, index) => {
          const at = 2 * id + index
          accumulated[at] = (accumulated[at] as number) + g * g
          table[at] = (table[at] as number) - (0.5 * 0.2 * g) / Math.sqrt((accumulated[at] as number) + 1e-7)
        })
      }
      const rate = t < 2 ? (0.1 * (t + 1)) / 2 : 0.01 + 0.09 * (1 - (t - 2) / 10)
      gradient.forEach((g, index) => {
        m[index] = 0.9 * (m[index] as number) + 0.1 * g
        v[index] = 0.999 * (v[index] as number) + 0.001 * g * g
        const [mean, square] = [(m[index] as number) / (1 - 0.9 ** (t + 1)), (v[index] as number) / (1 - 0.999 ** (t + 1))]
        // Keras adds epsilon to the uncorrected root.
        w[index] = (w[index] as number) - (rate * mean) / (Math.sqrt(square) + 1e-7 / Math.sqrt(1 - 0.999 ** (t + 1)))
      })
    }
    const tolerance = device === 'reference' ? 1e-7 : 1e-5
    expect(distance(after.get('embedding.user') ?? [], table)).toBeLessThan(tolerance)
    expect(distance(after.get('tower.click.0.kernel') ?? [], w.slice(0, 5))).toBeLessThan(tolerance)
    expect(distance(after.get('tower.click.0.bias') ?? [], w.slice(5))).toBeLessThan(tolerance)
    expect(after.get('embedding.city')).toEqual(before.get('embedding.city'))
    expect(epochs.map(({ learningRate }) => learningRate)[2]).toBeCloseTo(0.01 + 0.09 * 0.1, 12)
  })

  it('the same as the optimizer are no others, to the bit', async () => {
    const optimizer = adam({ learningRate: 0.02 })
    const ple = family['PLE'] as (compute: ComputeOptions) => unknown
    const { after } = await trained(
      ple,
      {},
      { epochs: 2, optimizer, optimizers: { gate: adam({ learningRate: 0.02 }), embedding: optimizer } },
    )
    expect(after).toEqual((await trained(ple, {}, { epochs: 2, optimizer })).after)
  })
})

const groups = {
  batchSize: 32,
  optimizer: adam({ learningRate: 0.02 }),
  optimizers: { embedding: adagrad({ learningRate: 0.1 }), 'tower.buy': sgd({ learningRate: 0.1, momentum: 0.9 }) },
  rates: { gate: 0.5, 'tower.click': 2, 'embedding.city': 0.1 },
  freeze: ['bottom', 'embedding.user'],
} as const

it('give the same bits for any number of threads', async () => {
  const make = family['PLE'] as (compute: ComputeOptions) => unknown
  const one = await trained(make, { threads: 1 }, { ...groups, epochs: 3, batchSize: 190 })
  expect(await trained(make, { threads: 2 }, { ...groups, epochs: 3, batchSize: 190 })).toEqual(one)
})

describe('a resumed run', () => {
  const make = family['CGC'] as (compute: ComputeOptions) => unknown

  it('equals one without a break', async () => {
    const path = newPath()
    const whole = await trained(make, {}, { ...groups, epochs: 4 })
    await trained(make, {}, { ...groups, epochs: 2, callbacks: [checkpoint({ path })] })
    using model = make({}) as Any
    await model.fit(train, { ...groups, epochs: 4, resume: path, rates: { ...groups.rates } })
    expect(await weightsOf(model)).toEqual(whole.after)
  })

  it.each<[string, FitOptions, string[]]>([
    ['other frozen groups', { ...groups, freeze: ['bottom'] }, ['freeze.1', 'embedding.user']],
    [
      'another optimizer of a group',
      { ...groups, optimizers: { ...groups.optimizers, embedding: adam() } },
      ['optimizers.embedding.name', 'adagrad'],
    ],
    ['no optimizer of a group', { ...groups, optimizers: { embedding: groups.optimizers.embedding } }, ['optimizers.tower.buy']],
  ])('with %s is refused', async (_, options, says) => {
    const path = newPath()
    await trained(make, {}, { ...groups, callbacks: [checkpoint({ path })] })
    using model = make({}) as Any
    const run = model.fit(train, { ...options, epochs: 2, resume: path })
    await expect(run).rejects.toEqual(refusal('ARGUMENT', { field: 'fit.resume', says }))
  })
})

describe('a task', () => {
  const make = family['CGC'] as (compute: ComputeOptions) => unknown
  const optimizer = adam({ learningRate: 0.01 })

  it('is stopped while the others go on', async () => {
    using model = make({}) as Any
    await model.fit(train, { optimizer })
    const before = await weightsOf(model)
    const { epochs } = await model.fit(train, { optimizer, freeze: ['tower.buy'], taskWeights: { buy: 0 }, validation: train })
    const after = await weightsOf(model)
    expect(after.get('tower.buy.0.kernel')).toEqual(before.get('tower.buy.0.kernel'))
    expect(after.get('tower.click.0.kernel')).not.toEqual(before.get('tower.click.0.kernel'))
    // The gate of the task sees no gradient any more; only its penalty moves it.
    expect(distance(after.get('gate.buy.kernel') ?? [], before.get('gate.buy.kernel') ?? [])).toBeGreaterThan(0)
    const { metrics } = epochs[0] as (typeof epochs)[number]
    const l2 = [...after]
      .filter(([name]) => /kernel|embedding/.test(name))
      .reduce((sum, [, values]) => sum + 1e-3 * Math.hypot(...values) ** 2, 0)
    expect(metrics['val_loss']).toBeCloseTo((metrics['val_click_loss'] ?? NaN) + l2, 4)
    expect(metrics['val_buy_loss']).toBeGreaterThan(0)
  })

  it('is added: its tower learns on a frozen body', async () => {
    using model = new SharedBottom({ features, tasks, bottomHiddenUnits: [8], towerHiddenUnits: [4], seed: 1 })
    await model.fit(train, { optimizer, epochs: 3, freeze: ['tower.buy'], taskWeights: { buy: 0 } })
    const scores = (await model.predict(train)).click
    const { epochs } = await model.fit(train, { optimizer, epochs: 5, freeze: ['embedding', 'bottom', 'tower.click'] })
    expect((await model.predict(train)).click).toEqual(scores)
    expect(epochs.at(-1)?.tasks.buy.loss).toBeLessThan(epochs[0]?.tasks.buy.loss ?? 0)
  })
})

describe('wrong groups are named', () => {
  it.each<[FitOptions, string, string | string[]]>([
    [{ freeze: ['towers' as 'tower'] }, 'fit.freeze[0]', ["'tower'", '"towers"']],
    [{ freeze: ['tower.price'] }, 'fit.freeze[0]', ['tower.click', '"tower.price"']],
    [{ freeze: ['embedding.price'] }, 'fit.freeze[0]', 'embedding.user'],
    [{ freeze: ['embedding', 'bottom', 'expert', 'gate', 'tower'] }, 'fit.freeze', 'train'],
    [{ freeze: 'tower' as never }, 'fit.freeze', '"tower"'],
    [{ rates: { body: 1 } as never }, 'fit.rates.body', '"body"'],
    [{ rates: { tower: 0 } }, 'fit.rates.tower', '0'],
    [{ rates: { tower: '1' as never } }, 'fit.rates.tower', '"1"'],
    [{ optimizers: { embeddings: adagrad() } as never }, 'fit.optimizers.embeddings', "'embedding'"],
    [{ optimizers: { embedding: { name: 'adagrd' } as never } }, 'fit.optimizers.embedding.name', '"adagrd"'],
    [{ taskWeights: { clik: 1 } }, 'fit.taskWeights.clik', 'click'],
    [{ taskWeights: { click: -1 } }, 'fit.taskWeights.click', '-1'],
    [{ taskWeights: { click: 0, buy: 0 } }, 'fit.taskWeights', '0'],
  ])('%o', async (options, field, says) => {
    using model = new SharedBottom({ features, tasks, bottomHiddenUnits: [4] })
    await expect(model.fit(train, options)).rejects.toEqual(refusal('ARGUMENT', { field, says }))
    expect(model.built).toBe(false)
  })
})
