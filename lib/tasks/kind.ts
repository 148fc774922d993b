// A kind of task, apart from its network: its options, labels, predictions and metrics. A kind is one file in this folder and its lines
// in task.ts; its losses are in lib/layers/heads.ts.

import type { z } from 'zod'

import type { Column } from '../core/columns.js'
import type { Sliced } from '../core/slices.js'
import type { ScoreForm } from '../metrics/metric.js'
import type { MetricName, MetricOf } from '../metrics/registry.js'
import type { Condition } from './condition.js'

/** Numbers that a task has fitted on labels of the training rows. They are saved with the model. */
export type FittedLabels =
  /** y is trained as (y - mean) / deviation, after the function of the transform. */
  | { readonly kind: 'moments'; readonly mean: number; readonly deviation: number }
  /**
   * Buckets: a label is in bucket k if k thresholds are below it. Bucket 0 is worth `first`, and each bucket `unit` times its step more than
   * the one before it.
   */
  | {
      readonly kind: 'buckets'
      readonly thresholds: readonly number[]
      readonly first: number
      readonly unit: number
      readonly steps: readonly number[]
    }

/** How a task fits them. */
export interface LabelFitter {
  readonly kind: FittedLabels['kind']
  fit(labels: Float32Array): Sliced<FittedLabels>
}

/** How the head of a task differs from the plain one of its kind. */
export interface HeadOptions {
  /** Binary: gamma of the focal loss. */
  readonly gamma?: number | undefined
  /** Binary: added to the logit of a prediction. */
  readonly offset?: number | undefined
  /** Regression: not the squared error of the signal. */
  readonly value?: ValueHead | undefined
}

/** A head of a regression task. */
export type ValueHead =
  /** One number z: a loss of it, with its parameter, and the prediction link(offset + scale z). */
  | {
      readonly form: 'number'
      readonly loss: 'squared' | 'absolute' | 'huber' | 'logCosh' | 'quantile' | 'poisson' | 'tweedie'
      readonly parameter: number
      readonly link: Link
      readonly scale: number
      readonly offset: number
    }
  /** A logit whose odds are the prediction. */
  | { readonly form: 'odds' }
  /** A logit, and mean and deviation of a lognormal. */
  | { readonly form: 'ziln' }
  /** A logit per step of `FittedLabels`. */
  | { readonly form: 'buckets'; readonly steps: readonly number[]; readonly unit: number; readonly first: number }

export type Link = 'identity' | 'exp' | 'expm1'

/** How the labels and row weights that a network takes follow from the user's. */
export interface Refined {
  /** Whether it changes weights. */
  readonly weights: boolean
  /** Changes labels and weights of some rows in place. A missing label stays missing. `weights`: undefined if rows have none. */
  apply(labels: Float32Array, weights: Float32Array | undefined): void
}

/** `Kind`: the name of the kind. `Own`: its type of task. */
export interface KindOfTask<Kind extends string, Own> {
  readonly kind: Kind
  readonly schema: z.ZodType
  /** Labels, [rows]; NaN is missing. @throws ERR_MULTIGATE_DATA naming the task, row and value. */
  encode(task: Own, column: Column): Float32Array
  /**
   * Checks that training rows have something to learn. `column` is for an error that lists its values.
   * @throws ERR_MULTIGATE_DATA naming the task.
   */
  check(task: Own, labels: Float32Array, column: () => Column): void
  /** The label as the conditions of other tasks compare it. */
  compared(task: Own, column: Column): Column
  /** Whether a label can meet such a condition. */
  canMeet(task: Own, condition: Condition): boolean
  /** What training rows must tell before labels can be refined; absent: nothing. Undefined if the task needs none. */
  fitter?(task: Own): LabelFitter | undefined
  /** What the network takes instead of the user's labels and row weights, which metrics take. Undefined: the same. */
  refined?(task: Own, training: boolean, fitted: FittedLabels | undefined): Refined | undefined
  /** How the task's head differs from the plain one. */
  head?(task: Own, fitted: FittedLabels | undefined): HeadOptions
  /** The form of a prediction. Every metric of the kind must support it. */
  readonly scores: ScoreForm & keyof MetricOf<Kind>['of']
  /** Numbers per prediction, which is the width of the head. */
  width(task: Own): number
  /** Names of the classes, first class first; undefined for one number. */
  classes(task: Own): readonly string[] | undefined
  /** Whether labels are yes or no. If so, results count the positive rows. */
  readonly countsPositives: boolean
  /** The metrics registered for the kind, in order. */
  readonly metrics: readonly MetricOf<Kind>[]
  /** The metric to show if there is room for one only. */
  readonly headline: MetricName<Kind>
}
