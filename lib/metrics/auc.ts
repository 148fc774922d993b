// Area under the ROC curve. Ties count one half. A row with a soft label y counts as y of a positive row and 1 - y of a negative one. With
// one class alone the AUC is undefined; the result gives its counts and the reason.

import { atOnce, type Sliced } from '../core/slices.js'
import { AllRows } from './all-rows.js'
import { areasOf } from './area.js'
import { oneClass, unusable } from './counted-rows.js'
import type { Metric } from './metric.js'
import { countedOf, RankedRows, sortedOf } from './ranked-rows.js'
import { checkLengths, checkScored, type MetricResult, type ScoredRows } from './rows.js'

export interface AucResult extends MetricResult {
  /** Labelled rows that are positive, without weights. Soft labels add up. */
  readonly positives: number
  readonly negatives: number
}

/**
 * The share of pairs of a positive and a negative row, by weight, in which the positive row scores higher.
 * @throws ERR_MULTIGATE_ARGUMENT if lengths differ, or naming the row of a label outside [0, 1] or of a weight that is not a finite
 * number >= 0.
 */
export function auc(rows: ScoredRows): AucResult {
  return atOnce(aucOf(checkScored(rows)))
}

/** AUC of evaluation, over all rows. */
export const aucMetric = {
  name: 'auc',
  better: 'higher',
  measured: 'always',
  display: { title: 'AUC', heading: 'auc', format: 'decimals' },
  of: { number: () => new AllRows(aucOf) },
} as const satisfies Metric

/** Computes `auc` slice by slice. */
function* aucOf(given: ScoredRows): Sliced<AucResult> {
  checkLengths(given)
  const rows = RankedRows.of(given)
  const counted = yield* rows.once(countedOf)
  const { positives, labelled } = counted
  const counts = { positives, negatives: labelled - positives }
  const reason = unusable(counted)
  if (reason !== undefined) return { value: undefined, ...counts, reason }
  const sorted = yield* rows.once(sortedOf)
  const [value] = yield* areasOf(sorted, Int32Array.of(0, sorted.ranks.length))
  return value === undefined || Number.isNaN(value)
    ? { value: undefined, ...counts, reason: oneClass(counted) }
    : { value, ...counts }
}
