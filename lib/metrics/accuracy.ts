// Accuracy: the share of rows that the model predicts correctly, by weight if rows have weights.

import type { Metric } from './metric.js'
import { RowMean, type RowNumber } from './row-mean.js'

/**
 * For one probability: the share of rows on the right side of one half. One half itself counts as negative, as in Keras, also for a soft
 * label. For classes: the share of rows whose most probable class is the label; of equally probable classes the first counts.
 */
export const accuracy = {
  name: 'accuracy',
  better: 'higher',
  measured: 'always',
  display: { title: 'accuracy', heading: 'accuracy', format: 'decimals' },
  of: {
    number: () => new RowMean(ofProbability),
    classes: (width) => new RowMean(ofClasses, { width, read: width }),
  },
} as const satisfies Metric

const ofProbability: RowNumber = (scores, at, label) => {
  const score = scores[at] ?? NaN
  if (Number.isNaN(score)) return NaN
  return score > 0.5 === label > 0.5 ? 1 : 0
}

const ofClasses: RowNumber = (scores, at, label, classes) => {
  if (Number.isNaN(scores[at + label])) return NaN
  let best = 0
  for (let index = 1; index < classes; index += 1) {
    if ((scores[at + index] ?? NaN) > (scores[at + best] ?? NaN)) best = index
  }
  return best === label ? 1 : 0
}
