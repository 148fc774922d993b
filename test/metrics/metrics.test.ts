// Metrics against plain definitions, with weights, ties, groups and rows that do not count.

import { describe, expect, it } from 'vitest'

import type { NumberValues } from '../../lib/core/columns.js'
import { atOnce } from '../../lib/core/slices.js'
import { Dataset } from '../../lib/data/dataset.js'
import { accuracy as accuracyMetric } from '../../lib/metrics/accuracy.js'
import { auc } from '../../lib/metrics/auc.js'
import { groupedAuc } from '../../lib/metrics/grouped-auc.js'
import { logloss } from '../../lib/metrics/logloss.js'
import { mae as maeMetric } from '../../lib/metrics/mae.js'
import { type Measurement, measure } from '../../lib/metrics/metric.js'
import { orderBy } from '../../lib/metrics/order.js'
import { rmse as rmseMetric } from '../../lib/metrics/rmse.js'
import type { MetricResult, ScoredRows } from '../../lib/metrics/rows.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { holes, shrunk, transferred } from '../support/hostile.js'
import { refusal } from '../support/refusal.js'

const whole =
  (begin: () => Measurement) =>
  (rows: ScoredRows): MetricResult =>
    atOnce(measure(begin(), rows))
const [logLoss, accuracy] = [whole(logloss.of.number), whole(accuracyMetric.of.number)]
const [rmse, mae, classAccuracy] = [
  whole(rmseMetric.of.number),
  whole(maeMetric.of.number),
  whole(() => accuracyMetric.of.classes(2)),
]
const orderByScore = (rows: Int32Array, scores: NumberValues): Int32Array => atOnce(orderBy(rows, scores))

const f32 = (...values: number[]): Float32Array => Float32Array.from(values)
const all = (length: number): Int32Array => Int32Array.from({ length }, (_, row) => row)

