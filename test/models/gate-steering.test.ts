// Gates with a temperature by epoch, with noise and with experts that they drop in training.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { parseConfig } from '../../lib/cli/config.js'
import { CGC, checkpoint, Dataset, dense, type History, loadModel, MMoE, OMoE, PLE, sgd, sparse } from '../../lib/index.js'
import { builtOf, type Model } from '../../lib/model/model.js'
import { binary } from '../../lib/tasks/binary.js'
import type { FitOptions } from '../../lib/training/options.js'
import { refusal } from '../support/refusal.js'
import { data } from '../support/small-data.js'

const train = data({ rows: 600 })
const tasks = [binary('click'), binary('buy')] as const
const features = [sparse('user', { vocabulary: 30, dim: 4 }), sparse('city', { dim: 3 }), dense('price')]
const common = { features, tasks, expertHiddenUnits: [6], seed: 3 }
const settings = { epochs: 2, batchSize: 100 } satisfies FitOptions
const schedule = { schedule: 'exponential', start: 4, end: 0.5, epochs: 3 } as const
const everything = { gateTemperature: schedule, gateNoise: 0.3, gateDropout: 0.2 }
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')

type Options = Partial<Pick<ConstructorParameters<typeof MMoE>[0], 'gateTemperature' | 'gateNoise' | 'gateDropout'>>

const make: Record<string, (options?: object) => Model> = {
  MMoE: (options) => new MMoE({ ...common, numExperts: 3, bottomHiddenUnits: [5], gateBias: true, ...options }),
  'MMoE with hidden layers and features of gates': (options) =>
    new MMoE({ ...common, numExperts: 3, expertHiddenUnits: [4, 6], gateHiddenUnits: [5], gateFeatures: ['user'], ...options }),
  OMoE: (options) => new OMoE({ ...common, numExperts: 3, gateFeatures: ['price'], ...options }),
  CGC: (options) => new CGC({ ...common, numSharedExperts: 2, numSpecificExperts: 1, ...options }),
  PLE: (options) => new PLE({ ...common, numSharedExperts: 2, numSpecificExperts: 1, fusion: 'sum', ...options }),
}
const mmoe = (options: Options & object = {}): Model => make.MMoE?.(options) as Model

function read(net: Model, name: string): number[] {
  const { network, weights } = builtOf(net).runner
  const tensor = network.parameters.tensors.find((one) => one.name === name)
  if (tensor === undefined) throw new Error(`no tensor ${name}`)
  return [...weights.parts({ ...tensor, memory: 'parameters' })].flatMap((part) => [...part])
}

/** The temperature of the first gate, from its diagonal. */
function temperature(net: Model): number {
  const kernel = read(net, 'gate.click.temperature')
  const [first = NaN] = kernel
  expect(kernel).toEqual(kernel.map((_, index) => (index % 4 === 0 ? first : 0)))
  return 1 / first
}

function expectClose(got: object, want: object, most: number): void {
  for (const [name, values] of Object.entries(want) as [string, Float32Array][]) {
    const found = (got as Record<string, Float32Array>)[name]
    values.forEach((value, index) => expect(Math.abs(value - (found?.[index] ?? NaN))).toBeLessThan(most))
  }
}

const timeless = ({ epochs }: History) => epochs.map(({ seconds, rowsPerSecond, ...epoch }) => epoch)

