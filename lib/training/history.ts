// What training leaves behind: one record per epoch, and the names that callbacks may monitor. Plain data.

import { type MetricName, metrics } from '../metrics/registry.js'
import type { TaskName } from '../models/definition.js'
import type { NetworkTask } from '../models/network.js'
import type { Evaluation, TaskEvaluation } from '../runtime/evaluate.js'
import type { EpochLosses } from '../runtime/losses.js'
import type { UnknownValues } from '../runtime/unknown.js'
import { kindOf, type Task } from '../tasks/task.js'

/** One epoch, as the history and callbacks see it. `Tasks`: those of the model. */
export interface EpochRecord<Tasks extends readonly Task[] = readonly Task[]> {
  /** From 1. */
  readonly epoch: number
  readonly steps: number
  /** Sum of task weight x task loss, and penalties; the mean of these over the epoch's rows. */
  readonly loss: number
  /**
   * Loss of each task, without its weight and without penalties: the mean over the epoch's rows with a label, as `lossReduction`
   * counts them, each taken before the update of its step. 0 where there are none.
   */
  readonly tasks: Readonly<Record<TaskName<Tasks>, { readonly loss: number }>>
  /** What was measured on the validation data after the epoch. */
  readonly validation: Evaluation<Tasks> | undefined
  /** Everything that can be monitored, by name: `loss`, `<task>_loss`, and with validation data `val_loss`, `val_<metric>`, `val_<task>_<metric>`. A metric that is undefined, and the loss of a task without labels, is absent. */
  readonly metrics: Readonly<Record<string, number>>
  /** Spent on training steps, validation not counted. */
  readonly seconds: number
  readonly rowsPerSecond: number
}

/** What `fit` gives. `unknownValues` and `unknownShares` are those of the training rows. `Tasks`: those of the model. */
export interface History<Tasks extends readonly Task[] = readonly Task[]> extends UnknownValues {
  readonly epochs: readonly EpochRecord<Tasks>[]
  /** Why training ended before its last epoch. */
  readonly stopReason: string | undefined
  /** The epoch whose weights the model has now. */
  readonly weightsEpoch: number
}

/** What validation measures of a task and a monitor may watch. */
type Measured = 'loss' | MetricName

const measured: readonly Measured[] = ['loss', ...metrics.map(({ name }) => name)]

const measuredOf = (task: NetworkTask): Measured[] => ['loss', ...kindOf(task).metrics.map(({ name }) => name)]

/** Which values of a monitor are better: as its metric says; of losses lower ones. No metric's name has an underscore. */
export function betterOf(monitor: string): 'higher' | 'lower' {
  const watched = monitor.slice(monitor.lastIndexOf('_') + 1)
  return metrics.find(({ name }) => name === watched)?.better ?? 'lower'
}

/** Names that a run will have: `loss`, `<task>_loss`, and with validation data the same and metrics with `val_` before. */
export function monitorNames(tasks: readonly NetworkTask[], validation: boolean): string[] {
  const losses = ['loss', ...tasks.map(({ name }) => `${name}_loss`)]
  if (!validation) return losses
  const own = tasks.flatMap((task) => measuredOf(task).map((metric) => [`val_${metric}`, `val_${task.name}_${metric}`]))
  return [...losses, ...new Set(own.flat())]
}

/** The values of `monitorNames` after an epoch; `val_<metric>` is the mean over the tasks where it is defined. */
export function monitorValues(losses: EpochLosses, validation: Evaluation | undefined): Record<string, number> {
  const { tasks, total } = losses
  const values: Record<string, number> = { loss: total }
  for (const task of losses.measured) values[`${task}_loss`] = tasks[task] ?? 0
  if (validation === undefined) return values
  for (const metric of measured) {
    const found = Object.entries(validation.tasks).flatMap(([task, result]) => rowValue(task, result, metric))
    for (const [task, value] of found) values[`val_${task}_${metric}`] = value
    if (found.length > 0) values[`val_${metric}`] = found.reduce((sum, [, value]) => sum + value, 0) / found.length
  }
  return { ...values, val_loss: validation.loss }
}

/** Nothing was measured without a labelled row; the loss of none is 0. */
function rowValue(task: string, result: TaskEvaluation, metric: Measured): [string, number][] {
  const value = result.rows === 0 ? undefined : result[metric]
  return value === undefined ? [] : [[task, value]]
}
