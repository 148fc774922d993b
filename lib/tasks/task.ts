// Tasks as users write them: plain readonly data, the same in code and in a configuration file. A new kind of task is one file, and two
// lines here.

import { z } from 'zod'

import { describeValue, invalidArgument, parseOptions, quote } from '../core/check.js'
import { type Column, mapInto, numberOf, rowsOf } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import type { Metric, ScoreForm } from '../metrics/metric.js'
import type { MeasuredKind, MetricName } from '../metrics/registry.js'
import { type BinaryTask, binaryKind } from './binary.js'
import { type Condition, checkConditions } from './condition.js'
import type { FittedLabels, KindOfTask, LabelFitter, Refined } from './kind.js'
import { knownLabels } from './labels.js'
import { type MulticlassTask, multiclassKind } from './multiclass.js'
import { type RegressionTask, regressionKind } from './regression.js'

export type Task<Name extends string = string> = BinaryTask<Name> | RegressionTask<Name> | MulticlassTask<Name>

/** The kinds of tasks, by the value of a task's `kind`. */
export type TaskKind = Task['kind']

/** Each kind of task is one line here, and one line of `Task`. */
const kinds = {
  binary: binaryKind,
  regression: regressionKind,
  multiclass: multiclassKind,
} as const satisfies { readonly [Kind in TaskKind | MeasuredKind]: KindOfTask<Kind, Extract<Task, { kind: Kind }>> }
const kindNames = Object.keys(kinds) as [TaskKind, ...TaskKind[]]

/** The kinds of tasks whose results count positive rows. */
export type CountingKind = { [Kind in TaskKind]: (typeof kinds)[Kind]['countsPositives'] extends true ? Kind : never }[TaskKind]

/** A kind of task whose tasks are known only at run time. */
export type AnyKindOfTask = Omit<KindOfTask<string, Task>, 'scores' | 'metrics' | 'headline'> & {
  readonly scores: ScoreForm
  readonly metrics: readonly Metric<MetricName>[]
  readonly headline: MetricName
}

/** The kind of a task. */
export function kindOf({ kind }: { readonly kind: TaskKind }): AnyKindOfTask {
  return kinds[kind] as AnyKindOfTask
}

/** Every kind of task, in order. */
export const taskKinds: readonly AnyKindOfTask[] = kindNames.map((kind) => kindOf({ kind }))

/** Made once: zod compiles a schema when it is first used. */
const kindSchema = z.looseObject({ kind: z.enum(kindNames) })

/**
 * A task from plain data, as in a configuration or a saved model: `{ "kind": "binary", "name": "like" }`.
 * @param what the prefix of the field in errors.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 */
export function parseTask(value: unknown, what = 'task'): Task {
  const { kind } = parseOptions(what, kindSchema, value)
  return Object.freeze(parseOptions<Task>(what, kinds[kind].schema as z.ZodType<Task, unknown>, value))
}

/** The column of a task's labels. */
export function labelColumnOf({ name, label }: Task): string {
  return label ?? name
}

/** The columns that tasks read: labels, row weights and those of conditions. */
export function targetColumnsOf(tasks: readonly Task[]): string[] {
  return tasks.flatMap((task) => [
    labelColumnOf(task),
    ...(task.weightColumn === undefined ? [] : [task.weightColumn]),
    ...Object.keys(task.where ?? {}).filter((name) => tasks.every((other) => other.name !== name)),
  ])
}

/** Whether rows have weights: those that metrics count, and those that the network counts. */
export function rowWeightsOf(task: Task): { readonly metrics: boolean; readonly network: boolean } {
  const metrics = [task.weightColumn, task.insideWeight, task.outsideWeight].some((option) => option !== undefined)
  return { metrics, network: metrics || refinedTargets(task, true, undefined)?.weights === true }
}

/** What the network takes instead of the user's labels and row weights. Undefined: the same. */
export function refinedTargets(task: Task, training: boolean, fitted: FittedLabels | undefined): Refined | undefined {
  return kindOf(task).refined?.(task, training, fitted)
}

