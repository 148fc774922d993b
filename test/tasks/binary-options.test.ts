// The options of binary tasks: `positiveWeight`, `labelSmoothing`, `focal`, `negativeRate` and `atMost`. Losses are compared with formulas in
// float64 of the probabilities that the model predicts; metrics take the labels and weights as the user wrote them.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { parseConfig } from '../../lib/cli/config.js'
import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { ESMM, MMoE } from '../../lib/model/classes.js'
import { loadModel } from '../../lib/model/load.js'
import { adam } from '../../lib/optimizers/adam.js'
import { type BinaryOptions, binary } from '../../lib/tasks/binary.js'
import { regression } from '../../lib/tasks/regression.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'
import { columns } from '../support/small-data.js'

const rows = 500
const raw = columns({ rows, missing: 0.1 })
const random = randomOf(7)
const soft = Array.from(raw['click'] as number[], (label) => (random() < 0.5 ? label : Math.abs(label - 0.3 * random())))
const weights = Array.from({ length: rows }, (_, row) => (row % 3) / 2)
const all: Readonly<Record<string, ColumnValues>> = { ...raw, soft, weights }

type Options = BinaryOptions & { readonly lossReduction?: 'valid' | 'weighted' | 'batch' }
const make = ({ lossReduction = 'valid', ...options }: Options) => {
  return new MMoE({
    features: [sparse('user', { vocabulary: 30, dim: 4 }), dense('price')],
    tasks: [binary('click', options)] as const,
    numExperts: 2,
    expertHiddenUnits: [8],
    towerHiddenUnits: [4],
    seed: 5,
    lossReduction,
  })
}

/** The loss of a model before its first step, as training and as evaluation report it, its metrics and its predictions. */
async function losses(options: Options) {
  const data = Dataset.fromColumns(all)
  using model = make(options)
  await model.build(data)
  const { click: scores } = await model.predict(data)
  const { click: measured } = (await model.evaluate(data)).tasks
  const { epochs } = await model.fit(data, { batchSize: rows, epochs: 1 })
  return { scores, measured, trained: epochs[0]?.metrics['click_loss'] ?? NaN }
}

/** The same loss by the definition: a y (-log p) + (1 - y) (-log(1 - p)), with y moved towards one half. */
function byHand(scores: Float32Array, labels: readonly number[], { a = 1, s = 0, w = (_row: number) => 1 } = {}): number {
  let [sum, known] = [0, 0]
  for (const [row, label] of labels.entries()) {
    if (Number.isNaN(label)) continue
    const [p, y] = [scores[row] ?? NaN, label - s * (label - 0.5)]
    sum += w(row) * (a * y * -Math.log(p) - (1 - y) * Math.log1p(-p))
    known += 1
  }
  return sum / known
}

describe('the loss of positive rows', () => {
  it.each<[string, Options, readonly number[], object]>([
    ['hard labels', { positiveWeight: 3 }, raw['click'] as number[], { a: 3 }],
    ['soft labels', { positiveWeight: 7.5, label: 'soft' }, soft, { a: 7.5 }],
    ['a small weight', { positiveWeight: 1e-3, label: 'soft' }, soft, { a: 1e-3 }],
    [
      'row weights',
      { positiveWeight: 3, label: 'soft', weightColumn: 'weights' },
      soft,
      { a: 3, w: (row: number) => weights[row] ?? NaN },
    ],
  ])('counts by its weight with %s', async (_, options, labels, formula) => {
    const { scores, measured, trained } = await losses(options)
    const expected = byHand(scores, labels, formula)
    expect(trained / expected).toBeCloseTo(1, 5)
    expect(measured.loss / expected).toBeCloseTo(1, 5)
    // Metrics do not count it.
    const plain = await losses({ ...options, positiveWeight: undefined })
    expect({ ...measured, loss: 0 }).toEqual({ ...plain.measured, loss: 0 })
  })

  it('trains as a column of such weights does', async () => {
    const byLabel = Array.from(raw['click'] as number[], (label) => (label === 1 ? 3 : 1))
    const data = Dataset.fromColumns({ ...all, byLabel })
    for (const lossReduction of ['valid', 'weighted', 'batch'] as const) {
      using own = make({ positiveWeight: 3, lossReduction })
      using plain = make({ weightColumn: 'byLabel', lossReduction })
      const { epochs } = await own.fit(data, { epochs: 2, batchSize: 64 })
      const { epochs: expected } = await plain.fit(data, { epochs: 2, batchSize: 64 })
      expect(epochs.map(({ loss }) => loss)).toEqual(expected.map(({ loss }) => loss))
      expect(await own.predict(data)).toEqual(await plain.predict(data))
    }
  })
})

