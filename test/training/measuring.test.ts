// What `evaluate` and `fit` measure when asked: metrics of groups, further metrics, a score; monitors of several numbers; what is refused.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, expectTypeOf, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { type Evaluation, groupedAuc, type MeasuringOptions } from '../../lib/index.js'
import { SharedBottom } from '../../lib/model/classes.js'
import { historyTable, resultsTable } from '../../lib/report/results.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { type EarlyStoppingOptions, earlyStopping } from '../../lib/training/early-stopping.js'
import { refusal } from '../support/refusal.js'
import { columns, data, model } from '../support/small-data.js'

const train = data({ rows: 800 })
const rows = 600
const validation = Dataset.fromColumns({
  ...columns({ rows, seed: 2, missing: 0.1 }),
  visit: Float64Array.from({ length: rows }, (_, row) => (row % 9 === 8 ? NaN : 1e12 * Math.floor(row / 7))),
  tags: Array.from({ length: rows }, () => [1, 2]),
})

const kinds = () =>
  new SharedBottom({
    features: [sparse('user', { vocabulary: 3, dim: 2 })],
    tasks: [binary('like'), regression('price'), multiclass('mood', { classes: 2 })],
    bottomHiddenUnits: [2],
    towerHiddenUnits: [2],
  })
const small = Dataset.fromColumns({ user: [0, 1, 2, 1], like: [1, 0, 1, 0], price: [3, 1, 2, 5], mood: [0, 1, 1, 0] })

describe('groups', () => {
  it.each(['user', 'city', 'visit'])('of column %s: as the functions measure them, counted', async (groups) => {
    using net = model()
    await net.fit(train)
    const { tasks } = await net.evaluate(validation, { groups })
    const scores = await net.predict(validation)
    const [labels, own] = [validation.column('click'), validation.column(groups)]
    if (labels.kind !== 'number' || own.kind === 'list') throw new Error('a column of single values')
    const want = groupedAuc({ scores: scores.click, labels: labels.values, groups: own })
    expect(tasks.click.uauc).toBeCloseTo(want.mean ?? NaN, 12)
    expect(tasks.click.gauc).toBeCloseTo(want.value ?? NaN, 12)
    expect(tasks.click.groups).toMatchObject({
      total: want.groups + want.skipped,
      bothClasses: want.groups,
      missingRows: want.missing,
    })
    expect(tasks.click.groups?.withPositives).toBeGreaterThanOrEqual(want.groups)
    expect(want.missing > 0).toBe(groups === 'visit')
    // A part whose rows are not consecutive has the same groups.
    const some = validation.select(Int32Array.from({ length: 300 }, (_, row) => (row * 7) % rows))
    const part = await net.evaluate(some, { groups })
    const [partLabels, partOwn] = [some.column('click'), some.column(groups)]
    if (partLabels.kind !== 'number' || partOwn.kind === 'list') throw new Error('a column of single values')
    const partWant = groupedAuc({ scores: (await net.predict(some)).click, labels: partLabels.values, groups: partOwn })
    expect(part.tasks.click.uauc).toBeCloseTo(partWant.mean ?? NaN, 12)
  })

  it('are not measured unless asked for', async () => {
    using net = model()
    await net.fit(train)
    const { click } = (await net.evaluate(validation)).tasks
    expect(Object.keys(click)).toEqual(['loss', 'auc', 'logloss', 'ne', 'pcoc', 'accuracy', 'positives', 'rows', 'reasons'])
  })

  it('must be a column of single values', async () => {
    using net = model()
    await net.fit(train)
    await expect(net.evaluate(validation, { groups: 'usr' })).rejects.toThrow(
      refusal('DATA', { column: 'usr', says: ['metrics of groups: no column "usr"', "set 'groups'"] }),
    )
    await expect(net.evaluate(validation, { groups: 'tags' })).rejects.toThrow(
      refusal('DATA', { column: 'tags', says: 'found lists' }),
    )
    await expect(net.fit(train, { validation, groups: 'tags' })).rejects.toThrow(
      refusal('DATA', { column: 'tags', says: 'validation data' }),
    )
    for (const groups of ['', 3, null]) {
      await expect(net.evaluate(validation, { groups } as never)).rejects.toThrow(
        refusal('ARGUMENT', { field: 'evaluate.groups' }),
      )
    }
  })
})

