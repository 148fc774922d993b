// Area under the ROC curve, over all rows and per group. Ties count one half. A soft label y is y of a positive row and
// 1 - y of a negative one. One class alone has no AUC: undefined, with its counts and the reason.

import { invalidArgument } from '../core/check.js'
import type { NumberValues } from '../core/columns.js'
import { orderByScore } from './order.js'
import { checkNumbers, checkRows, checkScored, labelledRows, type MetricResult, type ScoredRows, unusable } from './rows.js'

export interface AucResult extends MetricResult {
  /** Labelled rows that are positive; soft labels add up. Weights do not count here. */
  readonly positives: number
  readonly negatives: number
}

/**
 * The share of pairs of a positive and a negative row, by weight, in which the positive one scores higher.
 * @throws ERR_MULTIGATE_ARGUMENT where lengths differ, or naming the row of a label outside [0, 1] or a weight below 0.
 */
export function auc(rows: ScoredRows): AucResult {
  const labelled = binaryRows(checkScored(rows))
  let positives = 0
  for (const row of labelled) positives += rows.labels[row] ?? 0
  const counts = { positives, negatives: labelled.length - positives }
  const reason = unusable(labelled, rows.scores)
  if (reason !== undefined) return { value: undefined, ...counts, reason }
  const order = orderByScore(labelled, rows.scores)
  const value = areaOf(order, 0, order.length, rows)
  return value === undefined ? { value, ...counts, reason: oneClass(counts) } : { value, ...counts }
}

export interface GroupedAucResult extends MetricResult {
  /** Mean of the groups' AUC, each counted once; `value` counts each by its labelled rows. */
  readonly mean: number | undefined
  /** Groups with both classes. */
  readonly groups: number
  /** Groups left out because they have one class only. */
  readonly skipped: number
}

/**
 * GAUC: the AUC of each group (a user), averaged by labelled rows over the groups that have both classes (Zhu et al., 2017).
 * `groups` has one number per row, such as the values of a column of numbers or the codes of one of texts; rows of equal number are a group.
 * @throws ERR_MULTIGATE_ARGUMENT where lengths differ, or naming the row of a label outside [0, 1] or a weight below 0.
 */
export function groupedAuc(rows: ScoredRows & { readonly groups: NumberValues }): GroupedAucResult {
  checkRows('groups', checkNumbers('groups', checkScored(rows).groups).length, rows.scores.length)
  const labelled = binaryRows(rows)
  const none = { value: undefined, mean: undefined, groups: 0, skipped: 0 }
  const unusableReason = unusable(labelled, rows.scores)
  if (unusableReason !== undefined) return { ...none, reason: unusableReason }
  const { order, starts } = byGroup(orderByScore(labelled, rows.scores), rows.groups)
  let [sum, weighted, used, groups] = [0, 0, 0, 0]
  for (let group = 0; group + 1 < starts.length; group += 1) {
    const [from, to] = [starts[group] ?? 0, starts[group + 1] ?? 0]
    const value = areaOf(order, from, to, rows)
    if (value === undefined) continue
    groups += 1
    sum += value
    weighted += value * (to - from)
    used += to - from
  }
  const skipped = starts.length - 1 - groups
  if (groups === 0) return { ...none, skipped, reason: `none of the ${skipped} groups has both classes` }
  return { value: weighted / used, mean: sum / groups, groups, skipped }
}

/** Rows that have a label. Labels of -1 and 1 would give a number that is no area. */
function binaryRows(rows: ScoredRows): Int32Array {
  const labelled = labelledRows(rows)
  for (const row of labelled) {
    const [label, weight] = [rows.labels[row] ?? 0, rows.weights?.[row] ?? 1]
    if (!(label >= 0 && label <= 1))
      throw invalidArgument(`labels[${row}]`, 'a number in [0, 1], or NaN where it is missing', label)
    if (!(weight >= 0)) throw invalidArgument(`weights[${row}]`, 'a number >= 0', weight)
  }
  return labelled
}

/** The area of order[from .. to), which ascends by score; undefined where a class has no weight. */
function areaOf(order: Int32Array, from: number, to: number, { scores, labels, weights }: ScoredRows): number | undefined {
  let [area, positive, negative] = [0, 0, 0]
  for (let index = from; index < to; ) {
    const score = scores[order[index] ?? 0] ?? 0
    let [tiedPositive, tiedNegative] = [0, 0]
    for (; index < to; index += 1) {
      const row = order[index] ?? 0
      if (scores[row] !== score) break
      const weight = weights?.[row] ?? 1
      const label = labels[row] ?? 0
      tiedPositive += weight * label
      tiedNegative += weight * (1 - label)
    }
    area += tiedPositive * (negative + tiedNegative / 2)
    positive += tiedPositive
    negative += tiedNegative
  }
  return positive > 0 && negative > 0 ? area / (positive * negative) : undefined
}

/** Rows group by group, keeping their order inside each: a counting sort. */
function byGroup(order: Int32Array, groups: NumberValues): { order: Int32Array; starts: Int32Array } {
  const numberOf = new Map<number, number>()
  const groupOf = new Int32Array(order.length)
  for (let index = 0; index < order.length; index += 1) {
    const group = groups[order[index] ?? 0] ?? 0
    const known = numberOf.get(group) ?? numberOf.size
    numberOf.set(group, known)
    groupOf[index] = known
  }
  const starts = new Int32Array(numberOf.size + 1)
  for (const group of groupOf) starts[group + 1] = (starts[group + 1] ?? 0) + 1
  for (let group = 0; group < numberOf.size; group += 1) starts[group + 1] = (starts[group + 1] ?? 0) + (starts[group] ?? 0)
  const next = starts.slice()
  const sorted = new Int32Array(order.length)
  for (let index = 0; index < order.length; index += 1) {
    const group = groupOf[index] ?? 0
    const place = next[group] ?? 0
    sorted[place] = order[index] ?? 0
    next[group] = place + 1
  }
  return { order: sorted, starts }
}

function oneClass({ positives, negatives }: { readonly positives: number; readonly negatives: number }): string {
  if (positives > 0 && negatives > 0) return 'the weights of one class are all 0'
  return `all ${positives + negatives} labelled rows are ${positives > 0 ? 'positive' : 'negative'}`
}
