// The rows that a metric counts: those with a label and a weight above 0. Lengths and weights are checked here for every metric.

import { goneMemory, isGone, lengthOf, typedArrayName } from '../core/arrays.js'
import { checkInteger, checkObject, guarded, invalidArgument, wrongArgument } from '../core/check.js'
import type { NumberValues } from '../core/columns.js'
import { ArgumentError } from '../core/errors.js'
import { mostRows } from '../core/limits.js'
import { allocate } from '../core/memory.js'

/**
 * Scores and labels of the same rows, such as the values of a dataset's column. Weights, if given, are finite numbers >= 0, one per row.
 * A row with weight 0 does not count. A label of NaN is missing.
 */
export interface ScoredRows {
  readonly scores: NumberValues
  readonly labels: NumberValues
  readonly weights?: NumberValues | undefined
}

/** A metric's value, or the reason why it has none. Never NaN. */
export interface MetricResult {
  readonly value: number | undefined
  readonly reason?: string | undefined
}

/** The reason if labelled rows have no weight. */
export const noWeight = 'the weights of all labelled rows are 0'

/** @throws ERR_MULTIGATE_ARGUMENT if lengths differ. @param width scores per row. */
export function checkLengths({ scores, labels, weights }: ScoredRows, width = 1): void {
  if (width === 1) checkRows('labels', labels.length, scores.length)
  else if (scores.length !== labels.length * width) {
    const expected = `${labels.length} rows x ${width} classes`
    throw new ArgumentError(`scores: expected ${expected} numbers, found ${scores.length}`, { field: 'scores' })
  }
  if (weights !== undefined) checkRows('weights', weights.length, labels.length)
}

/** The checked rows; lists are copied. @throws ERR_MULTIGATE_ARGUMENT unless it has scores and labels. */
export function checkScored<Rows extends ScoredRows>(given: Rows): Rows {
  const rows = guarded('rows', undefined, () => ({ ...checkObject('rows', given, 'an object of scores and labels') }))
  const { scores, labels, weights } = rows
  return {
    ...rows,
    scores: checkNumbers('scores', scores),
    labels: checkNumbers('labels', labels),
    weights: weights === undefined ? undefined : checkNumbers('weights', weights),
  }
}

/** A typed array as it is, or a copy of a list. @throws ERR_MULTIGATE_ARGUMENT unless it holds numbers. */
export function checkNumbers(field: string, values: NumberValues): NumberValues {
  const name = typedArrayName(values)
  if (name !== undefined && !name.startsWith('Big')) {
    if (isGone(values)) throw wrongArgument(field, `expected an array of numbers, one per row, found ${goneMemory}`)
    const length = guarded(field, undefined, () => values.length)
    if (length !== lengthOf(values)) throw invalidArgument(`${field}.length`, `${lengthOf(values)}, as the array has`, length)
    return values
  }
  return guarded(field, undefined, () => numbersIn(field, values))
}

function numbersIn(field: string, list: unknown): Float64Array {
  if (!Array.isArray(list)) throw invalidArgument(field, 'numbers, one per row', list)
  const length = checkInteger(`${field}.length`, list.length, { min: 0, max: mostRows })
  // Checked first: a sparse list may be much longer than memory.
  for (let row = 0; row < length; row += 1) {
    if (typeof list[row] !== 'number') throw invalidArgument(`${field}[${row}]`, 'a number', list[row])
  }
  const numbers = allocate(field, Float64Array, length)
  for (let row = 0; row < length; row += 1) numbers[row] = list[row] as number
  return numbers
}

/** @throws ERR_MULTIGATE_ARGUMENT unless there is one per row of `scores`. */
export function checkRows(field: string, found: number, rows: number): void {
  if (found === rows) return
  throw new ArgumentError(`${field}: expected the ${rows} rows of scores, found ${found}`, { field })
}

/**
 * The weight of a row; 1 if rows have no weights.
 * @param before rows of earlier parts.
 * @throws ERR_MULTIGATE_ARGUMENT naming the row of a weight that is not a finite number >= 0.
 */
export function weightOf(weights: NumberValues | undefined, row: number, before = 0): number {
  if (weights === undefined) return 1
  const weight = weights[row] ?? NaN
  if (weight >= 0 && weight < Infinity) return weight
  throw invalidArgument(`weights[${before + row}]`, 'a finite number >= 0', weight)
}

/**
 * A power of two near a weight; 1 for 0. Sums of weights divided by that of the largest weight neither overflow nor vanish, and lose no
 * bits.
 */
export function unitOf(weight: number): number {
  return weight === 0 ? 1 : 2 ** Math.floor(Math.log2(weight))
}

/** The reason why a score gives no value: the model diverged. */
export function notANumber(row: number): string {
  return `the score of row ${row} is NaN`
}
