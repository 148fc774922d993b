// A weighted mean of one number per row, in float64. Rows are added in blocks of fixed size, each with its own sum. So the bits of the
// result depend neither on the parts nor on the slices.

import type { NumberValues } from '../core/columns.js'
import { type Sliced, sliceValues } from '../core/slices.js'
import type { Measurement } from './metric.js'
import { checkLengths, type MetricResult, notANumber, noWeight, type ScoredRows, unitOf, weightOf } from './rows.js'

/** The number of a row with scores from `at` to `at + width`. NaN if a score is NaN. */
export type RowNumber = (scores: NumberValues, at: number, label: number, width: number) => number

export interface RowMeanOptions {
  /** Scores of a row. Default 1. */
  readonly width?: number
  /** How many of these scores are read. If more, blocks have fewer rows. Default 1. */
  readonly read?: number
  /** Turns the mean into the result. Default: the mean itself. */
  readonly end?: (mean: number) => number
}

export class RowMean implements Measurement {
  readonly #of: RowNumber
  readonly #width: number
  readonly #end: (mean: number) => number
  readonly #blockRows: number
  #rows = 0
  #labelled = 0
  #largest = 0
  /** Divisor of the weights, growing with the largest weight so far. A power of two, so dividing by it loses no bits. */
  #unit = 1
  #sum = 0
  #total = 0
  #blockSum = 0
  #blockTotal = 0
  #wrong: number | undefined

  constructor(of: RowNumber, { width = 1, read = 1, end = (mean) => mean }: RowMeanOptions = {}) {
    this.#of = of
    this.#width = width
    this.#end = end
    this.#blockRows = Math.ceil(sliceValues / read)
  }

  *add(part: ScoredRows): Sliced<void> {
    checkLengths(part, this.#width)
    const rows = part.labels.length
    const before = this.#rows
    for (let from = 0; from < rows; ) {
      const to = Math.min(rows, from + this.#blockRows - (this.#rows % this.#blockRows))
      this.#weigh(part, from, to, before)
      this.#addRows(part, from, to, before)
      this.#rows += to - from
      if (this.#rows % this.#blockRows === 0) this.#endBlock()
      from = to
      yield
    }
  }

  // biome-ignore lint/correctness/useYield: other metrics yield here.
  *finish(): Sliced<MetricResult> {
    this.#endBlock()
    if (this.#labelled === 0) return { value: undefined, reason: 'no row has a label' }
    if (this.#largest === 0) return { value: undefined, reason: noWeight }
    if (this.#wrong !== undefined) return { value: undefined, reason: notANumber(this.#wrong) }
    return { value: this.#end(this.#sum / this.#total) }
  }

  /** Looks for a larger weight in `[from, to)`. */
  #weigh({ labels, weights }: ScoredRows, from: number, to: number, before: number): void {
    let [labelled, largest] = [this.#labelled, this.#largest]
    for (let row = from; row < to; row += 1) {
      if (Number.isNaN(labels[row])) continue
      labelled += 1
      const weight = weightOf(weights, row, before)
      if (weight > largest) largest = weight
    }
    this.#labelled = labelled
    if (largest === this.#largest) return
    const unit = unitOf(largest)
    const factor = this.#largest === 0 ? 1 : this.#unit / unit
    this.#largest = largest
    this.#unit = unit
    // Earlier rows that vanish beside the new largest weight count as absent; do not compute 0 times infinity.
    if (factor === 0) this.#wrong = undefined
    const scaled = (sum: number): number => (factor === 0 ? 0 : sum * factor)
    this.#sum = scaled(this.#sum)
    this.#total = scaled(this.#total)
    this.#blockSum = scaled(this.#blockSum)
    this.#blockTotal = scaled(this.#blockTotal)
  }

  #addRows({ scores, labels, weights }: ScoredRows, from: number, to: number, before: number): void {
    const [of, unit, width] = [this.#of, this.#unit, this.#width]
    let [sum, total] = [this.#blockSum, this.#blockTotal]
    for (let row = from; row < to; row += 1) {
      const label = labels[row] ?? NaN
      if (Number.isNaN(label)) continue
      const weight = weights === undefined ? 1 : (weights[row] ?? 0) / unit
      // Skip it, because 0 times infinity is NaN.
      if (weight === 0) continue
      const value = of(scores, row * width, label, width)
      if (Number.isNaN(value)) this.#wrong ??= before + row
      sum += weight * value
      total += weight
    }
    this.#blockSum = sum
    this.#blockTotal = total
  }

  #endBlock(): void {
    this.#sum += this.#blockSum
    this.#total += this.#blockTotal
    this.#blockSum = this.#blockTotal = 0
  }
}