describe('further metrics', () => {
  it('are in results by the name that asked for them, in the order of all', async () => {
    using net = kinds()
    await net.fit(small)
    const asked = ['xauc', 'ece', 'mrr', 'ndcg@10', 'ndcg@2', 'prauc', 'ece@4', 'prauc', 'auc'] as const
    const { tasks } = await net.evaluate(small, { groups: 'mood', metrics: asked })
    const { like, price, mood } = tasks
    expect(Object.keys(like)).toEqual(
      'loss auc uauc gauc prauc ndcg@2 ndcg@10 mrr logloss ne pcoc ece ece@4 accuracy positives rows groups reasons'.split(' '),
    )
    expect(Object.keys(price)).toEqual(['loss', 'rmse', 'mae', 'xauc', 'rows', 'reasons'])
    expect(Object.keys(mood)).toEqual(['loss', 'logloss', 'accuracy', 'rows', 'reasons'])
    for (const name of ['prauc', 'ndcg@2', 'mrr', 'ece@4'] as const) expect(like[name]).toBeTypeOf('number')
    expectTypeOf(like.prauc).toEqualTypeOf<number | undefined>()
    expectTypeOf(like['ndcg@10']).toEqualTypeOf<number | undefined>()
    // @ts-expect-error: the AUC has no number.
    expect(like['auc@10']).toBeUndefined()
    // @ts-expect-error: regression has no precision.
    expect(price.prauc).toBeUndefined()
    expectTypeOf(like.ne).toEqualTypeOf<number | undefined>()
    // @ts-expect-error: there is no such metric.
    const wrong: MeasuringOptions = { metrics: ['precision'] }
    expect(wrong.metrics).toHaveLength(1)
  })

  it.each<[string, readonly string[], string]>([
    [
      'one that is unknown',
      ['auc', 'prAuc'],
      'evaluate.metrics[1]: expected a metric of these tasks (auc, uauc, gauc, prauc, ndcg or ndcg@<number>',
    ],
    ['one of other kinds of tasks', ['xauc'], 'evaluate.metrics[0]'],
    ['one without the groups that it needs', ['ndcg@5'], "or set 'groups'"],
    ['a mean over groups without groups', ['uauc'], "or set 'groups'"],
    ['a number where there is none', ['auc@5'], 'evaluate.metrics[0]'],
    ['zero', ['ece@0'], 'evaluate.metrics[0]'],
    ['a fraction', ['ece@1.5'], 'evaluate.metrics[0]'],
    ['too many bins', ['ece@1000001'], 'evaluate.metrics[0]'],
    ['two numbers', ['ece@4@5'], 'evaluate.metrics[0]'],
  ])('refuses %s', async (_, metrics, says) => {
    using net = model()
    await net.fit(train)
    const wrong = refusal('ARGUMENT', { says })
    await expect(net.evaluate(validation, { metrics } as never)).rejects.toThrow(wrong)
    await expect(net.fit(train, { validation, metrics } as never)).rejects.toThrow(
      refusal('ARGUMENT', { says: says.replace('evaluate', 'fit') }),
    )
  })
})

