// What training leaves behind: one record per epoch, and the names that callbacks may monitor. Plain data.

import { metricsOf } from '../metrics/metric.js'
import type { NetworkTask } from '../models/network.js'
import type { Evaluation, TaskEvaluation } from '../runtime/evaluate.js'
import type { EpochLosses } from '../runtime/losses.js'
import type { UnknownValues } from '../runtime/unknown.js'

/** One epoch, as the history and callbacks see it. */
export interface EpochRecord<Name extends string = string> {
  /** From 1. */
  readonly epoch: number
  readonly steps: number
  /** Sum of task weight x task loss, and penalties; the mean of these over the epoch's rows. */
  readonly loss: number
  /**
   * Loss of each task, without its weight and without penalties: the mean over the epoch's rows with a label, as `lossReduction`
   * counts them, each taken before the update of its step. 0 where there are none.
   */
  readonly tasks: Readonly<Record<Name, { readonly loss: number }>>
  /** What was measured on the validation data after the epoch. */
  readonly validation: Evaluation<Name> | undefined
  /** Everything that can be monitored, by name: `loss`, `<task>_loss`, and with validation data `val_loss`, `val_<metric>`, `val_<task>_<metric>`. A metric that is undefined, and the loss of a task without labels, is absent. */
  readonly metrics: Readonly<Record<string, number>>
  /** Spent on training steps, validation not counted. */
  readonly seconds: number
  readonly rowsPerSecond: number
}

/** `unknownValues` and `unknownShares` are those of the training rows. */
export interface History<Name extends string = string> extends UnknownValues {
  readonly epochs: readonly EpochRecord<Name>[]
  /** Why training ended before its last epoch. */
  readonly stopReason: string | undefined
  /** The epoch whose weights the model has now. */
  readonly weightsEpoch: number
}

/** What is measured of tasks of a kind. */
const measuredOf = (kind: NetworkTask['kind']): Measured[] => ['loss', ...(Object.keys(metricsOf[kind]) as Measured[])]

type Measured = Exclude<keyof TaskEvaluation, 'aucReason' | 'positives' | 'rows'>

const measuredOfAny = [...new Set((Object.keys(metricsOf) as NetworkTask['kind'][]).flatMap(measuredOf))]

/** Names that a run will have: `loss`, `<task>_loss`, and with validation data the same and metrics with `val_` before. */
export function monitorNames(tasks: readonly NetworkTask[], validation: boolean): string[] {
  const losses = ['loss', ...tasks.map(({ name }) => `${name}_loss`)]
  if (!validation) return losses
  const own = tasks.flatMap(({ name, kind }) => measuredOf(kind).map((metric) => [`val_${metric}`, `val_${name}_${metric}`]))
  return [...losses, ...new Set(own.flat())]
}

/** The values of `monitorNames` after an epoch; `val_<metric>` is the mean over the tasks where it is defined. */
export function monitorValues(losses: EpochLosses, validation: Evaluation | undefined): Record<string, number> {
  const { measured, tasks, total } = losses
  const values: Record<string, number> = { loss: total }
  for (const task of measured) values[`${task}_loss`] = tasks[task] ?? 0
  if (validation === undefined) return values
  for (const metric of measuredOfAny) {
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
