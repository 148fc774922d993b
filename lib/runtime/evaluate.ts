// Evaluation: one pass over a dataset gives losses and scores, from which metrics are taken. Rows without a label count in
// neither.

import { inBlocks, inSlices, type Sliced } from '../core/slices.js'
import { headWidth } from '../layers/heads.js'
import { type Metric, metricsOf } from '../metrics/metric.js'
import type { NetworkTask } from '../models/network.js'
import type { CommonOptions } from '../models/options.js'
import type { FloatArray } from '../native/binding.js'
import type { EncodedRows, Targets } from './encode.js'
import { type LossPlace, lossPlace } from './losses.js'
import { penaltyOfWeights } from './penalty.js'
import type { Turns } from './queue.js'
import type { NetworkRunner, PartResult } from './runner.js'
import { type UnknownValues, unknownIn } from './unknown.js'

/** What is measured of a task; metrics by its kind. One is undefined where the rows give no value, `aucReason` says why for AUC. */
export interface TaskEvaluation {
  /** The loss that training minimises: with row weights and reduction, without the task's weight and penalties. */
  readonly loss: number
  /** Rows with a label. */
  readonly rows: number
  /** Binary: labelled rows that are positive; soft labels add up. */
  readonly positives?: number | undefined
  /** Binary. */
  readonly auc?: number | undefined
  readonly aucReason?: string | undefined
  /** Binary, multiclass: mean cross-entropy in nats. */
  readonly logloss?: number | undefined
  /** Binary: share of rows on the right side of one half. Multiclass: share whose most probable class is the label's. */
  readonly accuracy?: number | undefined
  /** Regression, in label units. */
  readonly rmse?: number | undefined
  /** Regression, in label units. */
  readonly mae?: number | undefined
}

export interface Evaluation<Name extends string = string> extends UnknownValues {
  readonly tasks: Readonly<Record<Name, TaskEvaluation>>
  /** Sum of task weight x task loss, and penalties over all weights. */
  readonly loss: number
  readonly rows: number
}

/** What `evaluate` asks for while it works. */
export interface Evaluating {
  readonly turns: Turns
  /** Called between two runs or slices: what it throws ends the evaluation. */
  readonly check: () => void
}

/** Runs the network over all rows in one turn; then measures what it gave, slice by slice. */
export async function evaluate(
  runner: NetworkRunner,
  data: EncodedRows,
  tasks: readonly NetworkTask[],
  options: CommonOptions,
  { turns, check }: Evaluating,
): Promise<Evaluation> {
  const program = runner.network.evaluate
  const { outputs, parts, penalty } = await turns.take(async () => {
    const result = await runner.run(program, data, check)
    return { ...result, penalty: await inSlices(penaltyOfWeights(runner, options), { check }) }
  })
  const results: Record<string, TaskEvaluation> = {}
  let loss = penalty
  for (const task of tasks) {
    const { name, weight } = task
    const own = lossOf(lossPlace(program, name), parts)
    loss += weight * own
    const targets = data.targets.find((target) => target.task.name === name)
    results[name] = await inSlices(evaluateTask(task, own, outputs.get(name), targets), { check })
  }
  return { tasks: results, loss, rows: data.rows, ...unknownIn(data.counts) }
}

/** What one run over all rows would give: each part's loss counts by what it was divided by. */
function lossOf({ at, divisorAt }: LossPlace, parts: readonly PartResult[]): number {
  const [first] = parts
  if (first !== undefined && parts.length === 1) return first.results[at] ?? NaN
  let [sum, total] = [0, 0]
  for (const { results } of parts) {
    const divisor = results[divisorAt] ?? NaN
    sum += (results[at] ?? NaN) * divisor
    total += divisor
  }
  return total === 0 ? 0 : sum / total
}

function* evaluateTask(
  task: NetworkTask,
  loss: number,
  scores: FloatArray | undefined,
  targets: Targets | undefined,
): Sliced<TaskEvaluation> {
  if (scores === undefined || targets === undefined) throw new Error('a task was evaluated without scores or labels')
  const { labels, weights } = targets
  const rows = { scores, labels, weights, classes: headWidth(task) }
  const values: Record<string, number | string | undefined> = {}
  for (const [name, { of }] of Object.entries<Metric>(metricsOf[task.kind])) {
    const { value, reason } = yield* of(rows)
    values[name] = value
    if (name === 'auc' && reason !== undefined) values.aucReason = reason
  }
  const counts = { rows: 0, positives: 0 }
  yield* inBlocks(0, labels.length, (from, to) => {
    for (let row = from; row < to; row += 1) {
      const label = labels[row] ?? NaN
      if (Number.isNaN(label)) continue
      counts.rows += 1
      counts.positives += label
    }
  })
  return { loss, ...values, ...(task.kind === 'binary' && { positives: counts.positives }), rows: counts.rows }
}
