// Evaluation: one pass over a dataset gives losses and scores, and the metrics come from these. Rows without a label do not count in
// either.

import { inBlocks, inSlices, type Sliced } from '../core/slices.js'
import { headWidth } from '../layers/heads.js'
import { type GroupCounts, groupCountsOf } from '../metrics/grouped-auc.js'
import type { RowGroups } from '../metrics/groups.js'
import { measure } from '../metrics/metric.js'
import { RankedRows } from '../metrics/ranked-rows.js'
import type { MeasuredName, MetricValues } from '../metrics/registry.js'
import { weightedMean } from '../metrics/weighted-mean.js'
import type { TaskName } from '../models/definition.js'
import type { NetworkTask } from '../models/network.js'
import type { CommonOptions } from '../models/options.js'
import type { FloatArray } from '../native/binding.js'
import { type CountingKind, kindOf, type Task, type TaskKind } from '../tasks/task.js'
import type { EncodedRows } from './encode.js'
import { type LossPlace, lossPlace } from './losses.js'
import type { Measuring, ScorePart } from './measuring.js'
import { penaltyOfWeights } from './penalty.js'
import type { Queue } from './queue.js'
import type { NetworkRunner, PartResult } from './runner.js'
import { type UnknownValues, unknownIn } from './unknown.js'

/**
 * Measurements of a task: the metrics of its kind, by name. A metric without a value is undefined, and `reasons` says why. If the kind is
 * unknown at compile time, a metric may also be absent.
 */
export type TaskEvaluation<Kind extends TaskKind = TaskKind> = RowCounts<Kind> &
  MetricValues<Kind> & {
    /** The loss that training minimises: with row weights and reduction, without task weight and penalties. */
    readonly loss: number
    /** Why metrics are undefined, by metric name. Empty if all have values. */
    readonly reasons: { readonly [Name in MeasuredName<Kind>]?: string | undefined }
  }

/** Rows measured, with or without a label. */
export type RowCounts<Kind extends TaskKind = TaskKind> = {
  /** Rows with a label. */
  readonly rows: number
} & ([Kind] extends [CountingKind]
  ? {
      /** Labelled rows that are positive. Soft labels add up. */
      readonly positives: number
      /** How many groups were measured, if the evaluation has groups. */
      readonly groups?: GroupCounts | undefined
    }
  : [Extract<Kind, CountingKind>] extends [never]
    ? unknown
    : {
        /** Labelled rows that are positive, for tasks with yes-or-no labels. Soft labels add up. */
        readonly positives?: number | undefined
        /** How many groups were measured, for such tasks, if the evaluation has groups. */
        readonly groups?: GroupCounts | undefined
      })

/** The kind of the task of this name. */
type KindCalled<Name extends string, Own> = Own extends Task ? (Name extends Own['name'] ? Own['kind'] : never) : never

/** Measurements on a dataset. `Tasks`: the model's tasks, which decide the metrics. */
export interface Evaluation<Tasks extends readonly Task[] = readonly Task[]> extends UnknownValues {
  /** Measurements by task name. */
  readonly tasks: { readonly [Name in TaskName<Tasks>]: TaskEvaluation<KindCalled<Name, Tasks[number]>> }
  /** Sum of task weight x task loss, and penalties over all weights. */
  readonly loss: number
  /** The weighted mean that the option `score` asked for. Undefined if one of its metrics is. */
  readonly score?: number | undefined
  readonly rows: number
}

/** What `evaluate` needs from its caller. */
export interface Evaluating {
  readonly measuring: Measuring
  /** The rows' groups, where `measuring` has them. */
  readonly groups: RowGroups | undefined
  readonly queue: Queue
  /** Called between two runs or slices. An error it throws ends the evaluation. */
  readonly check: () => void
}

/** Runs the network over all rows in one turn, then measures the scores slice by slice. */
export async function evaluate(
  runner: NetworkRunner,
  data: EncodedRows,
  tasks: readonly NetworkTask[],
  options: CommonOptions,
  { queue, check, measuring, groups }: Evaluating,
): Promise<Evaluation> {
  const program = runner.network.evaluate
  const { outputs, parts, penalty } = await queue.take(async () => {
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
    results[name] = await inSlices(evaluateTask(task, own, { scores: outputs.get(name), targets, measuring, groups }), { check })
  }
  const { score } = measuring
  return {
    tasks: results,
    loss,
    ...(score && { score: scoreOf(score, results) }),
    rows: data.rows,
    ...unknownIn(data.counts),
  }
}

function scoreOf(score: readonly ScorePart[], results: Readonly<Record<string, TaskEvaluation>>): number | undefined {
  const parts = score.flatMap(({ task, metric, weight }) => {
    const value = results[task]?.[metric]
    return value === undefined ? [] : [{ value, weight }]
  })
  return parts.length < score.length ? undefined : weightedMean(parts)
}

/** The losses of a single run over all rows: each part counts by its own divisor. */
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

/** Measures a task from scores and labels. */
export function* evaluateTask(
  task: NetworkTask,
  loss: number,
  {
    scores,
    targets,
    measuring,
    groups,
  }: Pick<Evaluating, 'measuring' | 'groups'> & {
    readonly scores: FloatArray | undefined
    readonly targets: { readonly labels: FloatArray; readonly weights: FloatArray | undefined } | undefined
  },
): Sliced<TaskEvaluation> {
  if (scores === undefined || targets === undefined) throw new Error('a task was evaluated without scores or labels')
  const { labels, weights } = targets
  const { countsPositives, scores: form } = kindOf(task)
  const rows = new RankedRows({ scores, labels, weights, groups })
  const values: { [Name in MeasuredName]?: number | undefined } = {}
  const reasons: { [Name in MeasuredName]?: string } = {}
  for (const { name, metric, parameter } of measuring.metricsOf(task)) {
    const { of } = metric
    const measurement = form === 'classes' ? of.classes?.(headWidth(task)) : of.number?.(parameter)
    if (measurement === undefined) throw new Error(`${name} cannot be measured of ${task.kind} tasks`)
    const { value, reason } = yield* measure(measurement, rows)
    values[name] = value
    if (reason !== undefined) reasons[name] = reason
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
  return {
    loss,
    ...(values as MetricValues<TaskKind>),
    ...(countsPositives && { positives: counts.positives }),
    rows: counts.rows,
    ...(countsPositives && groups && { groups: yield* groupCountsOf(rows) }),
    reasons,
  }
}
