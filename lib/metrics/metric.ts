// A metric: its name, which way is better, how it is shown, and how it takes in rows. Evaluation, monitors, tables and JSON know nothing
// else of it. A metric is one file in this folder and one line in registry.ts.

import { decimals } from '../core/format.js'
import type { Sliced } from '../core/slices.js'
import type { GroupedRows } from './ranked-rows.js'
import type { MetricResult } from './rows.js'

/** The prediction of a task for a row: one number, or the probability of each class. */
export type ScoreForm = 'number' | 'classes'

export interface Metric<Name extends string = string> {
  /** The name in results and monitors. */
  readonly name: Name
  /** Which values are better, for monitors. `'one'`: those nearer to 1. */
  readonly better: Better
  /** When it is measured: always, if the data have groups, or if a caller asks for it. */
  readonly measured: 'always' | 'groups' | 'asked'
  /** Whether it needs groups. Those measured if the data have groups need them too. */
  readonly grouped?: true
  /** The number that may follow the name after an `@`, as in `ndcg@10`. */
  readonly parameter?: MetricParameter
  readonly display: MetricDisplay
  /** Starts a measurement, for each form of scores that the metric supports. */
  readonly of: {
    readonly number?: (parameter?: number) => Measurement
    readonly classes?: (classes: number) => Measurement
  }
}

export type Better = 'higher' | 'lower' | 'one'

/** An integer. */
export interface MetricParameter {
  /** What it counts, in errors. */
  readonly what: string
  readonly max: number
}

/** How it is shown to people. */
export interface MetricDisplay {
  /** The name within a sentence: `AUC`. */
  readonly title: string
  /** The short name over a column. */
  readonly heading: string
  /** `'decimals'`: `0.8123`; `'percent'`: `81.2%`; `'plain'`: all its digits. */
  readonly format: 'decimals' | 'percent' | 'plain'
}

/** A metric of rows that come in parts. The result has the same bits however the rows are cut. */
export interface Measurement {
  /** Whether it keeps the rows of all parts until the end. */
  readonly keepsRows?: true
  /**
   * Takes in the next rows. For classes `scores` is [rows, classes].
   * @throws ERR_MULTIGATE_ARGUMENT if lengths differ or a weight is wrong. Row numbers count from the first row of the first part.
   */
  add(part: GroupedRows): Sliced<void>
  finish(): Sliced<MetricResult>
}

/** Measures rows that are all there. */
export function* measure(measurement: Measurement, rows: GroupedRows): Sliced<MetricResult> {
  yield* measurement.add(rows)
  return yield* measurement.finish()
}

/** The value of a metric in the metric's own form. */
export function metricText({ display: { format } }: Metric, value: number | undefined): string {
  if (value === undefined || format === 'decimals') return decimals(value)
  return format === 'percent' ? `${decimals(100 * value, 1)}%` : String(value)
}
