// Metrics of real numbers row by row, in the units of the label, weighted where rows have weights.

import type { Sliced } from '../core/slices.js'
import { checkLengths, type MetricResult, meanOver, type ScoredRows } from './rows.js'

/** Root of the mean squared error. @throws ERR_MULTIGATE_ARGUMENT where lengths differ or a weight is none. */
export function* rmse(rows: ScoredRows): Sliced<MetricResult> {
  checkLengths(rows)
  const { scores, labels } = rows
  const { value, ...rest } = yield* meanOver(rows, (row) => ((scores[row] ?? NaN) - (labels[row] ?? NaN)) ** 2)
  return { value: value === undefined ? undefined : Math.sqrt(value), ...rest }
}

/** Mean absolute error. @throws ERR_MULTIGATE_ARGUMENT where lengths differ or a weight is none. */
export function mae(rows: ScoredRows): Sliced<MetricResult> {
  checkLengths(rows)
  const { scores, labels } = rows
  return meanOver(rows, (row) => Math.abs((scores[row] ?? NaN) - (labels[row] ?? NaN)))
}
