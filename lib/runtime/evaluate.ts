// Evaluation: one pass over a dataset gives losses and scores, and the metrics come from these. Rows without a label do not count in
// either.

import { inBlocks, inSlices, type Sliced } from '../core/slices.js'
import { headWidth } from '../layers/heads.js'
import { type GroupCounts, groupCountsOf } from '../metrics/grouped-auc.js'
import type { Measurement } from '../metrics/metric.js'
import { type GroupedRows, RankedRows } from '../metrics/ranked-rows.js'
import type { MeasuredName, MetricValues } from '../metrics/registry.js'
import { weightedMean } from '../metrics/weighted-mean.js'
import type { TaskName } from '../models/definition.js'
import type { NetworkTask } from '../models/network.js'
import type { CommonOptions } from '../models/options.js'
import type { FloatArray } from '../native/binding.js'
import { type CountingKind, kindOf, type Task, type TaskKind } from '../tasks/task.js'
import type { LabelledRows } from './encode.js'
import { type LossPlace, lossPlace } from './losses.js'
import type { MeasuredRows } from './measured-rows.js'
import type { Measuring, ScorePart } from './measuring.js'
import { penaltyOfWeights } from './penalty.js'
import type { Queue } from './queue.js'
import { type NetworkRunner, type PartResult, type RunResult, rowsAtOnce } from './runner.js'
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
  readonly queue: Queue
  /** Called between two runs or slices. An error it throws ends the evaluation. */
  readonly check: () => void
}

/** Runs the network over all rows in one turn, then measures the scores slice by slice. */
export async function evaluate(
  runner: NetworkRunner,
  data: MeasuredRows,
  tasks: readonly NetworkTask[],
  options: CommonOptions,
  { queue, check, measuring }: Evaluating,
): Promise<Evaluation> {
  const program = runner.network.evaluate
  const meters = new Map(tasks.map((task) => [task.name, new TaskMeter(task, measuring, data.groups !== undefined)]))
  const { outputs, parts, penalty } = await queue.take(async () => {
    const result = await runAll(runner, data, meters, check)
    return { ...result, penalty: await inSlices(penaltyOfWeights(runner, options), { check }) }
  })
  const results: Record<string, TaskEvaluation> = {}
  let loss = penalty
  for (const { name, weight } of tasks) {
    const meter = meters.get(name)
    if (meter?.keepsRows === true)
      await inSlices(meter.add({ scores: scoresIn(outputs, name), ...targetsIn(data, name), groups: data.groups }), { check })
    const own = lossOf(lossPlace(program, name), parts)
    loss += weight * own
    if (meter !== undefined) results[name] = await inSlices(meter.finish(own), { check })
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

/** The losses of all runs, and the scores of all rows of tasks that need them at once. Other tasks are measured run by run. */
async function runAll(
  runner: NetworkRunner,
  data: MeasuredRows,
  meters: ReadonlyMap<string, TaskMeter>,
  check: () => void,
): Promise<RunResult> {
  const program = runner.network.evaluate
  const keeps = (name: string): boolean => meters.get(name)?.keepsRows === true
  const rowsOf = (name: string): number => (keeps(name) ? data.rows : Math.min(rowsAtOnce, data.rows))
  const outputs = runner.outputs(program, rowsOf)
  const parts: PartResult[] = []
  for await (const { data: encoded, start, rows, before } of data.runs()) {
    check()
    const own = new Map(
      [...outputs].map(([name, values]) => {
        const width = values.length / rowsOf(name)
        const from = keeps(name) ? before * width : 0
        return [name, values.subarray(from, from + rows * width)]
      }),
    )
    parts.push({ rows, results: await runner.runPart(program, encoded, { start, rows, outputs: [...own.values()] }) })
    for (const [name, meter] of meters) {
      if (meter.keepsRows) continue
      const { labels, weights } = targetsIn(data, name)
      const scores = scoresIn(own, name)
      const to = before + rows
      await inSlices(meter.add({ scores, labels: labels.subarray(before, to), weights: weights?.subarray(before, to) }), {
        check,
      })
    }
  }
  return { outputs, parts }
}

function scoresIn(outputs: ReadonlyMap<string, FloatArray>, task: string): FloatArray {
  const scores = outputs.get(task)
  if (scores === undefined) throw new Error('a task was evaluated without scores')
  return scores
}

function targetsIn({ targets }: MeasuredRows, task: string): LabelledRows {
  const own = targets.get(task)
  if (own === undefined) throw new Error('a task was evaluated without labels')
  return own
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
export class TaskMeter {
  /** Whether a metric keeps its rows until the end. Then add all of them at once, so that metrics share what they need of them. */
  readonly keepsRows: boolean
  readonly #task: NetworkTask
  readonly #grouped: boolean
  readonly #metrics: readonly { readonly name: MeasuredName; readonly measurement: Measurement }[]
  #rows = 0
  #positives = 0
  #last: RankedRows | undefined

  /** @param grouped whether the rows have groups. */
  constructor(task: NetworkTask, measuring: Measuring, grouped: boolean) {
    this.#task = task
    this.#grouped = grouped && kindOf(task).countsPositives
    const { scores: form } = kindOf(task)
    this.#metrics = measuring.metricsOf(task).map(({ name, metric, parameter }) => {
      const measurement = form === 'classes' ? metric.of.classes?.(headWidth(task)) : metric.of.number?.(parameter)
      if (measurement === undefined) throw new Error(`${name} cannot be measured of ${task.kind} tasks`)
      return { name, measurement }
    })
    this.keepsRows = this.#grouped || this.#metrics.some(({ measurement }) => measurement.keepsRows === true)
  }

  /** Takes in the next rows. */
  *add(part: GroupedRows): Sliced<void> {
    const rows = new RankedRows(part)
    const { labels } = part
    for (const { measurement } of this.#metrics) yield* measurement.add(rows)
    yield* inBlocks(0, labels.length, (from, to) => {
      for (let row = from; row < to; row += 1) {
        const label = labels[row] ?? NaN
        if (Number.isNaN(label)) continue
        this.#rows += 1
        this.#positives += label
      }
    })
    this.#last = rows
  }

  *finish(loss: number): Sliced<TaskEvaluation> {
    const values: { [Name in MeasuredName]?: number | undefined } = {}
    const reasons: { [Name in MeasuredName]?: string } = {}
    for (const { name, measurement } of this.#metrics) {
      const { value, reason } = yield* measurement.finish()
      values[name] = value
      if (reason !== undefined) reasons[name] = reason
    }
    const rows = this.#last
    return {
      loss,
      ...(values as MetricValues<TaskKind>),
      ...(kindOf(this.#task).countsPositives && { positives: this.#positives }),
      rows: this.#rows,
      ...(this.#grouped && rows && { groups: yield* groupCountsOf(rows) }),
      reasons,
    }
  }
}
