// Metrics of ranked lists, one list per group: how far up its positive rows are. Rows of equal score have no order of their own; each list
// counts as the mean over all their orders.

import type { Sliced } from '../core/slices.js'
import { sliceValues } from '../core/slices.js'
import { AllRows } from './all-rows.js'
import type { Metric } from './metric.js'
import { type GroupedRows, groupedOf, RankedRows, type SortedGroups } from './ranked-rows.js'
import type { MetricResult } from './rows.js'

/** Value of the list of rows `from` to `to`, which ascend by score. Undefined without a positive row. */
type OfList = (rows: SortedGroups, from: number, to: number, k: number) => number | undefined

/**
 * Normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002): gains are labels, and the gain at rank r counts 1 / log2(1 + r).
 * The mean over groups, each counted once. `ndcg@10` looks at the first 10 rows of each.
 */
export const ndcg = {
  name: 'ndcg',
  better: 'higher',
  measured: 'asked',
  grouped: true,
  parameter: { what: 'rows', max: 2 ** 31 - 1 },
  display: { title: 'NDCG', heading: 'ndcg', format: 'decimals' },
  of: { number: (k: number = Infinity) => new AllRows((rows) => meanOfLists(rows, ndcgOf, k)) },
} as const satisfies Metric

/**
 * Mean reciprocal rank: 1 / rank of the first row whose label is above 0. The mean over groups, each counted once. `mrr@10` counts 0 where
 * no such row is among the first 10.
 */
export const mrr = {
  name: 'mrr',
  better: 'higher',
  measured: 'asked',
  grouped: true,
  parameter: { what: 'rows', max: 2 ** 31 - 1 },
  display: { title: 'MRR', heading: 'mrr', format: 'decimals' },
  of: { number: (k: number = Infinity) => new AllRows((rows) => meanOfLists(rows, reciprocalRankOf, k)) },
} as const satisfies Metric

function* meanOfLists(given: GroupedRows, of: OfList, k: number): Sliced<MetricResult> {
  const { rows, reason } = yield* RankedRows.of(given).once(groupedOf)
  if (rows === undefined) return { value: undefined, reason }
  const { starts } = rows
  let [sum, lists, worked] = [0, 0, 0]
  for (let group = 0; group + 1 < starts.length; group += 1) {
    const [from, to] = [starts[group] ?? 0, starts[group + 1] ?? 0]
    const value = of(rows, from, to, k)
    if (value !== undefined) {
      sum += value
      lists += 1
    }
    worked += to - from
    if (worked < sliceValues) continue
    worked = 0
    yield
  }
  if (lists > 0) return { value: sum / lists }
  return { value: undefined, reason: `none of the ${starts.length - 1} groups has a positive row` }
}

/** Sums of the discounts of the first ranks: `[r]` is that of ranks 1 to r. Grows as lists need it. */
let discounts = Float64Array.of(0)

function discountsOf(ranks: number): Float64Array {
  if (discounts.length > ranks) return discounts
  const more = new Float64Array(2 * ranks + 1)
  more.set(discounts)
  for (let rank = discounts.length; rank < more.length; rank += 1) more[rank] = (more[rank - 1] ?? 0) + 1 / Math.log2(1 + rank)
  discounts = more
  return more
}

function ndcgOf({ ranks, labels }: SortedGroups, from: number, to: number, k: number): number | undefined {
  const best = labels.slice(from, to)
  if (!best.some((gain) => gain > 0)) return undefined
  best.sort()
  const most = Math.min(k, to - from)
  const discount = discountsOf(most)
  const upTo = (rank: number): number => discount[Math.min(rank, most)] ?? 0
  let [got, ideal] = [0, 0]
  for (let end = to; end > from && to - end < most; ) {
    // Rows `start` to `end` have one score.
    let [start, gain] = [end, 0]
    do {
      start -= 1
      gain += labels[start] ?? 0
    } while (start > from && ranks[start - 1] === ranks[end - 1])
    if (gain > 0) got += (gain / (end - start)) * (upTo(to - start) - upTo(to - end))
    end = start
  }
  for (let rank = 1; rank <= most; rank += 1) ideal += (best[best.length - rank] ?? 0) / Math.log2(1 + rank)
  return got / ideal
}

function reciprocalRankOf({ ranks, labels }: SortedGroups, from: number, to: number, k: number): number | undefined {
  for (let end = to; end > from; ) {
    // Rows `start` to `end` have one score.
    let [start, positive] = [end, 0]
    do {
      start -= 1
      if ((labels[start] ?? 0) > 0) positive += 1
    } while (start > from && ranks[start - 1] === ranks[end - 1])
    if (positive > 0) return meanReciprocal(to - end, end - start, positive, k)
    end = start
  }
  return undefined
}

/** Mean over the orders of `tied` rows, of which `positive` are positive, after `above` others: 1 / rank of the first positive one. */
function meanReciprocal(above: number, tied: number, positive: number, k: number): number {
  let [mean, chance] = [0, positive / tied]
  for (let skipped = 0; skipped <= tied - positive && above + skipped < k; skipped += 1) {
    mean += chance / (above + skipped + 1)
    chance *= (tied - positive - skipped) / (tied - skipped - 1)
  }
  return mean
}
