// Gradients that are limited before the optimizers see them.

import { describe, expect, it } from 'vitest'

import { Layout } from '../../lib/core/layout.js'
import { ProgramBuilder } from '../../lib/core/program.js'
import { adam, binary, dense, type FitOptions, MMoE, type Optimizer, sgd, sparse } from '../../lib/index.js'
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
async function trained(options: FitOptions, make: object = {}) {
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
  await model.build(train)
  const { network, weights } = builtOf(model as never).runner
  const read = (): Map<string, number[]> => {
    return new Map(weightsOf(network).map((weight) => [weight.name, [...weights.parts(weight)].flatMap((part) => [...part])]))
  }
  const before = read()
  await model.fit(train, { batchSize: 150, ...options })
  return { before, after: read() }
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

it('a limit that nothing reaches changes no bit, and threads change none', async () => {
  const options = { epochs: 3, batchSize: 64, optimizer: adam({ learningRate: 0.01 }) }
  expect(await trained({ ...options, clip: { value: 1e6 } })).toEqual(await trained(options))
  const limited = { ...options, clip: { value: 0.001 } }
  const one = await trained(limited, { threads: 1 })
  expect(await trained(limited, { threads: 2 })).toEqual(one)
  expect(one).not.toEqual(await trained(options))
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
    const rule = updateRule({ name: 'sgd', form: 'torch', momentum: 0.5, nesterov: false }, 0.25)
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
    [{ norm: 1 }, 'fit.clip.norm', 'norm'],
    [1, 'fit.clip', '1'],
  ])('%o', async (clip, field, says) => {
    await expect(trained({ clip: clip as object })).rejects.toEqual(refusal('ARGUMENT', { field, says }))
  })
})
