// Regression tasks with other losses and with transforms: what the network is trained on, what is predicted and measured, what a model
// keeps, and what is refused.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { parseConfig } from '../../lib/cli/config.js'
import { atOnce } from '../../lib/core/slices.js'
import { Dataset } from '../../lib/data/dataset.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { MMoE } from '../../lib/model/classes.js'
import { loadModel } from '../../lib/model/load.js'
import { adam } from '../../lib/optimizers/adam.js'
import { fitBuckets } from '../../lib/tasks/fitted.js'
import { type RegressionOptions, regression } from '../../lib/tasks/regression.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'

const users = 12
const rows = 6000

/** Seconds that users watch: some not at all, the others an exponential time with a mean of their own. */
const { user, seconds } = (() => {
  const random = randomOf(3)
  const user = Int32Array.from({ length: rows }, () => Math.floor(users * random()))
  const seconds = Array.from(user, (id) => (random() < 0.3 + id / 40 ? 0 : -(3 + id) * Math.log(1 - random())))
  return { user, seconds: seconds.map((value, row) => (row % 50 === 7 ? NaN : value)) }
})()
const known = (id: number) => seconds.filter((value, row) => user[row] === id && !Number.isNaN(value))
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

const data = Dataset.fromColumns({ user, seconds, weight: seconds.map((_, row) => 1 + (row % 3)) })
const make = (options: RegressionOptions) => {
  return new MMoE({
    features: [sparse('user', { vocabulary: users, dim: 8 })],
    tasks: [regression('seconds', options)] as const,
    numExperts: 2,
    expertHiddenUnits: [16],
    towerHiddenUnits: [8],
    seed: 2,
  })
}
const training = { batchSize: 500, epochs: 12, optimizer: adam({ learningRate: 0.01 }) }
const everyUser = { user: Int32Array.from({ length: users }, (_, id) => id) }

const losses: readonly [string, RegressionOptions][] = [
  ['squared, log1pStandardize', { transform: 'log1pStandardize' }],
  ['squared, standardize', { transform: 'standardize' }],
  ['absolute', { loss: 'absolute' }],
  ['huber', { loss: { kind: 'huber', delta: 0.5 }, transform: 'standardize' }],
  ['logCosh', { loss: 'logCosh', transform: 'log1p' }],
  ['quantile', { loss: { kind: 'quantile', quantile: 0.9 }, weightColumn: 'weight' }],
  ['poisson', { loss: 'poisson' }],
  ['tweedie', { loss: { kind: 'tweedie', power: 1.4 }, weightColumn: 'weight' }],
  ['weightedLogistic', { loss: 'weightedLogistic', weightColumn: 'weight' }],
  ['ziln', { loss: 'ziln' }],
  ['buckets', { loss: { kind: 'buckets', count: 12 } }],
]

describe.each(losses)('a task trained with %s', (_, options) => {
  it('is measured in units of its labels, and predicts the same bits after save and load, at once and in a batch', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
    using model = make(options)
    await model.fit(data, { ...training, epochs: 2 })
    const { seconds: scores } = await model.predict(data)
    const weight = (row: number): number => (options.weightColumn === undefined ? 1 : 1 + (row % 3))
    let [sum, total] = [0, 0]
    for (const [row, label] of seconds.entries()) {
      if (Number.isNaN(label)) continue
      sum += weight(row) * ((scores[row] ?? NaN) - label) ** 2
      total += weight(row)
    }
    const { rmse } = (await model.evaluate(data)).tasks.seconds
    expect((rmse ?? NaN) / Math.sqrt(sum / total)).toBeCloseTo(1, 5)

    await model.save(path)
    using again = await loadModel(path)
    expect(await again.predict(data)).toEqual({ seconds: scores })
    expect(await again.evaluate(data)).toEqual(await model.evaluate(data))
    const batch = again.createBatch(users)
    expect([...(again.predictSync(batch, { rows: again.fill(batch, everyUser as never) })['seconds'] ?? [])]).toEqual([
      ...(await model.predict(everyUser)).seconds,
    ])
  })

  it('resumes with the same bits', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'checkpoint.safetensors')
    using whole = make(options)
    await whole.fit(data, { ...training, epochs: 2 })
    using first = make(options)
    await first.fit(data, { ...training, epochs: 1, callbacks: [checkpoint({ path })] })
    using second = make(options)
    await second.fit(data, { ...training, epochs: 2, resume: path })
    expect(await second.predict(data)).toEqual(await whole.predict(data))
  })
})

