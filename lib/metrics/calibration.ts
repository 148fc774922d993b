// Calibration: whether scores are as large as labels, as a whole (PCOC) and among rows of similar scores (ECE).

import { type Sliced, sliceValues } from '../core/slices.js'
import { AgainstLabels } from './against-labels.js'
import { AllRows } from './all-rows.js'
import { unusable } from './counted-rows.js'
import type { Metric } from './metric.js'
import { countedOf, type GroupedRows, RankedRows } from './ranked-rows.js'
import { type MetricResult, unitOf } from './rows.js'

/** Predicted over observed: the sum of the scores over that of the labels, by weight. Above 1, scores are too high. */
export const pcoc = {
  name: 'pcoc',
  better: 'one',
  measured: 'always',
  display: { title: 'PCOC', heading: 'pcoc', format: 'decimals' },
  of: {
    number: () =>
      new AgainstLabels(
        (scores, at) => scores[at] ?? NaN,
        (mean, share) => (share > 0 ? mean / share : undefined),
      ),
  },
} as const satisfies Metric

const defaultBins = 15

/**
 * Expected calibration error (Guo et al., 2017): the distance of the mean score from the mean label within each of 15 bins of equal width
 * over [0, 1], averaged over the bins by weight. `ece@20` has 20 bins. A score on the border of two bins belongs to the upper one.
 */
export const ece = {
  name: 'ece',
  better: 'lower',
  measured: 'asked',
  parameter: { what: 'bins', max: 1_000_000 },
  display: { title: 'ECE', heading: 'ece', format: 'decimals' },
  of: { number: (bins: number = defaultBins) => new AllRows((rows) => eceOf(rows, bins)) },
} as const satisfies Metric

function* eceOf(given: GroupedRows, bins: number): Sliced<MetricResult> {
  const { scores, labels, weights } = given
  const counted = yield* RankedRows.of(given).once(countedOf)
  const reason = unusable(counted)
  if (reason !== undefined) return { value: undefined, reason }
  const { rows } = counted
  let largest = weights === undefined ? 1 : 0
  for (let index = 0; weights !== undefined && index < rows.length; index += 1) {
    largest = Math.max(largest, weights[rows[index] ?? 0] ?? 0)
    if (index % sliceValues === sliceValues - 1) yield
  }
  const unit = unitOf(largest)
  // The sum of score - label within each bin.
  const errors = new Float64Array(bins)
  let total = 0
  for (let index = 0; index < rows.length; index += 1) {
    const row = rows[index] ?? 0
    const score = scores[row] ?? 0
    const weight = (weights?.[row] ?? 1) / unit
    const bin = Math.max(0, Math.min(bins - 1, Math.floor(score * bins)))
    errors[bin] = (errors[bin] ?? 0) + weight * (score - (labels[row] ?? 0))
    total += weight
    if (index % sliceValues === sliceValues - 1) yield
  }
  return { value: errors.reduce((sum, error) => sum + Math.abs(error), 0) / total }
}
