// Multiclass tasks: one of several classes, numbered in the order of the list.

import { z } from 'zod'

import { called, describeValue, parseOptions } from '../core/check.js'
import { type Column, mapInto, numberOf, rowsOf } from '../core/columns.js'
import { largestWidth } from '../core/limits.js'
import { frozen } from '../core/schemas.js'
import { metricsOf } from '../metrics/registry.js'
import { type Condition, meets, meetsWithin } from './condition.js'
import type { KindOfTask } from './kind.js'
import {
  checkSomeKnown,
  isListed,
  type LabelOptions,
  labelOptions,
  needsWhere,
  numericLabels,
  orMissing,
  singleColumn,
  wrongLabel,
} from './labels.js'

const classValue = z.union([z.string(), z.number()])

const multiclassSchema = z
  .strictObject({
    kind: z.literal('multiclass'),
    ...labelOptions,
    classes: z.union([
      z.int().min(2).max(largestWidth),
      frozen(
        z
          .array(classValue)
          .min(2)
          .refine((values) => new Set(values).size === values.length, { error: 'expected different classes, found one twice' }),
      ),
    ]),
  })
  .refine(...needsWhere)
  .refine(({ classes, missing }) => typeof classes === 'number' || !classes.some((value) => isListed(missing, value)), {
    path: ['missing'],
    error: 'expected values other than the classes, found one of them',
  })

export interface MulticlassOptions extends LabelOptions {
  /** The number of classes, with labels in [0, classes); or the label values themselves, first class first. */
  readonly classes: number | readonly (string | number)[]
}

/** One of several classes, trained with softmax cross-entropy. */
export interface MulticlassTask<Name extends string = string> extends MulticlassOptions {
  readonly kind: 'multiclass'
  readonly name: Name
  readonly weight: number
}

/**
 * One of several classes, trained with softmax cross-entropy. Predicts the probability of each, [rows, classes].
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example multiclass('reaction', { classes: ['none', 'like', 'love'] })
 */
export function multiclass<const Name extends string>(name: Name, options: MulticlassOptions): MulticlassTask<Name> {
  const fixed = { kind: 'multiclass', name }
  return Object.freeze(parseOptions(called('task', name), multiclassSchema, options, fixed)) as MulticlassTask<Name>
}

/** The number of classes of a task. */
function classCount({ classes }: Pick<MulticlassTask, 'classes'>): number {
  return typeof classes === 'number' ? classes : classes.length
}

/** Names of the classes: their label values. */
function classNames({ classes }: Pick<MulticlassTask, 'classes'>): string[] {
  return typeof classes === 'number' ? Array.from({ length: classes }, (_, index) => `${index}`) : classes.map(String)
}

/** Class numbers, [rows]; NaN is missing. @throws ERR_MULTIGATE_DATA naming the task, row and value. */
function encodeMulticlassLabels(task: MulticlassTask, column: Column): Float32Array {
  const single = singleColumn(task, column)
  const { classes } = task
  if (typeof classes === 'number') {
    return numericLabels(task, single, (value, raw) => {
      const known = value !== undefined && Number.isInteger(value) && value >= 0 && value < classes
      return known
        ? undefined
        : `an integer in [0, ${classes}), found ${describeValue(raw)}; raise classes. Or ${orMissing(task, raw)}`
    })
  }
  const expected = `one of ${classes.map((value) => JSON.stringify(value)).join(', ')}`
  const wrong = (row: number, value: number | string): Error => {
    const what = `${expected}, found ${describeValue(value)}; list it among the classes. Or ${orMissing(task, value)}`
    return wrongLabel(task, row, what, value)
  }
  const labels = new Float32Array(rowsOf(single))
  if (single.kind === 'number') {
    const numbers = classes.map((value) => (typeof value === 'number' ? value : numberOf(value)))
    return mapInto(labels, single.values, (value, row) => {
      const number = Number.isNaN(value) ? NaN : numbers.indexOf(value)
      if (number < 0) throw wrong(row, value)
      return number
    })
  }
  const { dictionary, codes } = single
  const known = dictionary.map((text) => {
    return classes.findIndex((value) => (typeof value === 'string' ? value === text : value === numberOf(text)))
  })
  return mapInto(labels, codes, (code, row) => {
    const number = code < 0 ? NaN : (known[code] ?? -1)
    if (number < 0) throw wrong(row, dictionary[code] ?? '')
    return number
  })
}

/** Checks that training rows have at least two classes. @throws ERR_MULTIGATE_DATA naming the task. */
function checkMulticlassLabels(task: MulticlassTask, labels: Float32Array): void {
  const known = checkSomeKnown(task, labels)
  const first = labels.find((label) => !Number.isNaN(label))
  if (labels.some((label) => !Number.isNaN(label) && label !== first)) return
  throw wrongLabel(
    task,
    undefined,
    `at least two classes in the training rows, found ${known} labels of one class; build the model with rows of two classes, then train on these`,
  )
}

/** Whether one of the classes meets a condition. */
function canMeetClass({ classes }: MulticlassTask, condition: Condition): boolean {
  if (typeof classes === 'number') return meetsWithin(condition, 0, classes - 1)
  const dictionary = classes.map(String)
  const numbers = Float64Array.from(dictionary, (text) => numberOf(text) ?? NaN)
  const texts = { kind: 'string', dictionary, codes: Int32Array.from(dictionary.keys()) } as const
  return meets(condition, texts).includes(1) || meets(condition, { kind: 'number', values: numbers }).includes(1)
}

/** The multiclass kind of task. */
export const multiclassKind = {
  kind: 'multiclass',
  schema: multiclassSchema,
  encode: encodeMulticlassLabels,
  check: checkMulticlassLabels,
  compared: (_, column) => column,
  canMeet: canMeetClass,
  scores: 'classes',
  width: classCount,
  classes: classNames,
  countsPositives: false,
  metrics: metricsOf('multiclass'),
  headline: 'accuracy',
} as const satisfies KindOfTask<'multiclass', MulticlassTask>