describe('auc', () => {
  it('is the share of pairs in the right order, by hand', () => {
    const random = randomOf(3)
    for (let round = 0; round < 50; round += 1) {
      const rows = 2 + Math.floor(random() * 30)
      const scores = Float32Array.from({ length: rows }, () => Math.round(random() * 8) / 4 - 1)
      const labels = Float32Array.from({ length: rows }, () =>
        random() < 0.2 ? NaN : random() < 0.5 ? 1 : random() < 0.8 ? 0 : 0.25,
      )
      const weights = Float32Array.from({ length: rows }, () => Math.floor(random() * 4))
      let [right, pairs] = [0, 0]
      for (let i = 0; i < rows; i += 1) {
        for (let j = 0; j < rows; j += 1) {
          const weight = (weights[i] ?? 0) * (weights[j] ?? 0) * (labels[i] ?? 0) * (1 - (labels[j] ?? 0))
          if (!(weight > 0)) continue
          pairs += weight
          right += weight * ((scores[i] ?? 0) > (scores[j] ?? 0) ? 1 : scores[i] === scores[j] ? 0.5 : 0)
        }
      }
      const { value } = auc({ scores, labels, weights })
      if (pairs === 0) expect(value).toBeUndefined()
      else expect(value).toBeCloseTo(right / pairs, 12)
    }
  })

  it('is undefined with counts and a reason, never NaN', () => {
    expect(auc({ scores: f32(0.1, 0.2, 0.3), labels: f32(1, 1, NaN) })).toEqual({
      value: undefined,
      positives: 2,
      negatives: 0,
      reason: 'all 2 labelled rows are positive',
    })
    expect(auc({ scores: f32(0.1), labels: f32(0) }).reason).toBe('all 1 labelled rows are negative')
    expect(auc({ scores: f32(), labels: f32() }).reason).toBe('no row has a label')
    expect(auc({ scores: f32(0.1, NaN), labels: f32(0, 1) })).toMatchObject({
      value: undefined,
      reason: 'the score of row 1 is NaN',
    })
    expect(auc({ scores: f32(0.1, 0.2), labels: f32(0, 1), weights: f32(0, 1) }).reason).toBe(
      'the weights of one class are all 0',
    )
    expect(auc({ scores: f32(-Infinity, Infinity), labels: f32(0, 1) }).value).toBe(1)
    // The score of a row without a label is not looked at.
    expect(auc({ scores: f32(0.1, NaN, 0.2), labels: f32(0, NaN, 1) })).toEqual({ value: 1, positives: 1, negatives: 1 })
  })

  it('has no share of classes where a model has diverged', () => {
    const rows = { scores: f32(NaN, NaN, 0.2, 0.8), labels: f32(0, 1) }
    expect(classAccuracy(rows)).toEqual({ value: undefined, reason: 'the score of row 0 is NaN' })
    expect(classAccuracy({ ...rows, labels: f32(NaN, 1) })).toEqual({ value: 1 })
  })

  it('names a label and a weight that are none', () => {
    const scores = f32(0.1, 0.2)
    const wrong = (field: string) => expect.objectContaining({ code: 'ERR_MULTIGATE_ARGUMENT', field })
    expect(() => auc({ scores, labels: f32(-1, 1) })).toThrow(wrong('labels[0]'))
    expect(() => auc({ scores, labels: f32(0, 1), weights: f32(1, -1) })).toThrow(wrong('weights[1]'))
    expect(() => groupedAuc({ scores, labels: f32(0, 2), groups: f32(1, 1) })).toThrow(wrong('labels[1]'))
  })

  it('is the same for weights of any size', () => {
    const rows = { scores: f32(0.1, 0.4, 0.35, 0.8), labels: f32(0, 0, 1, 1) }
    for (const size of [5e-324, 1e-320, 1e-200, 1, 1e200, 8.9e307]) {
      expect(auc({ ...rows, weights: Float64Array.of(size, size, size, size) }).value).toBeCloseTo(0.75, 12)
      // One class weighs next to nothing beside the other.
      expect(auc({ ...rows, weights: Float64Array.of(size, size, 1e-200, 1e-200) }).value).toBeCloseTo(0.75, 12)
      expect(auc({ ...rows, weights: Float64Array.of(size, size, 1e200, 1e200) }).value).toBeCloseTo(0.75, 12)
      expect(accuracy({ ...rows, weights: Float64Array.of(size, size, size, size) }).value).toBeCloseTo(0.75, 12)
      const groups = f32(1, 1, 1, 1)
      expect(groupedAuc({ ...rows, groups, weights: Float64Array.of(size, size, size, size) }).value).toBeCloseTo(0.75, 12)
    }
  })

  it('leaves out rows of weight 0, whatever else is in them', () => {
    const rows = { scores: f32(0.1, NaN, 0.4), labels: f32(0, 1, 1), weights: f32(1, 0, 2) }
    expect(auc(rows)).toEqual({ value: 1, positives: 2, negatives: 1 })
    expect(accuracy(rows).value).toBeCloseTo(1 / 3, 12)
    expect(auc({ ...rows, weights: f32(0, 0, 0) }).reason).toBe('the weights of all labelled rows are 0')
  })

  it.each([Infinity, -Infinity, NaN, -1])('names the row of the weight %s', (weight) => {
    const rows = { scores: f32(0.1, 0.9, 0.4), labels: f32(0, 1, NaN), weights: f32(1, weight, 1) }
    const wrong = refusal('ARGUMENT', { field: 'weights[1]', says: String(weight) })
    for (const metric of [auc, logLoss, accuracy, rmse, mae]) expect(() => metric(rows)).toThrow(wrong)
    expect(() => groupedAuc({ ...rows, groups: f32(1, 1, 1) })).toThrow(wrong)
    // Of a row without a label it does not matter.
    expect(auc({ ...rows, weights: f32(1, 1, weight) }).value).toBe(1)
  })

  it('of a million rows takes a fraction of a second', () => {
    const random = randomOf(1)
    const scores = Float32Array.from({ length: 1_000_000 }, random)
    const labels = Float32Array.from(scores, (score) => (random() < score ? 1 : 0))
    const started = performance.now()
    const { value } = auc({ scores, labels })
    const spent = performance.now() - started
    console.info(`auc of 1,000,000 rows: ${Math.round(spent)} ms`)
    // P(positive scores higher) with P(1 | s) = s is 5/6.
    expect(value).toBeCloseTo(5 / 6, 2)
    expect(spent).toBeLessThan(5000)
  })
})