describe('what is learned', () => {
  const learned = async (options: RegressionOptions): Promise<number[]> => {
    using model = make(options)
    await model.fit(data, { ...training, epochs: 30 })
    return [...(await model.predict(everyUser)).seconds]
  }
  const ofUsers = (value: (labels: readonly number[]) => number): number[] => Array.from(everyUser.user, (id) => value(known(id)))
  const middle = (q: number) => (labels: readonly number[]) =>
    [...labels].sort((a, b) => a - b)[Math.floor(q * labels.length)] ?? NaN
  const off = (found: readonly number[], expected: readonly number[]): number => {
    return mean(found.map((value, id) => Math.abs(value - (expected[id] ?? NaN)) / (expected[id] ?? NaN)))
  }

  it.each<[string, RegressionOptions]>([
    ['poisson', { loss: 'poisson' }],
    ['tweedie', { loss: 'tweedie' }],
    ['standardized labels', { transform: 'standardize' }],
    ['buckets', { loss: 'buckets' }],
  ])('is the mean with %s', async (_, options) => {
    expect(off(await learned(options), ofUsers(mean))).toBeLessThan(0.1)
  })

  it('are the odds of watch time with weightedLogistic', async () => {
    const odds = ofUsers((labels) => labels.reduce((sum, label) => sum + label, 0) / labels.filter((label) => label === 0).length)
    expect(off(await learned({ loss: 'weightedLogistic' }), odds)).toBeLessThan(0.1)
  })

  it('is the quantile', async () => {
    expect(off(await learned({ loss: { kind: 'quantile', quantile: 0.9 } }), ofUsers(middle(0.9)))).toBeLessThan(0.15)
  })

  it('is the mean of a zero-inflated lognormal with ziln', async () => {
    // The mean that the best such distribution has, by moments of the logarithms.
    const expected = ofUsers((labels) => {
      const logs = labels.filter((label) => label > 0).map(Math.log)
      const [mu, p] = [mean(logs), logs.length / labels.length]
      return p * Math.exp(mu + mean(logs.map((value) => (value - mu) ** 2)) / 2)
    })
    expect(off(await learned({ loss: 'ziln' }), expected)).toBeLessThan(0.15)
  })
})

describe('a transform', () => {
  const logs = seconds.map((value) => Math.fround(Math.log1p(Math.fround(value))))
  const standardized = (values: readonly number[]) => {
    const labelled = values.filter((value) => !Number.isNaN(value))
    const center = mean(labelled)
    const deviation = Math.sqrt(mean(labelled.map((value) => (value - center) ** 2)))
    return { center, deviation, values: values.map((value) => (value - center) / deviation) }
  }

  it('trains as labels that were transformed by hand, and inverts the prediction', async () => {
    using own = make({ transform: 'log1p' })
    using plain = make({})
    const byHand = Dataset.fromColumns({ user, seconds: logs })
    const { epochs } = await own.fit(data, { ...training, epochs: 2 })
    const { epochs: expected } = await plain.fit(byHand, { ...training, epochs: 2 })
    expect(epochs.map(({ loss }) => loss)).toEqual(expected.map(({ loss }) => loss))
    const [found, raw] = [(await own.predict(data)).seconds, (await plain.predict(data)).seconds]
    expect([...found]).toEqual(Array.from(raw, (z) => Math.fround(Math.expm1(z))))
    expect((await own.evaluate(data)).tasks.seconds.loss).toBe((await plain.evaluate(byHand)).tasks.seconds.loss)
  })

  it.each(['standardize', 'log1pStandardize'] as const)('%s has mean and deviation of the training labels', async (transform) => {
    using own = make({ transform })
    using plain = make({})
    const { center, deviation, values } = standardized(transform === 'standardize' ? seconds : seconds.map(Math.log1p))
    await own.fit(data, { ...training, epochs: 1 })
    await plain.fit(Dataset.fromColumns({ user, seconds: values }), { ...training, epochs: 1 })
    const [found, raw] = [(await own.predict(data)).seconds, (await plain.predict(data)).seconds]
    for (const [row, z] of raw.entries()) {
      const t = center + deviation * z
      const expected = transform === 'standardize' ? t : Math.expm1(t)
      expect(Math.abs((found[row] ?? NaN) - expected)).toBeLessThan(1e-4 * (1 + Math.abs(expected)))
    }
  })

  it('of equal labels divides by 1', async () => {
    const same = Dataset.fromColumns({ user, seconds: seconds.map(() => 3) })
    using model = make({ transform: 'standardize' })
    await model.fit(same, { ...training, epochs: 3 })
    const { seconds: scores } = await model.predict(everyUser)
    for (const score of scores) expect(score).toBeCloseTo(3, 1)
  })
})

