// Metrics by name: what evaluation computes for a task and what a monitor may watch. A new metric is one row here.

import type { Sliced } from '../core/slices.js'
import { aucOf } from './auc.js'
import { accuracy, logLoss } from './classification.js'
import { type ClassifiedRows, classAccuracy, classLogLoss } from './multiclass.js'
import { mae, rmse } from './regression.js'
import type { MetricResult } from './rows.js'

export interface Metric {
  /** Whether more is better. */
  readonly better: 'higher' | 'lower'
  /** Work over all rows, which yields on its way. */
  readonly of: (rows: ClassifiedRows) => Sliced<MetricResult>
}

/** Metrics of each kind of task, by the name that results and monitors use. */
export const metricsOf = {
  binary: {
    auc: { better: 'higher', of: aucOf },
    logloss: { better: 'lower', of: logLoss },
    accuracy: { better: 'higher', of: accuracy },
  },
  regression: {
    rmse: { better: 'lower', of: rmse },
    mae: { better: 'lower', of: mae },
  },
  multiclass: {
    logloss: { better: 'lower', of: classLogLoss },
    accuracy: { better: 'higher', of: classAccuracy },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Metric>>>>
