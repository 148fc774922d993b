// Metrics against the golden cases, whose values scikit-learn computed.

import { describe, expect, it } from 'vitest'

import type { NumberValues } from '../../lib/core/columns.js'
import { atOnce } from '../../lib/core/slices.js'
import { auc } from '../../lib/metrics/auc.js'
import { groupedAuc } from '../../lib/metrics/grouped-auc.js'
import { type Measurement, type Metric, measure as measured } from '../../lib/metrics/metric.js'
import { registry } from '../../lib/metrics/registry.js'
import type { ScoredRows } from '../../lib/metrics/rows.js'
import { goldenIndex, goldenNumbers, readGolden } from '../support/golden.js'

const cases = goldenIndex('metrics').map((entry) => [entry.id, entry] as const)

describe('golden metrics', () => {
  it.each(cases)('%s', (_, { file, expected }) => {
    const tensors = readGolden(file)
    const scores = goldenNumbers(tensors, 'in/pred') as NumberValues
    const labels = goldenNumbers(tensors, 'in/label') as NumberValues
    const weights = goldenNumbers(tensors, 'in/weight') as NumberValues
    const groups = goldenNumbers(tensors, 'in/user') as Int32Array
    const grouped = () => groupedAuc({ scores, labels, groups })
    const { prauc, logloss, accuracy, rmse, mae } = registry
    const of = (metric: Metric, rows: ScoredRows) => atOnce(measured(metric.of.number?.() as Measurement, rows)).value
    const measure: Record<string, () => number | undefined> = {
      auc: () => auc({ scores, labels }).value,
      auc_weighted: () => auc({ scores, labels, weights }).value,
      average_precision: () => of(prauc.metric, { scores, labels }),
      gauc_mean: () => grouped().mean,
      gauc_impressions: () => grouped().value,
      gauc_users: () => grouped().groups,
      'logloss_eps1e-7': () => of(logloss.metric, { scores, labels }),
      'logloss_eps1e-7_weighted': () => of(logloss.metric, { scores, labels, weights }),
      'accuracy_at_0.5': () => of(accuracy.metric, { scores, labels }),
      rmse: () => of(rmse.metric, { scores, labels }),
      mae: () => of(mae.metric, { scores, labels }),
      rmse_weighted: () => of(rmse.metric, { scores, labels, weights }),
      mae_weighted: () => of(mae.metric, { scores, labels, weights }),
    }
    const wanted = Object.entries(expected as Record<string, number | null>)
    expect(wanted.length).toBeGreaterThanOrEqual(4)
    for (const [name, want] of wanted) {
      const got = measure[name]?.()
      if (want === null) expect([name, got]).toEqual([name, undefined])
      else expect(Math.abs((got ?? NaN) - want), name).toBeLessThan(1e-9)
    }
    if (!wanted.some(([name]) => name === 'auc')) return
    // Order of rows and element type change nothing.
    const first = measure['auc']?.()
    const again = auc({ scores: Float64Array.from(scores).reverse(), labels: labels.slice().reverse() }).value
    if (first === undefined) expect(again).toBeUndefined()
    else expect(again).toBeCloseTo(first, 12)
  })
})
