// The average of the weights: its values against float64, where it shows, and that training goes on as without it.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import {
  adam,
  binary,
  type CallbackLike,
  checkpoint,
  dense,
  earlyStopping,
  type FitOptions,
  loadModel,
  MMoE,
  rowwiseAdagrad,
  sgd,
  sparse,
} from '../../lib/index.js'
import { builtOf } from '../../lib/model/model.js'
import type { DeviceName } from '../../lib/native/binding.js'
import { weightsOf } from '../../lib/runtime/weights.js'
import { refusal } from '../support/refusal.js'
import { data } from '../support/small-data.js'

const train = data({ rows: 200 })
const validation = data({ rows: 100, seed: 3 })
const devices: DeviceName[] = ['cpu', 'reference', ...(process.env.MULTIGATE_TEST_CUDA === '1' ? (['cuda'] as const) : [])]
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')

const made = (options: object = {}) =>
  new MMoE({
    features: [sparse('user', { vocabulary: 30, dim: 4 }), sparse('city', { dim: 3 }), dense('price')],
    tasks: [binary('click'), binary('buy')],
    bottomHiddenUnits: [6],
    expertHiddenUnits: [5],
    numExperts: 2,
    activation: 'tanh',
    l2: { embedding: 0.01, kernel: 0.01 },
    seed: 5,
    ...options,
  })

function readWeights(model: unknown): number[] {
  const { network, weights } = builtOf(model as never).runner
  return weightsOf(network).flatMap((weight) => [...weights.parts(weight)].flatMap((part) => [...part]))
}

async function trained(options: FitOptions, make: object = {}, builds = true) {
  using model = made(make)
  if (builds) await model.build(train)
  const history = await model.fit(train, { batchSize: 64, ...options })
  return { history, weights: readWeights(model), loss: (await model.evaluate(validation)).loss }
}

/** The weights before the first step and after each step, of a run without an average. */
async function pathOf(options: FitOptions, make: object): Promise<number[][]> {
  using model = made(make)
  await model.build(train)
  const path = [readWeights(model)]
  await model.fit(train, { batchSize: 64, ...options, callbacks: [{ onStep: () => void path.push(readWeights(model)) }] })
  return path
}

function averageOf(path: readonly number[][], decayOf: (step: number) => number): number[] {
  return path.slice(1).reduce<readonly number[]>((average, weights, index) => {
    const decay = decayOf(index + 1)
    return average.map((value, at) => decay * value + (1 - decay) * (weights[at] ?? NaN))
  }, path[0] ?? []) as number[]
}

function expectClose(found: readonly number[], expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length)
  found.forEach((value, at) => {
    expect(Math.abs(value - (expected[at] ?? NaN)), `${at}`).toBeLessThan(1e-6)
  })
}

const rising = (decay: number) => (step: number) => Math.min(decay, (1 + step) / (10 + step))

describe.each(devices)('the average on %s', (device) => {
  const optimizer = adam({ learningRate: 0.02 })
  it.each<[string, FitOptions, object, (step: number) => number]>([
    ['with warm-up', { ema: { decay: 0.9 } }, {}, rising(0.9)],
    ['its defaults', { ema: {} }, {}, rising(0.999)],
    ['without warm-up', { ema: { decay: 0.7, warmup: false } }, {}, () => 0.7],
    // Nothing is left of the start after a few steps: it is brought up to date within an epoch.
    ['a small decay', { ema: { decay: 1e-9, warmup: false }, epochs: 3 }, {}, () => 1e-9],
    ['the smallest decay', { ema: { decay: 5e-324, warmup: false } }, {}, () => 0],
    ['exact updates', { ema: { decay: 0.9 } }, { sparseUpdate: 'exact' }, rising(0.9)],
    ['several rules', { ema: { decay: 0.9 }, optimizers: { embedding: rowwiseAdagrad(), gate: sgd() } }, {}, rising(0.9)],
    ['frozen groups', { ema: { decay: 0.9 }, freeze: ['bottom', 'embedding.city'] }, {}, rising(0.9)],
    ['tasks weighed by their gradients', { ema: { decay: 0.9 }, balance: 'pcgrad' }, {}, rising(0.9)],
    ['limited gradients', { ema: { decay: 0.9 }, clip: { norm: 0.1 } }, {}, rising(0.9)],
  ])('is that of the weights after each step: %s', async (_, options, make, decayOf) => {
    const all: FitOptions = { optimizer, epochs: 2, ...options }
    const path = await pathOf({ ...all, ema: undefined }, { ...make, device })
    const { weights } = await trained(all, { ...make, device })
    expectClose(weights, averageOf(path, decayOf))
  })
})

