// The result of training as plain data: one record per epoch, and the names that callbacks may monitor.

import type { Better } from '../metrics/metric.js'
import type { MeasuredName } from '../metrics/registry.js'
import { metricCalled } from '../metrics/selection.js'
import type { TaskName } from '../models/definition.js'
import type { NetworkTask } from '../models/network.js'
import type { Evaluation, TaskEvaluation } from '../runtime/evaluate.js'
import type { GateRecord } from '../runtime/gate-statistics.js'
import type { EpochLosses } from '../runtime/losses.js'
import type { Measuring } from '../runtime/measuring.js'
import type { UnknownValues } from '../runtime/unknown.js'
import type { Task } from '../tasks/task.js'
import type { GradientNormRecord } from './gradient-norms.js'
import type { BalanceRecord } from './task-balance.js'

/** One epoch, as the history and callbacks see it. `Tasks`: the tasks of the model. */
export interface EpochRecord<Tasks extends readonly Task[] = readonly Task[]> {
  /** Number of the epoch, from 1. */
  readonly epoch: number
  readonly steps: number
  /** The learning rate of its last step. */
  readonly learningRate: number
  /** What `balance` and `clip.taskNorm` made of the tasks; undefined for fixed weights. */
  readonly balance?: BalanceRecord | undefined
  /** Lengths of the gradient of its steps, if `clip.norm` limits them. Undefined otherwise. */
  readonly gradientNorm?: GradientNormRecord | undefined
  /** How the gates use the experts after the epoch, if `gateStatistics` asks for it and the model has gates. Undefined otherwise. */
  readonly gates?: GateRecord | undefined
  /** Sum of task weight x task loss, plus penalties; averaged over the epoch's rows. The weights are those of the tasks' options. */
  readonly loss: number
  /**
   * Loss of each task, without task weight and penalties: the mean over the epoch's labelled rows, counted by `lossReduction`. Each step
   * measures it before its update. 0 for a task without labels.
   */
  readonly tasks: Readonly<Record<TaskName<Tasks>, { readonly loss: number }>>
  /** Measurements of the predictions made while training, if `trainingMetrics` asks for them. Undefined otherwise. */
  readonly training?: Pick<Evaluation<Tasks>, 'tasks'> | undefined
  /** Measurements on the validation data after the epoch. */
  readonly validation: Evaluation<Tasks> | undefined
  /**
   * Every number that can be monitored, by name: `loss`, `<task>_loss`, with `trainingMetrics` also `<metric>` and `<task>_<metric>`, with
   * validation data `val_loss`, `val_<metric>`,
   * `val_<task>_<metric>` and, if `score` asks for it, `val_score`. An undefined metric is absent, and so is the loss of a task without labels.
   */
  readonly metrics: Readonly<Record<string, number>>
  /** A sentence about the second epoch, if it overfits as large tables do; undefined otherwise. */
  readonly warning?: string | undefined
  /** Seconds spent on training steps, without validation and statistics. */
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

/** What a run measures: undefined where it does not. */
export interface RunMeasures<Part> {
  readonly training: Part | undefined
  readonly validation: Part | undefined
}

/**
 * Names that a run will have: `loss` and `<task>_loss`, those of metrics of training, and with validation data `val_` names of losses and
 * metrics.
 */
export function monitorNames(tasks: readonly NetworkTask[], { training, validation }: RunMeasures<Measuring>): string[] {
  const losses = ['loss', ...tasks.map(({ name }) => `${name}_loss`)]
  const own = (measuring: Measuring | undefined, prefix: string): string[] =>
    tasks.flatMap((task) =>
      measuring === undefined
        ? []
        : measuredOf(task, measuring).flatMap((metric) => [`${prefix}${metric}`, `${prefix}${task.name}_${metric}`]),
    )
  const score = validation?.score === undefined ? [] : [scoreMonitor]
  return [...new Set([...losses, ...own(training, ''), ...own(validation, 'val_'), ...score])]
}

/** A measuring, and what came of it. */
interface Outcome<Result> {
  readonly measuring: Measuring
  readonly result: Result
}

/** The values of `monitorNames` after an epoch. `<metric>` and `val_<metric>` are means over the tasks that define it. */
export function monitorValues(
  losses: EpochLosses,
  tasks: readonly NetworkTask[],
  {
    training,
    validation,
  }: {
    readonly training: Outcome<Pick<Evaluation, 'tasks'>> | undefined
    readonly validation: Outcome<Evaluation> | undefined
  },
): Record<string, number> {
  const values: Record<string, number> = {}
  if (training !== undefined) addMetrics(values, '', tasks, training)
  for (const task of losses.measured) values[`${task}_loss`] = losses.tasks[task] ?? 0
  const all = { ...values, loss: losses.total }
  if (validation === undefined) return all
  addMetrics(all, 'val_', tasks, validation)
  const { loss, score } = validation.result
  return { ...all, ...(score !== undefined && { [scoreMonitor]: score }), val_loss: loss }
}

function addMetrics(
  values: Record<string, number>,
  prefix: string,
  tasks: readonly NetworkTask[],
  { measuring, result }: Outcome<Pick<Evaluation, 'tasks'>>,
): void {
  for (const metric of new Set(tasks.flatMap((task) => measuredOf(task, measuring)))) {
    const found = Object.entries(result.tasks).flatMap(([task, own]) => rowValue(task, own, metric))
    for (const [task, value] of found) values[`${prefix}${task}_${metric}`] = value
    if (found.length > 0) values[`${prefix}${metric}`] = found.reduce((sum, [, value]) => sum + value, 0) / found.length
  }
}

/** A task without a labelled row has no measurement; its loss is recorded as 0. */
function rowValue(task: string, result: TaskEvaluation, metric: Measured): [string, number][] {
  const value = result.rows === 0 ? undefined : result[metric]
  return value === undefined ? [] : [[task, value]]
}