describe('the score', () => {
  it('is the weighted mean of its metrics, and a monitor', async () => {
    using net = model()
    const score = { click_uauc: 4, buy_uauc: 3, buy_auc: 0.5 }
    const history = await net.fit(train, { validation, epochs: 2, groups: 'user', score })
    const result = await net.evaluate(validation, { groups: 'user', score })
    const { click, buy } = result.tasks
    const want = (4 * (click.uauc ?? NaN) + 3 * (buy.uauc ?? NaN) + 0.5 * (buy.auc ?? NaN)) / 7.5
    expect(result.score).toBeCloseTo(want, 12)
    expect(history.epochs[1]?.metrics['val_score']).toBe(result.score)
    expect(history.epochs[1]?.validation?.score).toBe(result.score)
    expect(resultsTable({ test: result })).toContain(`test: score ${want.toFixed(4)}`)
    expect(historyTable(history)).toMatch(new RegExp(`val_score.*\\n.*\\n.*${want.toFixed(4)}`))
    expect('score' in (await net.evaluate(validation))).toBe(false)
  })

  it('is undefined where one of its metrics is', async () => {
    using net = model()
    await net.fit(train)
    const none = Dataset.fromColumns({ user: [1, 2], city: ['Oslo', 'Rome'], price: [100, 101], click: [0, 0], buy: [0, 1] })
    const result = await net.evaluate(none, { score: { click_auc: 1, buy_auc: 1 } })
    expect(result).toMatchObject({ score: undefined })
    expect(resultsTable({ test: result })).toContain('test: no score, one of its metrics has no value')
  })

  it.each<[string, Record<string, unknown>, string]>([
    [
      'a metric that is not measured',
      { click_uauc: 1 },
      'evaluate.score: expected metrics that are measured, of which higher is better (click_auc, click_accuracy',
    ],
    ['a metric of which lower is better', { click_logloss: 1 }, 'click_logloss'],
    ['a weight of 0', { click_auc: 0 }, 'evaluate.score'],
    ['no metric', {}, 'evaluate.score'],
  ])('refuses %s', async (_, score, says) => {
    using net = model()
    await net.fit(train)
    await expect(net.evaluate(validation, { score } as never)).rejects.toThrow(refusal('ARGUMENT', { says }))
  })
})

describe('monitors of several numbers', () => {
  const monitor = { val_click_uauc: 4, val_buy_uauc: 3 }
  const value = ({ metrics }: { metrics: Readonly<Record<string, number>> }): number =>
    (4 * (metrics['val_click_uauc'] ?? NaN) + 3 * (metrics['val_buy_uauc'] ?? NaN)) / 7

  it('take the epoch of the best weighted mean', async () => {
    using net = model()
    const history = await net.fit(train, {
      validation,
      epochs: 6,
      groups: 'user',
      callbacks: [earlyStopping({ monitor, patience: 6 })],
    })
    const values = history.epochs.map(value)
    expect(history.weightsEpoch).toBe(1 + values.indexOf(Math.max(...values)))
    expect(values.every((one) => one > 0.4)).toBe(true)
  })

  it('are kept in a checkpoint', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-measuring-')), 'last.safetensors')
    const run = (options: { epochs: number; resume?: string; monitor?: EarlyStoppingOptions['monitor'] }) => {
      const { monitor: own = monitor, ...rest } = options
      const callbacks = [
        earlyStopping({ monitor: own, patience: 2 }),
        checkpoint({ path, monitor: own }),
        checkpoint({ path: `${path}.last` }),
      ]
      return model().fit(train, { validation, groups: 'user', callbacks, ...rest })
    }
    const whole = await run({ epochs: 5 })
    await run({ epochs: 2 })
    const resumed = await run({ epochs: 5, resume: `${path}.last` })
    expect(resumed.weightsEpoch).toBe(whole.weightsEpoch)
    expect(resumed.stopReason).toBe(whole.stopReason)
    expect(resumed.epochs.map(value)).toEqual(whole.epochs.map(value))
    const other = run({ epochs: 5, resume: `${path}.last`, monitor: { val_click_uauc: 4 } })
    await expect(other).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.resume', says: '4 val_click_uauc + 3 val_buy_uauc' }))
  })

  it.each<[string, EarlyStoppingOptions, string]>([
    ['a number that is not measured', { monitor: { val_auc: 1, val_recall: 2 } }, "found 'val_recall'"],
    ['numbers of two directions', { monitor: { val_auc: 1, val_loss: 2 } }, "found 'val_auc' beside 'val_loss'"],
  ])('refuse %s', async (_, options, says) => {
    using net = model()
    const run = net.fit(train, { validation, callbacks: [earlyStopping(options)] })
    await expect(run).rejects.toThrow(refusal('ARGUMENT', { field: 'monitor', says }))
  })

  it.each([{}, { val_auc: 0 }, { val_auc: '1' }, { val_auc: Infinity }, '', 3])('refuse %o', (wrong) => {
    expect(() => earlyStopping({ monitor: wrong } as never)).toThrow(refusal('ARGUMENT', { says: 'earlyStopping.monitor' }))
    expect(() => checkpoint({ path: 'x', monitor: wrong } as never)).toThrow(refusal('ARGUMENT', { says: 'checkpoint.monitor' }))
  })

  /** The epoch that is best, of values of one or two numbers. */
  async function bestOf(options: EarlyStoppingOptions, values: readonly Readonly<Record<string, number>>[]): Promise<number> {
    const early = earlyStopping({ ...options, patience: 9 })
    let taken = values.length
    const control = { snapshot: async () => new Map(), restore: async (_: unknown, epoch: number) => void (taken = epoch) }
    await early.onStart?.({ monitors: ['val_pcoc', 'val_auc', 'val_loss', 'val_score'] } as never, control as never)
    for (const [index, metrics] of values.entries())
      await early.onEpochEnd?.({ epoch: index + 1, metrics } as never, control as never)
    await early.onEnd?.({ weightsEpoch: values.length } as never, control as never)
    return taken
  }

  it('go the way that is better: calibration towards 1, a score up', async () => {
    const pcoc = [1.5, 0.9, 1.2, 0.5].map((val_pcoc) => ({ val_pcoc }))
    expect(await bestOf({ monitor: 'val_pcoc' }, pcoc)).toBe(2)
    expect(await bestOf({ monitor: 'val_pcoc', mode: 'max' }, pcoc)).toBe(1)
    expect(await bestOf({ monitor: 'val_pcoc', minDelta: 0.45 }, pcoc)).toBe(1)
    expect(
      await bestOf(
        { monitor: 'val_score' },
        [0.2, 0.4, 0.3].map((val_score) => ({ val_score })),
      ),
    ).toBe(2)
    // With a mode, any numbers go together; an epoch that lacks one has no value.
    const two = [{ val_auc: 0.9, val_loss: 0.1 }, { val_auc: 0.99 }, { val_auc: 0.5, val_loss: 0.2 }] as Record<string, number>[]
    expect(await bestOf({ monitor: { val_auc: 1, val_loss: 1 }, mode: 'max' }, two)).toBe(1)
    expect(await bestOf({ monitor: { val_auc: 1, val_loss: 1e308 }, mode: 'max' }, two)).toBe(3)
  })
})

