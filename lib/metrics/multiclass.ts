// Metrics of classes: scores are the probabilities of every class, row by row.

import type { NumberValues } from '../core/columns.js'
import { ArgumentError } from '../core/errors.js'
import { type MetricResult, meanOver, type ScoredRows } from './rows.js'

/** Probabilities [rows, classes], numbers of classes as labels (NaN: missing), and a weight for each row where rows have one. */
export interface ClassifiedRows extends ScoredRows {
  readonly classes: number
}

const clip = 1e-7

/**
 * Mean of -log of the probability of the label's class, in nats; probabilities clipped to [1e-7, 1].
 * @throws ERR_MULTIGATE_ARGUMENT where lengths differ.
 */
export function classLogLoss(rows: ClassifiedRows): MetricResult {
  return overRows(rows, (scores, from, label) => -Math.log(Math.max(scores[from + label] ?? NaN, clip)))
}

/**
 * Share of rows whose most probable class is the label's; of equal ones the first counts.
 * @throws ERR_MULTIGATE_ARGUMENT where lengths differ.
 */
export function classAccuracy(rows: ClassifiedRows): MetricResult {
  return overRows(rows, (scores, from, label) => {
    if (Number.isNaN(scores[from + label])) return NaN
    let best = 0
    for (let index = 1; index < rows.classes; index += 1) {
      if ((scores[from + index] ?? NaN) > (scores[from + best] ?? NaN)) best = index
    }
    return best === label ? 1 : 0
  })
}

function overRows(
  { scores, labels, weights, classes }: ClassifiedRows,
  of: (scores: NumberValues, from: number, label: number) => number,
): MetricResult {
  if (scores.length !== labels.length * classes) {
    const expected = `${labels.length} rows x ${classes} classes`
    throw new ArgumentError(`scores: expected ${expected} numbers, found ${scores.length}`, { field: 'scores' })
  }
  const values = Float64Array.from(labels, (label, row) => (Number.isNaN(label) ? NaN : of(scores, row * classes, label)))
  return meanOver({ scores: values, labels, weights }, (value) => value)
}
