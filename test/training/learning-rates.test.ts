// The learning rate of every step: from a schedule, from callbacks, and in a resumed run.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { readSafetensors } from '../../lib/io/safetensors.js'
import { adam } from '../../lib/optimizers/adam.js'
import { ftrl } from '../../lib/optimizers/ftrl.js'
import { type LearningRateSchedule, rateAfter } from '../../lib/optimizers/schedule.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { progress } from '../../lib/report/progress.js'
import { historyTable } from '../../lib/report/results.js'
import type { Callback, CallbackLike, FitControl, FitPlan } from '../../lib/training/callbacks.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import type { EpochRecord } from '../../lib/training/history.js'
import type { FitOptions } from '../../lib/training/options.js'
import { reduceOnPlateau } from '../../lib/training/reduce-on-plateau.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 600 })
const validation = data({ rows: 200, seed: 2 })
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), 'last.safetensors')

/** Weights after these calls of `fit`, and the rates of their epochs. */
async function trained(...fits: FitOptions[]) {
  using net = model()
  const rates: number[] = []
  for (const options of fits) {
    const { epochs } = await net.fit(train, { shuffle: false, batchSize: 100, ...options })
    rates.push(...epochs.map(({ learningRate }) => learningRate))
  }
  const path = newPath()
  await net.save(path)
  const { tensors } = await readSafetensors(path)
  return { rates, weights: new Map([...tensors].map(([name, { data }]) => [name, data])) }
}

const schedule: LearningRateSchedule = { schedule: 'cosineRestarts', rate: 0.5, steps: 7, end: 0.05, warmup: 4 }

describe('a schedule', () => {
  it('gives each step its rate, whether one call runs one step or many', async () => {
    // Descent without momentum keeps no state: six steps of one rate each are six calls of fit.
    const rates = Array.from({ length: 6 }, (_, done) => rateAfter(sgd({ learningRate: schedule }).learningRate, done))
    const whole = { batchSize: 600, epochs: 6, optimizer: sgd({ learningRate: schedule }) }
    const separate = await trained(...rates.map((learningRate) => ({ batchSize: 600, optimizer: sgd({ learningRate }) })))
    const steps: number[] = []
    const watched = { ...whole, callbacks: [{ onStep: (step: { learningRate: number }) => void steps.push(step.learningRate) }] }
    expect(await trained(whole)).toEqual(separate)
    expect(await trained(watched)).toEqual(separate)
    expect(separate.rates).toEqual(rates)
    expect(steps).toEqual(rates)
  })

  it('counts steps, not epochs, and begins anew in each fit', async () => {
    const optimizer = adam({ learningRate: schedule })
    const at = (done: number): number => rateAfter(optimizer.learningRate, done)
    const { rates } = await trained({ epochs: 2, optimizer }, { epochs: 1, optimizer })
    expect(rates).toEqual([at(5), at(11), at(5)])
    const steps: number[] = []
    await trained({ epochs: 2, optimizer, callbacks: [{ onStep: ({ learningRate }) => void steps.push(learningRate) }] })
    expect(steps).toEqual(Array.from({ length: 12 }, (_, done) => at(done)))
  })

  it('has the same effect as a callback that sets each rate', async () => {
    const rates = Array.from({ length: 12 }, (_, done) => rateAfter(sgd({ learningRate: schedule }).learningRate, done))
    let control: FitControl | undefined
    let done = 0
    const setter: Callback = {
      onStart: (_, given) => {
        control = given
        given.learningRate(rates[0])
      },
      onStep: () => void control?.learningRate(rates[(done += 1)] ?? 1),
    }
    const optimizer = adam({ learningRate: 1 })
    const one = await trained({ epochs: 2, optimizer, callbacks: [setter] })
    expect(one.weights).toEqual((await trained({ epochs: 2, optimizer: adam({ learningRate: schedule }) })).weights)
  })

  it('is shown where it changes', async () => {
    let text = ''
    const stream = { write: (line: string) => void (text += line) }
    using net = model()
    const rate = { schedule: 'step', rate: 0.01, every: 6, factor: 0.5 } as const
    const changing = await net.fit(train, {
      batchSize: 100,
      epochs: 2,
      optimizer: adam({ learningRate: rate }),
      callbacks: [progress({ stream, bar: false })],
    })
    expect(text).toMatch(/epoch 2\/2 .* rate 0\.005 /)
    expect(historyTable(changing)).toMatch(/rate.*\n.* 0\.01 .*\n.* 0\.005 /)
    text = ''
    const constant = await net.fit(train, { batchSize: 100, epochs: 2, callbacks: [progress({ stream, bar: false })] })
    expect(text + historyTable(constant)).not.toContain('rate')
  })
})