describe('smoothed labels', () => {
  it.each<[string, Options, readonly number[], { a?: number; s: number }]>([
    ['hard labels', { labelSmoothing: 0.2 }, raw['click'] as number[], { s: 0.2 }],
    ['soft labels', { labelSmoothing: 0.1, label: 'soft' }, soft, { s: 0.1 }],
    ['a positive weight', { labelSmoothing: 0.1, label: 'soft', positiveWeight: 4 }, soft, { s: 0.1, a: 4 }],
  ])('are those of training rows alone, with %s', async (_, options, labels, formula) => {
    const { scores, measured, trained } = await losses(options)
    expect(trained / byHand(scores, labels, formula)).toBeCloseTo(1, 5)
    expect(measured.loss / byHand(scores, labels, { ...formula, s: 0 })).toBeCloseTo(1, 5)
    expect(trained).not.toBeCloseTo(measured.loss, 3)
    expect(measured).toEqual((await losses({ ...options, labelSmoothing: undefined })).measured)
  })
})

it('a factor of 1 and no smoothing change no bit', async () => {
  const plain = await losses({ label: 'soft' })
  expect(await losses({ label: 'soft', positiveWeight: 1 })).toEqual(plain)
  expect(await losses({ label: 'soft', labelSmoothing: 0 })).toEqual(plain)
})

describe('the focal loss', () => {
  const focal = (scores: Float32Array, labels: readonly number[], gamma: number, alpha?: number): number => {
    const [a, b] = alpha === undefined ? [1, 1] : [alpha, 1 - alpha]
    const each = labels.flatMap((y, row) => {
      const p = scores[row] ?? NaN
      return Number.isNaN(y) ? [] : [-a * y * (1 - p) ** gamma * Math.log(p) - b * (1 - y) * p ** gamma * Math.log1p(-p)]
    })
    return each.reduce((sum, loss) => sum + loss, 0) / each.length
  }
  it.each<[string, BinaryOptions, readonly number[], number, number | undefined]>([
    ['its defaults', { focal: {} }, raw['click'] as number[], 2, undefined],
    ['soft labels', { focal: { gamma: 0.5 }, label: 'soft' }, soft, 0.5, undefined],
    ['alpha', { focal: { gamma: 3, alpha: 0.25 }, label: 'soft' }, soft, 3, 0.25],
    ['gamma 0, which leaves alpha', { focal: { gamma: 0, alpha: 0.75 } }, raw['click'] as number[], 0, 0.75],
  ])('has %s', async (_, options, labels, gamma, alpha) => {
    const { scores, measured, trained } = await losses(options)
    const expected = focal(scores, labels, gamma, alpha)
    expect(trained / expected).toBeCloseTo(1, 5)
    expect(measured.loss / expected).toBeCloseTo(1, 5)
    expect({ ...measured, loss: 0 }).toEqual({ ...(await losses({ ...options, focal: undefined })).measured, loss: 0 })
  })
})

