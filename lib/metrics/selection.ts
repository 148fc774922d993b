// Which metrics are measured: those that a kind of task always has, and those that a caller asks for by name.

import { invalidArgument, quote } from '../core/check.js'
import { nearest } from '../core/did-you-mean.js'
import type { Metric } from './metric.js'
import { type MeasuredName, type MetricName, metrics } from './registry.js'

/** A metric to measure. */
export interface SelectedMetric {
  /** The name in results and monitors: `ndcg@10`. */
  readonly name: MeasuredName
  readonly metric: Metric<MetricName>
  /** The number after the `@`, if any. */
  readonly parameter: number | undefined
}

/** A metric by its name in results: `auc`, `ndcg@10`. Undefined if there is none. */
export function metricCalled(name: string): SelectedMetric | undefined {
  const [own, number, ...more] = name.split('@')
  const metric = metrics.find((candidate) => candidate.name === own)
  if (metric === undefined || more.length > 0) return undefined
  if (number === undefined) return { name: name as MeasuredName, metric, parameter: undefined }
  const most = metric.parameter?.max ?? 0
  if (!/^[1-9]\d{0,9}$/.test(number) || Number(number) > most) return undefined
  return { name: name as MeasuredName, metric, parameter: Number(number) }
}

/**
 * The metrics that were asked for.
 * @param known metrics of the tasks that are measured.
 * @throws ERR_MULTIGATE_ARGUMENT naming one that no task has, or that needs groups if there are none.
 */
export function requested(
  field: string,
  names: readonly string[],
  { known, groups }: { readonly known: readonly Metric[]; readonly groups: boolean },
): SelectedMetric[] {
  return names.map((name, index) => {
    const place = `${field}[${index}]`
    const found = metricCalled(name)
    if (found === undefined || !known.includes(found.metric)) {
      const own = known.map((metric) =>
        metric.parameter === undefined ? metric.name : `${metric.name} or ${metric.name}@<number>`,
      )
      const near = nearest(
        name,
        known.map((metric) => metric.name),
        1,
      ).map(quote)
      throw invalidArgument(place, `a metric of these tasks (${own.join(', ')})`, name, `the nearest is ${near.join()}`)
    }
    if (!groups && needsGroups(found.metric))
      throw invalidArgument(place, 'a metric that needs no groups', name, "or set 'groups' to the column that has them")
    return found
  })
}

/** Whether a metric is of groups. */
export function needsGroups({ measured, grouped }: Metric): boolean {
  return grouped === true || measured === 'groups'
}

/** Metrics of a task that are measured, in their own order, those with numbers by number. */
export function selected(
  own: readonly Metric<MetricName>[],
  { asked, groups }: { readonly asked: readonly SelectedMetric[]; readonly groups: boolean },
): SelectedMetric[] {
  return own.flatMap((metric): SelectedMetric[] => {
    // 0 stands for no number.
    const numbers = new Set(asked.filter((one) => one.metric === metric).map(({ parameter = 0 }) => parameter))
    if (metric.measured === 'always' || (metric.measured === 'groups' && groups)) numbers.add(0)
    return [...numbers]
      .sort((a, b) => a - b)
      .map((number) => (number === 0 ? undefined : number))
      .map((parameter) => ({ name: measuredName(metric, parameter), metric, parameter }))
  })
}

function measuredName({ name }: Metric, parameter: number | undefined): MeasuredName {
  return (parameter === undefined ? name : `${name}@${parameter}`) as MeasuredName
}

/** The metrics among the keys of results, in order. */
export function metricsAmong(keys: Iterable<string>): SelectedMetric[] {
  const found = [...new Set(keys)].flatMap((key) => metricCalled(key) ?? [])
  return selected(metrics, { asked: found, groups: false }).filter(({ name }) => found.some((one) => one.name === name))
}