describe('control.learningRate', () => {
  it('scales the rest of a schedule', async () => {
    const optimizer = adam({ learningRate: { schedule: 'exponential', rate: 0.01, every: 6, factor: 0.5 } })
    const halve: CallbackLike = ({ epoch }, control) => void (epoch === 1 && control.learningRate(control.learningRate() / 2))
    const { rates } = await trained({ epochs: 3, optimizer, callbacks: [halve] })
    const plain = (await trained({ epochs: 3, optimizer })).rates
    expect(rates.map((rate, epoch) => rate / (plain[epoch] ?? 0))).toEqual([1, 0.5, 0.5])
  })

  it.each<[string, FitOptions['optimizer'], unknown]>([
    ['a negative rate', adam(), -1],
    ['NaN', adam(), NaN],
    ['a text', adam(), '0.1'],
    ['infinity', adam(), Infinity],
    ['0 for a rule that divides by it', ftrl(), 0],
    ['a rate where the schedule has 0', adam({ learningRate: { schedule: 'cosine', rate: 1, steps: 6 } }), 0.1],
  ])('refuses %s', async (_, optimizer, rate) => {
    const run = trained({ optimizer, callbacks: [(_, control) => void control.learningRate(rate as number)] })
    await expect(run).rejects.toEqual(refusal('ARGUMENT', { field: 'learningRate.rate' }))
  })
})

/** The rates that reduceOnPlateau leaves after epochs with these values. */
async function plateau(values: readonly number[], options: object): Promise<number[]> {
  let rate = 1
  const control = { learningRate: (to = rate) => (rate = to) } as unknown as FitControl
  const callback = reduceOnPlateau({ monitor: 'loss', factor: 0.5, ...options })
  await callback.onStart?.({ monitors: ['loss'] } as unknown as FitPlan, control)
  const rates: number[] = []
  for (const [index, loss] of values.entries()) {
    await callback.onEpochEnd?.({ epoch: index + 1, metrics: { loss } } as unknown as EpochRecord, control)
    rates.push(rate)
  }
  return rates
}

describe('reduceOnPlateau', () => {
  it.each<[string, number[], object, number[]]>([
    ['waits for its patience', [3, 3, 3, 3, 3], { patience: 2 }, [1, 1, 0.5, 0.5, 0.25]],
    ['begins to wait anew with a better value', [3, 3, 2, 2, 2], { patience: 2 }, [1, 1, 1, 1, 0.5]],
    ['does not count epochs that cool down', [3, 3, 3, 3, 3, 3], { patience: 1, cooldown: 2 }, [1, 0.5, 0.5, 0.25, 0.25, 0.125]],
    ['goes no lower', [3, 3, 3, 3], { patience: 1, lowest: 0.3 }, [1, 0.5, 0.3, 0.3]],
    ['knows which way is better', [1, 2, 3, 3], { patience: 1, mode: 'max' }, [1, 1, 1, 0.5]],
    ['counts NaN as no better', [3, NaN, NaN], { patience: 1 }, [1, 0.5, 0.25]],
  ])('%s', async (_, values, options, rates) => {
    expect(await plateau(values, options)).toEqual(rates)
  })

  it.each<[object, string]>([
    [{ factor: 1 }, 'factor'],
    [{ factor: 0 }, 'factor'],
    [{ patience: 0 }, 'patience'],
    [{ cooldown: -1 }, 'cooldown'],
    [{ lowest: -1 }, 'lowest'],
    [{ minLr: 0 }, 'minLr'],
  ])('refuses %o', (options, field) => {
    expect(() => reduceOnPlateau(options)).toThrow(refusal('ARGUMENT', { field: `reduceOnPlateau.${field}` }))
  })
})

describe('a resumed run equals one without a break', () => {
  const optimizer = adam({ learningRate: { schedule: 'cosine', rate: 0.05, steps: 30, end: 0.001, warmup: 5 } })
  const callbacks = (): CallbackLike[] => {
    return [reduceOnPlateau({ monitor: 'val_auc', minDelta: 0.02, patience: 1, cooldown: 1 }), earlyStopping({ patience: 9 })]
  }

  it.each([1, 2, 3])('with a schedule and a plateau, broken off after epoch %i', async (broken) => {
    const whole = await trained({ epochs: 6, optimizer, validation, callbacks: callbacks() })
    expect(whole.rates.at(-1)).toBeLessThan(0.01)
    const path = newPath()
    const first = await trained({ epochs: broken, optimizer, validation, callbacks: [...callbacks(), checkpoint({ path })] })
    expect(first.rates).toEqual(whole.rates.slice(0, broken))
    expect(await trained({ epochs: 6, optimizer, validation, callbacks: callbacks(), resume: path })).toEqual(whole)
  })

  it('another learning rate in the resumed run holds as it stands', async () => {
    const path = newPath()
    const lower: CallbackLike = (_, control) => void control.learningRate(0.5)
    await trained({ optimizer: sgd({ learningRate: 1 }), callbacks: [lower, checkpoint({ path })] })
    const resumed = async (learningRate: number) => {
      return (await trained({ epochs: 2, optimizer: sgd({ learningRate }), resume: path })).rates.at(-1)
    }
    expect(await resumed(1)).toBe(0.5)
    expect(await resumed(0.1)).toBe(0.1)
  })
})
