// The AUC within groups of rows, such as those of a user, and its two means: each group counted once (uAUC), or by its rows (GAUC).

import { atOnce, inBlocks, type Sliced } from '../core/slices.js'
import { AllRows } from './all-rows.js'
import { areasOf } from './area.js'
import { checkGroups, type Groups, groupsOf } from './groups.js'
import type { Metric } from './metric.js'
import { groupedOf, RankedRows, type SortedGroups } from './ranked-rows.js'
import { checkLengths, checkRows, checkScored, type MetricResult, type ScoredRows, unitOf } from './rows.js'

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
  const { scores, labels, weights, groups } = checkScored(rows)
  checkLengths({ scores, labels, weights })
  const numbers = checkGroups(groups)
  checkRows('groups', numbers.values.length, scores.length)
  return atOnce(groupedAucOf(new RankedRows({ scores, labels, weights, groups: atOnce(groupsOf(numbers)) })))
}

/** The mean over groups, each counted once. */
export const uauc = {
  name: 'uauc',
  better: 'higher',
  measured: 'groups',
  display: { title: 'uAUC', heading: 'uauc', format: 'decimals' },
  of: {
    number: () =>
      new AllRows(function* (rows) {
        const { mean, reason } = yield* RankedRows.of(rows).once(groupedAucOf)
        return { value: mean, reason }
      }),
  },
} as const satisfies Metric

/** The mean over groups, each counted by the weight of its rows. */
export const gauc = {
  name: 'gauc',
  better: 'higher',
  measured: 'groups',
  display: { title: 'GAUC', heading: 'gauc', format: 'decimals' },
  of: {
    number: () =>
      new AllRows(function* (rows) {
        const { value, reason } = yield* RankedRows.of(rows).once(groupedAucOf)
        return { value, reason }
      }),
  },
} as const satisfies Metric

/** Both means and the counts of groups. */
export function* groupedAucOf(rows: RankedRows): Sliced<GroupedAucResult> {
  const { rows: sorted, missing, reason } = yield* rows.once(groupedOf)
  const none = { value: undefined, mean: undefined, groups: 0, skipped: 0, missing }
  if (sorted === undefined) return { ...none, reason }
  const areas = yield* areasOf(sorted, sorted.starts)
  const skipped = areas.reduce((count, area) => count + (Number.isNaN(area) ? 1 : 0), 0)
  const used = areas.length - skipped
  if (used === 0) return { ...none, skipped, reason: `none of the ${skipped} groups has both classes` }
  const mean = areas.reduce((sum, area) => sum + (Number.isNaN(area) ? 0 : area), 0) / used
  return { value: yield* meanByWeight(areas, sorted), mean, groups: used, skipped, missing }
}

/** The mean of the groups' areas, weighted by their rows. */
function* meanByWeight(areas: Float64Array, { starts, weights }: SortedGroups): Sliced<number> {
  let largest = 0
  yield* eachGroup(areas, (_, group) => {
    for (let row = starts[group] ?? 0; row < (starts[group + 1] ?? 0); row += 1) largest = Math.max(largest, weights?.[row] ?? 1)
  })
  const unit = unitOf(largest)
  let [sum, total] = [0, 0]
  yield* eachGroup(areas, (area, group) => {
    for (let row = starts[group] ?? 0; row < (starts[group + 1] ?? 0); row += 1) {
      const weight = (weights?.[row] ?? 1) / unit
      sum += weight * area
      total += weight
    }
  })
  return sum / total
}

const groupsAtOnce = 1024

/** Visits the groups that have an area. */
function* eachGroup(areas: Float64Array, of: (area: number, group: number) => void): Sliced<void> {
  yield* inBlocks(
    0,
    areas.length,
    (from, to) => {
      for (let group = from; group < to; group += 1) if (!Number.isNaN(areas[group])) of(areas[group] ?? 0, group)
    },
    groupsAtOnce,
  )
}

/** The groups of a task's rows, counting only rows with a label and a weight above 0. */
export interface GroupCounts {
  /** Groups with such rows. */
  readonly total: number
  /** Groups with positive and negative rows. `uauc` and `gauc` leave out the others. */
  readonly bothClasses: number
  /** Groups with a row whose label is above 0. `ndcg` and `mrr` leave out the others. */
  readonly withPositives: number
  /** Rows without a group. */
  readonly missingRows: number
}

/** Counts the groups. */
export function* groupCountsOf(rows: RankedRows): Sliced<GroupCounts> {
  const { rows: sorted, missing: missingRows } = yield* rows.once(groupedOf)
  const counts = { total: 0, bothClasses: 0, withPositives: 0 }
  if (sorted === undefined) return { ...counts, missingRows }
  const { starts, labels } = sorted
  counts.total = starts.length - 1
  for (let group = 0; group < counts.total; group += 1) {
    let [positive, negative] = [false, false]
    for (let row = starts[group] ?? 0; row < (starts[group + 1] ?? 0); row += 1) {
      positive ||= (labels[row] ?? 0) > 0
      negative ||= (labels[row] ?? 0) < 1
    }
    if (positive) counts.withPositives += 1
    if (positive && negative) counts.bothClasses += 1
    if (group % groupsAtOnce === groupsAtOnce - 1) yield
  }
  return { ...counts, missingRows }
}
