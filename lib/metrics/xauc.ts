// XAUC: the AUC of labels that are numbers, such as watch times.

import { inBlocks, type Sliced, sliceValues } from '../core/slices.js'
import { AllRows } from './all-rows.js'
import { countRows, unusable } from './counted-rows.js'
import type { Metric } from './metric.js'
import { orderBy, rankBy } from './order.js'
import type { GroupedRows } from './ranked-rows.js'
import { type MetricResult, type ScoredRows, unitOf } from './rows.js'

/**
 * The share of pairs of rows with different labels, by weight, in which the row of the larger label scores higher (Zhan et al., 2022). Equal
 * scores count one half. A pair weighs the product of its rows' weights.
 */
export const xauc = {
  name: 'xauc',
  better: 'higher',
  measured: 'asked',
  display: { title: 'XAUC', heading: 'xauc', format: 'decimals' },
  of: { number: () => new AllRows(xaucOf) },
} as const satisfies Metric

function* xaucOf({ scores, labels, weights }: GroupedRows): Sliced<MetricResult> {
  const counted = yield* countRows({ scores, labels, weights }, { binary: false })
  const reason = unusable(counted)
  if (reason !== undefined) return { value: undefined, reason }
  const { order, ranks } = yield* rankBy(counted.rows, scores)
  const rows = yield* picked({ scores, labels, weights }, order)
  // From the highest score down, so that no pair of rows of equal label ascends once they are sorted by label.
  const downwards = new Int32Array(order.length)
  yield* inBlocks(0, order.length, (from, to) => {
    for (let index = from; index < to; index += 1) downwards[index] = order.length - 1 - index
  })
  const byLabel = yield* orderBy(downwards, rows.labels)
  const total = yield* pairsOf(byLabel, rows)
  if (total === 0) return { value: undefined, reason: alike(rows.labels, byLabel) }
  const tied = (ranks.at(-1) ?? 0) < ranks.length - 1
  // By score, rows of equal score by label.
  const ties = tied ? yield* pairsOf(yield* orderBy(byLabel, ranks), rows, ranks) : 0
  return { value: ((yield* ascendingPairs(byLabel, ranks, rows.weights)) + ties / 2) / total }
}

interface Picked {
  readonly labels: Float64Array
  readonly weights: Float64Array
}

/** Labels and weights in an order of rows. Weights are divided by a number near the largest, so that no sum overflows. */
function* picked({ labels, weights }: ScoredRows, order: Int32Array): Sliced<Picked> {
  const into = { labels: new Float64Array(order.length), weights: new Float64Array(order.length) }
  let largest = 0
  yield* inBlocks(0, order.length, (from, to) => {
    for (let index = from; index < to; index += 1) into.labels[index] = labels[order[index] ?? 0] ?? 0
    if (weights === undefined) into.weights.fill(1, from, to)
  })
  if (weights === undefined) return into
  yield* inBlocks(0, order.length, (from, to) => {
    for (let index = from; index < to; index += 1) {
      const weight = weights[order[index] ?? 0] ?? 0
      into.weights[index] = weight
      if (weight > largest) largest = weight
    }
  })
  const unit = unitOf(largest)
  yield* inBlocks(0, order.length, (from, to) => {
    for (let index = from; index < to; index += 1) into.weights[index] = (into.weights[index] ?? 0) / unit
  })
  return into
}

/** The weight of all pairs of different labels; with blocks, of those within a block. Rows are in order of block, then label. */
function* pairsOf(order: Int32Array, { labels, weights }: Picked, blocks?: Int32Array): Sliced<number> {
  const state = { pairs: 0, before: 0, own: 0, block: 0, label: NaN }
  yield* inBlocks(0, order.length, (from, to) => {
    let { pairs, before, own, block, label } = state
    for (let index = from; index < to; index += 1) {
      const row = order[index] ?? 0
      const nextBlock = blocks?.[row] ?? 0
      const next = labels[row] ?? 0
      if (next !== label || nextBlock !== block) {
        pairs += own * before
        before = nextBlock === block ? before + own : 0
        own = 0
        block = nextBlock
        label = next
      }
      own += weights[row] ?? 0
    }
    Object.assign(state, { pairs, before, own, block, label })
  })
  return state.pairs + state.own * state.before
}