it('refuses arrays whose memory is gone, and lists that are not numbers', () => {
  const rows = { scores: new Float32Array(2), labels: Float32Array.of(0, 1) }
  for (const gone of [transferred(new Float32Array(2)), shrunk(Float32Array)]) {
    for (const field of ['scores', 'labels', 'weights']) {
      expect(() => auc({ ...rows, [field]: gone })).toThrow(refusal('ARGUMENT', { field, says: 'transferred' }))
    }
    for (const groups of [gone, { kind: 'number', values: gone } as const]) {
      expect(() => groupedAuc({ ...rows, groups })).toThrow(refusal('ARGUMENT', { field: 'groups', says: 'transferred' }))
    }
  }
  for (const value of [Symbol('two'), 1, 4_000_000_000]) {
    const scores = Object.defineProperty(new Float32Array(2), 'length', { value })
    expect(() => auc({ ...rows, scores })).toThrow(refusal('ARGUMENT', { field: 'scores.length', says: '2' }))
  }
  expect(() => auc({ ...rows, scores: holes as never })).toThrow(refusal('ARGUMENT', { field: 'scores.length' }))
  expect(() => auc({ ...rows, scores: Object.assign(new Array<number>(3), { 0: 1 }) as never })).toThrow(
    refusal('ARGUMENT', { field: 'scores[1]' }),
  )
})

it('orders by score, stable, zeros of both signs alike', () => {
  const random = randomOf(5)
  const special = [0, -0, 1, -1, Infinity, -Infinity, 1e-45, -1e-45, 3.4e38, -3.4e38]
  const values = Array.from({ length: 3000 }, () =>
    random() < 0.2 ? (special[Math.floor(random() * 10)] ?? 0) : (random() - 0.5) * 10 ** Math.floor(random() * 20 - 10),
  )
  for (const scores of [Float32Array.from(values), Float64Array.from(values)]) {
    const want = [...all(3000)].sort((a, b) =>
      (scores[a] ?? 0) < (scores[b] ?? 0) ? -1 : (scores[a] ?? 0) > (scores[b] ?? 0) ? 1 : 0,
    )
    expect([...orderByScore(all(3000), scores)]).toEqual(want)
    expect([
      ...orderByScore(
        all(3000).filter((row) => row % 3 === 0),
        scores,
      ),
    ]).toEqual(want.filter((row) => row % 3 === 0))
  }
})

it('takes labels and groups as a dataset has them', () => {
  const data = Dataset.fromColumns({ user: ['b', 'a', 'b', 'a'], like: [1, 0, 0, 1] })
  const [user, like] = [data.column('user'), data.column('like')]
  if (user.kind !== 'string' || like.kind !== 'number') throw new Error('a column of texts, and one of numbers')
  const rows = { scores: f32(0.9, 0.1, 0.2, 0.8), labels: like.values }
  expect(auc(rows).value).toBe(1)
  expect(groupedAuc({ ...rows, groups: user.codes })).toEqual({ value: 1, mean: 1, groups: 2, skipped: 0, missing: 0 })
})

it('groups: one-class ones are left out and counted', () => {
  const scores = f32(0.9, 0.1, 0.5, 0.6, 0.3, 0.2)
  const labels = f32(1, 0, 1, 1, 0, 1)
  const groups = Int32Array.of(7, 7, 2, 2, 7, 7)
  // Group 7: positives 0.9 and 0.2 against 0.1 and 0.3: 3 of 4 pairs. Group 2 has one class.
  expect(groupedAuc({ scores, labels, groups })).toEqual({ value: 0.75, mean: 0.75, groups: 1, skipped: 1, missing: 0 })
  expect(groupedAuc({ scores, labels: f32(1, 1, 1, 1, 1, 1), groups })).toMatchObject({
    value: undefined,
    mean: undefined,
    groups: 0,
    skipped: 2,
  })
})

/** Pairs counted one by one, rows of weight k written k times. */
function pairs(rows: readonly { score: number; label: number }[]): { right: number; pairs: number } {
  let [right, count] = [0, 0]
  for (const { score, label } of rows) {
    for (const other of rows) {
      const weight = label * (1 - other.label)
      count += weight
      right += weight * (score > other.score ? 1 : score === other.score ? 0.5 : 0)
    }
  }
  return { right, pairs: count }
}

