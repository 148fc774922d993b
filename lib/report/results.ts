// The results of `fit` and `evaluate` as text tables for people.

import { z } from 'zod'

import { describeValue, parseOptions } from '../core/check.js'
import { count, decimals, duration, rateText } from '../core/format.js'
import { anyNumber, list } from '../core/schemas.js'
import { visible } from '../core/visible.js'
import { type Metric, metricText } from '../metrics/metric.js'
import type { MetricName } from '../metrics/registry.js'
import { metricCalled, metricsAmong, type SelectedMetric } from '../metrics/selection.js'
import type { Evaluation, TaskEvaluation } from '../runtime/evaluate.js'
import { type AnyKindOfTask, taskKinds } from '../tasks/task.js'
import type { History } from '../training/history.js'
import { table } from './text.js'
import { unknownLines } from './unknown.js'

const numbers = z.record(z.string(), anyNumber)
const some = anyNumber.optional()
const taskSchema = z
  .looseObject({
    rows: anyNumber,
    positives: some,
    groups: z.object({ total: anyNumber, bothClasses: anyNumber, withPositives: anyNumber, missingRows: anyNumber }).optional(),
    reasons: z.record(z.string(), z.string()).optional(),
  })
  .superRefine((result, context) => {
    const wrong = Object.entries(result).find(
      ([name, value]) => metricCalled(name) !== undefined && value !== undefined && typeof value !== 'number',
    )
    if (wrong !== undefined)
      context.addIssue({ code: 'custom', path: [wrong[0]], message: `expected a number, found ${describeValue(wrong[1])}` })
  })
const unknownSchema = { unknownValues: numbers.optional(), unknownShares: numbers.optional() }
const evaluationSchema = z.looseObject({ tasks: z.record(z.string(), taskSchema), score: some, ...unknownSchema })
const epochSchema = z.looseObject({
  epoch: anyNumber,
  learningRate: some,
  loss: anyNumber,
  validation: evaluationSchema.extend({ loss: anyNumber }).optional(),
  metrics: numbers,
  seconds: anyNumber,
})
const historySchema = z.looseObject({ epochs: list(z.array(epochSchema)), weightsEpoch: anyNumber, ...unknownSchema })

/**
 * One line per dataset and task, one column per metric that any of them has.
 * @throws ERR_MULTIGATE_ARGUMENT naming what differs from the form of `evaluate`.
 * @example console.log(resultsTable({ test: await model.evaluate(test) }))
 */
export function resultsTable(results: Readonly<Record<string, Evaluation>>): string {
  parseOptions('results', z.record(z.string(), evaluationSchema), results)
  const lines = Object.entries(results).flatMap(([data, { tasks }]) =>
    Object.entries(tasks).map(([task, result]) => ({ data, task, result })),
  )
  const shown = metricsAmong(lines.flatMap(({ result }) => measuredIn(result)))
  const withPositives = lines.some(({ result }) => result.positives !== undefined)
  const rows = lines.map(({ data, task, result }) => [
    data,
    task,
    ...shown.map(({ name, metric }) => (measuredIn(result).includes(name) ? metricText(metric, result[name]) : '')),
    ...(withPositives ? [result.positives === undefined ? '' : count(result.positives)] : []),
    count(result.rows),
  ])
  const reasons = lines.flatMap(({ data, task, result }) => reasonsOf(result).map((reason) => `${data} ${task}: ${reason}`))
  const groups = lines.flatMap(({ data, task, result }) => groupsOf(result).map((text) => `${data} ${task}: ${text}`))
  const scores = Object.entries(results).flatMap(([data, evaluation]) => {
    if (!('score' in evaluation)) return []
    return [
      `${data}: ${evaluation.score === undefined ? 'no score, one of its metrics has no value' : `score ${decimals(evaluation.score)}`}`,
    ]
  })
  const unknown = Object.entries(results).flatMap(([data, evaluation]) => unknownLines(data, evaluation))
  const headings = shown.map(headingOf)
  const header = ['data', 'task', ...headings, ...(withPositives ? ['positives'] : []), 'rows']
  return [table(header, rows), ...[...scores, ...groups, ...reasons].map(visible), ...unknown].join('\n')
}

/** Names of metrics in a result, also of undefined ones. JSON leaves out undefined values, so `reasons` counts too. */
export function measuredIn(result: TaskEvaluation): string[] {
  const { reasons }: Partial<TaskEvaluation> = result
  return [...Object.keys(result), ...Object.keys(reasons ?? {})]
}