/** Why there is no pair. */
function alike(labels: Float64Array, byLabel: Int32Array): string {
  const [first, last] = [labels[byLabel[0] ?? 0], labels[byLabel.at(-1) ?? 0]]
  return first === last ? `all ${byLabel.length} labelled rows have the same label` : 'the rows of one label outweigh all others'
}

/** The weight of all pairs of rows, the first before the second, whose ranks ascend: counted while sorted halves are merged. */
function* ascendingPairs(order: Int32Array, ranks: Int32Array, weights: Float64Array): Sliced<number> {
  const { length } = order
  const merge = new Merge(length)
  yield* inBlocks(0, length, (from, to) => merge.fill(order, ranks, weights, from, to))
  let worked = 0
  for (let width = 1; width < length; width *= 2) {
    for (let start = 0; start < length; start += 2 * width) {
      const [middle, end] = [Math.min(start + width, length), Math.min(start + 2 * width, length)]
      for (merge.begin(start, middle); merge.place < end; ) {
        const most = Math.min(end, merge.place + sliceValues - worked)
        worked += most - merge.place
        merge.advance(middle, end, most)
        if (worked < sliceValues) continue
        worked = 0
        yield
      }
    }
    merge.turn()
  }
  return merge.pairs
}

class Merge {
  pairs = 0
  /** The next place to fill. */
  place = 0
  #left = 0
  #right = 0
  /** Weight of the rows taken from the left half. */
  #taken = 0
  #ranks: Int32Array
  #weights: Float64Array
  #intoRanks: Int32Array
  #intoWeights: Float64Array

  constructor(length: number) {
    this.#ranks = new Int32Array(length)
    this.#weights = new Float64Array(length)
    this.#intoRanks = new Int32Array(length)
    this.#intoWeights = new Float64Array(length)
  }

  fill(order: Int32Array, ranks: Int32Array, weights: Float64Array, from: number, to: number): void {
    for (let index = from; index < to; index += 1) {
      const row = order[index] ?? 0
      this.#ranks[index] = ranks[row] ?? 0
      this.#weights[index] = weights[row] ?? 0
    }
  }

  /** Begins to merge the halves from `start` and from `middle` on. */
  begin(start: number, middle: number): void {
    this.place = this.#left = start
    this.#right = middle
    this.#taken = 0
  }

  /** Fills the places before `most`. Of equal ranks, the right half's come first, since their pairs do not ascend. */
  advance(middle: number, end: number, most: number): void {
    const [ranks, weights, intoRanks, intoWeights] = [this.#ranks, this.#weights, this.#intoRanks, this.#intoWeights]
    let [left, right, taken, pairs] = [this.#left, this.#right, this.#taken, this.pairs]
    for (let place = this.place; place < most; place += 1) {
      const fromLeft = left < middle && (right >= end || (ranks[left] ?? 0) < (ranks[right] ?? 0))
      const at = fromLeft ? left : right
      const weight = weights[at] ?? 0
      intoRanks[place] = ranks[at] ?? 0
      intoWeights[place] = weight
      if (fromLeft) {
        taken += weight
        left += 1
      } else {
        pairs += weight * taken
        right += 1
      }
    }
    this.#left = left
    this.#right = right
    this.#taken = taken
    this.pairs = pairs
    this.place = most
  }

  /** Lets the next width read what this one wrote. */
  turn(): void {
    const [ranks, weights] = [this.#ranks, this.#weights]
    this.#ranks = this.#intoRanks
    this.#weights = this.#intoWeights
    this.#intoRanks = ranks
    this.#intoWeights = weights
  }
}
