// Log loss: how unlikely the labels were to the model. Weighted if rows have weights.

import type { Metric } from './metric.js'
import { RowMean, type RowNumber } from './row-mean.js'

const clip = 1e-7

/**
 * Mean cross-entropy in nats. One probability is clipped to [1e-7, 1 - 1e-7], as in Keras, and labels may be soft. For classes it is the
 * mean of -log of the probability of the label's class, clipped to [1e-7, 1].
 */
export const logloss = {
  name: 'logloss',
  better: 'lower',
  measured: 'always',
  display: { title: 'log loss', heading: 'logloss', format: 'decimals' },
  of: {
    number: () => new RowMean(ofProbability),
    classes: (width) => new RowMean(ofClasses, { width }),
  },
} as const satisfies Metric

/** Cross-entropy of one probability. For labels of 0 and 1 one of the logarithms suffices, with the same bits. */
export const ofProbability: RowNumber = (scores, at, label) => {
  const probability = Math.min(Math.max(scores[at] ?? NaN, clip), 1 - clip)
  if (label === 1) return -Math.log(probability)
  if (label === 0) return -Math.log1p(-probability)
  return -(label * Math.log(probability) + (1 - label) * Math.log1p(-probability))
}

const ofClasses: RowNumber = (scores, at, label) => -Math.log(Math.max(scores[at + label] ?? NaN, clip))
