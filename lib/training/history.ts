// The result of training as plain data: one record per epoch, and the names that callbacks may monitor.

import type { Better } from '../metrics/metric.js'
import type { MeasuredName } from '../metrics/registry.js'
import { metricCalled } from '../metrics/selection.js'
import type { TaskName } from '../models/definition.js'
import type { NetworkTask } from '../models/network.js'
import type { Evaluation, TaskEvaluation } from '../runtime/evaluate.js'
import type { EpochLosses } from '../runtime/losses.js'
import type { Measuring } from '../runtime/measuring.js'
import type { UnknownValues } from '../runtime/unknown.js'
import type { Task } from '../tasks/task.js'
import type { BalanceRecord } from './task-balance.js'

/** One epoch, as the history and callbacks see it. `Tasks`: the tasks of the model. */
export interface EpochRecord<Tasks extends readonly Task[] = readonly Task[]> {
  /** Number of the epoch, from 1. */
  readonly epoch: number
  readonly steps: number
  /** The learning rate of its last step. */
  readonly learningRate: number
  /** What `balance` made of the tasks; undefined for fixed weights. */
  readonly balance?: BalanceRecord | undefined
  /** Sum of task weight x task loss, plus penalties; averaged over the epoch's rows. The weights are those of the tasks' options. */
  readonly loss: number
  /**
   * Loss of each task, without task weight and penalties: the mean over the epoch's labelled rows, counted by `lossReduction`. Each step
   * measures it before its update. 0 for a task without labels.
   */
  readonly tasks: Readonly<Record<TaskName<Tasks>, { readonly loss: number }>>
  /** Measurements on the validation data after the epoch. */
  readonly validation: Evaluation<Tasks> | undefined
  /**
   * Every number that can be monitored, by name: `loss`, `<task>_loss`, and with validation data `val_loss`, `val_<metric>`,
   * `val_<task>_<metric>` and, if `score` asks for it, `val_score`. An undefined metric is absent, and so is the loss of a task without labels.
   */
  readonly metrics: Readonly<Record<string, number>>
  /** Seconds spent on training steps, without validation. */
  readonly seconds: number
  readonly rowsPerSecond: number
}

/** The result of `fit`. `unknownValues` and `unknownShares` count the training rows. `Tasks`: the tasks of the model. */
export interface History<Tasks extends readonly Task[] = readonly Task[]> extends UnknownValues {
  readonly epochs: readonly EpochRecord<Tasks>[]
  /** Why training ended before its last epoch; undefined if it did not. */
  readonly stopReason: string | undefined
  /** The epoch that the model's current weights come from. */
  readonly weightsEpoch: number
}

/** What validation measures of a task and a monitor may watch. */
type Measured = 'loss' | MeasuredName

function measuredOf(task: NetworkTask, measuring: Measuring): Measured[] {
  return ['loss', ...measuring.metricsOf(task).map(({ name }) => name)]
}

const scoreMonitor = 'val_score'

/** Which values of a monitor are better: for a metric as it declares, for a loss the lower ones. Metric names have no underscore. */
export function betterOf(monitor: string): Better {
  if (monitor === scoreMonitor) return 'higher'
  return metricCalled(monitor.slice(monitor.lastIndexOf('_') + 1))?.metric.better ?? 'lower'
}

/**
 * Names that a run will have: `loss` and `<task>_loss`; with validation data also `val_` names of losses and metrics.
 * @param measuring what validation measures; undefined without validation data.
 */
export function monitorNames(tasks: readonly NetworkTask[], measuring: Measuring | undefined): string[] {
  const losses = ['loss', ...tasks.map(({ name }) => `${name}_loss`)]
  if (measuring === undefined) return losses
  const own = tasks.flatMap((task) =>
    measuredOf(task, measuring).map((metric) => [`val_${metric}`, `val_${task.name}_${metric}`]),
  )
  return [...losses, ...new Set(own.flat()), ...(measuring.score === undefined ? [] : [scoreMonitor])]
}

/** The values of `monitorNames` after an epoch. `val_<metric>` is the mean over the tasks that define it. */
export function monitorValues(
  losses: EpochLosses,
  networkTasks: readonly NetworkTask[],
  validation: { readonly measuring: Measuring; readonly result: Evaluation } | undefined,
): Record<string, number> {
  const { tasks, total } = losses
  const values: Record<string, number> = { loss: total }
  for (const task of losses.measured) values[`${task}_loss`] = tasks[task] ?? 0
  if (validation === undefined) return values
  const { measuring, result } = validation
  for (const metric of new Set(networkTasks.flatMap((task) => measuredOf(task, measuring)))) {
    const found = Object.entries(result.tasks).flatMap(([task, own]) => rowValue(task, own, metric))
    for (const [task, value] of found) values[`val_${task}_${metric}`] = value
    if (found.length > 0) values[`val_${metric}`] = found.reduce((sum, [, value]) => sum + value, 0) / found.length
  }
  if (result.score !== undefined) values[scoreMonitor] = result.score
  return { ...values, val_loss: result.loss }
}

/** A task without a labelled row has no measurement; its loss is recorded as 0. */
function rowValue(task: string, result: TaskEvaluation, metric: Measured): [string, number][] {
  const value = result.rows === 0 ? undefined : result[metric]
  return value === undefined ? [] : [[task, value]]
}
