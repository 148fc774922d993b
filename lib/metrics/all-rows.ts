// The base of metrics that need all rows together. It keeps the parts and works at the end. A single part is not copied.

import { isTypedArray } from '../core/arrays.js'
import type { NumberValues } from '../core/columns.js'
import { type Sliced, sliceValues } from '../core/slices.js'
import type { Measurement } from './metric.js'
import type { GroupedRows } from './ranked-rows.js'
import { checkLengths, type MetricResult } from './rows.js'

export class AllRows implements Measurement {
  readonly keepsRows = true
  readonly #of: (rows: GroupedRows) => Sliced<MetricResult>
  readonly #parts: GroupedRows[] = []

  /** @param of computes the metric from all rows. */
  constructor(of: (rows: GroupedRows) => Sliced<MetricResult>) {
    this.#of = of
  }

  // biome-ignore lint/correctness/useYield: other metrics yield here.
  *add(part: GroupedRows): Sliced<void> {
    checkLengths(part)
    this.#parts.push(part)
  }

  *finish(): Sliced<MetricResult> {
    const [first, second] = this.#parts
    return yield* this.#of(first !== undefined && second === undefined ? first : yield* joined(this.#parts))
  }
}

/** Gives each row of a part without weights the weight 1. */
function* joined(parts: readonly GroupedRows[]): Sliced<GroupedRows> {
  const groups = parts.find((part) => part.groups !== undefined)?.groups
  const weighted = parts.some(({ weights }) => weights !== undefined)
  return {
    scores: yield* joinedValues(parts.map(({ scores }) => scores)),
    labels: yield* joinedValues(parts.map(({ labels }) => labels)),
    weights: weighted
      ? yield* joinedValues(parts.map(({ weights, labels }) => weights ?? new Float32Array(labels.length).fill(1)))
      : undefined,
    groups: groups && {
      count: groups.count,
      codes: Int32Array.from(
        yield* joinedValues(parts.map((part) => part.groups?.codes ?? new Int32Array(part.labels.length).fill(-1))),
      ),
    },
  }
}

function* joinedValues(parts: readonly NumberValues[]): Sliced<NumberValues> {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const floats = parts.every((part) => isTypedArray(part, 'Float32Array'))
  const values = floats ? new Float32Array(length) : new Float64Array(length)
  let at = 0
  for (const part of parts) {
    for (let from = 0; from < part.length; from += sliceValues) {
      values.set(part.subarray(from, from + sliceValues), at + from)
      yield
    }
    at += part.length
  }
  return values
}
