// Metrics of probabilities row by row: log loss and accuracy, weighted where rows have weights, computed in float64.

import type { Sliced } from '../core/slices.js'
import { checkLengths, type MetricResult, meanOver, type ScoredRows } from './rows.js'

const clip = 1e-7

/**
 * Mean cross-entropy in nats, probabilities clipped to [1e-7, 1 - 1e-7] as Keras does; labels may be soft.
 * @throws ERR_MULTIGATE_ARGUMENT where lengths differ or a weight is none.
 */
export function logLoss(rows: ScoredRows): Sliced<MetricResult> {
  checkLengths(rows)
  const { scores, labels } = rows
  return meanOver(rows, (row) => {
    const label = labels[row] ?? NaN
    const probability = Math.min(Math.max(scores[row] ?? NaN, clip), 1 - clip)
    return -(label * Math.log(probability) + (1 - label) * Math.log1p(-probability))
  })
}

/**
 * Share of rows on the right side of one half; one half itself counts as negative, as in Keras, for a soft label too.
 * @throws ERR_MULTIGATE_ARGUMENT where lengths differ or a weight is none.
 */
export function accuracy(rows: ScoredRows): Sliced<MetricResult> {
  checkLengths(rows)
  const { scores, labels } = rows
  return meanOver(rows, (row) => {
    const score = scores[row] ?? NaN
    if (Number.isNaN(score)) return NaN
    return score > 0.5 === (labels[row] ?? NaN) > 0.5 ? 1 : 0
  })
}