describe.each(Object.keys(make))('%s', (name) => {
  const net = (options?: object): Model => make[name]?.(options) as Model

  it('trains and predicts with a schedule that stays at 2 as with the number 2', async () => {
    using fixed = net({ gateTemperature: 2 })
    using scheduled = net({ gateTemperature: { schedule: 'linear', start: 2, end: 2, epochs: 3 } })
    for (const one of [fixed, scheduled]) await one.fit(train, { ...settings, optimizer: sgd({ learningRate: 0.5 }) })
    expectClose(await scheduled.predict(train), await fixed.predict(train), 1e-5)
  })

  it('predicts without noise: a model that is not trained predicts as without the options', async () => {
    using plain = net()
    using noisy = net({ gateNoise: 5, gateDropout: 0.9 })
    for (const one of [plain, noisy]) await one.build(train)
    const scores = await noisy.predict(train)
    expectClose(scores, await plain.predict(train), 1e-6)
    expect(await noisy.predict(train)).toEqual(scores)
    expect((await noisy.evaluate(train)).loss).toBeCloseTo((await plain.evaluate(train)).loss, 6)
  })

  it('is saved, loaded and resumed to the bit, for any number of threads', async () => {
    const path = newPath()
    using whole = net(everything)
    const history = await whole.fit(train, { ...settings, epochs: 4 })
    using begun = net(everything)
    await begun.fit(train, { ...settings, epochs: 2, callbacks: [checkpoint({ path })] })
    using resumed = net({ ...everything, threads: 1 })
    expect(timeless(await resumed.fit(train, { ...settings, epochs: 4, resume: path }))).toEqual(timeless(history))
    const scores = await whole.predict(train)
    expect(await resumed.predict(train)).toEqual(scores)
    await whole.save(path)
    using loaded = await loadModel(path, { threads: 1 })
    expect(await loaded.predict(train)).toEqual(scores)
    const batch = loaded.createBatch(600)
    loaded.fill(batch, train)
    expect(loaded.predictSync(batch)).toEqual(scores)
  })
})

