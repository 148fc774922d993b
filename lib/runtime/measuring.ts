// What an evaluation measures: its options, checked against the tasks of a model.

import { z } from 'zod'

import { invalidArgument } from '../core/check.js'
import { frozen } from '../core/schemas.js'
import type { MeasuredName } from '../metrics/registry.js'
import { needsGroups, requested, type SelectedMetric, selected } from '../metrics/selection.js'
import { kindOf, type TaskKind } from '../tasks/task.js'

/** What to measure beside losses and the metrics that are always measured. Plain data: a configuration file may have them too. */
export interface MeasuringOptions {
  /**
   * A column of single values, such as `'userid'`. Rows of equal value form a group. Binary tasks then have `uauc` and `gauc`, and the
   * counts of groups as `groups`. Rows without a value do not count in metrics of groups. Default: no groups.
   */
  readonly groups?: string | undefined
  /**
   * Further metrics: `prauc` and `ece` of binary tasks, with groups also `ndcg` and `mrr`; `xauc` of regression. A number may follow an
   * `@`: `ndcg@10` and `mrr@10` look at 10 rows of each group, `ece@20` has 20 bins. Default: none.
   */
  readonly metrics?: readonly MeasuredName[] | undefined
  /**
   * A weighted mean of metrics by `<task>_<metric>`, such as `{ like_uauc: 3, forward_uauc: 1 }`: the `score` of results, and the monitor
   * `val_score`. Higher must be better for each of them. Weights are above 0. Default: none.
   */
  readonly score?: Readonly<Record<string, number>> | undefined
}

/** The schema of these options, part of others. Names are checked by `measuringOf`. */
export const measuringOptions = {
  groups: z.string().min(1).optional(),
  metrics: frozen(z.array(z.string() as unknown as z.ZodType<MeasuredName>)).optional(),
  score: z
    .record(z.string(), z.number().positive())
    .refine((weights) => Object.keys(weights).length > 0, { error: 'expected at least one metric, found none' })
    .optional(),
} satisfies Readonly<Record<keyof MeasuringOptions, z.ZodType>>

interface MeasuredTask {
  readonly name: string
  readonly kind: TaskKind
}

/** A part of a score. */
export interface ScorePart {
  readonly task: string
  readonly metric: MeasuredName
  readonly weight: number
}

/** What an evaluation measures. */
export interface Measuring {
  /** The column of groups. */
  readonly groups: string | undefined
  /** The metrics of a task, in order. */
  metricsOf(task: { readonly kind: TaskKind }): readonly SelectedMetric[]
  readonly score: readonly ScorePart[] | undefined
}

/**
 * Checks the options of an evaluation.
 * @param what the prefix of the field in errors.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option that these tasks cannot have.
 */
export function measuringOf(what: string, tasks: readonly MeasuredTask[], options: MeasuringOptions): Measuring {
  const groups = options.groups !== undefined
  const known = [...new Set(tasks.flatMap((task) => kindOf(task).metrics))]
  const asked = requested(`${what}.metrics`, options.metrics ?? [], { known, groups })
  const metricsOf: Measuring['metricsOf'] = (task) => selected(kindOf(task).metrics, { asked, groups })
  const parts = tasks.flatMap((task) =>
    metricsOf(task).map(({ name, metric }) => ({ task: task.name, metric: name, better: metric.better })),
  )
  const score = Object.entries(options.score ?? {}).map(([name, weight]): ScorePart => {
    const part = parts.find(({ task, metric }) => `${task}_${metric}` === name)
    if (part?.better === 'higher') return { task: part.task, metric: part.metric, weight }
    const fit = parts.filter(({ better }) => better === 'higher').map(({ task, metric }) => `${task}_${metric}`)
    const next = groups ? "ask for others with 'metrics'" : "'groups' and 'metrics' add others"
    throw invalidArgument(`${what}.score`, `metrics that are measured, of which higher is better (${fit.join(', ')})`, name, next)
  })
  return { groups: options.groups, metricsOf, score: options.score && score }
}

/** The same metrics of each task without those of groups, and no score. */
export function withoutGroups({ metricsOf }: Measuring): Measuring {
  return {
    groups: undefined,
    metricsOf: (task) => metricsOf(task).filter(({ metric }) => !needsGroups(metric)),
    score: undefined,
  }
}