/** Its heading in a table. */
export function headingOf({ metric: { display }, parameter }: SelectedMetric): string {
  return withParameter(display.heading, parameter)
}

function withParameter(text: string, parameter: number | undefined): string {
  return parameter === undefined ? text : `${text}@${parameter}`
}

/** Metrics that are undefined for the same reason share a line: `no AUC, all 50 labelled rows are negative`. */
function reasonsOf({ reasons = {} }: Partial<TaskEvaluation>): string[] {
  const without = metricsAmong(Object.keys(reasons)).flatMap(({ name, metric, parameter }) => {
    const reason = reasons[name]
    return reason === undefined ? [] : [{ title: withParameter(metric.display.title, parameter), reason }]
  })
  return [...new Set(without.map(({ reason }) => reason))].map((reason) => {
    const titles = without.filter((one) => one.reason === reason).map(({ title }) => title)
    return `no ${[titles.slice(0, -1).join(', '), ...titles.slice(-1)].filter((title) => title !== '').join(' or ')}, ${reason}`
  })
}

/** Which groups metrics of groups leave out: `970 of 1,000 groups have both classes, 980 a positive row; 12 rows have no group`. */
function groupsOf({ groups }: Partial<Pick<TaskEvaluation, 'groups'>>): string[] {
  if (groups === undefined) return []
  const { total, bothClasses, withPositives, missingRows } = groups
  const missing = missingRows > 0 ? `; ${count(missingRows)} rows have no group` : ''
  return [`${count(bothClasses)} of ${count(total)} groups have both classes, ${count(withPositives)} a positive row${missing}`]
}

/** A metric with its value. */
interface Headline {
  readonly metric: Metric<MetricName>
  readonly value: number | undefined
}

/** A task's headline metric. Results do not name their kind of task, so their metrics identify it. */
export function headline(result: TaskEvaluation): Headline | undefined {
  const names = measuredIn(result)
  const own = metricsAmong(names).map(({ metric }) => metric)
  // Of two kinds that have all of these metrics, the one with fewer others.
  const fits = ({ metrics }: AnyKindOfTask): number =>
    own.reduce((sum, metric) => sum + (metrics.includes(metric) ? 1 : -1), 0) - metrics.length / 1000
  const kind = taskKinds.reduce((best, other) => (fits(other) > fits(best) ? other : best))
  const metric = kind.metrics.find(({ name }) => name === kind.headline)
  return metric && names.includes(metric.name) ? { metric, value: result[metric.name] } : undefined
}

/**
 * One line per epoch: loss, validation loss, each task's headline metric on the validation data, and the learning rate of the last step if
 * it changes.
 * @throws ERR_MULTIGATE_ARGUMENT naming what differs from the form of `fit`.
 */
export function historyTable(history: History): string {
  parseOptions('history', historySchema, history)
  const { epochs, weightsEpoch } = history
  const validated = epochs.find(({ validation }) => validation !== undefined)?.validation
  const columns = Object.entries(validated?.tasks ?? {}).flatMap(([task, result]) => {
    const { metric } = headline(result) ?? {}
    return metric === undefined ? [] : [{ name: `val_${task}_${metric.name}`, metric }]
  })
  const names = columns.map(({ name }) => name)
  const withRate = new Set(epochs.map(({ learningRate }) => learningRate)).size > 1
  const scored = epochs.some(({ metrics }) => metrics['val_score'] !== undefined)
  const measuredNames = validated ? ['val_loss', ...names] : []
  const header = ['epoch', 'loss', ...measuredNames, ...(scored ? ['val_score'] : []), ...(withRate ? ['rate'] : []), 'time']
  const rows = epochs.map(({ epoch, learningRate, loss, validation, metrics: measured, seconds }) => [
    `${epoch}${epoch === weightsEpoch && epoch !== epochs.length ? '*' : ''}`,
    decimals(loss),
    ...(validated ? [decimals(validation?.loss), ...columns.map(({ name, metric }) => metricText(metric, measured[name]))] : []),
    ...(scored ? [decimals(measured['val_score'])] : []),
    ...(withRate ? [rateText(learningRate)] : []),
    duration(seconds),
  ])
  return [table(header, rows), ...unknownLines('training data', history)].join('\n')
}