describe('a temperature by epoch', () => {
  it.each([
    ['linear', [5, 4, 3, 2, 1, 1]],
    ['exponential', [5, 5 ** 0.75, 5 ** 0.5, 5 ** 0.25, 1, 1]],
    ['cosine', [0, 1, 2, 3, 4, 4].map((epoch) => 3 + 2 * Math.cos((Math.PI * epoch) / 4))],
  ] as const)('%s goes from start to end, and later epochs have the end', async (kind, want) => {
    using net = mmoe({ gateTemperature: { schedule: kind, start: 5, end: 1, epochs: 4 } })
    const seen: number[] = []
    const watch = { onEpochEnd: () => void seen.push(temperature(net)) }
    await net.fit(train, { ...settings, epochs: 6, callbacks: [watch] })
    seen.forEach((value, epoch) => expect(value).toBeCloseTo(want[epoch] ?? NaN, 5))
    expect(seen).toHaveLength(6)
  })

  it('is that of plain formulas in predictions', async () => {
    const numbers = { a: [0.5, -1, 2, 0.25], b: [1, 0, -0.5, 3], click: [0, 1, 1, 0], buy: [1, 0, 1, 0] }
    const plain = [dense('a', { transform: 'none' }), dense('b', { transform: 'none' })]
    const options = { features: plain, tasks, numExperts: 2, expertHiddenUnits: [1], activation: 'tanh', seed: 1 } as const
    using net = new MMoE({ ...options, ...everything, gateBias: true })
    await net.fit(Dataset.fromColumns(numbers), { epochs: 2, optimizer: sgd({ learningRate: 1 }) })
    const of = 4 * (0.5 / 4) ** (1 / 3) // of the second of three epochs
    const scores = (await net.predict({ a: numbers.a, b: numbers.b })) as Record<string, Float32Array>
    const [experts, biases] = [read(net, 'expert.kernel'), read(net, 'expert.bias')]
    for (const { name } of tasks) {
      const [kernel, bias] = [read(net, `gate.${name}.kernel`), read(net, `gate.${name}.bias`)]
      numbers.a.forEach((a, row) => {
        const x = [a, numbers.b[row] ?? NaN] as const
        const dot = (from: number[], at: number, stride: number): number =>
          x[0] * (from[at] ?? NaN) + x[1] * (from[at + stride] ?? NaN)
        const out = [0, 1].map((expert) => Math.tanh(dot(experts, 2 * expert, 1) + (biases[expert] ?? NaN)))
        const weights = [0, 1].map((expert) => Math.exp((dot(kernel, expert, 2) + (bias[expert] ?? NaN)) / of))
        const mixed = weights.reduce((sum, weight, at) => sum + weight * (out[at] ?? NaN), 0) / weights.reduce((p, q) => p + q)
        const logit = mixed * (read(net, `tower.${name}.0.kernel`)[0] ?? NaN) + (read(net, `tower.${name}.0.bias`)[0] ?? NaN)
        expect(scores[name]?.[row]).toBeCloseTo(1 / (1 + Math.exp(-logit)), 6)
      })
    }
  })

  it('counts the epochs of all fits, also from another model or file', async () => {
    const options = { gateTemperature: schedule }
    using net = mmoe(options)
    await net.fit(train, { ...settings, epochs: 1 })
    expect(temperature(net)).toBeCloseTo(4, 5)
    const path = newPath()
    await net.save(path)
    await net.fit(train, { ...settings, epochs: 2 })
    expect(temperature(net)).toBeCloseTo(4 * (0.5 / 4) ** (2 / 3), 5)
    using later = mmoe(options)
    await later.fit(train, { ...settings, epochs: 1, from: path })
    expect(temperature(later)).toBeCloseTo(4 * (0.5 / 4) ** (1 / 3), 5)
  })

  it('is not averaged by ema, whose average has it from epoch to epoch', async () => {
    using plain = mmoe({ gateTemperature: schedule })
    using averaged = mmoe({ gateTemperature: schedule })
    const seen: number[] = []
    const watch = { onEpochEnd: () => void seen.push(temperature(averaged)) }
    await averaged.fit(train, { ...settings, epochs: 4, ema: { decay: 0.9 }, callbacks: [watch] })
    const want = [0, 1, 2, 3].map((epoch) => 4 * (0.5 / 4) ** (epoch / 3))
    seen.forEach((value, epoch) => expect(value).toBeCloseTo(want[epoch] ?? NaN, 5))
    // The average changes nothing in training.
    const losses = (history: History): number[] => history.epochs.map(({ loss }) => loss)
    using again = mmoe({ gateTemperature: schedule })
    const options = { ...settings, epochs: 3 }
    expect(losses(await again.fit(train, { ...options, ema: { decay: 0.9 } }))).toEqual(losses(await plain.fit(train, options)))
  })

  it.each([{}, { ema: { decay: 0.9 } }])(
    'a run that stops in the middle of an epoch goes on with its temperature: %j',
    async (more) => {
      const path = newPath()
      const options = { ...settings, epochs: 3, ...more }
      using whole = mmoe(everything)
      const history = await whole.fit(train, options)
      using begun = mmoe(everything)
      const broken = {
        onStep: ({ epoch, step }: { epoch: number; step: number }) => {
          if (epoch === 2 && step === 5) throw new Error('power cut')
        },
      }
      const first = begun.fit(train, { ...options, callbacks: [checkpoint({ path, everySteps: 4 }), broken] })
      await expect(first).rejects.toThrow('power cut')
      using resumed = mmoe(everything)
      expect(timeless(await resumed.fit(train, { ...options, resume: path }))).toEqual(timeless(history))
      expect(await resumed.predict(train)).toEqual(await whole.predict(train))
    },
  )

  it('goes with the weights that a callback restores', async () => {
    using net = mmoe({ gateTemperature: schedule })
    const callback = () => {
      let kept: unknown
      return {
        async onEpochEnd({ epoch }: { epoch: number }, control: { snapshot: () => Promise<unknown> }) {
          if (epoch === 1) kept = await control.snapshot()
        },
        onEnd: (_: unknown, control: { restore: (snapshot: never, epoch: number) => Promise<void> }) =>
          control.restore(kept as never, 1),
      }
    }
    await net.fit(train, { ...settings, epochs: 3, callbacks: [callback() as never] })
    expect(temperature(net)).toBeCloseTo(4, 5)
  })

  it.each([
    { freeze: ['embedding', 'gate'] },
    { freeze: ['expert'] },
    { rates: { gate: 0.1 } },
    { clip: { value: 0.01 } },
    { clip: { norm: 0.1 } },
  ])('is no weight to train: %j', async (options) => {
    using net = mmoe({ ...everything, l2: { gate: 0.1 }, l1: { kernel: 0.01 } } as never)
    await net.build(train)
    const before = read(net, 'gate.click.kernel')
    await net.fit(train, { ...settings, ...(options as FitOptions) })
    expect(temperature(net)).toBeCloseTo(4 * (0.5 / 4) ** (1 / 3), 5)
    const stays = 'freeze' in options && options.freeze.includes('gate')
    expect(JSON.stringify(read(net, 'gate.click.kernel')) === JSON.stringify(before)).toBe(stays)
  })

  it('is not in the length of the gradient, to which dropped logits would give any size', async () => {
    using net = mmoe({ gateDropout: 0.5, gateTemperature: schedule })
    const { epochs } = await net.fit(train, { ...settings, clip: { norm: 100 } })
    for (const { gradientNorm } of epochs) {
      const numbers = [...JSON.stringify(gradientNorm).matchAll(/[\d.]+(e[+-]?\d+)?/g)].map(([number]) => Number(number))
      expect(numbers.length).toBeGreaterThan(0)
      expect(Math.max(...numbers)).toBeLessThan(50)
    }
  })

  it('has no penalty and is no trained number, but an array in the file', async () => {
    const l2 = { l2: { kernel: 0.1 } } as object
    using plain = mmoe(l2)
    using steered = mmoe({ ...l2, gateTemperature: { schedule: 'linear', start: 1, end: 2, epochs: 3 } })
    for (const one of [plain, steered]) await one.build(train)
    expect((await steered.evaluate(train)).loss).toBeCloseTo((await plain.evaluate(train)).loss, 6)
    const [without, with_] = [plain.describe(), steered.describe()]
    expect(with_.parameters).toBe(without.parameters)
    expect(with_.bytes - without.bytes).toBe(2 * 9 * 4)
    const names = with_.weights.map(({ name }) => name).filter((name) => !without.weights.some((one) => one.name === name))
    expect(names).toEqual(['gate.click.temperature', 'gate.buy.temperature'])
  })

  it.each([
    { method: 'uncertainty' },
    { method: 'famo' },
    { method: 'pcgrad', on: 'parameters' },
    { method: 'upgrad', on: 'representation' },
  ] as const)('works with balance: %j', async (balance) => {
    using net = mmoe(everything)
    const { epochs } = await net.fit(train, { ...settings, balance })
    expect(epochs.every(({ loss }) => Number.isFinite(loss))).toBe(true)
    expect(temperature(net)).toBeCloseTo(4 * (0.5 / 4) ** (1 / 3), 5)
  })
})

