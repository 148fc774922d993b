// Metrics of probabilities row by row: log loss and accuracy, weighted where rows have weights, computed in float64.

import { type MetricResult, meanOver, type ScoredRows } from './rows.js'

const clip = 1e-7

/**
 * Mean cross-entropy in nats, probabilities clipped to [1e-7, 1 - 1e-7] as Keras does; labels may be soft.
 * @throws ERR_MULTIGATE_ARGUMENT where lengths differ.
 */
export function logLoss(rows: ScoredRows): MetricResult {
  return meanOver(rows, (score, label) => {
    const probability = Math.min(Math.max(score, clip), 1 - clip)
    return -(label * Math.log(probability) + (1 - label) * Math.log1p(-probability))
  })
}

/**
 * Share of rows on the right side of one half; one half itself counts as negative, as in Keras, for a soft label too.
 * @throws ERR_MULTIGATE_ARGUMENT where lengths differ.
 */
export function accuracy(rows: ScoredRows): MetricResult {
  return meanOver(rows, (score, label) => (score > 0.5 === label > 0.5 ? 1 : 0))
}
