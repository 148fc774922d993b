// All metrics, and the kinds of tasks that have them. Tables show them in this order.

import { accuracy } from './accuracy.js'
import { aucMetric } from './auc.js'
import { ece, pcoc } from './calibration.js'
import { gauc, uauc } from './grouped-auc.js'
import { logloss } from './logloss.js'
import { mae } from './mae.js'
import type { Metric } from './metric.js'
import { ne } from './ne.js'
import { prauc } from './prauc.js'
import { mrr, ndcg } from './ranking.js'
import { rmse } from './rmse.js'
import { xauc } from './xauc.js'

/** Each metric is one line here. `TaskEvaluation` shows these comments. */
export const registry = registered({
  /** Area under the ROC curve: the share of pairs of a positive and a negative row in which the positive one scores higher. */
  auc: { metric: aucMetric, kinds: ['binary'] },
  /** Mean over groups of the AUC within each, each group counted once. Groups of one class are left out. */
  uauc: { metric: uauc, kinds: ['binary'] },
  /** The same mean, each group counted by the weight of its rows (impressions). */
  gauc: { metric: gauc, kinds: ['binary'] },
  /** Area under the curve of precision over recall, as average precision. */
  prauc: { metric: prauc, kinds: ['binary'] },
  /** Mean over groups of the normalised discounted cumulative gain. `ndcg@10`: of the first 10 rows. */
  ndcg: { metric: ndcg, kinds: ['binary'] },
  /** Mean over groups of 1 / rank of the first positive row. `mrr@10`: 0 beyond rank 10. */
  mrr: { metric: mrr, kinds: ['binary'] },
  /** Mean cross-entropy, in nats. */
  logloss: { metric: logloss, kinds: ['binary', 'multiclass'] },
  /** Normalised entropy: log loss over that of the share of positive rows as a constant score. */
  ne: { metric: ne, kinds: ['binary'] },
  /** Calibration ratio: sum of scores over sum of labels. 1 is best. */
  pcoc: { metric: pcoc, kinds: ['binary'] },
  /** Expected calibration error over 15 bins of equal width. `ece@20`: over 20. */
  ece: { metric: ece, kinds: ['binary'] },
  /** Share of rows on the right side of one half. For classes: of rows whose most probable class is the label. */
  accuracy: { metric: accuracy, kinds: ['binary', 'multiclass'] },
  /** Root of the mean squared error, in the units of the label. */
  rmse: { metric: rmse, kinds: ['regression'] },
  /** Mean absolute error, in the units of the label. */
  mae: { metric: mae, kinds: ['regression'] },
  /** Share of pairs of rows with different labels in which the row of the larger label scores higher. */
  xauc: { metric: xauc, kinds: ['regression'] },
})

type Registry = typeof registry

/** The kinds of tasks that a metric is registered for. */
type KindsOf<Name extends keyof Registry> = Registry[Name]['kinds'][number]

/** Every kind of task that has a metric. */
export type MeasuredKind = KindsOf<keyof Registry>

/** The names of the metrics that tasks of a kind have. For several kinds: of every metric that any of them has. */
export type MetricName<Kind extends string = MeasuredKind> = {
  [Name in keyof Registry]: [Extract<Kind, KindsOf<Name>>] extends [never] ? never : Name
}[keyof Registry]

/** The metrics that tasks of a kind have. */
export type MetricOf<Kind extends string> = Registry[MetricName<Kind>]['metric']

/** The name of a metric in results, requests and monitors: `auc`, `ndcg@10`. */
export type MeasuredName<Kind extends string = MeasuredKind> =
  | MetricName<Kind>
  | {
      [Name in MetricName<Kind>]: Registry[Name]['metric'] extends { readonly parameter: object } ? `${Name}@${number}` : never
    }[MetricName<Kind>]

/** The names of the metrics that every evaluation of tasks of a kind has. */
export type AlwaysMeasured<Kind extends string> = {
  [Name in keyof Registry]: [Kind] extends [KindsOf<Name>]
    ? Registry[Name]['metric']['measured'] extends 'always'
      ? Name
      : never
    : never
}[keyof Registry]

/**
 * Values of a kind's metrics, by name. Those that are measured only with groups or if asked for may be absent; for several kinds also those
 * that not all of them have.
 */
export type MetricValues<Kind extends string> = { readonly [Name in AlwaysMeasured<Kind>]: number | undefined } & {
  readonly [Name in Exclude<MeasuredName<Kind>, AlwaysMeasured<Kind>>]?: number | undefined
}

/** Every metric, in order. */
export const metrics: readonly Metric<MetricName>[] = Object.values(registry).map(({ metric }) => metric)

/** The metrics of a kind of task, in order. */
export function metricsOf<Kind extends string>(kind: Kind): readonly MetricOf<Kind>[] {
  const all: readonly { readonly metric: Metric; readonly kinds: readonly string[] }[] = Object.values(registry)
  return all.filter(({ kinds }) => kinds.includes(kind)).map(({ metric }) => metric as MetricOf<Kind>)
}

/** Other fields of a result, which no metric may use as its name. */
type Taken = 'loss' | 'rows' | 'positives' | 'groups' | 'reasons' | 'score'

/** Checks that a metric has the name of its line, without an underscore: monitors read the metric after their last underscore. */
function registered<
  const Lines extends {
    readonly [Name in keyof Lines]: {
      readonly metric: Metric<Name extends Taken | `${string}_${string}` ? never : Name & string>
      readonly kinds: readonly string[]
    }
  },
>(lines: Lines): Lines {
  return lines
}
