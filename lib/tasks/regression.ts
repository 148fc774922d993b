// Regression tasks: a number in the label's own units. The loss, and what the network predicts in place of the number, are options.

import { z } from 'zod'

import { called, describeValue, parseOptions } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { amount, fraction } from '../core/schemas.js'
import { metricsOf } from '../metrics/registry.js'
import { fitBuckets, fitMoments } from './fitted.js'
import type { FittedLabels, HeadOptions, KindOfTask, LabelFitter, Refined } from './kind.js'
import {
  checkSomeKnown,
  type LabelOptions,
  labelOptions,
  needsWhere,
  numericLabels,
  orMissing,
  singleColumn,
  wrongLabel,
} from './labels.js'

const lossKinds = [
  'squared',
  'absolute',
  'huber',
  'logCosh',
  'quantile',
  'poisson',
  'tweedie',
  'weightedLogistic',
  'ziln',
  'buckets',
] as const satisfies readonly RegressionLoss[]
type LossKind = Extract<RegressionLoss, string>

/** Losses of one number in the label's units or in those of a transform. The others need the label as it is. */
const ofDistance: readonly LossKind[] = ['squared', 'absolute', 'huber', 'logCosh', 'quantile']

const lossSchema = z.union([
  z.enum(lossKinds),
  z.strictObject({ kind: z.literal('huber'), delta: amount.gt(0) }).readonly(),
  z.strictObject({ kind: z.literal('quantile'), quantile: fraction.gt(0) }).readonly(),
  z.strictObject({ kind: z.literal('tweedie'), power: z.number().gt(1).lt(2) }).readonly(),
  z.strictObject({ kind: z.literal('buckets'), count: z.int().min(2).max(256) }).readonly(),
])

const transforms = ['none', 'standardize', 'log1p', 'log1pStandardize'] as const

const regressionSchema = z
  .strictObject({
    kind: z.literal('regression'),
    ...labelOptions,
    loss: lossSchema.optional(),
    transform: z.enum(transforms).optional(),
  })
  .refine(...needsWhere)
  .refine(({ loss, transform = 'none' }) => transform === 'none' || ofDistance.includes(kindOfLoss(loss)), {
    path: ['transform'],
    error: `expected 'none', because this loss takes the label as it is; only ${ofDistance.join(', ')} go with a transform`,
  })

/** The loss of a row with label y. Names alone take the defaults. */
export type RegressionLoss =
  | 'squared'
  | 'absolute'
  | 'huber'
  | 'logCosh'
  | 'quantile'
  | 'poisson'
  | 'tweedie'
  | 'weightedLogistic'
  | 'ziln'
  | 'buckets'
  /** d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2). Default of delta: 1. */
  | { readonly kind: 'huber'; readonly delta: number }
  /** Predicts this quantile of the label, in (0, 1). Default 0.5, the median. */
  | { readonly kind: 'quantile'; readonly quantile: number }
  /** Its power, in (1, 2). Default 1.5. */
  | { readonly kind: 'tweedie'; readonly power: number }
  /** The most buckets. Default 32. */
  | { readonly kind: 'buckets'; readonly count: number }

export interface RegressionOptions extends LabelOptions {
  /**
   * The loss. With d the prediction minus the label, and z what the network computes:
   * - `'squared'` (default): d^2. `'absolute'`: |d|. `'huber'`, `'logCosh'`: like d^2 / 2 near 0, like |d| far from it. `'quantile'`.
   * - `'poisson'`, `'tweedie'`: for labels >= 0, such as counts and amounts. The prediction is e^z.
   * - `'weightedLogistic'`: for watch time (Covington, Adams and Sargin 2016). Rows with a label > 0 are positive and weigh as much as their
   *   label; rows with 0 are negative and weigh 1. The prediction is the odds e^z, near the mean label if few rows are positive.
   * - `'ziln'`: for values of which many are 0 (Wang, Liu and Miao 2019). The network predicts the probability p that the label is above 0,
   *   and a lognormal of labels above 0. The prediction is p e^(mu + sigma^2 / 2).
   * - `'buckets'`: for watch time, in the manner of CREAD (Sun et al. 2024). Thresholds are quantiles of the training labels; the network
   *   predicts for each how likely the label is above it. The prediction is the mean of the buckets' mean training labels by their
   *   probabilities.
   */
  readonly loss?: RegressionLoss | undefined
  /**
   * What the network learns in place of the label y; predictions and metrics are in units of y. `'log1p'`: log(1 + y), for y > -1.
   * `'standardize'`: (y - mean) / deviation of the training labels (population deviation; 1 if it is 0). `'log1pStandardize'`: log1p, then
   * standardized. The reported loss is that of the transformed label. Default `'none'`: y.
   */
  readonly transform?: (typeof transforms)[number] | undefined
}

