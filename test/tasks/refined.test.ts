// Labels and row weights that the network takes instead of the user's: `positiveWeight` and `labelSmoothing`. Losses are compared with
// formulas in float64 of the probabilities that the model predicts; metrics take the labels and weights as the user wrote them.

import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { MMoE } from '../../lib/model/classes.js'
import { type BinaryOptions, binary } from '../../lib/tasks/binary.js'
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

it.each<[BinaryOptions, string]>([
  [{ positiveWeight: 0 }, 'positiveWeight'],
  [{ positiveWeight: -1 }, 'positiveWeight'],
  [{ positiveWeight: Infinity }, 'positiveWeight'],
  [{ labelSmoothing: 1 }, 'labelSmoothing'],
  [{ labelSmoothing: -0.1 }, 'labelSmoothing'],
])('refuses %j', (options, name) => {
  expect(() => binary('t', options)).toThrow(refusal('ARGUMENT', { field: `task "t".${name}` }))
})
