// Area under the ROC curve, over all rows and per group. Ties count one half. A soft label y is y of a positive row and
// 1 - y of a negative one. One class alone has no AUC: undefined, with its counts and the reason.

import type { NumberValues } from '../core/columns.js'
import { atOnce, type Sliced } from '../core/slices.js'
import { AllRows } from './all-rows.js'
import { areasOf } from './area.js'
import { BinaryRows, type Groups, type RowGroups, rowGroups } from './binary-rows.js'
import type { Metric } from './metric.js'
import { orderBy } from './order.js'
import { checkLengths, checkRows, checkScored, type MetricResult, type ScoredRows, unitOf } from './rows.js'

export interface AucResult extends MetricResult {
  /** Labelled rows that are positive; soft labels add up. Weights do not count here. */
  readonly positives: number
  readonly negatives: number
}

/**
 * The share of pairs of a positive and a negative row, by weight, in which the positive one scores higher.
 * @throws ERR_MULTIGATE_ARGUMENT where lengths differ, or naming the row of a label outside [0, 1] or a weight that is no
 * finite number >= 0.
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

/** What `auc` does, slice by slice. */
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
  /** Mean of the groups' AUC, each counted once; `value` counts each by the sum of its rows' weights. */
  readonly mean: number | undefined
  /** Groups with both classes. */
  readonly groups: number
  /** Groups left out because they have one class only. */
  readonly skipped: number
  /** Rows left out because they belong to no group: those with a label whose weight is not 0. */
  readonly missing: number
}

/**
 * GAUC: the AUC of each group (a user), averaged by the sum of the rows' weights, of rows without weights by their number, over the
 * groups that have both classes (Zhu et al., 2017). Rows without a label, of weight 0 or without a group count nowhere; the last are `missing`.
 * @param rows.groups a column of a dataset, or one number per row; rows of equal value are a group. Rows whose value is missing have
 * none: NaN, and in an `Int32Array`, as the codes of a column of texts are, -1.
 * @throws ERR_MULTIGATE_ARGUMENT where lengths differ, or naming the row of a label outside [0, 1] or a weight that is no
 * finite number >= 0.
 */
export function groupedAuc(rows: ScoredRows & { readonly groups: Groups }): GroupedAucResult {
  checkLengths(checkScored(rows))
  const groups = rowGroups(rows.groups)
  checkRows('groups', groups.values.length, rows.scores.length)
  return atOnce(groupedAucOf(rows, groups))
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

/** Where each group begins in rows that are sorted by group, and where the last one ends. */
function startsOf(order: Int32Array, groups: NumberValues): Int32Array {
  const starts = new Int32Array(order.length + 1)
  let count = 0
  for (let index = 0; index < order.length; index += 1) {
    if (index === 0 || groups[order[index] ?? 0] !== groups[order[index - 1] ?? 0]) starts[count++] = index
  }
  starts[count] = order.length
  return starts.subarray(0, count + 1)
}

/** The mean of the groups' areas, each as often as its rows weigh. */
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

/** The rows of the groups that have an area. */
function eachRow(areas: Float64Array, starts: Int32Array, of: (area: number, index: number) => void): void {
  areas.forEach((area, group) => {
    if (Number.isNaN(area)) return
    for (let index = starts[group] ?? 0; index < (starts[group + 1] ?? 0); index += 1) of(area, index)
  })
}