describe('sampled negative rows', () => {
  it('change predictions alone: log(negativeRate) is added to their logit', async () => {
    const rate = 0.1
    const own = await losses({ negativeRate: rate })
    const plain = await losses({})
    expect(own.trained).toBe(plain.trained)
    expect(own.measured.loss).toBe(plain.measured.loss)
    for (const [row, score] of own.scores.entries()) {
      const odds = (plain.scores[row] ?? NaN) / (1 - (plain.scores[row] ?? NaN))
      expect(score / ((rate * odds) / (1 + rate * odds))).toBeCloseTo(1, 5)
    }
    // The order stays, so does the AUC, but for ties that rounding makes.
    expect(own.measured.auc).toBeCloseTo(plain.measured.auc ?? NaN, 5)
    expect(await losses({ negativeRate: 1 })).toEqual(plain)
  })

  it('give the probabilities of all rows', async () => {
    const random = randomOf(4)
    const user = Int32Array.from({ length: 40_000 }, () => Math.floor(10 * random()))
    const label = Array.from(user, (id) => (random() < 0.02 + id / 100 ? 1 : 0))
    const kept = label.flatMap((positive, row) => (positive === 1 || random() < 0.2 ? [row] : []))
    using model = new MMoE({
      features: [sparse('user', { vocabulary: 10, dim: 4 })],
      tasks: [binary('click', { negativeRate: 0.2 })] as const,
      numExperts: 2,
      expertHiddenUnits: [8],
      seed: 1,
    })
    const sampled = Dataset.fromColumns({ user: kept.map((row) => user[row] ?? 0), click: kept.map((row) => label[row] ?? 0) })
    await model.fit(sampled, { batchSize: 256, epochs: 12, optimizer: adam({ learningRate: 0.01 }) })
    const { click } = await model.predict({ user: Int32Array.from({ length: 10 }, (_, id) => id) })
    for (const [id, p] of click.entries()) expect(Math.abs(p - (0.02 + id / 100))).toBeLessThan(0.02)
  })
})

describe('a probability that should not exceed another', () => {
  const pair = (options: BinaryOptions, first = true) => {
    const tasks = [binary('click', { weight: 0.5 }), binary('buy', options)]
    return new MMoE({
      features: [sparse('user', { vocabulary: 30, dim: 4 }), dense('price')],
      tasks: first ? tasks : tasks.toReversed(),
      numExperts: 2,
      expertHiddenUnits: [8],
      towerHiddenUnits: [4],
      seed: first ? 5 : 8,
    })
  }
  const data = Dataset.fromColumns(all)
  const excess = (scores: Readonly<Record<string, Float32Array>>): number[] => {
    return Array.from(scores['buy'] ?? [], (p, row) => Math.max(0, p - (scores['click']?.[row] ?? NaN)))
  }

  it.each([true, false])('adds its excess to the loss of its task (the bound first: %s)', async (first) => {
    using own = pair({ atMost: { task: 'click', weight: 3 } }, first)
    using plain = pair({}, first)
    for (const model of [own, plain]) await model.build(data)
    const scores = await own.predict(data)
    expect(await plain.predict(data)).toEqual(scores)
    const labels = raw['buy'] as number[]
    const counted = excess(scores).filter((_, row) => !Number.isNaN(labels[row] ?? NaN))
    const added = (3 * counted.reduce((sum, one) => sum + one, 0)) / counted.length
    expect(added).toBeGreaterThan(1e-3)
    const [{ tasks: found }, { tasks: without }] = [await own.evaluate(data), await plain.evaluate(data)]
    expect((found['buy']?.loss ?? NaN) - (without['buy']?.loss ?? NaN)).toBeCloseTo(added, 6)
    expect(found['click']).toEqual(without['click'])
    const [{ epochs }, { epochs: others }] = [
      await own.fit(data, { batchSize: rows, epochs: 1 }),
      await plain.fit(data, { batchSize: rows, epochs: 1 }),
    ]
    expect((epochs[0]?.metrics['buy_loss'] ?? NaN) - (others[0]?.metrics['buy_loss'] ?? NaN)).toBeCloseTo(added, 6)
    expect(epochs[0]?.metrics['click_loss']).toBe(others[0]?.metrics['click_loss'])
  })

  it('is trained towards that order, the same bits for any number of threads and in a loaded model', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
    const trained = async (options: BinaryOptions) => {
      const model = pair(options)
      await model.fit(data, { batchSize: 100, epochs: 20, optimizer: adam({ learningRate: 0.01 }) })
      return model
    }
    using own = await trained({ atMost: { task: 'click', weight: 50 } })
    using plain = await trained({})
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
    const [found, without] = [sum(excess(await own.predict(data))), sum(excess(await plain.predict(data)))]
    expect(without).toBeGreaterThan(1)
    expect(found).toBeLessThan(without / 10)
    await own.save(path)
    using again = await loadModel(path)
    expect(again.tasks[1]).toEqual(binary('buy', { atMost: { task: 'click', weight: 50 } }))
    expect(await again.evaluate(data)).toEqual(await own.evaluate(data))
  })

  it('is trained beside frozen weights, which stay as they are', async () => {
    using own = pair({ atMost: { task: 'click', weight: 50 } })
    await own.build(data)
    const before = await own.predict(data)
    const freeze = ['embedding', 'bottom', 'expert', 'gate', 'tower.click'] as const
    await own.fit(data, { batchSize: 100, epochs: 10, optimizer: adam({ learningRate: 0.05 }), freeze })
    const after = await own.predict(data)
    expect(after['click']).toEqual(before['click'])
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
    expect(sum(excess(after))).toBeLessThan(sum(excess(before)) / 3)
  })

  it('is another binary task of the same sampling', () => {
    const field = 'MMoE.tasks[1].atMost'
    for (const atMost of ['buy', 'clik', { task: 'nothing' }])
      expect(() => pair({ atMost })).toThrow(refusal('ARGUMENT', { field }))
    expect(() => pair({ atMost: 'click', negativeRate: 0.5 })).toThrow(refusal('ARGUMENT', { field, says: 'negativeRate' }))
    const features = [dense('price')]
    const tasks = [regression('price'), binary('buy', { atMost: 'price' })]
    expect(() => new MMoE({ features, tasks, numExperts: 1, expertHiddenUnits: [2] })).toThrow(refusal('ARGUMENT', { field }))
  })
})

