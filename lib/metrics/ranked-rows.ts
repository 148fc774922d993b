// The rows of a task in ascending order of score, over all and within groups. Metrics of the same rows share the sort.

import { isTypedArray } from '../core/arrays.js'
import { inBlocks, type Sliced, sliceValues } from '../core/slices.js'
import { type CountedRows, countRows, unusable } from './counted-rows.js'
import type { RowGroups } from './groups.js'
import { type Ranked, rankBy } from './order.js'
import type { ScoredRows } from './rows.js'

/** Scored rows, and their groups if the data have them. */
export interface GroupedRows extends ScoredRows {
  readonly groups?: RowGroups | undefined
}

/** Labels and weights in ascending order of score. Rows of equal score have equal ranks. */
export interface SortedRows {
  readonly ranks: Int32Array
  readonly labels: Float64Array | Float32Array
  readonly weights: Float64Array | Float32Array | undefined
}

/** The same within each group, group after group. */
export interface SortedGroups extends SortedRows {
  /** The first row of each group with rows, then the end of the last. */
  readonly starts: Int32Array
}

/** The groups, or the reason why there are none to measure. */
export type Grouped =
  | { readonly rows: SortedGroups; readonly missing: number; readonly reason: undefined }
  | { readonly rows: undefined; readonly missing: number; readonly reason: string }

/** Rows with labels in [0, 1]. What several metrics need of them is computed once. */
export class RankedRows implements GroupedRows {
  readonly scores: ScoredRows['scores']
  readonly labels: ScoredRows['labels']
  readonly weights: ScoredRows['weights']
  readonly groups: RowGroups | undefined
  readonly #known = new Map<unknown, unknown>()

  constructor({ scores, labels, weights, groups }: GroupedRows) {
    this.scores = scores
    this.labels = labels
    this.weights = weights
    this.groups = groups
  }

  /** The rows themselves if they are such. */
  static of(rows: GroupedRows): RankedRows {
    return rows instanceof RankedRows ? rows : new RankedRows(rows)
  }

  /** What `compute` made of these rows when it was first asked. */
  *once<Result>(compute: (rows: RankedRows) => Sliced<Result>): Sliced<Result> {
    if (!this.#known.has(compute)) this.#known.set(compute, yield* compute(this))
    return this.#known.get(compute) as Result
  }
}

/** The counted rows, whatever their group. */
export function* countedOf(rows: RankedRows): Sliced<CountedRows> {
  return yield* countRows(rows, { binary: true })
}

function* rankedOf(rows: RankedRows): Sliced<Ranked> {
  return yield* rankBy((yield* rows.once(countedOf)).rows, rows.scores)
}

/** All counted rows, whatever their group. Ask `unusable` first: scores must not be NaN. */
export function* sortedOf(rows: RankedRows): Sliced<SortedRows> {
  return yield* picked(rows, yield* rows.once(rankedOf))
}

/** The counted rows of each group. */
export function* groupedOf(rows: RankedRows): Sliced<Grouped> {
  const { groups = { codes: new Int32Array(0), count: 0 } } = rows
  const counted = yield* countRows(rows, { binary: true, groups })
  const { missing } = counted
  const reason = unusable(counted)
  if (reason !== undefined) return { rows: undefined, missing, reason }
  // A score of NaN may be that of a row without a group.
  const whole = (yield* rows.once(countedOf)).wrong === undefined
  const { order, ranks } = whole ? yield* rows.once(rankedOf) : yield* rankBy(counted.rows, rows.scores)
  const { starts, places } = yield* placesIn(groups, counted.rows)
  const into = { order: new Int32Array(counted.rows.length), ranks: new Int32Array(counted.rows.length) }
  const scatter = (from: number, to: number): void => {
    for (let index = from; index < to; index += 1) {
      const row = order[index] ?? 0
      const code = groups.codes[row] ?? -1
      if (code < 0) continue
      const place = places[code] ?? 0
      places[code] = place + 1
      into.order[place] = row
      into.ranks[place] = ranks[index] ?? 0
    }
  }
  // The first of these touch a page of memory each.
  yield* inBlocks(0, order.length, scatter, sliceValues / 16)
  return { rows: { ...(yield* picked(rows, into)), starts }, missing, reason: undefined }
}

/** Labels and weights in an order of rows. */
function* picked({ labels, weights }: ScoredRows, { order, ranks }: Ranked): Sliced<SortedRows> {
  return { ranks, labels: yield* inOrder(labels, order), weights: weights && (yield* inOrder(weights, order)) }
}

function* inOrder(values: ScoredRows['labels'], order: Int32Array): Sliced<Float64Array | Float32Array> {
  const into = isTypedArray(values, 'Float32Array') ? new Float32Array(order.length) : new Float64Array(order.length)
  yield* inBlocks(0, order.length, (from, to) => {
    for (let index = from; index < to; index += 1) into[index] = values[order[index] ?? 0] ?? 0
  })
  return into
}

/** Where each group that has rows begins, and the same by code. */
function* placesIn({ codes, count }: RowGroups, rows: Int32Array): Sliced<{ starts: Int32Array; places: Int32Array }> {
  const places = new Int32Array(count)
  yield* inBlocks(0, rows.length, (from, to) => {
    for (let index = from; index < to; index += 1) {
      const code = codes[rows[index] ?? 0] ?? 0
      places[code] = (places[code] ?? 0) + 1
    }
  })
  const starts = new Int32Array(Math.min(count, rows.length) + 1)
  let [used, next] = [0, 0]
  yield* inBlocks(0, count, (from, to) => {
    for (let code = from; code < to; code += 1) {
      const own = places[code] ?? 0
      places[code] = next
      if (own > 0) starts[used++] = next
      next += own
    }
  })
  starts[used] = next
  return { starts: starts.subarray(0, used + 1), places }
}
