// Gradients that are limited before the optimizers see them.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { Layout } from '../../lib/core/layout.js'
import { ProgramBuilder } from '../../lib/core/program.js'
import {
  adam,
  binary,
  type ClipOptions,
  checkpoint,
  Dataset,
  dense,
  type FitOptions,
  MMoE,
  type Optimizer,
  sgd,
  sparse,
} from '../../lib/index.js'
import { updateFields, updateRule } from '../../lib/layers/update.js'
import { builtOf } from '../../lib/model/model.js'
import type { DeviceName } from '../../lib/native/binding.js'
import { loadNative } from '../../lib/native/loader.js'
import { weightsOf } from '../../lib/runtime/weights.js'
import { choiceOf, places } from '../support/places.js'
import { refusal } from '../support/refusal.js'
import { data } from '../support/small-data.js'

const train = data({ rows: 150 })
const devices: DeviceName[] = ['cpu', 'reference', ...(process.env.MULTIGATE_TEST_CUDA === '1' ? (['cuda'] as const) : [])]

/** Weights before and after one `fit`. */
async function trained(options: FitOptions, make: object = {}, builds = true) {
  using model = new MMoE({
    features: [sparse('user', { vocabulary: 30, dim: 4 }), sparse('city', { dim: 3 }), dense('price')],
    tasks: [binary('click'), binary('buy', { weight: 0.5 })],
    bottomHiddenUnits: [6],
    expertHiddenUnits: [5],
    numExperts: 2,
    l2: { embedding: 0.1, kernel: 0.1 },
    activation: 'tanh',
    seed: 5,
    ...make,
  })
  if (builds) await model.build(train)
  const read = (): Map<string, number[]> => {
    const { network, weights } = builtOf(model as never).runner
    return new Map(weightsOf(network).map((weight) => [weight.name, [...weights.parts(weight)].flatMap((part) => [...part])]))
  }
  const before = builds ? read() : new Map<string, number[]>()
  const history = await model.fit(train, { batchSize: 150, ...options })
  return { before, after: read(), history }
}

describe.each(devices)('clip by value on %s', (device) => {
  it.each<[string, object, FitOptions]>([
    ['lazy tables', {}, {}],
    ['exact tables', { sparseUpdate: 'exact' }, {}],
    ['tasks balanced by their gradients', {}, { balance: 'pcgrad' }],
  ])('limits each element of the whole gradient, penalties included: %s', async (_, make, how) => {
    const [rate, value] = [0.5, 0.02]
    const step = { ...how, optimizer: sgd({ learningRate: rate }) }
    const whole = await trained(step, { ...make, device })
    const limited = await trained({ ...step, clip: { value } }, { ...make, device })
    let [inside, outside] = [0, 0]
    for (const [name, start] of whole.before) {
      start.forEach((w, index) => {
        const gradient = (w - (whole.after.get(name)?.[index] ?? NaN)) / rate
        const expected = w - rate * Math.min(value, Math.max(-value, gradient))
        if (Math.abs(gradient) > value) outside += 1
        else if (gradient !== 0) inside += 1
        expect(Math.abs((limited.after.get(name)?.[index] ?? NaN) - expected), `${name}[${index}]`).toBeLessThan(2e-7)
      })
    }
    expect(inside).toBeGreaterThan(100)
    expect(outside).toBeGreaterThan(30)
  })
})

/** The plain gradient of each weight, from a step of gradient descent. */
function gradientOf({ before, after }: Awaited<ReturnType<typeof trained>>, rate: number): Map<string, number[]> {
  return new Map([...before].map(([name, start]) => [name, start.map((w, at) => (w - (after.get(name)?.[at] ?? NaN)) / rate)]))
}

const lengthOf = (gradients: Iterable<readonly number[]>): number => Math.hypot(...[...gradients].flat())

