// Negative rows that `fit` leaves out: which ones, and what training makes of the rest.

import { describe, expect, it } from 'vitest'

import { parseConfig } from '../../lib/cli/config.js'
import { atOnce } from '../../lib/core/slices.js'
import { Dataset } from '../../lib/data/dataset.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { SharedBottom } from '../../lib/model/classes.js'
import { adam } from '../../lib/optimizers/adam.js'
import { NegativeSampling } from '../../lib/runtime/negative-sampling.js'
import { binary } from '../../lib/tasks/binary.js'
import { regression } from '../../lib/tasks/regression.js'
import type { Task } from '../../lib/tasks/task.js'
import type { FitOptions } from '../../lib/training/options.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'

const rows = 20_000
const random = randomOf(8)
const id = Int32Array.from({ length: rows }, (_, row) => row)
const city = Array.from({ length: rows }, () => `c${Math.floor(6 * random())}`)
const draw = (share: (row: number) => number) => Float64Array.from({ length: rows }, (_, row) => (random() < share(row) ? 1 : 0))
const like = draw((row) => 0.05 + 0.02 * Number(city[row]?.slice(1)))
const share = draw(() => 0.1).map((label, row) => (row % 3 === 0 ? NaN : label))
const seconds = Float64Array.from({ length: rows }, () => random())
const data = Dataset.fromColumns({ id, city, like, share, seconds })

/** The ids of the rows that are kept, rising. */
function kept(from: Dataset, tasks: readonly Task[], options: { by?: string[]; seed?: number } = {}): number[] {
  const sampling = new NegativeSampling(tasks, { by: ['id'], seed: 0, ...options })
  const part = from.select(atOnce(sampling.kept(from)))
  return [...(part.column('id') as { readonly values: Int32Array }).values].sort((a, b) => a - b)
}

const withRate = (name: string, negativeRate: number) => binary(name, { negativeRate })

describe('the rows that are kept', () => {
  it('are all positive ones, and a share of the negative ones that grows with the rate', () => {
    const positive = [...id].filter((row) => like[row] === 1)
    let before = new Set<number>(positive)
    for (const rate of [1e-9, 0.1, 0.3, 0.9]) {
      const now = new Set(kept(data, [withRate('like', rate)]))
      for (const row of before) expect(now.has(row)).toBe(true)
      const negatives = rows - positive.length
      const deviation = Math.sqrt(negatives * rate * (1 - rate))
      expect(Math.abs(now.size - positive.length - negatives * rate)).toBeLessThan(4 * deviation + 1)
      before = now
    }
  })

  it('do not depend on the order of rows or on other rows, only on the key and the seed', () => {
    const tasks = [withRate('like', 0.2)]
    const whole = kept(data, tasks)
    expect(kept(data.select([...id].reverse()), tasks)).toEqual(whole)
    expect([...kept(data.slice(0, 7000), tasks), ...kept(data.slice(7000), tasks)]).toEqual(whole)
    expect(kept(data, tasks, { seed: 1 })).not.toEqual(whole)
    // A split by the same key and seed takes no more of them than of others.
    const { train } = data.split({ hash: 'id', validation: 0.5 })
    const negatives = (from: number[]) => from.filter((row) => like[row] === 0).length
    const all = [...(train.column('id') as { readonly values: Int32Array }).values]
    expect(negatives(kept(train, tasks)) / negatives(all)).toBeCloseTo(0.2, 1)
  })

  it('have a label left of some task', () => {
    const [one, other] = [kept(data, [withRate('like', 0.1)]), kept(data, [withRate('share', 0.4)])]
    const either = [...new Set([...one, ...other])].sort((a, b) => a - b)
    expect(kept(data, [withRate('like', 0.1), withRate('share', 0.4)])).toEqual(either)
    // A task that keeps all of its labels keeps the rows.
    expect(kept(data, [withRate('like', 0.1), regression('seconds')])).toEqual([...id])
    expect(kept(data, [withRate('like', 0.1), binary('share')])).toEqual(
      [...new Set([...one, ...[...id].filter((row) => row % 3 !== 0)])].sort((a, b) => a - b),
    )
  })
})

const make = (tasks: readonly Task[]) =>
  new SharedBottom({ features: [sparse('city', { dim: 4 })], tasks, bottomHiddenUnits: [8], towerHiddenUnits: [4], seed: 2 })
const options: FitOptions = { batchSize: 256, epochs: 2, optimizer: adam({ learningRate: 0.02 }) }