/** A number, trained with squared error or another loss. */
export interface RegressionTask<Name extends string = string> extends RegressionOptions {
  readonly kind: 'regression'
  readonly name: Name
  readonly weight: number
}

/**
 * A number in the units of its label, by default trained with squared error. Labels much larger than 1 outweigh other tasks: give them a
 * `transform`, or set `weight`.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example regression('watch_time', { loss: 'huber', transform: 'log1pStandardize' })
 */
export function regression<const Name extends string>(name: Name, options: RegressionOptions = {}): RegressionTask<Name> {
  const fixed = { kind: 'regression', name }
  return Object.freeze(parseOptions(called('task', name), regressionSchema, options, fixed)) as RegressionTask<Name>
}

function kindOfLoss(loss: RegressionLoss = 'squared'): LossKind {
  return typeof loss === 'string' ? loss : loss.kind
}

/** Labels, [rows]; NaN is missing. @throws ERR_MULTIGATE_DATA naming the task, row and value. */
function encodeRegressionLabels(task: RegressionTask, column: Column): Float32Array {
  const { least, expected, next } = domainOf(task)
  return numericLabels(task, singleColumn(task, column), (value, raw) => {
    return value !== undefined && Math.abs(value) < 3.4e38 && least(value)
      ? undefined
      : `${expected}, found ${describeValue(raw)}; ${orMissing(task, raw)}; or ${next}`
  })
}

/** The labels that a task takes. */
function domainOf({ loss, transform = 'none' }: RegressionTask): {
  readonly least: (value: number) => boolean
  readonly expected: string
  readonly next: string
} {
  if (transform.startsWith('log1p'))
    return { least: (value) => value > -1, expected: 'a number > -1, which log1p takes', next: 'choose another transform' }
  const kind = kindOfLoss(loss)
  if (ofDistance.includes(kind) || kind === 'buckets')
    return { least: () => true, expected: 'a finite number', next: 'leave the row out' }
  return { least: (value) => value >= 0, expected: `a number >= 0, which the loss ${kind} takes`, next: 'choose another loss' }
}

/** Checks that there is something to learn. @throws ERR_MULTIGATE_DATA naming the task. */
function checkRegressionLabels(task: RegressionTask, labels: Float32Array): void {
  const known = checkSomeKnown(task, labels)
  const kind = kindOfLoss(task.loss)
  const wrong = (expected: string, found: string): Error =>
    wrongLabel(task, undefined, `${expected} in the training rows, found ${found}`)
  if (['poisson', 'tweedie', 'weightedLogistic', 'ziln'].includes(kind) && !labels.some((label) => label > 0))
    throw wrong(`a label above 0, which the loss ${kind} needs,`, `${known} that are all 0; choose another loss`)
  if (kind === 'weightedLogistic' && !labels.includes(0))
    throw wrong(
      'labels of 0, which are the negative rows of weightedLogistic,',
      `${known} labels above 0; choose another loss, such as buckets`,
    )
  const first = labels.find((label) => !Number.isNaN(label))
  if (kind === 'buckets' && !labels.some((label) => !Number.isNaN(label) && label !== first))
    throw wrong('at least two different labels, which make buckets,', `${known} labels of one value; choose another loss`)
}

function fitterOf({ loss, transform = 'none' }: RegressionTask): LabelFitter | undefined {
  if (kindOfLoss(loss) === 'buckets') {
    const count = typeof loss === 'object' && loss.kind === 'buckets' ? loss.count : 32
    return { kind: 'buckets', fit: (labels) => fitBuckets(labels, count) }
  }
  if (!transform.endsWith('tandardize')) return undefined
  const inner = innerOf(transform)
  return { kind: 'moments', fit: (labels) => fitMoments(labels, inner) }
}

