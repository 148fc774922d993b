// Metrics of the predictions made while training: what they are of, that they change nothing, and their monitors.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { BalanceOptions } from '../../lib/balancing/registry.js'
import { Dataset } from '../../lib/data/dataset.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { ESMM, SharedBottom } from '../../lib/model/classes.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { progress } from '../../lib/report/progress.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 900, missing: 0.1 })
/** A rate so small that no weight moves by a bit that matters. */
const still = sgd({ learningRate: 1e-30 })

describe('with weights that do not move', () => {
  it.each([true, false])(
    'they are those of evaluation, in batches of which the last is smaller, shuffled: %s',
    async (shuffle) => {
      using net = model()
      const [epoch] = (
        await net.fit(train, { trainingMetrics: true, batchSize: 256, optimizer: still, shuffle, metrics: ['prauc', 'ece@7'] })
      ).epochs
      const { tasks } = await net.evaluate(train, { metrics: ['prauc', 'ece@7'] })
      for (const task of ['click', 'buy'] as const) {
        const [got, want] = [epoch?.training?.tasks[task], tasks[task]]
        expect(got).toMatchObject({ rows: want.rows, positives: want.positives, reasons: {} })
        for (const metric of ['loss', 'auc', 'prauc', 'logloss', 'ne', 'pcoc', 'ece@7', 'accuracy'] as const) {
          expect(got?.[metric], metric).toBeCloseTo(want[metric] ?? NaN, 6)
        }
        expect(epoch?.metrics[`${task}_auc`]).toBe(got?.auc)
      }
      expect(epoch?.metrics['auc']).toBeCloseTo((tasks.click.auc ?? NaN) / 2 + (tasks.buy.auc ?? NaN) / 2, 6)
    },
  )

  it.each([
    ['smoothed labels', binary('click', { labelSmoothing: 0.1 })],
    ['heavier positives', binary('click', { positiveWeight: 2 })],
    ['heavier positives beside row weights', binary('click', { positiveWeight: 2, weightColumn: 'price' })],
    ['negative rows kept at a rate', binary('click', { negativeRate: 0.5 })],
    ['a sample space with weights', binary('click', { where: { buy: 1 }, outsideWeight: 0.25, labelSmoothing: 0.2 })],
    ['transformed labels', regression('click', { label: 'price', transform: 'standardize' })],
    ['buckets', regression('click', { label: 'price', loss: { kind: 'buckets', count: 4 } })],
  ])('of the labels and weights as they are given, with %s', async (_, task) => {
    const rows = data({ rows: 600 })
    using net = new SharedBottom({
      features: [sparse('user', { vocabulary: 30, dim: 3 })],
      tasks: [task, binary('buy')],
      bottomHiddenUnits: [4],
    })
    const [epoch] = (await net.fit(rows, { trainingMetrics: true, batchSize: 128, optimizer: still })).epochs
    const { tasks } = await net.evaluate(rows)
    for (const name of ['click', 'buy'] as const) {
      const got: Readonly<Record<string, unknown>> = { ...epoch?.training?.tasks[name] }
      expect(got['reasons']).toEqual({})
      for (const [metric, value] of Object.entries(tasks[name])) {
        // The loss is what the steps have lowered: that of the changed labels.
        if (typeof value === 'number' && metric !== 'loss') expect(got[metric], `${name} ${metric}`).toBeCloseTo(value, 5)
      }
    }
  })

  it('of every kind of task, with row weights and missing labels', async () => {
    const rows = 200
    const column = (of: (row: number) => number | null) => Array.from({ length: rows }, (_, row) => of(row))
    const mixed = Dataset.fromColumns({
      user: column((row) => row % 5),
      like: column((row) => (row % 7 === 3 ? null : Number(row % 5 > 2))),
      price: column((row) => (row % 3 === 1 ? null : row % 11)),
      mood: column((row) => row % 3),
      w: column((row) => (row % 4) / 2),
    })
    using net = new SharedBottom({
      features: [sparse('user', { vocabulary: 5, dim: 3 })],
      tasks: [
        binary('like', { weightColumn: 'w' }),
        regression('price', { weightColumn: 'w' }),
        multiclass('mood', { classes: 3 }),
      ],
      bottomHiddenUnits: [4],
      towerHiddenUnits: [3],
    })
    const [epoch] = (await net.fit(mixed, { trainingMetrics: true, batchSize: 64, optimizer: still, metrics: ['xauc'] })).epochs
    const { tasks } = await net.evaluate(mixed, { metrics: ['xauc'] })
    for (const [task, metrics] of [
      ['like', ['auc', 'logloss']],
      ['price', ['rmse', 'mae', 'xauc']],
      ['mood', ['logloss', 'accuracy']],
    ] as const) {
      for (const metric of metrics) {
        const [got, want] = [epoch?.training?.tasks[task] as Record<string, unknown>, tasks[task] as Record<string, unknown>]
        expect(got[metric], `${task} ${metric}`).toBeCloseTo(Number(want[metric]), 5)
        expect(got['rows']).toBe(want['rows'])
      }
    }
  })

  it('of a funnel', async () => {
    const rows = Array.from({ length: 300 }, (_, row) => row)
    const funnel = Dataset.fromColumns({
      user: rows.map((row) => row % 6),
      click: rows.map((row) => Number(row % 6 > 1)),
      buy: rows.map((row) => Number(row % 6 > 3 && row % 4 === 0)),
    })
    using net = new ESMM({
      features: [sparse('user', { vocabulary: 6, dim: 3 })],
      tasks: [binary('click'), binary('buy')],
      bottomHiddenUnits: [4],
      towerHiddenUnits: [3],
    })
    const [epoch] = (await net.fit(funnel, { trainingMetrics: true, batchSize: 100, optimizer: still })).epochs
    const { tasks } = await net.evaluate(funnel)
    expect(epoch?.training?.tasks.buy.auc).toBeCloseTo(tasks.buy.auc ?? NaN, 6)
  })
})

