// Area under the curve of precision over recall, as average precision: a step function, without interpolation.

import type { Sliced } from '../core/slices.js'
import { sliceValues } from '../core/slices.js'
import { AllRows } from './all-rows.js'
import { oneClass, unusable } from './counted-rows.js'
import type { Metric } from './metric.js'
import { countedOf, type GroupedRows, RankedRows, type SortedRows, sortedOf } from './ranked-rows.js'
import { type MetricResult, unitOf } from './rows.js'

/**
 * The mean of the precision at each positive row: the share, by weight, of positive rows among those that score at least as high. Rows of
 * equal score enter together, as in scikit-learn's `average_precision_score`. Undefined without a positive row.
 */
export const prauc = {
  name: 'prauc',
  better: 'higher',
  measured: 'asked',
  display: { title: 'PR-AUC', heading: 'prauc', format: 'decimals' },
  of: { number: () => new AllRows(praucOf) },
} as const satisfies Metric

function* praucOf(given: GroupedRows): Sliced<MetricResult> {
  const rows = RankedRows.of(given)
  const counted = yield* rows.once(countedOf)
  const reason = unusable(counted)
  if (reason !== undefined) return { value: undefined, reason }
  const value = yield* averagePrecision(yield* rows.once(sortedOf))
  return value === undefined ? { value, reason: oneClass(counted) } : { value }
}

/** Undefined if positive rows have no weight. */
function* averagePrecision({ ranks, labels, weights }: SortedRows): Sliced<number | undefined> {
  let [largestPositive, largestNegative] = [0, 0]
  for (let row = 0; row < ranks.length; row += 1) {
    const weight = weights?.[row] ?? 1
    const label = labels[row] ?? 0
    if (label > 0 && weight > largestPositive) largestPositive = weight
    if (label < 1 && weight > largestNegative) largestNegative = weight
    if (row % sliceValues === sliceValues - 1) yield
  }
  if (largestPositive === 0) return undefined
  // The weights of each class are divided by a number near their largest, so that no sum overflows or vanishes.
  const [positiveUnit, negativeUnit] = [unitOf(largestPositive), unitOf(largestNegative)]
  const ratio = negativeUnit / positiveUnit
  let [area, positive, negative, tied] = [0, 0, 0, 0]
  for (let row = ranks.length - 1; row >= 0; row -= 1) {
    const label = labels[row] ?? 0
    const weight = weights?.[row] ?? 1
    if (label > 0) tied += (weight / positiveUnit) * label
    if (label < 1) negative += (weight / negativeUnit) * (1 - label)
    if (ranks[row] !== ranks[row - 1]) {
      positive += tied
      if (tied > 0) area += tied * (negative === 0 ? 1 : positive / (positive + negative * ratio))
      tied = 0
    }
    if (row % sliceValues === 0) yield
  }
  return area / positive
}