const options: FitOptions = { optimizer: adam({ learningRate: 0.02 }), epochs: 4, ema: { decay: 0.9 } }

it('changes no bit of what the steps do', async () => {
  const plain = await trained({ ...options, ema: undefined })
  const { history } = await trained({ ...options })
  expect(history.epochs.map(({ loss }) => loss)).toEqual(plain.history.epochs.map(({ loss }) => loss))
})

it('has the same bits for any number of threads', async () => {
  const one = await trained(options, { threads: 1 })
  expect((await trained(options, { threads: 2 })).weights).toEqual(one.weights)
})

it('a resumed run equals one without a break, and a checkpoint is a model with the average', async () => {
  for (const make of [{}, { dropout: 0.2, sparseUpdate: 'exact' }, { device: 'reference' }]) {
    const whole = await trained({ ...options, validation }, make)
    const path = newPath()
    const half = await trained({ ...options, validation, epochs: 2, callbacks: [checkpoint({ path })] }, make)
    using loaded = await loadModel(path, make.device === undefined ? {} : { device: 'reference' })
    expect(readWeights(loaded)).toEqual(half.weights)
    const resumed = await trained({ ...options, validation, resume: path }, make, false)
    expect(resumed.weights).toEqual(whole.weights)
    const losses = ({ history }: typeof whole) => history.epochs.map(({ loss, validation: own }) => [loss, own?.loss])
    expect(losses(resumed)).toEqual(losses(whole))
  }
})

it('validation measures the average', async () => {
  const { history, loss } = await trained({ ...options, validation })
  expect(history.epochs.at(-1)?.validation?.loss).toBe(loss)
})

it('early stopping gives back the average of the best epoch', async () => {
  const seen: number[][] = []
  using model = made()
  const keep: CallbackLike = () => void seen.push(readWeights(model))
  const stop = earlyStopping({ monitor: 'val_loss', mode: 'max', patience: 2 })
  const { weightsEpoch } = await model.fit(train, { ...options, epochs: 6, batchSize: 64, validation, callbacks: [keep, stop] })
  expect(weightsEpoch).toBeLessThan(seen.length)
  expect(readWeights(model)).toEqual(seen[weightsEpoch - 1])
})

it('training goes on from restored weights, and the average with it', async () => {
  const path = await pathOf({ ...options, epochs: 1, shuffle: false }, {})
  const average = averageOf(path, rising(0.9))
  let done = false
  const { weights } = await trained({
    ...options,
    epochs: 2,
    shuffle: false,
    callbacks: [
      async ({ epoch }, control) => {
        if (done) return
        done = true
        await control.restore(await control.snapshot(), epoch)
        control.learningRate(0)
      },
    ],
  })
  // No step moves them any more: weights and average are the restored ones.
  expectClose(weights, average)
})

it('an aborted run keeps the average up to its last whole step', async () => {
  const path = await pathOf({ ...options, epochs: 1 }, {})
  using model = made()
  await model.build(train)
  const stop = new AbortController()
  const callbacks = [{ onStep: ({ step }: { step: number }) => void (step === 2 && stop.abort()) }]
  const aborted = model.fit(train, { ...options, batchSize: 64, signal: stop.signal, callbacks })
  await expect(aborted).rejects.toMatchObject({ code: 'ERR_MULTIGATE_ABORTED' })
  expectClose(readWeights(model), averageOf(path.slice(0, 3), rising(0.9)))
})

describe('refuses', () => {
  it.each<[unknown, string]>([
    [{ decay: 0 }, 'fit.ema.decay'],
    [{ decay: 1 }, 'fit.ema.decay'],
    [{ decay: NaN }, 'fit.ema.decay'],
    [{ decay: '0.9' }, 'fit.ema.decay'],
    [{ warmup: 1 }, 'fit.ema.warmup'],
    [{ rate: 1 }, 'fit.ema.rate'],
    [0.9, 'fit.ema'],
  ])('%o', async (ema, field) => {
    await expect(trained({ ema: ema as object })).rejects.toThrow(refusal('ARGUMENT', { field }))
  })

  it('a checkpoint of another average, or of none', async () => {
    const path = newPath()
    await trained({ ...options, epochs: 1, callbacks: [checkpoint({ path })] })
    for (const ema of [undefined, { decay: 0.99 }, { decay: 0.9, warmup: false }]) {
      const resumed = trained({ ...options, ema, resume: path }, {}, false)
      await expect(resumed).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.resume', says: ['ema', path] }))
    }
    await trained({ ...options, ema: undefined, epochs: 1, callbacks: [checkpoint({ path })] })
    await expect(trained({ ...options, resume: path }, {}, false)).rejects.toThrow(
      refusal('ARGUMENT', { field: 'fit.resume', says: 'ema' }),
    )
  })
})