describe('noise', () => {
  it.each([{ gateNoise: 2 }, { gateDropout: 0.5 }])('%j changes the loss of training alone', async (options) => {
    const still = { epochs: 1, batchSize: 600, optimizer: sgd({ learningRate: 0 }), validation: train }
    using plain = mmoe()
    using noisy = mmoe(options)
    const [want, got] = [await plain.fit(train, still), await noisy.fit(train, still)].map(({ epochs }) => epochs[0])
    expect(Math.abs((got?.loss ?? NaN) - (want?.loss ?? NaN))).toBeGreaterThan(1e-5)
    expect(got?.metrics.val_loss).toBeCloseTo(want?.metrics.val_loss ?? NaN, 6)
  })

  it('differs from step to step and with the seed, and is the same in the same model', async () => {
    const still = { epochs: 2, batchSize: 600, shuffle: false, optimizer: sgd({ learningRate: 0 }) }
    const losses = async (): Promise<number[]> => {
      using net = mmoe({ gateNoise: 1, gateDropout: 0.3 })
      return (await net.fit(train, still)).epochs.map(({ loss }) => loss)
    }
    const [first, second] = await losses()
    expect(first).not.toBe(second)
    expect(await losses()).toEqual([first, second])
  })

  it('in bfloat16 stays near float32', async () => {
    const histories = []
    for (const precision of ['float32', 'bfloat16']) {
      using net = mmoe({ ...everything, precision } as never)
      histories.push(await net.fit(train, settings))
    }
    const [want, got] = histories.map(({ epochs }) => epochs.map(({ loss }) => loss))
    want?.forEach((loss, epoch) => expect(Math.abs((got?.[epoch] ?? NaN) - loss)).toBeLessThan(0.01))
  })

  it('on the reference is that of the CPU', async () => {
    const histories = []
    for (const device of ['reference', 'cpu']) {
      using net = mmoe({ ...everything, device } as never)
      histories.push(await net.fit(train, settings))
    }
    const [want, got] = histories.map(({ epochs }) => epochs.map(({ loss }) => loss))
    want?.forEach((loss, epoch) => expect(got?.[epoch]).toBeCloseTo(loss, 4))
  })
})

