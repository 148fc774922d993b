// The area under the curve of rows in ascending order of score, piece by piece. The weights of each class are divided by a number near
// their largest, so no sum overflows or vanishes.

import { type Sliced, sliceValues } from '../core/slices.js'
import type { SortedRows } from './ranked-rows.js'
import { unitOf } from './rows.js'

/** The area of each group of rows; rows ascend by score within a group. NaN if a class has no weight. */
export function* areasOf(rows: SortedRows, starts: Int32Array): Sliced<Float64Array> {
  const areas = new Float64Array(starts.length - 1)
  const area = new Area(rows)
  let worked = 0
  for (let group = 0; group < areas.length; group += 1) {
    const [first, end] = [starts[group] ?? 0, starts[group + 1] ?? 0]
    area.begin()
    for (const step of ['weigh', 'add'] as const) {
      for (let from = first; from < end; ) {
        const to = Math.min(end, from + sliceValues - worked)
        area[step](from, to)
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
  readonly #rows: SortedRows
  #largestPositive = 0
  #largestNegative = 0
  #rank = -1
  #area = 0
  #positive = 0
  #negative = 0
  #tiedPositive = 0
  #tiedNegative = 0

  constructor(rows: SortedRows) {
    this.#rows = rows
  }

  /** Begins anew with other rows. */
  begin(): void {
    this.#largestPositive = this.#largestNegative = 0
    this.#rank = -1
    this.#area = this.#positive = this.#negative = this.#tiedPositive = this.#tiedNegative = 0
  }

  /** Finds the largest weights of rows `from` to `to`. Call it for all rows before the first `add`. */
  weigh(from: number, to: number): void {
    const { labels, weights } = this.#rows
    if (weights === undefined) return
    for (let row = from; row < to; row += 1) {
      const weight = weights[row] ?? 0
      const label = labels[row] ?? 0
      if (label > 0 && weight > this.#largestPositive) this.#largestPositive = weight
      if (label < 1 && weight > this.#largestNegative) this.#largestNegative = weight
    }
  }

  /** Takes in rows `from` to `to`. The ranges must follow each other. */
  add(from: number, to: number): void {
    const { ranks, labels, weights } = this.#rows
    const [positiveUnit, negativeUnit] = [unitOf(this.#largestPositive), unitOf(this.#largestNegative)]
    let [rank, tiedPositive, tiedNegative] = [this.#rank, this.#tiedPositive, this.#tiedNegative]
    let [area, positive, negative] = [this.#area, this.#positive, this.#negative]
    for (let row = from; row < to; row += 1) {
      const next = ranks[row] ?? 0
      if (next !== rank) {
        area += tiedPositive * (negative + tiedNegative / 2)
        positive += tiedPositive
        negative += tiedNegative
        tiedPositive = tiedNegative = 0
        rank = next
      }
      const label = labels[row] ?? 0
      const weight = weights?.[row] ?? 1
      // Skip a class that the row has no share in: the weight may overflow when divided by that class's unit.
      if (label > 0) tiedPositive += (weight / positiveUnit) * label
      if (label < 1) tiedNegative += (weight / negativeUnit) * (1 - label)
    }
    this.#rank = rank
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
