// Area under the ROC curve, over all rows and per group. Ties count one half. A row with a soft label y counts as y of a positive row and
// 1 - y of a negative one. With one class alone the AUC is undefined; the result gives its counts and the reason.

import type { NumberValues } from '../core/columns.js'
import { atOnce, type Sliced } from '../core/slices.js'
import { AllRows } from './all-rows.js'
import { areasOf } from './area.js'
import { BinaryRows, type Groups, type RowGroups, rowGroups } from './binary-rows.js'
import type { Metric } from './metric.js'
import { orderBy } from './order.js'
import { checkLengths, checkRows, checkScored, type MetricResult, type ScoredRows, unitOf } from './rows.js'

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
  display: { title: 'AUC', heading: 'auc', format: 'decimals' },
  of: { number: () => new AllRows(aucOf) },
} as const satisfies Metric

/** Computes `auc` slice by slice. */
function* aucOf(rows: ScoredRows): Sliced<AucResult> {
  checkLengths(rows)
  const counts = new BinaryRows(rows)
  const counted = yield* counts.counted()
  const { positives, negatives } = counts
  const reason = counts.unusable()
  if (reason !== undefined) return { value: undefined, positives, negatives, reason }
  const order = yield* orderBy(counted, rows.scores)
  const [value] = yield* areasOf(order, Int32Array.of(0, order.length), rows)
  return value === undefined || Number.isNaN(value)
    ? { value: undefined, positives, negatives, reason: counts.oneClass() }
    : { value, positives, negatives }
}

export interface GroupedAucResult extends MetricResult {
  /** Mean of the groups' AUC, each group counted once. `value` counts each by the sum of its rows' weights. */
  readonly mean: number | undefined
  /** Groups with both classes. */
  readonly groups: number
  /** Groups left out because they have only one class. */
  readonly skipped: number
  /** Rows left out because they have no group, counting only rows with a label and a weight above 0. */
  readonly missing: number
}

/**
 * GAUC (Zhu et al., 2017): the AUC of each group, such as a user, averaged over the groups with both classes. A group counts by the sum
 * of its rows' weights, or by their number if rows have no weights. Rows without label, weight or group do not count; rows that lack
 * only the group are `missing`.
 * @param rows.groups a column of a dataset, or one number per row. Rows of equal value form a group. NaN means no group; in an
 * `Int32Array`, such as the codes of a text column, so does -1.
 * @throws ERR_MULTIGATE_ARGUMENT if lengths differ, or naming the row of a label outside [0, 1] or of a weight that is not a finite
 * number >= 0.
 */
export function groupedAuc(rows: ScoredRows & { readonly groups: Groups }): GroupedAucResult {
  const checked = checkScored(rows)
  checkLengths(checked)
  const groups = rowGroups(checked.groups)
  checkRows('groups', groups.values.length, checked.scores.length)
  return atOnce(groupedAucOf(checked, groups))
}

function* groupedAucOf(rows: ScoredRows, groups: RowGroups): Sliced<GroupedAucResult> {
  const counts = new BinaryRows(rows, groups)
  const counted = yield* counts.counted()
  const { missing } = counts
  const none = { value: undefined, mean: undefined, groups: 0, skipped: 0, missing }
  const reason = counts.unusable()
  if (reason !== undefined) return { ...none, reason }
  const order = yield* orderBy(yield* orderBy(counted, rows.scores), groups.values)
  const starts = startsOf(order, groups.values)
  const areas = yield* areasOf(order, starts, rows)
  const skipped = areas.reduce((count, area) => count + (Number.isNaN(area) ? 1 : 0), 0)
  const used = areas.length - skipped
  if (used === 0) return { ...none, skipped, reason: `none of the ${skipped} groups has both classes` }
  const mean = areas.reduce((sum, area) => sum + (Number.isNaN(area) ? 0 : area), 0) / used
  return { value: meanByWeight(areas, order, starts, rows.weights), mean, groups: used, skipped, missing }
}

/** The start of each group in rows sorted by group, then the end of the last group. */
function startsOf(order: Int32Array, groups: NumberValues): Int32Array {
  const starts = new Int32Array(order.length + 1)
  let count = 0
  for (let index = 0; index < order.length; index += 1) {
    if (index === 0 || groups[order[index] ?? 0] !== groups[order[index - 1] ?? 0]) starts[count++] = index
  }
  starts[count] = order.length
  return starts.subarray(0, count + 1)
}

/** The mean of the groups' areas, weighted by their rows. */
function meanByWeight(areas: Float64Array, order: Int32Array, starts: Int32Array, weights: NumberValues | undefined): number {
  const weight = (index: number): number => weights?.[order[index] ?? 0] ?? 1
  let largest = 0
  eachRow(areas, starts, (_, index) => {
    largest = Math.max(largest, weight(index))
  })
  const unit = unitOf(largest)
  let [sum, total] = [0, 0]
  eachRow(areas, starts, (area, index) => {
    sum += (weight(index) / unit) * area
    total += weight(index) / unit
  })
  return sum / total
}

/** Visits the rows of the groups that have an area. */
function eachRow(areas: Float64Array, starts: Int32Array, of: (area: number, index: number) => void): void {
  areas.forEach((area, group) => {
    if (Number.isNaN(area)) return
    for (let index = starts[group] ?? 0; index < (starts[group + 1] ?? 0); index += 1) of(area, index)
  })
}
