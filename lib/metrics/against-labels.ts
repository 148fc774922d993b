// The base of metrics that compare the mean of a number per row with the share of positive rows.

import { inBlocks, type Sliced } from '../core/slices.js'
import { oneClass } from './counted-rows.js'
import type { Measurement } from './metric.js'
import type { GroupedRows } from './ranked-rows.js'
import { RowMean, type RowNumber } from './row-mean.js'
import type { MetricResult } from './rows.js'

export class AgainstLabels implements Measurement {
  readonly #numbers: RowMean
  readonly #labels = new RowMean((_, __, label) => label)
  readonly #end: (mean: number, share: number) => number | undefined
  #labelled = 0
  #positives = 0

  /** @param end of both means, by weight; undefined if the share of positive rows has no such value. */
  constructor(of: RowNumber, end: (mean: number, share: number) => number | undefined) {
    this.#numbers = new RowMean(of)
    this.#end = end
  }

  *add(part: GroupedRows): Sliced<void> {
    yield* this.#numbers.add(part)
    yield* this.#labels.add(part)
    yield* inBlocks(0, part.labels.length, (from, to) => {
      for (let row = from; row < to; row += 1) {
        const label = part.labels[row] ?? NaN
        if (Number.isNaN(label)) continue
        this.#labelled += 1
        this.#positives += label
      }
    })
  }

  *finish(): Sliced<MetricResult> {
    const { value: mean, reason } = yield* this.#numbers.finish()
    const { value: share } = yield* this.#labels.finish()
    if (mean === undefined || share === undefined) return { value: undefined, reason }
    const value = this.#end(mean, share)
    return value === undefined ? { value, reason: oneClass({ labelled: this.#labelled, positives: this.#positives }) } : { value }
  }
}
