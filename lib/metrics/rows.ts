// The rows that a metric counts: those with a label and a weight above 0. Lengths and weights are checked here for every metric.

import { checkObject, invalidArgument } from '../core/check.js'
import type { NumberValues } from '../core/columns.js'
import { ArgumentError } from '../core/errors.js'

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

/** @throws ERR_MULTIGATE_ARGUMENT unless it has scores and labels. */
export function checkScored<Rows extends ScoredRows>(rows: Rows): Rows {
  const { scores, labels, weights } = checkObject('rows', rows, 'an object of scores and labels')
  checkNumbers('scores', scores)
  checkNumbers('labels', labels)
  if (weights !== undefined) checkNumbers('weights', weights)
  return rows
}

/** @throws ERR_MULTIGATE_ARGUMENT unless it is a list of numbers. */
export function checkNumbers(field: string, values: NumberValues): NumberValues {
  const list: readonly unknown[] | undefined = Array.isArray(values) ? values : undefined
  if (list === undefined && !(ArrayBuffer.isView(values) && typeof values[0] !== 'bigint' && 'length' in values))
    throw invalidArgument(field, 'numbers, one per row', values)
  const wrong = list?.findIndex((value) => typeof value !== 'number') ?? -1
  if (wrong >= 0) throw invalidArgument(`${field}[${wrong}]`, 'a number', list?.[wrong])
  return values
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
