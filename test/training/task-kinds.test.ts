// Tasks of several kinds are trained together, and funnels.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, expectTypeOf, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { ESMM, MMoE } from '../../lib/model/classes.js'
import { loadModel } from '../../lib/model/load.js'
import { adam } from '../../lib/optimizers/adam.js'
import { historyTable, resultsTable } from '../../lib/report/results.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'

const rows = 4000

/** Users whose clicks, buys, seconds and reactions follow from two tastes of theirs. */
function log(seed: number): Dataset {
  const world = randomOf(5)
  const tastes = Array.from({ length: 40 }, () => [4 * world() - 2, 4 * world() - 2] as const)
  const random = randomOf(seed)
  const user = Int32Array.from({ length: rows }, () => Math.floor(40 * random()))
  const taste = (row: number) => tastes[user[row] ?? 0] ?? [0, 0]
  const chance = (logit: number): number => (random() < 1 / (1 + Math.exp(-logit)) ? 1 : 0)
  const click = Array.from(user, (_, row) => chance(taste(row)[0]))
  return Dataset.fromColumns({
    user,
    click,
    buy: click.map((clicked, row) => clicked * chance(taste(row)[1])),
    seconds: click.map((_, row) => 3 + 2 * taste(row)[1] + random() - 0.5),
    reaction: click.map((_, row) => (taste(row)[0] > 1 ? 'love' : taste(row)[1] > 0 ? 'like' : 'none')),
  })
}

const [train, test] = [log(1), log(2)]
const features = [sparse('user', { vocabulary: 40, dim: 6 })]
const fast = { batchSize: 256, epochs: 12, optimizer: adam({ learningRate: 0.02 }), validation: test }

describe('a model of all kinds of tasks', () => {
  const tasks = [
    binary('click'),
    regression('seconds', { weight: 0.2 }),
    multiclass('reaction', { classes: ['none', 'like', 'love'] }),
  ] as const
  const make = (options: object = {}) => {
    const sizes = { numExperts: 4, expertHiddenUnits: [16], towerHiddenUnits: [8], seed: 3 }
    return new MMoE({ features, tasks, ...sizes, ...options })
  }

  it('learns them, measures each by its own metrics and predicts in its own shape', async () => {
    using model = make()
    const history = await model.fit(train, fast)
    const result = await model.evaluate(test)
    const { click, seconds, reaction } = result.tasks
    expect(click.auc).toBeGreaterThan(0.75)
    // The noise itself has a deviation of 0.29, the labels one of about 2.3.
    expect(seconds.rmse).toBeLessThan(0.5)
    expect(seconds.mae).toBeLessThan(seconds.rmse ?? 0)
    expect(reaction.accuracy).toBeGreaterThan(0.95)
    expect(seconds).not.toHaveProperty('auc')
    expect(reaction).not.toHaveProperty('positives')

    const scores = await model.predict(test)
    expectTypeOf(scores.reaction).toEqualTypeOf<Float32Array>()
    expect([scores.click, scores.seconds, scores.reaction].map(({ length }) => length)).toEqual([rows, rows, 3 * rows])
    const sums = Array.from({ length: rows }, (_, row) =>
      [0, 1, 2].reduce((sum, k) => sum + (scores.reaction[3 * row + k] ?? 0), 0),
    )
    expect(Math.max(...sums.map((sum) => Math.abs(sum - 1)))).toBeLessThan(1e-6)

    const last = history.epochs.at(-1)?.metrics
    expect(last).toMatchObject({ val_seconds_rmse: seconds.rmse, val_reaction_accuracy: reaction.accuracy, val_auc: click.auc })
    expect(resultsTable({ test: result })).toContain('rmse')
    expect(historyTable(history)).toContain('val_seconds_rmse')
  })

  it('predicts the same after save and load', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
    using model = make()
    await model.fit(train, { ...fast, epochs: 1 })
    await model.save(path)
    using again = await loadModel(path)
    expect(await again.predict(test)).toEqual(await model.predict(test))
  })

  it('learns with dropout, which evaluation does not have', async () => {
    using model = make({ dropout: 0.2 })
    await model.fit(train, fast)
    const once = await model.evaluate(test)
    expect(once.tasks.click.auc).toBeGreaterThan(0.75)
    expect(await model.evaluate(test)).toEqual(once)
  })

  it('gives the same bits with dropout, whatever the threads', async () => {
    const scores = async (threads: number, seed = 3) => {
      using model = make({ dropout: 0.2, threads, seed })
      await model.fit(train, { ...fast, epochs: 1 })
      return await model.predict(test)
    }
    const one = await scores(1)
    expect(await scores(2)).toEqual(one)
    expect(await scores(2, 4)).not.toEqual(one)
  })
})

describe('ESMM', () => {
  const tasks = [binary('click'), binary('buy')] as const

  it('predicts the funnel: each task over all rows, and each step given the one before', async () => {
    using model = new ESMM({ features, tasks, towerHiddenUnits: [16], seed: 1 })
    await model.fit(train, fast)
    const { click, buy, buy_given_click: given } = await model.predict(test)
    expectTypeOf(given).toEqualTypeOf<Float32Array>()
    expect(buy.every((p, row) => Math.abs(p - (click[row] ?? 0) * (given[row] ?? 0)) < 1e-6)).toBe(true)
    const result = await model.evaluate(test)
    expect(result.tasks.click.auc).toBeGreaterThan(0.75)
    expect(result.tasks.buy.auc).toBeGreaterThan(0.7)
  })

  it('takes any number of steps', async () => {
    using model = new ESMM({ features, tasks: [binary('a', { label: 'click' }), ...tasks] as const })
    await model.build(train)
    const scores = await model.predict(test)
    expect(Object.keys(scores)).toEqual(['a', 'click', 'click_given_a', 'buy', 'buy_given_click'])
  })

  it('refuses what is no funnel', () => {
    const wrong = (list: readonly unknown[]) => () => new ESMM({ features, tasks: list as never })
    expect(wrong([binary('click')])).toThrow(refusal('ARGUMENT', { field: 'ESMM.tasks' }))
    expect(wrong([binary('click'), regression('seconds')])).toThrow(
      refusal('ARGUMENT', { field: 'ESMM.tasks[1].kind', says: 'binary' }),
    )
  })
})
