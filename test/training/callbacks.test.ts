// What callbacks make of the numbers that they watch, of options that are wrong and of failures.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { adam } from '../../lib/optimizers/adam.js'
import type { Callback, CallbackLike, FitControl, FitPlan, StepRecord } from '../../lib/training/callbacks.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import type { EpochRecord } from '../../lib/training/history.js'
import { refusal } from '../support/refusal.js'
import { columns, data, model } from '../support/small-data.js'

const train = data({ rows: 600 })
const validation = data({ rows: 300, seed: 2 })

/** What early stopping does with these values of `val_loss`, epoch by epoch; undefined: not measured. */
async function watch(values: readonly (number | undefined)[], options: object = {}) {
  const done: string[] = []
  const early = earlyStopping({ patience: 2, ...options })
  const control = {
    stop: (reason: string) => void done.push(reason),
    snapshot: async () => new Map(),
    restore: async (_: unknown, epoch: number) => void done.push(`back to ${epoch}`),
  } as unknown as FitControl
  await early.onStart?.({ monitors: ['val_loss'] } as unknown as FitPlan, control)
  for (const [index, value] of values.entries()) {
    const record = { epoch: index + 1, metrics: value === undefined ? {} : { val_loss: value } }
    await early.onEpochEnd?.(record as unknown as EpochRecord, control)
    if (done.length > 0) break
  }
  await early.onEnd?.(
    { epochs: [], stopReason: undefined, weightsEpoch: values.length, unknownValues: {}, unknownShares: {} },
    control,
  )
  return done
}

describe('early stopping', () => {
  it.each<[string, (number | undefined)[], object, string[]]>([
    ['takes the best back at the end', [3, 1, 2], {}, ['back to 2']],
    ['stops after its patience', [3, 1, 1, 1, 0], {}, ['val_loss has not become better for 2 epochs', 'back to 2']],
    ['never takes NaN for the best', [3, 1, NaN], {}, ['back to 2']],
    ['never takes infinity for the best', [Infinity, Infinity], { mode: 'max' }, ['val_loss has had no value for 2 epochs']],
    ['goes on after a NaN', [NaN, 2, 3], {}, ['back to 2']],
    ['says that there was no value', [undefined, undefined, 1], {}, ['val_loss has had no value for 2 epochs']],
    [
      'knows no change of minDelta and less',
      [3, 2.5, 2],
      { minDelta: 1 },
      ['val_loss has not become better for 2 epochs', 'back to 1'],
    ],
  ])('%s', async (_, values, options, done) => {
    expect(await watch(values, options)).toEqual(done)
  })
})

it('a task without a label in the validation set has no validation loss', async () => {
  using net = model()
  const unlabelled = Dataset.fromColumns({ ...columns({ rows: 300 }), buy: new Float64Array(300).fill(NaN) })
  const { epochs } = await net.fit(train, { validation: unlabelled })
  const { metrics } = epochs[0] as EpochRecord
  expect(metrics).not.toHaveProperty('val_buy_loss')
  expect(metrics.val_loss).toBe(metrics.val_click_loss)
})

describe('options that are wrong are named', () => {
  it.each<[() => unknown, Error]>([
    [
      () => earlyStopping({ monitr: 'val_auc' } as never),
      refusal('ARGUMENT', { field: 'earlyStopping.monitr', says: "'monitor'" }),
    ],
    [
      () => earlyStopping({ mode: 'maximum' as 'max' }),
      refusal('ARGUMENT', { field: 'earlyStopping.mode', says: ['"auto"', '"min"', '"max"', '"maximum"'] }),
    ],
    [() => earlyStopping({ minDelta: NaN }), refusal('ARGUMENT', { field: 'earlyStopping.minDelta', says: 'NaN' })],
    [() => earlyStopping({ patience: 0 }), refusal('ARGUMENT', { field: 'earlyStopping.patience', says: ['1', '0'] })],
    [() => earlyStopping(null as never), refusal('ARGUMENT', { field: 'earlyStopping' })],
    [() => checkpoint({} as never), refusal('ARGUMENT', { field: 'checkpoint.path', says: 'URL' })],
    [
      () => checkpoint({ path: Symbol('a') as never }),
      refusal('ARGUMENT', { field: 'checkpoint.path', says: ['URL', 'Symbol(a)'] }),
    ],
    [() => checkpoint(undefined as never), refusal('ARGUMENT', { field: 'checkpoint' })],
  ])('%s', (make, message) => {
    expect(make).toThrow(message)
  })
})