/** What a transform does before it standardizes. */
function innerOf(transform: (typeof transforms)[number]): (label: number) => number {
  return transform.startsWith('log1p') ? Math.log1p : (label) => label
}

/** Mean 0 and deviation 1 leave a label as it is. */
function momentsOf(fitted: FittedLabels | undefined): { readonly mean: number; readonly deviation: number } {
  return fitted?.kind === 'moments' ? fitted : { mean: 0, deviation: 1 }
}

/** The labels and row weights that the network takes, if they are not the user's. */
function refinedRegression(task: RegressionTask, _: boolean, fitted: FittedLabels | undefined): Refined | undefined {
  const { loss, transform = 'none' } = task
  if (kindOfLoss(loss) === 'weightedLogistic') return watched
  if (fitted?.kind === 'buckets') {
    const { thresholds } = fitted
    return { weights: false, apply: (labels) => replace(labels, (label) => bucketOf(label, thresholds)) }
  }
  if (transform === 'none') return undefined
  const [{ mean, deviation }, inner] = [momentsOf(fitted), innerOf(transform)]
  return { weights: false, apply: (labels) => replace(labels, (label) => (inner(label) - mean) / deviation) }
}

/** A row weighs as much as its label; a row of 0 weighs 1. */
const watched: Refined = {
  weights: true,
  apply(labels, weights) {
    for (let row = 0; row < labels.length; row += 1) {
      const label = labels[row] ?? NaN
      if (!(label > 0)) continue
      if (weights !== undefined) weights[row] = (weights[row] ?? NaN) * label
      labels[row] = 1
    }
  },
}

function replace(labels: Float32Array, by: (label: number) => number): void {
  for (let row = 0; row < labels.length; row += 1) labels[row] = by(labels[row] ?? NaN)
}

/** How many thresholds, which rise, are below a label. */
function bucketOf(label: number, thresholds: readonly number[]): number {
  if (Number.isNaN(label)) return NaN
  let [low, high] = [0, thresholds.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((thresholds[middle] ?? 0) < label) low = middle + 1
    else high = middle
  }
  return low
}

function headOf({ loss, transform = 'none' }: RegressionTask, fitted: FittedLabels | undefined): HeadOptions {
  const kind = kindOfLoss(loss)
  if (kind === 'weightedLogistic') return { value: { form: 'odds' } }
  if (kind === 'ziln') return { value: { form: 'ziln' } }
  if (fitted?.kind === 'buckets') {
    const { steps, unit, first } = fitted
    return { value: { form: 'buckets', steps, unit, first } }
  }
  if (kind === 'buckets') throw new Error('the buckets of a task were not fitted')
  if (kind === 'squared' && transform === 'none') return {}
  const { mean, deviation } = momentsOf(fitted)
  const positive = kind === 'poisson' || kind === 'tweedie'
  const link = positive ? 'exp' : transform.startsWith('log1p') ? 'expm1' : 'identity'
  return { value: { form: 'number', loss: kind, parameter: parameterOf(loss), link, scale: deviation, offset: mean } }
}

const defaultParameters: Readonly<Record<string, number>> = { huber: 1, quantile: 0.5, tweedie: 1.5 }

function parameterOf(loss: RegressionLoss = 'squared'): number {
  if (typeof loss === 'string') return defaultParameters[loss] ?? 0
  if (loss.kind === 'huber') return loss.delta
  return loss.kind === 'quantile' ? loss.quantile : loss.kind === 'tweedie' ? loss.power : 0
}

/** The regression kind of task. */
export const regressionKind = {
  kind: 'regression',
  schema: regressionSchema,
  encode: encodeRegressionLabels,
  check: checkRegressionLabels,
  compared: (_, column) => column,
  canMeet: () => true,
  fitter: fitterOf,
  refined: refinedRegression,
  head: headOf,
  scores: 'number',
  width: () => 1,
  classes: () => undefined,
  countsPositives: false,
  metrics: metricsOf('regression'),
  headline: 'rmse',
} as const satisfies KindOfTask<'regression', RegressionTask>