describe('buckets', () => {
  const cut = (labels: ArrayLike<number>, count: number) => {
    const fitted = atOnce(fitBuckets(Float32Array.from(labels), count))
    if (fitted.kind !== 'buckets') throw new Error('no buckets')
    const values = [fitted.first]
    for (const step of fitted.steps) values.push((values.at(-1) ?? NaN) + step * fitted.unit)
    return { ...fitted, values }
  }

  it.each([2, 3, 12, 100])('hold about equally many labels, and are worth their mean (%d)', (count) => {
    const labels = seconds.map(Math.fround)
    const { thresholds, values } = cut(labels, count)
    expect(thresholds.length).toBeLessThan(count)
    const bucket = (label: number): number => thresholds.filter((threshold) => threshold < label).length
    for (const k of [0, ...thresholds.keys()].map((_, index) => index)) {
      const own = labels.filter((label) => !Number.isNaN(label) && bucket(label) === k)
      expect(own.length).toBeGreaterThan(0)
      // Labels of 0 share the first bucket; the others hold their share, or one label less or more.
      if (k > 0 && own.length > 0) expect(own.length).toBeLessThanOrEqual(labels.length / count + 1)
      expect(Math.abs((values[k] ?? NaN) - mean(own))).toBeLessThan(1e-9 * (1 + mean(own)))
    }
  })

  it.each<[string, number[], number, number[]]>([
    ['two values', [1, 0, NaN, 1, 0, 0], 10, [0]],
    ['few small labels', [0, 5, 5, 5, 5, 5, 5, 5], 2, [0]],
    ['few large labels', [0, 0, 0, 0, 0, 0, 0, 9], 4, [0]],
    ['fewer labels than buckets', [3, 1, 2], 200, [1, 2]],
    ['negative labels', [-3, -1, -2, 0], 2, [-2]],
  ])('of %s', (_, labels, count, expected) => {
    expect(cut(labels, count).thresholds).toEqual(expected)
  })

  it('are the same for labels in many parts', () => {
    const random = randomOf(9)
    const labels = Float32Array.from({ length: 300_001 }, () => (random() < 0.01 ? NaN : random() ** 3))
    const sorted = [...labels].filter((label) => !Number.isNaN(label)).sort((a, b) => a - b)
    const { thresholds } = cut(labels, 7)
    expect(thresholds).toEqual([1, 2, 3, 4, 5, 6].map((k) => sorted[Math.ceil((k * sorted.length) / 7) - 1]))
  })
})

it('is the same in a configuration', () => {
  const task = { kind: 'regression', name: 'seconds', loss: { kind: 'huber', delta: 2 }, transform: 'standardize' }
  const config = { model: 'MMoE', features: [{ kind: 'sparse', name: 'user', dim: 2 }], tasks: [task] }
  expect(parseConfig(config).options.tasks[0]).toEqual(
    regression('seconds', { loss: { kind: 'huber', delta: 2 }, transform: 'standardize' }),
  )
})

describe('refuses', () => {
  it.each<[string, RegressionOptions, string]>([
    ['an unknown loss', { loss: 'hubert' as never }, 'loss'],
    ['a quantile of 1', { loss: { kind: 'quantile', quantile: 1 } }, 'loss.quantile'],
    ['a delta of 0', { loss: { kind: 'huber', delta: 0 } }, 'loss.delta'],
    ['a power of 2', { loss: { kind: 'tweedie', power: 2 } }, 'loss.power'],
    ['one bucket', { loss: { kind: 'buckets', count: 1 } }, 'loss.count'],
    ['too many buckets', { loss: { kind: 'buckets', count: 257 } }, 'loss.count'],
    ['a parameter of another loss', { loss: { kind: 'huber', delta: 1, power: 1 } as never }, 'loss.power'],
    ['a transform of counts', { loss: 'poisson', transform: 'log1p' }, 'transform'],
    ['a transform of buckets', { loss: 'buckets', transform: 'standardize' }, 'transform'],
    ['an unknown transform', { transform: 'log' as never }, 'transform'],
  ])('%s', (_, options, field) => {
    expect(() => regression('t', options)).toThrow(refusal('ARGUMENT', { field: `task "t".${field}` }))
  })

  it.each<[string, RegressionOptions, readonly number[], object]>([
    ['a negative count', { loss: 'poisson' }, [1, -1], { row: 1, value: -1, says: ['>= 0', 'poisson'] }],
    ['a label that log1p does not take', { transform: 'log1p' }, [1, -1], { row: 1, value: -1, says: ['> -1', 'log1p'] }],
    ['counts that are all 0', { loss: 'tweedie' }, [0, 0], { says: ['above 0', 'tweedie'] }],
    ['amounts that are all 0', { loss: 'ziln' }, [0, 0], { says: ['above 0', 'ziln'] }],
    ['watch time without rows of 0', { loss: 'weightedLogistic' }, [1, 2], { says: ['labels of 0', 'buckets'] }],
    ['buckets of one value', { loss: 'buckets' }, [2, 2], { says: ['different', '2'] }],
    ['no label', { transform: 'standardize' }, [NaN, NaN], { says: 'missing' }],
  ])('%s', async (_, options, labels, error) => {
    using model = make(options)
    const train = Dataset.fromColumns({ user: [1, 2], seconds: [...labels] })
    await expect(model.fit(train)).rejects.toThrow(refusal('DATA', { column: 'seconds', ...error }))
  })

  it('to build what must be fitted without labels', async () => {
    using model = make({ loss: 'buckets' })
    await expect(model.build(Dataset.fromColumns({ user: [1, 2] }))).rejects.toThrow(refusal('DATA', { column: 'seconds' }))
    using plain = make({ loss: 'poisson' })
    await plain.build(Dataset.fromColumns({ user: [1, 2] }))
    expect(plain.built).toBe(true)
  })
})