/** Whether the network takes other labels or row weights than the user's. */
export function changesTargets(task: Task): boolean {
  return labelFitter(task) !== undefined || refinedTargets(task, true, undefined) !== undefined
}

/** What fits a task on the labels of training rows; undefined for a task that needs nothing of them. */
export function labelFitter(task: Task): LabelFitter | undefined {
  return kindOf(task).fitter?.(task)
}

/** @throws ERR_MULTIGATE_ARGUMENT for a task whose bound is not another binary task, or one of another sampling rate. */
export function checkBounds(field: string, tasks: readonly Task[]): void {
  for (const [index, task] of tasks.entries()) {
    if (task.kind !== 'binary' || task.atMost === undefined) continue
    const path = `${field}[${index}].atMost`
    const name = typeof task.atMost === 'string' ? task.atMost : task.atMost.task
    const other = tasks.find((one) => one.name === name && one !== task)
    if (other?.kind !== 'binary') throw invalidArgument(path, 'the name of another binary task', name)
    if ((task.negativeRate ?? 1) === (other.negativeRate ?? 1)) continue
    const next = `two tasks of one negativeRate have comparable probabilities in training`
    throw invalidArgument(path, `a task of the same negativeRate as ${quote(task.name)}`, name, next)
  }
}

/** @throws ERR_MULTIGATE_ARGUMENT for conditions of tasks that lead back to the task itself, and for those that no label can meet. */
export function checkWhere(field: string, tasks: readonly Task[]): void {
  const canMeet = (task: Task) => (condition: Condition) => kindOf(task).canMeet(task, condition)
  checkConditions(
    field,
    tasks.map((task) => ({ name: task.name, where: task.where, canMeet: canMeet(task) })),
  )
}

/** The label of a task as the conditions of other tasks compare it. */
export function comparedLabels(task: Task, column: Column): Column {
  return kindOf(task).compared(task, knownLabels(task, column))
}

/**
 * Labels of a task, [rows]; NaN is missing.
 * @throws ERR_MULTIGATE_DATA naming the task, and the row and value.
 */
export function encodeLabels(task: Task, column: Column): Float32Array {
  return kindOf(task).encode(task, knownLabels(task, column))
}

/**
 * Checks that training rows have something to learn, such as a positive label.
 * @param column called only for an error that lists the values that occur.
 * @throws ERR_MULTIGATE_DATA naming the task.
 */
export function checkLearnable(task: Task, labels: Float32Array, column: () => Column): void {
  kindOf(task).check(task, labels, () => knownLabels(task, column()))
}

/**
 * Row weights of a task from its `weightColumn`, [rows]: numbers, or texts that spell one.
 * @throws ERR_MULTIGATE_DATA naming the row of a weight that is missing, negative or not finite.
 */
export function encodeWeights({ name, weightColumn = 'weight' }: Task, column: Column): Float32Array {
  const place = `task ${quote(name)}, column ${quote(weightColumn)}`
  if (column.kind === 'list') {
    const message = `${place}: expected one weight per row, found lists; set 'weightColumn' to a column of single numbers`
    throw new DataError(message, { column: weightColumn })
  }
  const check = (weight: number, row: number, value: number | string | null): number => {
    if (weight >= 0 && weight < 3.4e38) return weight
    const found = value === null ? 'a missing value' : describeValue(value)
    const next = 'write 0 for a row that must not count, and 1 for a normal row'
    throw new DataError(`${place}, row ${row}: expected a weight >= 0, found ${found}; ${next}`, {
      column: weightColumn,
      row,
      value,
    })
  }
  const weights = new Float32Array(rowsOf(column))
  if (column.kind === 'number') {
    return mapInto(weights, column.values, (value, row) => check(value, row, Number.isNaN(value) ? null : value))
  }
  const { codes, dictionary } = column
  const numbers = dictionary.map((text) => numberOf(text) ?? NaN)
  return mapInto(weights, codes, (code, row) => check(numbers[code] ?? NaN, row, dictionary[code] ?? null))
}
