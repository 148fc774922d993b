// Mean absolute error, in the units of the label. Weighted if rows have weights.

import type { Metric } from './metric.js'
import { RowMean } from './row-mean.js'

export const mae = {
  name: 'mae',
  better: 'lower',
  measured: 'always',
  display: { title: 'MAE', heading: 'mae', format: 'decimals' },
  of: { number: () => new RowMean((scores, at, label) => Math.abs((scores[at] ?? NaN) - label)) },
} as const satisfies Metric