describe('grouped auc', () => {
  it('is that of pairs counted one by one, a weight of k being k rows', () => {
    const random = randomOf(11)
    for (let round = 0; round < 60; round += 1) {
      const rows = 2 + Math.floor(random() * 40)
      const scores = Float32Array.from({ length: rows }, () => Math.round(random() * 6) / 4)
      const labels = Float32Array.from({ length: rows }, () =>
        random() < 0.1 ? NaN : random() < 0.5 ? 1 : random() < 0.9 ? 0 : 0.25,
      )
      const weights = Float32Array.from({ length: rows }, () => Math.floor(random() * 4))
      const groups = Float64Array.from({ length: rows }, () => (random() < 0.2 ? NaN : Math.floor(random() * 5) - 2))
      const copies = [...scores.keys()].flatMap((row) => Array.from({ length: weights[row] ?? 0 }, () => row))
      const known = copies.filter((row) => !Number.isNaN(labels[row]))
      const areas = [-2, -1, 0, 1, 2].flatMap((group) => {
        const own = known.filter((row) => groups[row] === group)
        const counted = pairs(own.map((row) => ({ score: scores[row] ?? 0, label: labels[row] ?? 0 })))
        return counted.pairs === 0 ? [] : [{ area: counted.right / counted.pairs, rows: own.length }]
      })
      const found = groupedAuc({ scores, labels, weights, groups })
      const missing = [...scores.keys()].filter((row) => {
        return Number.isNaN(groups[row]) && !Number.isNaN(labels[row]) && weights[row] !== 0
      })
      expect(found.missing).toBe(missing.length)
      expect(found.groups).toBe(areas.length)
      if (areas.length === 0) {
        expect(found.value).toBeUndefined()
        continue
      }
      const total = areas.reduce((sum, one) => sum + one.rows, 0)
      expect(found.value).toBeCloseTo(areas.reduce((sum, { area, rows: own }) => sum + area * own, 0) / total, 12)
      expect(found.mean).toBeCloseTo(areas.reduce((sum, { area }) => sum + area, 0) / areas.length, 12)
      // Rows written as often as they weigh, and in any element type, give the same.
      const pick = (values: Float32Array | Float64Array) => Float64Array.from(copies, (row) => values[row] ?? NaN)
      const again = groupedAuc({ scores: pick(scores), labels: pick(labels), groups: pick(groups) })
      expect(again.value).toBeCloseTo(found.value ?? NaN, 12)
      expect(again).toMatchObject({ groups: found.groups, skipped: found.skipped })
    }
  })

  it('leaves out rows without a group, as columns and arrays have them', () => {
    const data = Dataset.fromColumns({
      id: [1, null, 2, null, 1, 2, null, null],
      name: ['a', null, 'b', null, 'a', 'b', null, null],
    })
    const rows = {
      scores: f32(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
      labels: f32(0, 1, 0, 0, 1, 1, 0, 1),
    }
    const [id, name] = [data.column('id'), data.column('name')]
    if (id.kind !== 'number' || name.kind !== 'string') throw new Error('a column of numbers, and one of texts')
    for (const groups of [id, name, id.values, name.codes, Array.from(id.values) as never])
      expect(groupedAuc({ ...rows, groups })).toEqual({ value: 1, mean: 1, groups: 2, skipped: 0, missing: 4 })
    expect(groupedAuc({ ...rows, groups: f32(...rows.scores.map(() => NaN)) })).toEqual({
      value: undefined,
      mean: undefined,
      groups: 0,
      skipped: 0,
      missing: 8,
      reason: 'no labelled row has a group',
    })
    // A number is a group like any other where the column is known to be one of numbers.
    const minus = Dataset.fromColumns({ user: [-1, -1, 2, 2] }).column('user')
    const four = { scores: f32(0.1, 0.2, 0.3, 0.4), labels: f32(0, 1, 1, 0) }
    if (minus.kind === 'number')
      expect(groupedAuc({ ...four, groups: minus })).toMatchObject({ groups: 2, missing: 0, value: 0.5 })
    expect(() => groupedAuc({ ...four, groups: ['a', 'a', 'b', 'b'] as never })).toThrow(
      refusal('ARGUMENT', { field: 'groups[0]', says: '"a"' }),
    )
    const lists = Dataset.fromColumns({ tags: [[1], [2], [3], [4]] }).column('tags')
    expect(() => groupedAuc({ ...four, groups: lists as never })).toThrow(refusal('ARGUMENT', { field: 'groups' }))
  })

  it('gives the same whatever the groups are called', () => {
    const random = randomOf(12)
    const length = 5000
    const scores = Float32Array.from({ length }, random)
    const labels = Float32Array.from(scores, (score) => (random() < score ? 1 : 0))
    const groups = Int32Array.from({ length }, () => Math.floor(random() * 300))
    const found = groupedAuc({ scores, labels, groups })
    for (const rename of [
      (group: number) => -1e9 + group,
      (group: number) => group / 7,
      (group: number) => 1e300 - group * 1e290,
    ]) {
      const again = groupedAuc({ scores, labels, groups: Float64Array.from(groups, rename) })
      expect(again.value).toBeCloseTo(found.value ?? NaN, 12)
      expect(again.groups).toBe(found.groups)
    }
    expect(groupedAuc({ scores, labels, groups: groups.map((group) => 2 ** 31 - 1 - group * 7_000_000) }).value).toBeCloseTo(
      found.value ?? NaN,
      12,
    )
  })
})

describe('means over rows', () => {
  it('clip, weigh and leave out missing labels', () => {
    expect(logLoss({ scores: f32(0, 1), labels: f32(1, 0) }).value).toBeCloseTo(-Math.log(1e-7), 6)
    expect(logLoss({ scores: f32(0.25, 0.5), labels: f32(0.5, NaN) }).value).toBeCloseTo(
      -0.5 * Math.log(0.25) - 0.5 * Math.log(0.75),
      12,
    )
    expect(accuracy({ scores: f32(0.5, 0.4, 0.6, 0.1), labels: f32(0, 1, 1, NaN), weights: f32(1, 2, 5, 9) }).value).toBe(6 / 8)
    expect(rmse({ scores: f32(1, 2, 9), labels: f32(3, 2, NaN) }).value).toBeCloseTo(Math.SQRT2, 12)
    expect(mae({ scores: f32(1, 2), labels: f32(3, 2), weights: f32(3, 1) }).value).toBe(1.5)
  })

  it('are undefined with a reason, never NaN', () => {
    expect(logLoss({ scores: f32(0.5), labels: f32(NaN) })).toEqual({ value: undefined, reason: 'no row has a label' })
    expect(accuracy({ scores: f32(0.5), labels: f32(1), weights: f32(0) })).toEqual({
      value: undefined,
      reason: 'the weights of all labelled rows are 0',
    })
    expect(rmse({ scores: f32(NaN), labels: f32(1) })).toMatchObject({ value: undefined, reason: 'the score of row 0 is NaN' })
  })

  it('refuse what has no scores or labels by name', () => {
    const rows = { scores: f32(0.5), labels: f32(1) }
    expect(() => auc(null as never)).toThrow(refusal('ARGUMENT', { field: 'rows' }))
    expect(() => auc({ scores: rows.scores } as never)).toThrow(refusal('ARGUMENT', { field: 'labels' }))
    expect(() => auc({ ...rows, weights: null as never })).toThrow(refusal('ARGUMENT', { field: 'weights' }))
    expect(() => groupedAuc(rows as never)).toThrow(refusal('ARGUMENT', { field: 'groups' }))
    expect(() => auc({ ...rows, scores: [null] as never })).toThrow(refusal('ARGUMENT', { field: 'scores[0]' }))
    expect(() => auc({ ...rows, labels: BigInt64Array.of(1n) as never })).toThrow(refusal('ARGUMENT', { field: 'labels' }))
    const knot: unknown[] = []
    knot.push(knot)
    expect(() => auc(knot as never)).toThrow(refusal('ARGUMENT', { field: 'rows', says: '1' }))
  })

  it('refuse other lengths by name', () => {
    expect(() => logLoss({ scores: f32(0.5), labels: f32(1, 0) })).toThrow(
      refusal('ARGUMENT', { field: 'labels', says: ['1', '2'] }),
    )
    expect(() => auc({ scores: f32(0.5), labels: f32(1), weights: f32() })).toThrow(
      refusal('ARGUMENT', { field: 'weights', says: '1' }),
    )
    expect(() => groupedAuc({ scores: f32(0.5), labels: f32(1), groups: Int32Array.of(1, 2) })).toThrow(
      refusal('ARGUMENT', { field: 'groups', says: '1' }),
    )
  })
})