describe('with weights that move', () => {
  it.each(['cpu', 'reference'] as const)(
    'training has the same bits, and predictions are of before each update: %s',
    async (device) => {
      const options = { batchSize: 128, epochs: 2 }
      using plain = model({ device, dropout: 0.2 })
      using measured = model({ device, dropout: 0.2 })
      const want = await plain.fit(train, options)
      const got = await measured.fit(train, { ...options, trainingMetrics: true })
      expect(await measured.predict(train)).toEqual(await plain.predict(train))
      expect(got.epochs.map(({ loss }) => loss)).toEqual(want.epochs.map(({ loss }) => loss))
      // The log loss of these predictions is the loss of training.
      for (const { training, tasks } of got.epochs) {
        expect(training?.tasks.click.logloss).toBeCloseTo(tasks.click.loss, 5)
        expect(training?.tasks.click.loss).toBe(tasks.click.loss)
      }
      expect(want.epochs[0]).not.toHaveProperty('training')
    },
  )

  it.each<BalanceOptions>(['uncertainty', 'dwa', 'gls', 'famo', { method: 'pcgrad', on: 'representation' }])(
    'balanced by %o: the same bits, and each step measured once',
    async (balance) => {
      using plain = model({ dropout: 0.2 })
      using measured = model({ dropout: 0.2 })
      const options = { batchSize: 128, epochs: 2, balance }
      await plain.fit(train, options)
      const { epochs } = await measured.fit(train, { ...options, trainingMetrics: true })
      expect(await measured.predict(train)).toEqual(await plain.predict(train))
      for (const { training, tasks } of epochs) expect(training?.tasks.click.logloss).toBeCloseTo(tasks.click.loss, 5)
    },
  )

  it('but not beside a balance on parameters, whose steps are cut', async () => {
    using net = model()
    const run = net.fit(train, { trainingMetrics: true, balance: { method: 'pcgrad', on: 'parameters' } })
    await expect(run).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.trainingMetrics' }))
  })

  it('a resumed run has them of every epoch', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-training-metrics-')), 'last.safetensors')
    const run = (epochs: number, resume?: string) =>
      model().fit(train, { epochs, resume, trainingMetrics: true, callbacks: [checkpoint({ path })] })
    const whole = await run(3)
    await run(2)
    const resumed = await run(3, path)
    expect(resumed.epochs.map(({ training }) => training)).toEqual(whole.epochs.map(({ training }) => training))
    expect(resumed.epochs.map(({ metrics }) => metrics)).toEqual(whole.epochs.map(({ metrics }) => metrics))
  })

  it('can be watched without validation data, but not those of groups', async () => {
    using net = model()
    const run = (monitor: string) => net.fit(train, { epochs: 2, trainingMetrics: true, callbacks: [earlyStopping({ monitor })] })
    const { epochs, weightsEpoch } = await run('click_auc')
    expect(weightsEpoch).toBe((epochs[0]?.metrics['click_auc'] ?? 0) >= (epochs[1]?.metrics['click_auc'] ?? 0) ? 1 : 2)
    await expect(run('click_uauc')).rejects.toThrow(refusal('ARGUMENT', { field: 'monitor' }))
    await expect(net.fit(train, { callbacks: [earlyStopping({ monitor: 'auc' })] })).rejects.toThrow(
      refusal('ARGUMENT', { field: 'monitor' }),
    )
    const both = await net.fit(train, { validation: train, groups: 'user', trainingMetrics: true })
    expect(both.epochs[0]?.training?.tasks.click).not.toHaveProperty('uauc')
    expect(both.epochs[0]?.metrics).toMatchObject({ auc: expect.any(Number) as number, val_uauc: expect.any(Number) as number })
  })

  it('are in the lines of progress', async () => {
    const lines: string[] = []
    using net = model()
    const stream = { write: (line: string) => lines.push(line) }
    const { epochs } = await net.fit(train, { trainingMetrics: true, callbacks: [progress({ stream, bar: false })] })
    const { click, buy } = epochs[0]?.training?.tasks ?? {}
    expect(lines.join('')).toContain(`  auc click ${click?.auc?.toFixed(4)} buy ${buy?.auc?.toFixed(4)}`)
  })
})

it('wants a boolean', async () => {
  using net = model()
  await expect(net.fit(train, { trainingMetrics: 1 } as never)).rejects.toThrow(
    refusal('ARGUMENT', { field: 'fit.trainingMetrics' }),
  )
})
