// Tasks as users write them: plain readonly data, the same in code and in a configuration file. A new kind of task is one
// file, and one row in each table here.

import { z } from 'zod'

import { describeValue, parseOptions, quote } from '../core/check.js'
import { type Column, mapInto, numberOf, rowsOf } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { type BinaryTask, binarySchema, checkBinaryLabels, encodeBinaryLabels } from './binary.js'
import { knownLabels } from './labels.js'
import { checkMulticlassLabels, encodeMulticlassLabels, type MulticlassTask, multiclassSchema } from './multiclass.js'
import { checkRegressionLabels, encodeRegressionLabels, type RegressionTask, regressionSchema } from './regression.js'

export type Task<Name extends string = string> = BinaryTask<Name> | RegressionTask<Name> | MulticlassTask<Name>

/** What training knows of a kind of task. */
interface TaskKind {
  readonly schema: z.ZodType
  encode(task: Task, column: Column): Float32Array
  /** `column`: for an error that lists its values. */
  check(task: Task, labels: Float32Array, column: () => Column): void
}

const kinds = {
  binary: { schema: binarySchema, encode: encodeBinaryLabels, check: checkBinaryLabels },
  regression: { schema: regressionSchema, encode: encodeRegressionLabels, check: checkRegressionLabels },
  multiclass: { schema: multiclassSchema, encode: encodeMulticlassLabels, check: checkMulticlassLabels },
} as const
const kindNames = Object.keys(kinds) as [Task['kind'], ...Task['kind'][]]
/** Made once: zod compiles a schema when it is first used. */
const kindSchema = z.looseObject({ kind: z.enum(kindNames) })

/**
 * A task from plain data, as a configuration or a saved model has it: `{ "kind": "binary", "name": "like" }`.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option below `what`.
 */
export function parseTask(value: unknown, what = 'task'): Task {
  const { kind } = parseOptions(what, kindSchema, value)
  return Object.freeze(parseOptions<Task>(what, kinds[kind].schema as z.ZodType<Task, unknown>, value))
}

/** The column of labels that a task reads. */
export function labelColumnOf({ name, label }: Task): string {
  return label ?? name
}

/** The columns that a task reads: labels, and weights where rows have them. */
export function targetColumnsOf(task: Task): string[] {
  return task.weightColumn === undefined ? [labelColumnOf(task)] : [labelColumnOf(task), task.weightColumn]
}

/**
 * Labels of a task, [rows]; NaN is missing.
 * @throws ERR_MULTIGATE_DATA naming the task, and the row and value.
 */
export function encodeLabels(task: Task, column: Column): Float32Array {
  return (kinds[task.kind] as TaskKind).encode(task, knownLabels(task, column))
}

/**
 * Checks that training rows have something to learn: a positive label, say.
 * @param column asked for only where an error is to list the values that do occur.
 * @throws ERR_MULTIGATE_DATA naming the task.
 */
export function checkLearnable(task: Task, labels: Float32Array, column: () => Column): void {
  ;(kinds[task.kind] as TaskKind).check(task, labels, () => knownLabels(task, column()))
}

/**
 * Row weights of a task out of its `weightColumn`, [rows]: numbers, or texts that spell one.
 * @throws ERR_MULTIGATE_DATA naming the row of a weight that is missing, negative or not finite.
 */
export function encodeWeights({ name, weightColumn = 'weight' }: Task, column: Column): Float32Array {
  const place = `task ${quote(name)}, column ${quote(weightColumn)}`
  if (column.kind === 'list') {
    const message = `${place}: expected one weight per row, found lists; say with 'weightColumn' which column has them`
    throw new DataError(message, { column: weightColumn })
  }
  const check = (weight: number, row: number, value: number | string | null): number => {
    if (weight >= 0 && weight < 3.4e38) return weight
    const found = value === null ? 'a missing value' : describeValue(value)
    const next = 'write 0 where a row is not to count, and 1 where it counts as any other does'
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
