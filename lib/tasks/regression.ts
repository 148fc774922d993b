// Regression tasks: a number in the label's own units.

import { z } from 'zod'

import { called, describeValue, parseOptions } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { metricsOf } from '../metrics/registry.js'
import type { KindOfTask } from './kind.js'
import { checkSomeKnown, type LabelOptions, labelOptions, needsWhere, numericLabels, orMissing, singleColumn } from './labels.js'

const regressionSchema = z.strictObject({ kind: z.literal('regression'), ...labelOptions }).refine(...needsWhere)

export type RegressionOptions = LabelOptions

/** A number, trained with squared error. */
export interface RegressionTask<Name extends string = string> extends RegressionOptions {
  readonly kind: 'regression'
  readonly name: Name
  readonly weight: number
}

/**
 * A number in the units of its label, trained with squared error. Labels much larger than 1 outweigh other tasks: scale them, or set
 * `weight`.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example regression('watch_time', { weight: 0.1 })
 */
export function regression<const Name extends string>(name: Name, options: RegressionOptions = {}): RegressionTask<Name> {
  const fixed = { kind: 'regression', name }
  return Object.freeze(parseOptions(called('task', name), regressionSchema, options, fixed)) as RegressionTask<Name>
}

/** Labels, [rows]; NaN is missing. @throws ERR_MULTIGATE_DATA naming the task, row and value. */
function encodeRegressionLabels(task: RegressionTask, column: Column): Float32Array {
  return numericLabels(task, singleColumn(task, column), (value, raw) => {
    return value !== undefined && Math.abs(value) < 3.4e38
      ? undefined
      : `a finite number, found ${describeValue(raw)}; ${orMissing(task, raw)}; or leave the row out`
  })
}

/** Checks that there is at least one label. @throws ERR_MULTIGATE_DATA naming the task. */
function checkRegressionLabels(task: RegressionTask, labels: Float32Array): void {
  checkSomeKnown(task, labels)
}

/** The regression kind of task. */
export const regressionKind = {
  kind: 'regression',
  schema: regressionSchema,
  encode: encodeRegressionLabels,
  check: checkRegressionLabels,
  compared: (_, column) => column,
  canMeet: () => true,
  scores: 'number',
  width: () => 1,
  classes: () => undefined,
  countsPositives: false,
  metrics: metricsOf('regression'),
  headline: 'rmse',
} as const satisfies KindOfTask<'regression', RegressionTask>
