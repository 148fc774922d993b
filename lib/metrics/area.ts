// The area under the curve of rows in ascending order of score, piece by piece. The weights of each class are divided by a number near
// their largest, so no sum overflows or vanishes.

import type { NumberValues } from '../core/columns.js'
import { type Sliced, sliceValues } from '../core/slices.js'
import { type ScoredRows, unitOf } from './rows.js'

/** The area of each group of rows; rows ascend by score within a group. NaN if a class has no weight. */
export function* areasOf(order: Int32Array, starts: Int32Array, rows: ScoredRows): Sliced<Float64Array> {
  const areas = new Float64Array(starts.length - 1)
  const area = new Area(rows)
  let worked = 0
  for (let group = 0; group < areas.length; group += 1) {
    const [first, end] = [starts[group] ?? 0, starts[group + 1] ?? 0]
    area.begin()
    for (const step of ['weigh', 'add'] as const) {
      for (let from = first; from < end; ) {
        const to = Math.min(end, from + sliceValues - worked)
        area[step](order, from, to)
        worked += to - from
        from = to
        if (worked < sliceValues) continue
        worked = 0
        yield
      }
    }
    areas[group] = area.value ?? NaN
  }
  return areas
}

class Area {
  readonly #scores: NumberValues
  readonly #labels: NumberValues
  readonly #weights: NumberValues | undefined
  #largestPositive = 0
  #largestNegative = 0
  #score = NaN
  #area = 0
  #positive = 0
  #negative = 0
  #tiedPositive = 0
  #tiedNegative = 0

  constructor({ scores, labels, weights }: ScoredRows) {
    this.#scores = scores
    this.#labels = labels
    this.#weights = weights
  }

  /** Begins anew with other rows. */
  begin(): void {
    this.#largestPositive = this.#largestNegative = 0
    this.#score = NaN
    this.#area = this.#positive = this.#negative = this.#tiedPositive = this.#tiedNegative = 0
  }

  /** Finds the largest weights in `order[from .. to)`. Call it for all rows before the first `add`. */
  weigh(order: Int32Array, from: number, to: number): void {
    if (this.#weights === undefined) return
    for (let index = from; index < to; index += 1) {
      const row = order[index] ?? 0
      const weight = this.#weights[row] ?? 0
      const label = this.#labels[row] ?? 0
      if (label > 0 && weight > this.#largestPositive) this.#largestPositive = weight
      if (label < 1 && weight > this.#largestNegative) this.#largestNegative = weight
    }
  }

  /** Takes in `order[from .. to)`. The ranges must follow each other. */
  add(order: Int32Array, from: number, to: number): void {
    const [scores, labels, weights] = [this.#scores, this.#labels, this.#weights]
    const [positiveUnit, negativeUnit] = [unitOf(this.#largestPositive), unitOf(this.#largestNegative)]
    let [score, tiedPositive, tiedNegative] = [this.#score, this.#tiedPositive, this.#tiedNegative]
    let [area, positive, negative] = [this.#area, this.#positive, this.#negative]
    for (let index = from; index < to; index += 1) {
      const row = order[index] ?? 0
      const next = scores[row] ?? 0
      if (next !== score) {
        area += tiedPositive * (negative + tiedNegative / 2)
        positive += tiedPositive
        negative += tiedNegative
        tiedPositive = tiedNegative = 0
        score = next
      }
      const label = labels[row] ?? 0
      const weight = weights?.[row] ?? 1
      // Skip a class that the row has no share in: the weight may overflow when divided by that class's unit.
      if (label > 0) tiedPositive += (weight / positiveUnit) * label
      if (label < 1) tiedNegative += (weight / negativeUnit) * (1 - label)
    }
    this.#score = score
    this.#area = area
    this.#positive = positive
    this.#negative = negative
    this.#tiedPositive = tiedPositive
    this.#tiedNegative = tiedNegative
  }

  /** Undefined if a class has no weight. */
  get value(): number | undefined {
    const area = this.#area + this.#tiedPositive * (this.#negative + this.#tiedNegative / 2)
    const positive = this.#positive + this.#tiedPositive
    const negative = this.#negative + this.#tiedNegative
    return positive > 0 && negative > 0 ? area / (positive * negative) : undefined
  }
}
