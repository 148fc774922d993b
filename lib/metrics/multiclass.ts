// Metrics of classes: scores are the probabilities of every class, row by row.

import { ArgumentError } from '../core/errors.js'
import type { Sliced } from '../core/slices.js'
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
export function classLogLoss(rows: ClassifiedRows): Sliced<MetricResult> {
  checkClassified(rows)
  const { scores, labels, classes } = rows
  return meanOver(rows, (row) => -Math.log(Math.max(scores[row * classes + (labels[row] ?? NaN)] ?? NaN, clip)))
}

/**
 * Share of rows whose most probable class is the label's; of equal ones the first counts.
 * @throws ERR_MULTIGATE_ARGUMENT where lengths differ.
 */
export function classAccuracy(rows: ClassifiedRows): Sliced<MetricResult> {
  checkClassified(rows)
  const { scores, labels, classes } = rows
  return meanOver(
    rows,
    (row) => {
      const from = row * classes
      const label = labels[row] ?? NaN
      if (Number.isNaN(scores[from + label])) return NaN
      let best = 0
      for (let index = 1; index < classes; index += 1) {
        if ((scores[from + index] ?? NaN) > (scores[from + best] ?? NaN)) best = index
      }
      return best === label ? 1 : 0
    },
    classes,
  )
}

function checkClassified({ scores, labels, classes }: ClassifiedRows): void {
  if (scores.length === labels.length * classes) return
  const expected = `${labels.length} rows x ${classes} classes`
  throw new ArgumentError(`scores: expected ${expected} numbers, found ${scores.length}`, { field: 'scores' })
}
