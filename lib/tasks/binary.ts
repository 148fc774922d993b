// Binary tasks: their options, and how labels are read from a raw column. A label is 0, 1, anything between (a soft label), or NaN if
// missing.

import { z } from 'zod'

import { called, describeValue, parseOptions, quote } from '../core/check.js'
import { type Column, numberText } from '../core/columns.js'
import { nearest } from '../core/did-you-mean.js'
import { nameSchema } from '../core/name.js'
import { amount, fraction } from '../core/schemas.js'
import { metricsOf } from '../metrics/registry.js'
import { type Comparable, comparable, meets, meetsWithin } from './condition.js'
import type { KindOfTask, Refined } from './kind.js'
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

const focalSchema = z.strictObject({ gamma: amount.default(2), alpha: amount.gt(0).lt(1).optional() }).readonly()

const binarySchema = z
  .strictObject({
    kind: z.literal('binary'),
    ...labelOptions,
    positive: comparable.optional(),
    positiveWeight: amount.gt(0).optional(),
    labelSmoothing: fraction.optional(),
    focal: focalSchema.optional(),
    negativeRate: amount.gt(0).lte(1).optional(),
    atMost: z.union([nameSchema, z.strictObject({ task: nameSchema, weight: amount.optional() }).readonly()]).optional(),
  })
  .refine(...needsWhere)
  .refine(({ positive, missing }) => positive === undefined || !isListed(missing, positive), {
    path: ['missing'],
    error: 'expected values other than positive, found positive among them',
  })

export interface BinaryOptions extends LabelOptions {
  /**
   * The value that counts as 1; every other value counts as 0, except those of `missing`. `true` and `false` match columns of booleans,
   * the numbers 1 and 0, and the texts `true` and `True`. Without it labels are numbers in [0, 1], or booleans.
   */
  readonly positive?: Comparable | undefined
  /**
   * Factor > 0 of the loss of positive rows. A soft label y counts as y of a positive row and 1 - y of a negative one. Metrics do not
   * count it. Default 1.
   */
  readonly positiveWeight?: number | undefined
  /** In [0, 1). Moves the labels of training rows towards one half: y becomes y (1 - s) + s / 2. Evaluation takes y. Default 0. */
  readonly labelSmoothing?: number | undefined
  /**
   * The focal loss (Lin et al. 2017): the loss of a row is multiplied by (1 - p)^gamma, with p the probability of its label, so that easy
   * rows count less. `alpha` in (0, 1) also multiplies positive rows by alpha and negative ones by 1 - alpha. Default of gamma: 2.
   * Probabilities are then no longer calibrated.
   */
  readonly focal?: { readonly gamma?: number | undefined; readonly alpha?: number | undefined } | undefined
  /**
   * In (0, 1]: the share of negative rows that was kept when the data were sampled; all positive rows were. Predictions are those of all
   * rows: log(negativeRate) is added to their logit. Losses take the sampled rows as they are, without it. `sampleNegatives` of `fit`
   * leaves the other negative rows out itself. Default 1.
   */
  readonly negativeRate?: number | undefined
  /**
   * Another binary task whose probability should not be exceeded, such as that of a click for a purchase. Adds weight times
   * max(0, p - p of the other) to the loss of each row with a label of this task. Default of the weight: 1.
   */
  readonly atMost?: string | { readonly task: string; readonly weight?: number | undefined } | undefined
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
  const fixed = { kind: 'binary', name }
  return Object.freeze(parseOptions(called('task', name), binarySchema, options, fixed)) as BinaryTask<Name>
}

/** Labels, [rows]; NaN is missing. @throws ERR_MULTIGATE_DATA naming the task, row and value. */
function encodeBinaryLabels(task: BinaryTask, column: Column): Float32Array {
  const single = singleColumn(task, column)
  if (task.positive !== undefined) return meets(task.positive, single)
  return numericLabels(task, single, (value, raw) => {
    return value !== undefined && value >= 0 && value <= 1
      ? undefined
      : `a label in [0, 1], found ${describeValue(raw)}; ${next(task, raw)}`
  })
}

/** The next step for a wrong label. */
function next(task: BinaryTask, found: number | string): string {
  const word = trueAs[String(found)]
  if (word !== undefined) return `set positive: ${quote(word)}`
  return (
    `${orMissing(task, found)}. If labels are classes, set 'positive' to the value that counts as 1: ` +
    'every other value then counts as 0, also one that means a missing label'
  )
}

/** The spelling of `true` that goes with a word. */
const trueAs: Readonly<Record<string, string>> = Object.assign(Object.create(null), {
  true: 'true',
  false: 'true',
  True: 'True',
  False: 'True',
  TRUE: 'TRUE',
  FALSE: 'TRUE',
})

/**
 * Checks that the training rows have a positive label. Without one they train nothing; the usual cause is a misspelt `positive`.
 * @throws ERR_MULTIGATE_DATA listing the values that occur, nearest first.
 */
function checkBinaryLabels(task: BinaryTask, labels: Float32Array, columnOf: () => Column): void {
  if (labels.some((label) => label > 0)) return
  const known = checkSomeKnown(task, labels)
  if (task.positive === undefined)
    throw wrongLabel(
      task,
      undefined,
      `a positive label in the training rows, found ${known} that are all 0; build the model with rows that have one, then train on these`,
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

/** Distinct values of the column, as texts; only the first ones if there are very many numbers. */
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

/** The labels and row weights that the network takes, if they are not the user's. */
function refinedBinary(task: BinaryTask, training: boolean): Refined | undefined {
  const { positiveWeight, labelSmoothing = 0, focal: { alpha } = {} } = task
  const smoothing = training ? labelSmoothing : 0
  const weighted = positiveWeight !== undefined || alpha !== undefined
  if (!weighted && smoothing === 0) return undefined
  const [ofPositive, ofNegative] = [(positiveWeight ?? 1) * (alpha ?? 1), alpha === undefined ? 1 : 1 - alpha]
  return {
    weights: weighted,
    // a y (-log p) + b (1 - y) (-log(1 - p)) is the loss of another label with another weight.
    apply(labels, weights) {
      for (let row = 0; row < labels.length; row += 1) {
        const label = (labels[row] ?? NaN) * (1 - smoothing) + smoothing / 2
        const [positive, negative] = [ofPositive * label, ofNegative * (1 - label)]
        labels[row] = positive / (positive + negative)
        if (weights !== undefined) weights[row] = (weights[row] ?? NaN) * (positive + negative)
      }
    },
  }
}

/** The binary kind of task. */
export const binaryKind = {
  kind: 'binary',
  schema: binarySchema,
  encode: encodeBinaryLabels,
  check: checkBinaryLabels,
  compared: (task, column) => {
    if (task.positive === undefined || column.kind === 'list') return column
    return { kind: 'number', values: meets(task.positive, column) }
  },
  canMeet: ({ positive }, condition) => {
    if (positive === undefined) return meetsWithin(condition, 0, 1)
    return meets(condition, { kind: 'number', values: Float32Array.of(0, 1) }).includes(1)
  },
  refined: refinedBinary,
  head: ({ focal, negativeRate = 1 }) => ({ gamma: focal?.gamma, offset: Math.log(negativeRate) }),
  scores: 'number',
  width: () => 1,
  classes: () => undefined,
  countsPositives: true,
  metrics: metricsOf('binary'),
  headline: 'auc',
} as const satisfies KindOfTask<'binary', BinaryTask>