describe.each(devices)('clip by norm on %s', (device) => {
  const rate = 0.5
  const optimizer = sgd({ learningRate: rate })

  it.each<[string, object, FitOptions]>([
    ['lazy tables', {}, {}],
    ['exact tables with penalties', { sparseUpdate: 'exact' }, {}],
    ['exact tables without', { sparseUpdate: 'exact', l2: {} }, {}],
    ['tasks balanced by their gradients', {}, { balance: 'pcgrad' }],
    ['frozen groups, which do not count', {}, { freeze: ['embedding.user', 'expert'] }],
    ['tables alone', {}, { freeze: ['bottom', 'expert', 'gate', 'tower'] }],
    ['dense weights alone', {}, { freeze: ['embedding'] }],
  ])('multiplies the whole gradient by norm / length: %s', async (_, make, how) => {
    const whole = await trained({ ...how, optimizer }, { ...make, device })
    const gradient = gradientOf(whole, rate)
    const length = lengthOf(gradient.values())
    const limited = await trained({ ...how, optimizer, clip: { norm: length / 3 } }, { ...make, device })
    for (const [name, start] of whole.before) {
      start.forEach((w, at) => {
        const expected = w - (rate * (gradient.get(name)?.[at] ?? NaN)) / 3
        expect(Math.abs((limited.after.get(name)?.[at] ?? NaN) - expected), `${name}[${at}]`).toBeLessThan(2e-7)
      })
    }
    const found = limited.history.epochs[0]?.gradientNorm
    expect(found).toEqual({ mean: found?.largest, largest: found?.mean, clipped: 1 })
    expect((found?.mean ?? NaN) / length).toBeCloseTo(1, 5)
    const free = await trained({ ...how, optimizer, clip: { norm: length * 2 } }, { ...make, device })
    expect(free.after).toEqual(whole.after)
    expect(free.history.epochs[0]?.gradientNorm?.clipped).toBe(0)
  })

  it.each<[string, FitOptions]>([
    ['fixed', {}],
    ['pcgrad', { balance: 'pcgrad' }],
  ])('limits the gradient of each task, then adds: %s', async (_, how) => {
    const make = { device, l2: {} }
    const alone = async (task: string): Promise<Map<string, number[]>> => {
      const other = task === 'click' ? 'buy' : 'click'
      return gradientOf(await trained({ optimizer, taskWeights: { [other]: 0 } }, make), rate)
    }
    const [click, buy] = [await alone('click'), await alone('buy')]
    const shared = (gradient: ReadonlyMap<string, number[]>): number[] => {
      return [...gradient].flatMap(([name, values]) => (/^(bottom|expert)/.test(name) ? values : []))
    }
    const dot = (one: readonly number[], other: readonly number[]): number => {
      return one.reduce((sum, value, at) => sum + value * (other[at] ?? NaN), 0)
    }
    const lengths = [lengthOf([shared(click)]), lengthOf([shared(buy)])] as const
    // One is limited, the other is not.
    const taskNorm = (lengths[0] + lengths[1]) / 2
    const shares = lengths.map((length) => Math.min(1, taskNorm / length)) as [number, number]
    expect(shares.filter((share) => share < 1)).toHaveLength(1)
    const against = how.balance === undefined ? 0 : Math.min(0, shares[0] * shares[1] * dot(shared(click), shared(buy)))
    const factors = shares.map((share, task) => share * (1 - against / (share * (lengths[task] ?? NaN)) ** 2))
    const limited = await trained({ ...how, optimizer, clip: { taskNorm } }, make)
    for (const [name, start] of limited.before) {
      start.forEach((w, at) => {
        const gradient = (factors[0] ?? NaN) * (click.get(name)?.[at] ?? NaN) + (factors[1] ?? NaN) * (buy.get(name)?.[at] ?? NaN)
        expect(Math.abs((limited.after.get(name)?.[at] ?? NaN) - (w - rate * gradient)), `${name}[${at}]`).toBeLessThan(1e-6)
      })
    }
    const { norms, weights } = limited.history.epochs[0]?.balance ?? {}
    expect((norms?.click ?? NaN) / lengths[0]).toBeCloseTo(1, 5)
    expect((norms?.buy ?? NaN) / lengths[1]).toBeCloseTo(1, 5)
    expect(weights?.click).toBeCloseTo(factors[0] ?? NaN, 5)
    expect(weights?.buy).toBeCloseTo(0.5 * (factors[1] ?? NaN), 5)
  })
})

