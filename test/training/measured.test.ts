// What evaluation measures of tasks of every kind, by name: its types, its reasons, its monitors, and what files of before have.

import { describe, expect, expectTypeOf, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { epochsOf } from '../../lib/files/training-state.js'
import type { Evaluation, TaskEvaluation } from '../../lib/index.js'
import { SharedBottom } from '../../lib/model/classes.js'
import { historyTable, resultsTable } from '../../lib/report/results.js'
import { measuringOf } from '../../lib/runtime/measuring.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import type { Task } from '../../lib/tasks/task.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import { betterOf, monitorNames } from '../../lib/training/history.js'

const features = [sparse('user', { vocabulary: 3, dim: 2 })]
const columns = { user: [0, 1, 2, 1], like: [1, 0, 1, 0], price: [3, 1, 2, 5], mood: [0, 1, 1, 0] }
const train = Dataset.fromColumns(columns)
const make = () =>
  new SharedBottom({
    features,
    tasks: [binary('like'), regression('price'), multiclass('mood', { classes: 2 })],
    bottomHiddenUnits: [2],
    towerHiddenUnits: [2],
  })

describe('results', () => {
  it('have the metrics of their kinds, in types and in values', async () => {
    using model = make()
    const history = await model.fit(train, { validation: train })
    const result = await model.evaluate(train)
    const { like, price, mood } = result.tasks
    expect(Object.keys(like)).toEqual(['loss', 'auc', 'logloss', 'ne', 'pcoc', 'accuracy', 'positives', 'rows', 'reasons'])
    expect(Object.keys(price)).toEqual(['loss', 'rmse', 'mae', 'rows', 'reasons'])
    expect(Object.keys(mood)).toEqual(['loss', 'logloss', 'accuracy', 'rows', 'reasons'])
    expect(history.epochs[0]?.validation?.tasks.price.rmse).toBe(price.rmse)
    expectTypeOf(like.auc).toEqualTypeOf<number | undefined>()
    expectTypeOf(like.positives).toEqualTypeOf<number>()
    expectTypeOf(mood.logloss).toEqualTypeOf<number | undefined>()
    // @ts-expect-error: of regression there is no AUC.
    expect(price.auc).toBeUndefined()
    // @ts-expect-error: nor a reason for it.
    expect(price.reasons.auc).toBeUndefined()
    // @ts-expect-error: classes are not positive.
    expect(mood.positives).toBeUndefined()
    // @ts-expect-error: there is no such task.
    expect(result.tasks.buy).toBeUndefined()
    expectTypeOf(result).toExtend<Evaluation>()
    expectTypeOf(like).toExtend<TaskEvaluation>()
  })

  it('of tasks that are known at run time alone may have any metric', () => {
    type Any = Evaluation['tasks'][string]
    expectTypeOf<Any>().toEqualTypeOf<TaskEvaluation>()
    expectTypeOf<Any['auc']>().toEqualTypeOf<number | undefined>()
    expectTypeOf<Any['positives']>().toEqualTypeOf<number | undefined>()
    expectTypeOf<Evaluation<ReturnType<typeof binary>[]>['tasks'][string]>().toEqualTypeOf<TaskEvaluation<'binary'>>()
    type Either = TaskEvaluation<'binary' | 'multiclass'>
    expectTypeOf<Either['logloss']>().toEqualTypeOf<number | undefined>()
    expectTypeOf<Either>().not.toHaveProperty('rmse')
  })

  it('say why a metric is undefined, in tables and JSON too', async () => {
    using model = make()
    await model.fit(train)
    const none = { user: [0, 1], like: [0, 0], price: [null, null], mood: [0, null] }
    const result = await model.evaluate(Dataset.fromColumns(none))
    const { like, price, mood } = result.tasks
    expect(like).toMatchObject({ auc: undefined, positives: 0 })
    const reason = 'all 2 labelled rows are negative'
    expect(like.reasons).toEqual({ auc: reason, ne: reason, pcoc: reason })
    expect(price.reasons).toEqual({ rmse: 'no row has a label', mae: 'no row has a label' })
    expect(mood.reasons).toEqual({})
    const kept = JSON.parse(JSON.stringify({ test: result })) as Record<string, Evaluation>
    expect(kept['test']?.tasks['price']?.reasons).toEqual(price.reasons)
    expect(resultsTable(kept)).toBe(resultsTable({ test: result }))
    expect(resultsTable(kept).split('\n').slice(-2)).toEqual([
      'test like: no AUC, NE or PCOC, all 2 labelled rows are negative',
      'test price: no RMSE or MAE, no row has a label',
    ])
  })
})

describe('monitors', () => {
  const tasks = [
    { kind: 'binary', name: 'like' },
    { kind: 'regression', name: 'auc_price' },
    { kind: 'multiclass', name: 'mood', classes: 2 },
  ] as const
  const names = monitorNames(
    tasks.map((task) => ({ ...task, weight: 1, rowWeights: false })),
    { training: undefined, validation: measuringOf('fit', tasks, {}) },
  )

  it('are those of the metrics', () => {
    expect(names.join(' ')).toBe(
      'loss like_loss auc_price_loss mood_loss val_loss val_like_loss val_auc val_like_auc val_logloss val_like_logloss ' +
        'val_ne val_like_ne val_pcoc val_like_pcoc val_accuracy val_like_accuracy val_auc_price_loss val_rmse val_auc_price_rmse val_mae val_auc_price_mae ' +
        'val_mood_loss val_mood_logloss val_mood_accuracy',
    )
  })

  it('go the way that is better', () => {
    const up = names.filter((name) => betterOf(name) === 'higher')
    expect(up).toEqual(['val_auc', 'val_like_auc', 'val_accuracy', 'val_like_accuracy', 'val_mood_accuracy'])
  })

  it.each<[string, readonly number[], number]>([
    ['val_rmse', [3, 2, 4, 5], 2],
    ['val_price_mae', [3, 2, 1, 5], 3],
    ['val_accuracy', [0.5, 0.7, 0.6, 0.6], 2],
  ])('%s', async (monitor, values, best) => {
    const early = earlyStopping({ monitor, patience: 9 })
    let taken = 0
    const control = { snapshot: async () => new Map(), restore: async (_: unknown, epoch: number) => void (taken = epoch) }
    await early.onStart?.({ monitors: [monitor] } as never, control as never)
    for (const [index, value] of values.entries())
      await early.onEpochEnd?.({ epoch: index + 1, metrics: { [monitor]: value } } as never, control as never)
    await early.onEnd?.({ weightsEpoch: values.length } as never, control as never)
    expect(taken).toBe(best)
  })
})

describe('epochs of a checkpoint', () => {
  const optimizer = { name: 'adam', learningRate: 0.01 }
  const json = (epochs: readonly object[]) => ({ optimizer, epochs }) as unknown as Parameters<typeof epochsOf>[0]
  const old = { loss: 1, logloss: 0.5, accuracy: 1, rows: 2, positives: 0 }

  it('of before reasons say theirs in the new way', () => {
    const tasks = { like: { ...old, aucReason: 'all 2 labelled rows are negative' }, share: { ...old, auc: 0.7 } }
    const metrics = { val_share_auc: 0.7 }
    const [epoch] = epochsOf(json([{ epoch: 1, loss: 1, metrics, seconds: 1, validation: { loss: 1, tasks } }]))
    expect(epoch?.validation?.tasks).toEqual({
      like: { ...old, reasons: { auc: 'all 2 labelled rows are negative' } },
      share: { ...old, auc: 0.7, reasons: {} },
    })
    expect(historyTable({ epochs: [epoch], weightsEpoch: 1 } as never)).toMatch(/val_like_auc +val_share_auc.*\n.* - +0\.7000/)
  })

  it('stay as they are where they have reasons, or are no such thing', () => {
    const whole = { epoch: 1, learningRate: 0.1, validation: { loss: 1, tasks: { like: { ...old, reasons: { auc: 'why' } } } } }
    for (const epoch of [whole, { epoch: 2 }, { epoch: 3, validation: null }, { epoch: 4, validation: { tasks: 5 } }])
      expect(epochsOf(json([epoch]))).toEqual([{ learningRate: 0.01, ...epoch }])
  })
})

it('a list of tasks made at run time is evaluated too', async () => {
  const tasks: Task[] = ['like'].map((name) => binary(name))
  using model = new SharedBottom({ features, tasks, bottomHiddenUnits: [2], towerHiddenUnits: [2] })
  await model.fit(train)
  const result = await model.evaluate(train)
  expect(result.tasks['like']?.auc).toBeTypeOf('number')
})
