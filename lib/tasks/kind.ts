// What a kind of task is, apart from its network: how it is written, how its labels are read, what it predicts and how that is
// measured. A kind is one file in this folder and its lines in task.ts; its losses are in lib/layers/heads.ts.

import type { z } from 'zod'

import type { Column } from '../core/columns.js'
import type { ScoreForm } from '../metrics/metric.js'
import type { MetricName, MetricOf } from '../metrics/registry.js'

/** `Kind`: its name. `Own`: a task of it. */
export interface KindOfTask<Kind extends string, Own> {
  readonly kind: Kind
  readonly schema: z.ZodType
  /** Labels, [rows]; NaN is missing. @throws ERR_MULTIGATE_DATA naming the task, row and value. */
  encode(task: Own, column: Column): Float32Array
  /**
   * Checks that training rows have something to learn. `column`: for an error that lists its values.
   * @throws ERR_MULTIGATE_DATA naming the task.
   */
  check(task: Own, labels: Float32Array, column: () => Column): void
  /** What it predicts of a row: what all of its metrics can be taken of. */
  readonly scores: ScoreForm & keyof MetricOf<Kind>['of']
  /** How many numbers that is: the width of its head. */
  width(task: Own): number
  /** Of classes, what they are called, first class first; undefined of one number. */
  classes(task: Own): readonly string[] | undefined
  /** Whether labels say yes or no: results count the rows of which they say yes. */
  readonly countsPositives: boolean
  /** Those that are registered for it, in order. */
  readonly metrics: readonly MetricOf<Kind>[]
  /** The metric that stands for it where there is room for one. */
  readonly headline: MetricName<Kind>
}