describe('wrong options', () => {
  const temperatureOf = (gateTemperature: unknown): unknown => ({ gateTemperature })
  it.each<[unknown, string]>([
    [temperatureOf({ schedule: 'linear', start: 0, epochs: 2 }), 'MMoE.gateTemperature.start'],
    [temperatureOf({ schedule: 'linear', start: 1, end: -1, epochs: 2 }), 'MMoE.gateTemperature.end'],
    [temperatureOf({ schedule: 'linear', start: NaN, epochs: 2 }), 'MMoE.gateTemperature.start'],
    [temperatureOf({ schedule: 'linear', start: 2, epochs: 0 }), 'MMoE.gateTemperature.epochs'],
    [temperatureOf({ schedule: 'linear', start: 2, epochs: 1.5 }), 'MMoE.gateTemperature.epochs'],
    [temperatureOf({ schedule: 'linear', start: 1e30, epochs: 2 }), 'MMoE.gateTemperature.start'],
    [temperatureOf({ schedule: 'step', start: 2, epochs: 2 }), 'MMoE.gateTemperature.schedule'],
    [temperatureOf({ schedule: 'linear', start: 2 }), 'MMoE.gateTemperature.epochs'],
    [temperatureOf({ schedule: 'linear', start: 2, epochs: 2, steps: 3 }), 'MMoE.gateTemperature.steps'],
    [temperatureOf('hot'), 'MMoE.gateTemperature'],
    [temperatureOf(null), 'MMoE.gateTemperature'],
    [{ gateNoise: -1 }, 'MMoE.gateNoise'],
    [{ gateNoise: Infinity }, 'MMoE.gateNoise'],
    [{ gateNoise: '1' }, 'MMoE.gateNoise'],
    [{ gateDropout: 1 }, 'MMoE.gateDropout'],
    [{ gateDropout: -0.1 }, 'MMoE.gateDropout'],
    [{ gateDropout: true }, 'MMoE.gateDropout'],
  ])('%j names its field', (options, field) => {
    expect(() => mmoe(options as Options)).toThrow(refusal('ARGUMENT', { field }))
  })

  it('a file of other options is refused by name', async () => {
    const path = newPath()
    using net = mmoe({ gateTemperature: schedule })
    await net.fit(train, { ...settings, callbacks: [checkpoint({ path })] })
    using other = mmoe({ gateTemperature: { ...schedule, epochs: 9 } })
    await expect(other.fit(train, { resume: path })).rejects.toThrow(refusal('ARGUMENT', { says: 'gateTemperature.epochs' }))
  })
})

it('a configuration of the command line has the same words', async () => {
  const network = { numExperts: 3, expertHiddenUnits: [6], seed: 3, ...everything }
  const config = { model: 'MMoE', features, tasks, ...network }
  const { options } = parseConfig(JSON.parse(JSON.stringify(config)))
  using configured = new MMoE(options as never)
  using written = new MMoE({ ...common, numExperts: 3, ...everything })
  for (const net of [configured, written]) await net.fit(train, settings)
  expect(await configured.predict(train)).toEqual(await written.predict(train))
})
