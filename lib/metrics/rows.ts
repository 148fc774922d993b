// The rows that a metric counts: those with a label whose weight is not 0. Lengths and weights are checked here, once for every
// metric.

import { checkObject, invalidArgument } from '../core/check.js'
import type { NumberValues } from '../core/columns.js'
import { ArgumentError } from '../core/errors.js'

/** Scores and labels of the same rows, such as the values of a dataset's column, and a finite weight >= 0 for each where rows have one; a row of weight 0 counts as if it were not there. Labels that are NaN are missing. */
export interface ScoredRows {
  readonly scores: NumberValues
  readonly labels: NumberValues
  readonly weights?: NumberValues | undefined
}

/** A metric's value, or why it has none. Never NaN. */
export interface MetricResult {
  readonly value: number | undefined
  readonly reason?: string | undefined
}

/** What is said where rows have labels and no weights. */
export const noWeight = 'the weights of all labelled rows are 0'

/** @throws ERR_MULTIGATE_ARGUMENT where lengths differ. @param width scores of a row. */
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

/** @throws ERR_MULTIGATE_ARGUMENT unless there are as many as scores. */
export function checkRows(field: string, found: number, rows: number): void {
  if (found === rows) return
  throw new ArgumentError(`${field}: expected ${rows} rows, as scores has, found ${found}`, { field })
}

/**
 * The weight of a row; 1 where rows have none.
 * @param before rows of parts that came before these.
 * @throws ERR_MULTIGATE_ARGUMENT naming the row of a weight that is no finite number >= 0.
 */
export function weightOf(weights: NumberValues | undefined, row: number, before = 0): number {
  if (weights === undefined) return 1
  const weight = weights[row] ?? NaN
  if (weight >= 0 && weight < Infinity) return weight
  throw invalidArgument(`weights[${before + row}]`, 'a finite number >= 0', weight)
}

/**
 * A power of two near a weight: sums of weights divided by that of the largest one neither overflow nor vanish, and no bits are
 * lost. 1 of 0.
 */
export function unitOf(weight: number): number {
  return weight === 0 ? 1 : 2 ** Math.floor(Math.log2(weight))
}

/** Why a score gives no value: a model that diverged. */
export function notANumber(row: number): string {
  return `the score of row ${row} is NaN`
}
