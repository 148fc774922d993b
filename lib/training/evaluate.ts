// Evaluation: one pass over a dataset gives losses and scores, from which metrics are taken. Rows without a label count in
// neither.

import { headWidth } from '../layers/heads.js'
import { type Metric, metricsOf } from '../metrics/metric.js'
import type { NetworkTask } from '../models/network.js'
import type { CommonOptions } from '../models/options.js'
import type { FloatArray } from '../native/binding.js'
import type { EncodedRows, Targets } from './encode.js'
import type { NetworkRunner } from './network-runner.js'
import { penaltyOfWeights } from './penalty.js'

/** What is measured of a task; metrics by its kind. One is undefined where the rows give no value, `aucReason` says why for AUC. */
export interface TaskEvaluation {
  /** The loss that training minimises: with row weights and reduction, without the task's weight and penalties. */
  readonly loss: number
  /** Rows with a label. */
  readonly rows: number
  /** Binary: labelled rows that are positive; soft labels add up. */
  readonly positives?: number
  /** Binary. */
  readonly auc?: number | undefined
  readonly aucReason?: string
  /** Binary, multiclass: mean cross-entropy in nats. */
  readonly logloss?: number | undefined
  /** Binary: share of rows on the right side of one half. Multiclass: share whose most probable class is the label's. */
  readonly accuracy?: number | undefined
  /** Regression, in label units. */
  readonly rmse?: number | undefined
  /** Regression, in label units. */
  readonly mae?: number | undefined
}

export interface Evaluation<Name extends string = string> {
  readonly tasks: Readonly<Record<Name, TaskEvaluation>>
  /** Sum of task weight x task loss, and penalties over all weights. */
  readonly loss: number
  readonly rows: number
  /** Values that a feature's vocabulary does not know and that got id 0, by feature that has any. */
  readonly unknown: Readonly<Record<string, number>>
}

/** Runs the network over all rows. One program of the model may run at a time: the caller sees to it. */
export async function evaluate(
  runner: NetworkRunner,
  data: EncodedRows,
  tasks: readonly NetworkTask[],
  options: CommonOptions,
): Promise<Evaluation> {
  const program = runner.network.evaluate
  const { outputs, scalars } = await runner.run(program, data)
  const results: Record<string, TaskEvaluation> = {}
  let loss = penaltyOfWeights(runner, options)
  for (const task of tasks) {
    const { name, weight } = task
    const own = scalars[program.scalarOutputs[`loss:${name}`] ?? -1] ?? Number.NaN
    loss += weight * own
    results[name] = evaluateTask(
      task,
      own,
      outputs.get(name),
      data.targets.find((target) => target.task.name === name),
    )
  }
  return { tasks: results, loss, rows: data.rows, unknown: data.unknown }
}

function evaluateTask(
  task: NetworkTask,
  loss: number,
  scores: FloatArray | undefined,
  targets: Targets | undefined,
): TaskEvaluation {
  if (scores === undefined || targets === undefined) throw new Error('a task was evaluated without scores or labels')
  const { labels, weights } = targets
  const rows = { scores, labels, weights, classes: headWidth(task) }
  const values: Record<string, number | string | undefined> = {}
  for (const [name, { of }] of Object.entries<Metric>(metricsOf[task.kind])) {
    const { value, reason } = of(rows)
    values[name] = value
    if (name === 'auc' && reason !== undefined) values.aucReason = reason
  }
  const known = labels.filter((label) => !Number.isNaN(label))
  const positives = task.kind === 'binary' ? { positives: known.reduce((sum, label) => sum + label, 0) } : {}
  return { loss, ...values, ...positives, rows: known.length }
}
