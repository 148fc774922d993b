// The metrics that there are, and which kinds of tasks have them. Their order is that of columns in tables.

import { accuracy } from './accuracy.js'
import { aucMetric } from './auc.js'
import { logloss } from './logloss.js'
import { mae } from './mae.js'
import type { Metric } from './metric.js'
import { rmse } from './rmse.js'

/** A metric is one line here. The comments are those of `TaskEvaluation`. */
export const registry = registered({
  /** Area under the ROC curve: the share of pairs of a positive and a negative row in which the positive one scores higher. */
  auc: { metric: aucMetric, kinds: ['binary'] },
  /** Mean cross-entropy, in nats. */
  logloss: { metric: logloss, kinds: ['binary', 'multiclass'] },
  /** Share of rows on the right side of one half; of classes, whose most probable one is the label's. */
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

/** The names of the metrics that tasks of a kind have; of several kinds, that any of them has. */
export type MetricName<Kind extends string = MeasuredKind> = {
  [Name in keyof Registry]: [Extract<Kind, KindsOf<Name>>] extends [never] ? never : Name
}[keyof Registry]

/** The metrics that tasks of a kind have. */
export type MetricOf<Kind extends string> = Registry[MetricName<Kind>]['metric']

/** Values of the metrics of a kind of task, by name. Of several kinds, what not all of them have may be absent. */
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

/** Other numbers of a result, whose names no metric may have. */
type Taken = 'loss' | 'rows' | 'positives' | 'reasons'

/** A metric is called as its line is. Not with an underscore: what follows the last one of a monitor's name is its metric. */
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
