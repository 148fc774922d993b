// Binary tasks: what a user writes, and labels out of a raw column. Labels are 0, 1, anything between (soft labels), or
// NaN where they are missing.

import { z } from 'zod'

import { called, describeValue, parseOptions, quote } from '../core/check.js'
import { type Column, mapInto, numberOf, numberText, rowsOf } from '../core/columns.js'
import { nearest } from '../core/did-you-mean.js'
import { metricsOf } from '../metrics/registry.js'
import type { KindOfTask } from './kind.js'
import {
  checkSomeKnown,
  isListed,
  type LabelOptions,
  labelOptions,
  numericLabels,
  orMissing,
  type SingleColumn,
  singleColumn,
  wrongLabel,
} from './labels.js'

const binarySchema = z
  .strictObject({
    kind: z.literal('binary'),
    ...labelOptions,
    positive: z.union([z.string(), z.number(), z.boolean()]).optional(),
  })
  .refine(({ positive, missing }) => positive === undefined || !isListed(missing, positive), {
    path: ['missing'],
    error: 'expected other values than positive has, found that one',
  })

export interface BinaryOptions extends LabelOptions {
  /**
   * The value that counts as 1, every other one but those of `missing` as 0. `true` and `false` are those of columns of booleans, 1
   * and 0 of numbers, and `true` and `True` of texts. Without it labels are numbers in [0, 1], or booleans.
   */
  readonly positive?: string | number | boolean | undefined
}

/** A probability, trained with binary cross-entropy. */
export interface BinaryTask<Name extends string = string> extends BinaryOptions {
  readonly kind: 'binary'
  readonly name: Name
  readonly weight: number
}

/**
 * A probability, trained with binary cross-entropy.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example binary('never_married', { label: 'marital_stat', positive: ' Never married' })
 */
export function binary<const Name extends string>(name: Name, options: BinaryOptions = {}): BinaryTask<Name> {
  const spec = { ...options, kind: 'binary', name }
  return Object.freeze(parseOptions(called('task', name), binarySchema, spec)) as BinaryTask<Name>
}

/** Labels, [rows]; NaN is missing. @throws ERR_MULTIGATE_DATA naming the task, row and value. */
function encodeBinaryLabels(task: BinaryTask, column: Column): Float32Array {
  const single = singleColumn(task, column)
  if (task.positive !== undefined) return matches(task.positive, single)
  return numericLabels(task, single, (value, raw) => {
    return value !== undefined && value >= 0 && value <= 1
      ? undefined
      : `a label in [0, 1], found ${describeValue(raw)}; ${next(task, raw)}`
  })
}

/** What to do about a label that is none. */
function next(task: BinaryTask, found: number | string): string {
  const word = trueAs[String(found)]
  if (word !== undefined) return `set positive: ${quote(word)}`
  return (
    `${orMissing(task, found)}. If labels are classes, say with 'positive' which value counts as 1: ` +
    'every other one counts as 0 then, also one that means that there is no label'
  )
}

/** How `true` is written beside a word. */
const trueAs: Readonly<Record<string, string>> = Object.assign(Object.create(null), {
  true: 'true',
  false: 'true',
  True: 'True',
  False: 'True',
  TRUE: 'TRUE',
  FALSE: 'TRUE',
})

/**
 * Checks that the training rows have a positive label; they train nothing otherwise, most often because `positive` is misspelt.
 * @throws ERR_MULTIGATE_DATA listing the values that do occur, nearest first.
 */
function checkBinaryLabels(task: BinaryTask, labels: Float32Array, columnOf: () => Column): void {
  if (labels.some((label) => label > 0)) return
  const known = checkSomeKnown(task, labels)
  if (task.positive === undefined)
    throw wrongLabel(
      task,
      undefined,
      `a positive label in the training rows, found ${known} that are all 0; a model that was built with rows that have one trains on these too`,
    )
  const column = columnOf()
  const occurring = nearest(String(task.positive), valuesOf(column), 8)
  const values = occurring.map((value) => (column.kind === 'string' ? quote(value) : value)).join(', ')
  throw wrongLabel(
    task,
    undefined,
    `${describeValue(task.positive)} in the training rows, found ${values} (nearest first); set positive to one of them`,
  )
}

function matches(positive: string | number | boolean, column: SingleColumn): Float32Array {
  const labels = new Float32Array(rowsOf(column))
  if (column.kind === 'number') {
    const wanted = numberOfPositive(positive, column.type === 'boolean')
    return mapInto(labels, column.values, (value) => (Number.isNaN(value) ? NaN : value === wanted ? 1 : 0))
  }
  const ofText = column.dictionary.map((text) => (isText(text, positive) ? 1 : 0))
  return mapInto(labels, column.codes, (code) => (code < 0 ? NaN : (ofText[code] ?? NaN)))
}

function numberOfPositive(positive: string | number | boolean, ofBooleans: boolean): number | undefined {
  if (typeof positive !== 'string') return Number(positive)
  const word = ofBooleans ? ['false', 'true'].indexOf(positive.toLowerCase()) : -1
  return word < 0 ? numberOf(positive) : word
}

function isText(text: string, positive: string | number | boolean): boolean {
  if (typeof positive === 'string') return text === positive
  return typeof positive === 'number' ? numberOf(text) === positive : text.toLowerCase() === String(positive)
}

/** Distinct values that occur, as texts; of very many numbers the first. */
function valuesOf(column: Column): Set<string> {
  const found = new Set<string>()
  if (column.kind === 'string') {
    for (const code of new Set(column.codes)) if (code >= 0) found.add(column.dictionary[code] ?? '')
  }
  if (column.kind === 'number') {
    for (const value of column.values) {
      if (!Number.isNaN(value)) found.add(numberText(value))
      if (found.size === 2000) break
    }
  }
  return found
}

/** What there is to know of binary tasks. */
export const binaryKind = {
  kind: 'binary',
  schema: binarySchema,
  encode: encodeBinaryLabels,
  check: checkBinaryLabels,
  scores: 'number',
  width: () => 1,
  classes: () => undefined,
  countsPositives: true,
  metrics: metricsOf('binary'),
  headline: 'auc',
} as const satisfies KindOfTask<'binary', BinaryTask>
