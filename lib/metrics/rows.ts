// The rows that a metric counts: those with a label. Lengths are checked here, once for every metric.

import { checkObject, invalidArgument } from '../core/check.js'
import type { NumberValues } from '../core/columns.js'
import { ArgumentError } from '../core/errors.js'

/** Scores and labels of the same rows, such as the values of a dataset's column, and a weight >= 0 for each where rows have one. Labels that are NaN are missing. */
export interface ScoredRows {
  readonly scores: NumberValues
  readonly labels: NumberValues
  readonly weights?: NumberValues | undefined
}

/** A metric's value, or why it has none. Never NaN. */
export interface MetricResult {
  readonly value: number | undefined
  readonly reason?: string
}

/** Numbers of the rows that have a label, ascending. @throws ERR_MULTIGATE_ARGUMENT where lengths differ. */
export function labelledRows({ scores, labels, weights }: ScoredRows): Int32Array {
  checkRows('labels', labels.length, scores.length)
  if (weights !== undefined) checkRows('weights', weights.length, scores.length)
  const rows = new Int32Array(labels.length)
  let count = 0
  for (let row = 0; row < labels.length; row += 1) {
    const label = labels[row] ?? NaN
    if (!Number.isNaN(label)) rows[count++] = row
  }
  return rows.subarray(0, count)
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

/** Why the rows give no value, or undefined where they do: none labelled, or a score that is no number (a model that diverged). */
export function unusable(rows: Int32Array, scores: NumberValues): string | undefined {
  if (rows.length === 0) return 'no row has a label'
  for (const row of rows) if (Number.isNaN(scores[row])) return `the score of row ${row} is NaN`
  return undefined
}

/** A weighted mean over rows. Undefined, with the reason, where there is nothing to take it of. */
export function meanOver(input: ScoredRows, of: (score: number, label: number) => number): MetricResult {
  const rows = labelledRows(input)
  const reason = unusable(rows, input.scores)
  if (reason !== undefined) return { value: undefined, reason }
  const { scores, labels, weights } = input
  let [sum, total] = [0, 0]
  for (let index = 0; index < rows.length; index += 1) {
    const row = rows[index] ?? 0
    const weight = weights?.[row] ?? 1
    // Not 0 times infinity.
    if (weight === 0) continue
    sum += weight * of(scores[row] ?? NaN, labels[row] ?? NaN)
    total += weight
  }
  return total > 0 ? { value: sum / total } : { value: undefined, reason: 'the weights of all labelled rows are 0' }
}
