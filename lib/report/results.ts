// Results as text tables: what `fit` and `evaluate` return, for people.

import type { Evaluation } from '../training/evaluate.js'
import type { History } from '../training/history.js'
import { count, decimals, duration, table } from './text.js'

/** One line per data set and task: AUC, log loss, accuracy, positives. */
export function resultsTable(results: Readonly<Record<string, Evaluation>>): string {
  const rows = Object.entries(results).flatMap(([name, { tasks }]) =>
    Object.entries(tasks).map(([task, { auc, logloss, accuracy, positives, rows: labelled }]) => [
      name,
      task,
      decimals(auc),
      decimals(logloss),
      decimals(accuracy),
      count(positives),
      count(labelled),
    ]),
  )
  const reasons = Object.entries(results).flatMap(([name, { tasks }]) =>
    Object.entries(tasks).flatMap(([task, { aucReason }]) =>
      aucReason === undefined ? [] : [`${name} ${task}: no AUC, ${aucReason}`],
    ),
  )
  return [table(['data', 'task', 'auc', 'logloss', 'accuracy', 'positives', 'rows'], rows), ...reasons].join('\n')
}

/** One line per epoch: loss, validation loss, validation AUC of every task. */
export function historyTable({ epochs, weightsOf }: History): string {
  const tasks = Object.keys(epochs[0]?.tasks ?? {})
  const validated = epochs.some(({ validation }) => validation !== undefined)
  const header = ['epoch', 'loss', ...(validated ? ['val_loss', ...tasks.map((task) => `val_${task}_auc`)] : []), 'time']
  const rows = epochs.map(({ epoch, loss, validation, seconds }) => [
    `${epoch}${epoch === weightsOf && epoch !== epochs.length ? '*' : ''}`,
    decimals(loss),
    ...(validated ? [decimals(validation?.loss), ...tasks.map((task) => decimals(validation?.tasks[task]?.auc))] : []),
    duration(seconds),
  ])
  return table(header, rows)
}