it.each([{ focal: {} }, { negativeRate: 0.5 }, { atMost: 'click' }])('a funnel refuses %j', (options) => {
  const tasks = [binary('click'), binary('buy', options)]
  const [name = ''] = Object.keys(options)
  expect(() => new ESMM({ features: [dense('price')], tasks })).toThrow(refusal('ARGUMENT', { field: `ESMM.tasks[1].${name}` }))
})

it('options are the same in a configuration', () => {
  const options = { focal: { gamma: 1, alpha: 0.5 }, negativeRate: 0.5, atMost: { task: 'b', weight: 2 }, labelSmoothing: 0.1 }
  const tasks = [
    { kind: 'binary', name: 'a', ...options },
    { kind: 'binary', name: 'b' },
  ]
  const config = { model: 'MMoE', features: [{ kind: 'dense', name: 'price' }], tasks }
  expect(parseConfig(config).options.tasks[0]).toEqual(binary('a', options))
})

it.each<[BinaryOptions, string]>([
  [{ positiveWeight: 0 }, 'positiveWeight'],
  [{ positiveWeight: -1 }, 'positiveWeight'],
  [{ positiveWeight: Infinity }, 'positiveWeight'],
  [{ labelSmoothing: 1 }, 'labelSmoothing'],
  [{ labelSmoothing: -0.1 }, 'labelSmoothing'],
  [{ focal: { gamma: -1 } }, 'focal.gamma'],
  [{ focal: { alpha: 1 } }, 'focal.alpha'],
  [{ focal: { beta: 1 } as never }, 'focal.beta'],
  [{ negativeRate: 0 }, 'negativeRate'],
  [{ negativeRate: 1.5 }, 'negativeRate'],
  [{ atMost: { task: 'a', weight: -1 } }, 'atMost.weight'],
])('refuses %j', (options, name) => {
  expect(() => binary('t', options)).toThrow(refusal('ARGUMENT', { field: `task "t".${name}` }))
})
