import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { auc, groupedAuc } from '../../lib/metrics/auc.js'
import { accuracy, logLoss } from '../../lib/metrics/classification.js'
import { classAccuracy } from '../../lib/metrics/multiclass.js'
import { orderByScore } from '../../lib/metrics/order.js'
import { mae, rmse } from '../../lib/metrics/regression.js'
import { randomOf } from '../../lib/verify/numbers.js'

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
    const rows = { scores: f32(NaN, NaN, 0.2, 0.8), labels: f32(0, 1), classes: 2 }
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
  expect(groupedAuc({ ...rows, groups: user.codes })).toEqual({ value: 1, mean: 1, groups: 2, skipped: 0 })
})

it('groups: one-class ones are left out and counted', () => {
  const scores = f32(0.9, 0.1, 0.5, 0.6, 0.3, 0.2)
  const labels = f32(1, 0, 1, 1, 0, 1)
  const groups = Int32Array.of(7, 7, -1, -1, 7, 7)
  // Group 7: positives 0.9 and 0.2 against 0.1 and 0.3: 3 of 4 pairs. Group -1 has one class.
  expect(groupedAuc({ scores, labels, groups })).toEqual({ value: 0.75, mean: 0.75, groups: 1, skipped: 1 })
  expect(groupedAuc({ scores, labels: f32(1, 1, 1, 1, 1, 1), groups })).toMatchObject({
    value: undefined,
    mean: undefined,
    groups: 0,
    skipped: 2,
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
    expect(() => auc(null as never)).toThrow('rows: expected an object of scores and labels, found null')
    expect(() => auc({ scores: rows.scores } as never)).toThrow('labels: expected numbers, one per row, found nothing')
    expect(() => auc({ ...rows, weights: null as never })).toThrow('weights: expected numbers, one per row, found null')
    expect(() => groupedAuc(rows as never)).toThrow('groups: expected numbers, one per row, found nothing')
    expect(() => auc({ ...rows, scores: [null] as never })).toThrow('scores[0]: expected a number, found null')
    expect(() => auc({ ...rows, labels: BigInt64Array.of(1n) as never })).toThrow('labels: expected numbers, one per row, found')
    const knot: unknown[] = []
    knot.push(knot)
    expect(() => auc(knot as never)).toThrow('rows: expected an object of scores and labels, found [an array of 1]')
  })

  it('refuse other lengths by name', () => {
    expect(() => logLoss({ scores: f32(0.5), labels: f32(1, 0) })).toThrow('labels: expected 1 rows, as scores has, found 2')
    expect(() => auc({ scores: f32(0.5), labels: f32(1), weights: f32() })).toThrow('weights: expected 1 rows')
    expect(() => groupedAuc({ scores: f32(0.5), labels: f32(1), groups: Int32Array.of(1, 2) })).toThrow('groups: expected 1 rows')
  })
})
