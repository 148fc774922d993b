// Adagrad (Duchi, Hazan and Singer, 2011): each weight's rate falls with the sum of its squared gradients.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { type Filled, formSchema, notNegative, type OptimizerForm } from './form.js'
import { type LearningRate, learningRateSchema } from './schedule.js'

/** Defaults of each library. */
const defaults = {
  keras: { learningRate: 0.001, initialAccumulator: 0.1, epsilon: 1e-7 },
  torch: { learningRate: 0.01, initialAccumulator: 0, epsilon: 1e-10 },
} as const

export const adagradSchema = z
  .strictObject({
    name: z.literal('adagrad').default('adagrad'),
    learningRate: learningRateSchema.optional(),
    initialAccumulator: notNegative.optional(),
    epsilon: notNegative.optional(),
    form: formSchema,
  })
  .transform(({ learningRate, initialAccumulator, epsilon, ...options }): Adagrad => {
    const own = defaults[options.form]
    return {
      ...options,
      learningRate: learningRate ?? own.learningRate,
      initialAccumulator: initialAccumulator ?? own.initialAccumulator,
      epsilon: epsilon ?? own.epsilon,
    }
  })

export interface AdagradOptions {
  /** Size of a step, or a schedule of sizes. Default 0.001; 0.01 in torch's form. */
  readonly learningRate?: LearningRate | undefined
  /** Start value of the sum of squares. Default 0.1; 0 in torch's form. */
  readonly initialAccumulator?: number | undefined
  /** Keeps the divisor away from 0. Default 1e-7; 1e-10 in torch's form. */
  readonly epsilon?: number | undefined
  /** a += g^2, then `'keras'` (default): w -= lr g / sqrt(a + eps). `'torch'`: w -= lr g / (sqrt(a) + eps). */
  readonly form?: OptimizerForm | undefined
}

export interface Adagrad extends Filled<AdagradOptions> {
  readonly name: 'adagrad'
}

/**
 * Adagrad.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example adagrad({ learningRate: 0.05 })
 */
export function adagrad(options: AdagradOptions = {}): Adagrad {
  return Object.freeze(parseOptions('adagrad', adagradSchema, options))
}
