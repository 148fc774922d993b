// The results of `fit` and `evaluate` as text tables for people.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { anyNumber, list } from '../core/schemas.js'
import { visible } from '../core/visible.js'
import type { Metric } from '../metrics/metric.js'
import { type MetricName, metrics } from '../metrics/registry.js'
import type { Evaluation, TaskEvaluation } from '../runtime/evaluate.js'
import { type AnyKindOfTask, taskKinds } from '../tasks/task.js'
import type { History } from '../training/history.js'
import { count, decimals, duration, metricText, rateText, table } from './text.js'
import { unknownLines } from './unknown.js'

const numbers = z.record(z.string(), anyNumber)
const some = anyNumber.optional()
const taskSchema = z.looseObject({
  rows: anyNumber,
  positives: some,
  ...Object.fromEntries(metrics.map(({ name }) => [name, some])),
  reasons: z.record(z.string(), z.string()).optional(),
})
const unknownSchema = { unknownValues: numbers.optional(), unknownShares: numbers.optional() }
const evaluationSchema = z.looseObject({ tasks: z.record(z.string(), taskSchema), ...unknownSchema })
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
  const shown = metrics.filter((metric) => lines.some(({ result }) => has(result, metric)))
  const withPositives = lines.some(({ result }) => result.positives !== undefined)
  const rows = lines.map(({ data, task, result }) => [
    data,
    task,
    ...shown.map((metric) => (has(result, metric) ? metricText(metric, result[metric.name]) : '')),
    ...(withPositives ? [result.positives === undefined ? '' : count(result.positives)] : []),
    count(result.rows),
  ])
  const reasons = lines.flatMap(({ data, task, result }) => reasonsOf(result).map((reason) => `${data} ${task}: ${reason}`))
  const unknown = Object.entries(results).flatMap(([data, evaluation]) => unknownLines(data, evaluation))
  const headings = shown.map(({ display }) => display.heading)
  const header = ['data', 'task', ...headings, ...(withPositives ? ['positives'] : []), 'rows']
  return [table(header, rows), ...reasons.map(visible), ...unknown].join('\n')
}

/** Whether a result has a metric, even if undefined. JSON leaves out undefined values, so `reasons` counts too. */
function has(result: TaskEvaluation, { name }: Metric<MetricName>): boolean {
  const { reasons }: Partial<TaskEvaluation> = result
  return name in result || reasons?.[name] !== undefined
}

/** Metrics that are undefined for the same reason share a line: `no AUC, all 50 labelled rows are negative`. */
function reasonsOf({ reasons = {} }: Partial<TaskEvaluation>): string[] {
  const without = metrics.flatMap(({ name, display: { title } }) => {
    const reason = reasons[name]
    return reason === undefined ? [] : [{ title, reason }]
  })
  return [...new Set(without.map(({ reason }) => reason))].map((reason) => {
    const titles = without.filter((one) => one.reason === reason).map(({ title }) => title)
    return `no ${titles.join(' or ')}, ${reason}`
  })
}

/** A metric with its value. */
interface Headline {
  readonly metric: Metric<MetricName>
  readonly value: number | undefined
}

/** A task's headline metric. Results do not name their kind of task, so their metrics identify it. */
export function headline(result: TaskEvaluation): Headline | undefined {
  const fits = ({ metrics: own }: AnyKindOfTask): number => own.reduce((sum, metric) => sum + (has(result, metric) ? 1 : -1), 0)
  const kind = taskKinds.reduce((best, other) => (fits(other) > fits(best) ? other : best))
  const metric = kind.metrics.find(({ name }) => name === kind.headline)
  return metric && has(result, metric) ? { metric, value: result[metric.name] } : undefined
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
  const header = ['epoch', 'loss', ...(validated ? ['val_loss', ...names] : []), ...(withRate ? ['rate'] : []), 'time']
  const rows = epochs.map(({ epoch, learningRate, loss, validation, metrics: measured, seconds }) => [
    `${epoch}${epoch === weightsEpoch && epoch !== epochs.length ? '*' : ''}`,
    decimals(loss),
    ...(validated ? [decimals(validation?.loss), ...columns.map(({ name, metric }) => metricText(metric, measured[name]))] : []),
    ...(withRate ? [rateText(learningRate)] : []),
    duration(seconds),
  ])
  return [table(header, rows), ...unknownLines('training data', history)].join('\n')
}
