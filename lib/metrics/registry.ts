// All metrics, and the kinds of tasks that have them. Tables show them in this order.

import { accuracy } from './accuracy.js'
import { aucMetric } from './auc.js'
import { logloss } from './logloss.js'
import { mae } from './mae.js'
import type { Metric } from './metric.js'
import { rmse } from './rmse.js'

/** Each metric is one line here. `TaskEvaluation` shows these comments. */
export const registry = registered({
  /** Area under the ROC curve: the share of pairs of a positive and a negative row in which the positive one scores higher. */
  auc: { metric: aucMetric, kinds: ['binary'] },
  /** Mean cross-entropy, in nats. */
  logloss: { metric: logloss, kinds: ['binary', 'multiclass'] },
  /** Share of rows on the right side of one half. For classes: of rows whose most probable class is the label. */
  accuracy: { metric: accuracy, kinds: ['binary', 'multiclass'] },
  /** Root of the mean squared error, in the units of the label. */
  rmse: { metric: rmse, kinds: ['regression'] },
  /** Mean absolute error, in the units of the label. */
  mae: { metric: mae, kinds: ['regression'] },
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

/** Values of a kind's metrics, by name. For several kinds, a metric that not all of them have may be absent. */
export type MetricValues<Kind extends string> = {
  readonly [Name in keyof Registry as [Kind] extends [KindsOf<Name>] ? Name : never]: number | undefined
} & {
  readonly [Name in keyof Registry as [Kind] extends [KindsOf<Name>] ? never : Name & MetricName<Kind>]?: number | undefined
}

/** Every metric, in order. */
export const metrics: readonly Metric<MetricName>[] = Object.values(registry).map(({ metric }) => metric)

/** The metrics of a kind of task, in order. */
export function metricsOf<Kind extends string>(kind: Kind): readonly MetricOf<Kind>[] {
  const all: readonly { readonly metric: Metric; readonly kinds: readonly string[] }[] = Object.values(registry)
  return all.filter(({ kinds }) => kinds.includes(kind)).map(({ metric }) => metric as MetricOf<Kind>)
}

/** Other fields of a result, which no metric may use as its name. */
type Taken = 'loss' | 'rows' | 'positives' | 'reasons'

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
