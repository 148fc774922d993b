// Metrics of real numbers row by row, in the units of the label, weighted where rows have weights.

import { type MetricResult, meanOver, type ScoredRows } from './rows.js'

/** Root of the mean squared error. @throws ERR_MULTIGATE_ARGUMENT where lengths differ. */
export function rmse(rows: ScoredRows): MetricResult {
  const { value, ...rest } = meanOver(rows, (score, label) => (score - label) ** 2)
  return { value: value === undefined ? undefined : Math.sqrt(value), ...rest }
}

/** Mean absolute error. @throws ERR_MULTIGATE_ARGUMENT where lengths differ. */
export function mae(rows: ScoredRows): MetricResult {
  return meanOver(rows, (score, label) => Math.abs(score - label))
}
