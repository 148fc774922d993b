// Results as text tables: what `fit` and `evaluate` return, for people.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { anyNumber } from '../core/schemas.js'
import { visible } from '../core/visible.js'
import type { Evaluation, TaskEvaluation } from '../runtime/evaluate.js'
import type { History } from '../training/history.js'
import { count, decimals, duration, table } from './text.js'
import { unknownLines } from './unknown.js'

const metrics = ['auc', 'logloss', 'accuracy', 'rmse', 'mae'] as const

const numbers = z.record(z.string(), anyNumber)
const some = anyNumber.optional()
const taskSchema = z.looseObject({
  rows: anyNumber,
  positives: some,
  auc: some,
  logloss: some,
  accuracy: some,
  rmse: some,
  mae: some,
})
const unknownSchema = { unknownValues: numbers.optional(), unknownShares: numbers.optional() }
const evaluationSchema = z.looseObject({ tasks: z.record(z.string(), taskSchema), ...unknownSchema })
const epochSchema = z.looseObject({
  epoch: anyNumber,
  loss: anyNumber,
  validation: evaluationSchema.extend({ loss: anyNumber }).optional(),
  metrics: numbers,
  seconds: anyNumber,
})
const historySchema = z.looseObject({ epochs: z.array(epochSchema), weightsEpoch: anyNumber, ...unknownSchema })

/**
 * One line per data set and task, one column per metric that any of them has.
 * @throws ERR_MULTIGATE_ARGUMENT naming what is not as `evaluate` gives it.
 * @example console.log(resultsTable({ test: await model.evaluate(test) }))
 */
export function resultsTable(results: Readonly<Record<string, Evaluation>>): string {
  parseOptions('results', z.record(z.string(), evaluationSchema), results)
  const lines = Object.entries(results).flatMap(([data, { tasks }]) =>
    Object.entries(tasks).map(([task, result]) => ({ data, task, result })),
  )
  const shown = metrics.filter((metric) => lines.some(({ result }) => metric in result))
  const withPositives = lines.some(({ result }) => result.positives !== undefined)
  const rows = lines.map(({ data, task, result }) => [
    data,
    task,
    ...shown.map((metric) => (metric in result ? decimals(result[metric]) : '')),
    ...(withPositives ? [result.positives === undefined ? '' : count(result.positives)] : []),
    count(result.rows),
  ])
  const reasons = lines.flatMap(({ data, task, result: { aucReason } }) => {
    return aucReason === undefined ? [] : [`${data} ${task}: no AUC, ${aucReason}`]
  })
  const unknown = Object.entries(results).flatMap(([data, evaluation]) => unknownLines(data, evaluation))
  const header = ['data', 'task', ...shown, ...(withPositives ? ['positives'] : []), 'rows']
  return [table(header, rows), ...reasons.map(visible), ...unknown].join('\n')
}

/** The metric that speaks for a task: AUC, or RMSE, or accuracy. */
export function headline(result: TaskEvaluation): { readonly metric: string; readonly value: number | undefined } {
  if ('auc' in result) return { metric: 'auc', value: result.auc }
  if ('rmse' in result) return { metric: 'rmse', value: result.rmse }
  return { metric: 'accuracy', value: result.accuracy }
}

/**
 * One line per epoch: loss, validation loss, the metric that speaks for each task on the validation data.
 * @throws ERR_MULTIGATE_ARGUMENT naming what is not as `fit` gives it.
 */
export function historyTable(history: History): string {
  parseOptions('history', historySchema, history)
  const { epochs, weightsEpoch } = history
  const validated = epochs.find(({ validation }) => validation !== undefined)?.validation
  const columns = Object.entries(validated?.tasks ?? {}).map(([task, result]) => ({ task, metric: headline(result).metric }))
  const names = columns.map(({ task, metric }) => `val_${task}_${metric}`)
  const header = ['epoch', 'loss', ...(validated ? ['val_loss', ...names] : []), 'time']
  const rows = epochs.map(({ epoch, loss, validation, metrics: measured, seconds }) => [
    `${epoch}${epoch === weightsEpoch && epoch !== epochs.length ? '*' : ''}`,
    decimals(loss),
    ...(validated ? [decimals(validation?.loss), ...names.map((name) => decimals(measured[name]))] : []),
    duration(seconds),
  ])
  return [table(header, rows), ...unknownLines('training data', history)].join('\n')
}
