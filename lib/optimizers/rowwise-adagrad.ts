// Row-wise Adagrad, as in FBGEMM and TorchRec: one sum per row of an embedding table, where Adagrad has one per weight.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { float32 } from '../core/schemas.js'
import { type Filled, notNegative } from './form.js'
import { type LearningRate, learningRateSchema } from './schedule.js'

export const rowwiseAdagradSchema = z.strictObject({
  name: z.literal('rowwiseAdagrad').default('rowwiseAdagrad'),
  learningRate: learningRateSchema.default(0.01),
  initialAccumulator: notNegative.default(0),
  epsilon: float32.gt(0).default(1e-8),
})

export interface RowwiseAdagradOptions {
  /** Size of a step, or a schedule of sizes. Default 0.01, as in FBGEMM. */
  readonly learningRate?: LearningRate | undefined
  /** Start value of the sum of mean squares. Default 0. */
  readonly initialAccumulator?: number | undefined
  /** Keeps the divisor away from 0. Above 0, because rows may have a sum of 0. Default 1e-8, as in FBGEMM; TorchRec's class has 1e-10. */
  readonly epsilon?: number | undefined
}

export interface RowwiseAdagrad extends Filled<RowwiseAdagradOptions> {
  readonly name: 'rowwiseAdagrad'
}

/**
 * Row-wise Adagrad, for embeddings: a += mean of g^2 over the row, then w -= lr g / (sqrt(a) + eps). All weights of a row share a, so the
 * state of a table takes 4 bytes per row, where Adagrad takes as many as the table. `fit` takes it in `optimizers`, for `embedding` or the
 * embedding of a feature: other weights have no rows.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example fit(train, { optimizers: { embedding: rowwiseAdagrad({ learningRate: 0.02 }) } })
 */
export function rowwiseAdagrad(options: RowwiseAdagradOptions = {}): RowwiseAdagrad {
  return Object.freeze(parseOptions('rowwiseAdagrad', rowwiseAdagradSchema, options))
}