it.each(['uncertainty', 'dwa', 'imtlL', 'famo', 'gls', 'cagrad'] as const)(
  'a limit of tasks that nothing reaches changes nothing of %s',
  async (balance) => {
    const options: FitOptions = { epochs: 2, batchSize: 64, optimizer: sgd({ learningRate: 0.1 }), balance }
    const plain = await trained(options)
    const limited = await trained({ ...options, clip: { taskNorm: 1e6 } })
    for (const [name, values] of plain.after) {
      values.forEach((value, at) => {
        expect(Math.abs((limited.after.get(name)?.[at] ?? NaN) - value), `${name}[${at}]`).toBeLessThan(1e-5)
      })
    }
  },
)

it('limits of lengths change no bit with the threads, nor with a break', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
  for (const clip of [{ norm: 0.01 }, { taskNorm: 0.01 }, { norm: 0.02, taskNorm: 0.01 }]) {
    const options: FitOptions = { epochs: 4, batchSize: 64, optimizer: adam({ learningRate: 0.01 }), clip }
    const one = await trained(options, { threads: 1 })
    expect((await trained(options, { threads: 2 })).after).toEqual(one.after)
    expect(one.after).not.toEqual((await trained({ ...options, clip: {} })).after)
    await trained({ ...options, epochs: 2, callbacks: [checkpoint({ path })] })
    const resumed = await trained({ ...options, resume: path }, {}, false)
    expect(resumed.after).toEqual(one.after)
    const gradients = ({ history }: Awaited<ReturnType<typeof trained>>) => history.epochs.map(({ gradientNorm }) => gradientNorm)
    expect(gradients(resumed)).toEqual(gradients(one))
  }
})

it('a gradient without a finite length ends as divergence', async () => {
  const price = Array.from({ length: 150 }, (_, row) => (row % 2 === 0 ? 1e30 : 1))
  const far = Dataset.fromColumns({ price, click: price.map((_, row) => row % 2) })
  using model = new MMoE({
    features: [dense('price', { transform: 'none' })],
    tasks: [binary('click'), binary('again', { label: 'click' })],
    expertHiddenUnits: [5],
    numExperts: 2,
    activation: 'linear',
  })
  const refused = (clip: ClipOptions): Promise<unknown> =>
    model.fit(far, { batchSize: 150, clip, optimizer: sgd({ learningRate: 1e-37 }) })
  await expect(refused({ norm: 1 })).rejects.toThrow(
    refusal('DIVERGED', { says: ['the length of the gradient', 'epoch 1, step 1', 'Infinity'] }),
  )
  await expect(refused({ taskNorm: 1 })).rejects.toThrow(refusal('DIVERGED', { says: ["gradient of task 'click'", 'step 1'] }))
})

it('a limit that nothing reaches changes no bit, and threads change none', async () => {
  const options = { epochs: 3, batchSize: 64, optimizer: adam({ learningRate: 0.01 }) }
  const plain = await trained(options)
  expect((await trained({ ...options, clip: { value: 1e6 } })).after).toEqual(plain.after)
  const limited = { ...options, clip: { value: 0.001 } }
  const one = await trained(limited, { threads: 1 })
  expect((await trained(limited, { threads: 2 })).after).toEqual(one.after)
  expect(one.after).not.toEqual(plain.after)
})

it('takes the limit of every rule and group', async () => {
  const optimizers: Readonly<Record<string, Optimizer>> = { gate: adam(), 'embedding.user': sgd({ momentum: 0.9 }) }
  const step: FitOptions = { optimizer: sgd({ learningRate: 1 }), optimizers, rates: { expert: 0.5 }, clip: { value: 1e-4 } }
  const { before, after } = await trained(step)
  const largest = (name: string): number => {
    return Math.max(...(before.get(name) ?? []).map((w, index) => Math.abs(w - (after.get(name)?.[index] ?? NaN))))
  }
  expect(largest('bottom.0.kernel')).toBeCloseTo(1e-4, 7)
  expect(largest('expert.kernel')).toBeCloseTo(0.5e-4, 7)
  expect(largest('embedding.user')).toBeCloseTo(0.01 * 1e-4, 7)
})