it('tables show metrics of groups, counts and reasons', async () => {
  const result = {
    tasks: {
      like: {
        loss: 1,
        auc: 0.7,
        uauc: 0.61,
        'ndcg@10': 0.5,
        rows: 1200,
        positives: 300,
        groups: { total: 1000, bothClasses: 970, withPositives: 980, missingRows: 12 },
        reasons: {},
      },
      buy: {
        loss: 1,
        auc: undefined,
        uauc: undefined,
        'ndcg@10': undefined,
        rows: 9,
        positives: 0,
        reasons: { auc: 'why', uauc: 'what', 'ndcg@10': 'what' },
      },
    },
    loss: 2,
    score: 0.65,
    rows: 1200,
    unknownValues: {},
    unknownShares: {},
  } as unknown as Evaluation
  expect(resultsTable({ test: result }).split('\n')).toEqual([
    'data  task     auc    uauc  ndcg@10  positives   rows',
    'test  like  0.7000  0.6100   0.5000        300  1,200',
    'test  buy        -       -        -          0      9',
    'test: score 0.6500',
    'test like: 970 of 1,000 groups have both classes, 980 a positive row; 12 rows have no group',
    'test buy: no AUC, why',
    'test buy: no uAUC or NDCG@10, what',
  ])
  expect(() => resultsTable({ test: { tasks: { like: { rows: 1, 'ndcg@3': 'x' } } } } as never)).toThrow(
    refusal('ARGUMENT', { says: 'results.test.tasks.like.ndcg@3: expected a number, found "x"' }),
  )
})