async function scores(tasks: readonly Task[], train: Parameters<ReturnType<typeof make>['fit']>[0], more: FitOptions = {}) {
  using net = make(tasks)
  await net.build(data)
  let trainRows = 0
  const callbacks = [{ onStart: (plan: { trainRows: number }) => void (trainRows = plan.trainRows) }]
  const { epochs } = await net.fit(train, { ...options, ...more, callbacks })
  return { trainRows, losses: epochs.map(({ tasks: of }) => of), scores: await net.predict(data) }
}

describe('training without them', () => {
  it('equals training on the kept rows alone', async () => {
    const tasks = [withRate('like', 0.2)]
    const sampled = await scores(tasks, data, { sampleNegatives: { by: 'id' } })
    const alone = data.select(atOnce(new NegativeSampling(tasks, { by: ['id'], seed: 0 }).kept(data)))
    expect(sampled).toEqual(await scores(tasks, alone))
    expect(sampled.trainRows).toBe(alone.rows)
    const { like: predicted = [] } = sampled.scores
    const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length
    // Predictions are those of all rows.
    expect(Math.abs(mean(predicted) - mean(like))).toBeLessThan(0.02)
  })

  it('equals training with those labels missing', async () => {
    const tasks = [withRate('like', 0.3), binary('share'), regression('seconds')]
    const drawn = new Set(kept(data, [withRate('like', 0.3)]))
    const missing = Dataset.fromColumns({
      id,
      city,
      share,
      seconds,
      like: like.map((label, row) => (drawn.has(row) ? label : NaN)),
    })
    expect(await scores(tasks, data, { sampleNegatives: { by: ['id'] } })).toEqual(await scores(tasks, missing))
    const smooth = [binary('like', { negativeRate: 0.3, labelSmoothing: 0.1, positiveWeight: 2 }), ...tasks.slice(1)]
    expect(await scores(smooth, data, { sampleNegatives: { by: ['id'] } })).toEqual(await scores(smooth, missing))
  })

  it('is the same on rows in parts, in any parts, and from a configuration', async () => {
    const tasks = [withRate('like', 0.2), withRate('share', 0.05)]
    const sampleNegatives = { by: ['id', 'city'], seed: 7 }
    const whole = await scores(tasks, data, { sampleNegatives })
    for (const size of [1, 3000, 9999]) {
      const parts = size === 1 ? () => [data.slice(0, 1), data.slice(1)] : () => [data.slice(0, size), data.slice(size)]
      expect(await scores(tasks, parts, { sampleNegatives })).toEqual(whole)
    }
    const { fit } = parseConfig({
      model: 'SharedBottom',
      features: [{ kind: 'sparse', name: 'city', dim: 4 }],
      tasks,
      fit: { sampleNegatives },
    })
    expect(await scores(tasks, data, { sampleNegatives: fit.sampleNegatives })).toEqual(whole)
    using fresh = make(tasks)
    using other = make(tasks)
    const of = async (net: typeof fresh, train: Parameters<typeof net.fit>[0]) =>
      (await net.fit(train, { ...options, sampleNegatives })).epochs.map(({ loss }) => loss)
    expect(await of(fresh, () => [data.slice(0, 5000), data.slice(5000)])).toEqual(await of(other, data))
  })
})

it('refuses tasks without a rate, keys that rows lack, and a sample without rows', async () => {
  const tasks = [withRate('like', 0.2)]
  const refused = async (by: unknown, error: Error, of: readonly Task[] = tasks, train = data) => {
    for (const source of [train, () => [train]]) {
      using net = make(of)
      await expect(net.fit(source, { ...options, sampleNegatives: { by } as never })).rejects.toThrow(error)
    }
  }
  await refused('id', refusal('ARGUMENT', { field: 'fit.sampleNegatives', says: 'negativeRate' }), [binary('like')])
  await refused('no', refusal('DATA', { dataset: 'training', column: 'no' }))
  await refused([], refusal('ARGUMENT', { field: 'fit.sampleNegatives.by' }))
  const { like: few, city: cities } = { like: like.slice(0, 3), city: city.slice(0, 3) }
  const keys = Dataset.fromColumns({
    like: few.map((_, row) => Number(row === 0)),
    city: cities,
    id: [1, null, 3],
    lists: [[1], [], [2]],
  })
  await refused('id', refusal('DATA', { dataset: 'training', column: 'id', row: 1 }), tasks, keys)
  await refused('lists', refusal('DATA', { dataset: 'training', column: 'lists', says: 'lists' }), tasks, keys)
  using net = make([withRate('like', 1e-9)])
  await net.build(data)
  const none = Dataset.fromColumns({ like: [0, 0, 0], city: cities, id: [1, 2, 3] })
  for (const source of [none, () => [none]])
    await expect(net.fit(source, { sampleNegatives: { by: 'id' } })).rejects.toThrow(
      refusal('DATA', { dataset: 'training', says: 'negative rows' }),
    )
})
