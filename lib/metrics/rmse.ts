// Root of the mean squared error, in the units of the label. Weighted if rows have weights.

import type { Metric } from './metric.js'
import { RowMean } from './row-mean.js'

export const rmse = {
  name: 'rmse',
  better: 'lower',
  measured: 'always',
  display: { title: 'RMSE', heading: 'rmse', format: 'decimals' },
  of: { number: () => new RowMean((scores, at, label) => ((scores[at] ?? NaN) - label) ** 2, { end: Math.sqrt }) },
} as const satisfies Metric