describe.each(places)('a gradient that is NaN on $name', (place) => {
  it('stays NaN: a limit must not hide it', () => {
    const layout = new Layout()
    const tensor = layout.tensor({
      name: 'w',
      shape: [40],
      group: 'tower',
      role: 'kernel',
      initializer: { kind: 'constant', value: 0 },
    })
    const builder = new ProgramBuilder(layout, { training: true })
    builder.op('copy_columns', { x: builder.rowInput('x', 1), y: builder.activation(1) })
    const gradients = builder.gradients()
    builder.op('reduce_gradients', { gradients })
    builder.op('penalty', { parameters: [builder.parameter(tensor)], gradients, loss: builder.penalty('w'), l1: 0, l2: 1 })
    const rule = updateRule({ name: 'sgd', form: 'torch', momentum: 0.5, nesterov: false }, { value: 0.25 })
    const moment = (number: number, initial: number) => builder.moment(`moment${number}`, layout.elements, initial)
    builder.op('optimize', { parameters: builder.parameters(), gradients, ...updateFields(builder, rule, moment) })
    const { spec, bindings, scalars } = builder.build()
    const native = loadNative()
    const plan = native.compile(place.device, spec, choiceOf(place))
    const memories = Object.entries(bindings).map(([name, buffer]) => {
      const memory = native.createMemory(place.device, layout.elements)
      plan.bind(buffer, memory)
      return [name, memory] as const
    })
    const of = (name: string) => memories.find(([own]) => own === name)?.[1]
    of('parameters')?.write(
      0,
      Float64Array.from({ length: layout.elements }, (_, i) => (i % 7 === 3 ? NaN : i % 7 === 4 ? 5 : -0.1)),
    )
    const given = new Float64Array(spec.scalarInputs)
    given[scalars.learningRate ?? 0] = 1
    plan.run({ rows: 1, inputs: [new Float32Array(1)], outputs: [], scalars: given, threads: 1 })
    const moments = [...(of('moment1')?.read(0, 40) ?? [])].map((value) => Math.round(value * 100) / 100)
    expect(moments).toEqual(Array.from({ length: 40 }, (_, i) => (i % 7 === 3 ? NaN : i % 7 === 4 ? 0.25 : -0.2)))
    plan.dispose()
    for (const [, memory] of memories) memory.dispose()
  })
})

describe('refuses', () => {
  it.each<[unknown, string, string]>([
    [{ value: 0 }, 'fit.clip.value', '0'],
    [{ value: -1 }, 'fit.clip.value', '-1'],
    [{ value: Infinity }, 'fit.clip.value', 'Infinity'],
    [{ norm: 0 }, 'fit.clip.norm', '0'],
    [{ norm: '1' }, 'fit.clip.norm', '"1"'],
    [{ taskNorm: -1 }, 'fit.clip.taskNorm', '-1'],
    [{ norm: 1, value: 1 }, 'fit.clip.norm', 'not both'],
    [{ length: 1 }, 'fit.clip.length', 'length'],
    [1, 'fit.clip', '1'],
  ])('%o', async (clip, field, says) => {
    await expect(trained({ clip: clip as object })).rejects.toEqual(refusal('ARGUMENT', { field, says }))
  })

  it.each<[string, FitOptions, object, string]>([
    ['beside a balance on the representation', { balance: { method: 'upgrad', on: 'representation' } }, {}, 'fit.balance.on'],
    ['beside metrics of training', { trainingMetrics: true }, {}, 'fit.trainingMetrics'],
    ['without shared weights', { freeze: ['bottom', 'expert'] }, {}, 'fit.clip.taskNorm'],
  ])('a limit of tasks %s', async (_, options, make, field) => {
    await expect(trained({ ...options, clip: { taskNorm: 1 } }, make)).rejects.toThrow(
      refusal('ARGUMENT', { field, says: 'taskNorm' }),
    )
  })
})