it('what fails on top of a failure does not hide it, nor keep it from others', async () => {
  using net = model()
  const seen: unknown[] = []
  const callbacks: CallbackLike[] = [
    () => Promise.reject(new Error('first')),
    {
      onFailure() {
        throw new Error('second')
      },
    },
    { onFailure: (error) => void seen.push(error) },
  ]
  await expect(net.fit(train, { callbacks })).rejects.toThrow('first')
  expect(seen).toMatchObject([{ message: 'first' }])
})

it('a checkpoint of a model that a callback has disposed of is refused', async () => {
  const net = model()
  const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'last.safetensors')
  const run = net.fit(train, { callbacks: [() => net.dispose(), checkpoint({ path })] })
  await expect(run).rejects.toMatchObject({ code: 'ERR_MULTIGATE_DISPOSED' })
})

it('a resumed run refuses callbacks in other places, and those that watch another number', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'last.safetensors')
  const run = (callbacks: CallbackLike[], resume?: string) => {
    return model().fit(train, { validation, epochs: resume === undefined ? 1 : 2, callbacks, resume })
  }
  await run([earlyStopping({ monitor: 'val_auc' }), checkpoint({ path })])
  const refused = { code: 'ERR_MULTIGATE_ARGUMENT', field: 'fit.resume' }
  const other = run([earlyStopping({ monitor: 'val_loss' })], path)
  await expect(other).rejects.toMatchObject(refused)
  await expect(other).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.resume', says: ["'val_auc'", "'val_loss'"] }))
  const moved = run([checkpoint({ path: `${path}.best`, monitor: 'val_auc' })], path)
  await expect(moved).rejects.toMatchObject(refused)
  await expect(moved).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.resume' }))
  expect((await run([earlyStopping({ monitor: 'val_auc' })], path)).epochs).toHaveLength(2)
})

describe('callbacks that return promises', () => {
  const later = (job: () => void = () => undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      setTimeout(() => {
        try {
          resolve(job())
        } catch (error) {
          reject(error as Error)
        }
      }, 1)
    })

  it.each(['onStart', 'onStep', 'onValidationStart', 'onEpochEnd', 'onEpochSettled', 'onEnd'])(
    '%s ends the run with what it rejects',
    async (hook) => {
      using net = model()
      const mine = new Error('mine')
      const seen: unknown[] = []
      const reject = (): Promise<void> =>
        later(() => {
          throw mine
        })
      const onFailure = (error: unknown): Promise<void> => later(() => void seen.push(error))
      const run = net.fit(train, { validation, batchSize: 100, epochs: 2, callbacks: [{ [hook]: reject, onFailure }] })
      await expect(run).rejects.toBe(mine)
      expect(seen).toEqual([mine])
      expect((await net.fit(train, { epochs: 2 })).epochs).toHaveLength(2)
      expect((await net.predict(validation)).click).toHaveLength(300)
    },
  )

  it('are waited for, one after the other', async () => {
    using net = model()
    const order: string[] = []
    const onStep = (name: string) => ({ onStep: () => later(() => void order.push(name)) })
    await net.fit(train, { batchSize: 300, callbacks: [onStep('a'), onStep('b'), { onStep: () => order.push('c') }] })
    expect(order.join('')).toBe('abcabc')
  })

  it('that want to know of every step change nothing but the time it takes', async () => {
    const outcome = async (callback: Callback) => {
      using net = model()
      const { epochs } = await net.fit(train, { batchSize: 7, epochs: 3, optimizer: adam(), callbacks: [callback] })
      return { losses: epochs.map(({ loss, steps }) => [loss, steps]), scores: (await net.predict(validation)).click }
    }
    const steps: number[] = []
    const progress: StepRecord[] = []
    const one = await outcome({ onStep: ({ step }) => void steps.push(step) })
    const together = await outcome({ onProgress: (step) => void progress.push(step) })
    expect(together).toEqual(one)
    const perEpoch = Math.ceil(train.rows / 7)
    expect(steps).toEqual([1, 2, 3].flatMap(() => Array.from({ length: perEpoch }, (_, i) => i + 1)))
    expect(progress.length).toBeLessThan(steps.length / 2)
    expect(progress.filter(({ step }) => step === perEpoch)).toHaveLength(3)
    expect(progress.at(-1)).toMatchObject({ epoch: 3, rows: train.rows, loss: one.losses[2]?.[0] })
  })

  it('keep their state in checkpoints, and take it up', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'last.safetensors')
    let found: unknown
    const own = { state: async () => ({ json: 7 }), resume: (state: { json: unknown }) => later(() => void (found = state.json)) }
    const run = (options: object) => model().fit(train, { callbacks: [own, checkpoint({ path })], ...options })
    await run({ epochs: 1 })
    await run({ epochs: 2, resume: path, callbacks: [own, { onStep: () => expect(found).toBe(7) }] })
    expect(found).toBe(7)
  })
})
