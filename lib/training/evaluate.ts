// Evaluation: one pass over a dataset gives losses and scores, from which metrics are taken. Rows without a label count in
// neither.

import { auc } from '../metrics/auc.js'
import { accuracy, logLoss } from '../metrics/classification.js'
import type { NetworkTask } from '../models/network.js'
import type { CommonOptions } from '../models/options.js'
import type { FloatArray } from '../native/binding.js'
import type { EncodedRows, Targets } from './encode.js'
import type { NetworkRunner } from './network-runner.js'
import { penaltyOfWeights } from './penalty.js'

export interface TaskEvaluation {
  /** The loss that training minimises: with row weights and reduction, without the task's weight and penalties. */
  readonly loss: number
  /** Undefined where the labels are all alike; `aucReason` says so. */
  readonly auc: number | undefined
  readonly aucReason?: string
  /** Mean cross-entropy in nats. Undefined where no row has a label. */
  readonly logloss: number | undefined
  /** Share of rows on the right side of one half. */
  readonly accuracy: number | undefined
  /** Labelled rows that are positive; soft labels add up. */
  readonly positives: number
  /** Rows with a label. */
  readonly rows: number
}

export interface Evaluation<Name extends string = string> {
  readonly tasks: Readonly<Record<Name, TaskEvaluation>>
  /** Sum of task weight x task loss, and penalties over all weights. */
  readonly loss: number
  readonly rows: number
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
  for (const { name, weight } of tasks) {
    const own = scalars[program.scalarOutputs[`loss:${name}`] ?? -1] ?? Number.NaN
    loss += weight * own
    results[name] = evaluateTask(
      own,
      outputs.get(name),
      data.targets.find(({ task }) => task.name === name),
    )
  }
  return { tasks: results, loss, rows: data.rows }
}

function evaluateTask(loss: number, scores: FloatArray | undefined, targets: Targets | undefined): TaskEvaluation {
  if (scores === undefined || targets === undefined) throw new Error('a task was evaluated without scores or labels')
  const rows = { scores, labels: targets.labels, weights: targets.weights }
  const { value, positives, negatives, reason } = auc(rows)
  return {
    loss,
    auc: value,
    ...(reason !== undefined && { aucReason: reason }),
    logloss: logLoss(rows).value,
    accuracy: accuracy(rows).value,
    positives,
    rows: positives + negatives,
  }
}
