// What a metric is: a name, which way is better, how it is shown, and how rows are taken in. Evaluation, monitors, tables and JSON
// know metrics only so. A metric is one file in this folder and one line in registry.ts.

import type { Sliced } from '../core/slices.js'
import type { MetricResult, ScoredRows } from './rows.js'

/** What a task predicts of a row: one number, or the probability of each of several classes. */
export type ScoreForm = 'number' | 'classes'

export interface Metric<Name extends string = string> {
  /** What results and monitors call it. */
  readonly name: Name
  /** Which values are better: what a monitor of it looks for. */
  readonly better: 'higher' | 'lower'
  readonly display: MetricDisplay
  /** What it needs: the scores that it can be taken of. It begins anew with every call. */
  readonly of: { readonly number?: () => Measurement; readonly classes?: (classes: number) => Measurement }
}

/** How people are shown it. */
export interface MetricDisplay {
  /** In a sentence: `AUC`. */
  readonly title: string
  /** Over a column: short. */
  readonly heading: string
  /** `'decimals'`: `0.8123`; `'percent'`: `81.2%`; `'plain'`: with as many digits as it has. */
  readonly format: 'decimals' | 'percent' | 'plain'
}

/** A metric of rows that come part by part. However they are cut, the result has the same bits. */
export interface Measurement {
  /**
   * Takes in the rows that follow those before; of classes `scores` is [rows, classes].
   * @throws ERR_MULTIGATE_ARGUMENT where lengths differ or a weight is none; rows are counted from the first part's first.
   */
  add(part: ScoredRows): Sliced<void>
  finish(): Sliced<MetricResult>
}

/** A metric of rows that are all there. */
export function* measure(measurement: Measurement, rows: ScoredRows): Sliced<MetricResult> {
  yield* measurement.add(rows)
  return yield* measurement.finish()
}
