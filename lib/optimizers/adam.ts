// Adam (Kingma and Ba, 2015), in Keras's or torch's form. They differ in where epsilon is added.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { decaySchema, type Filled, formSchema, notNegative, type OptimizerForm, withEpsilon } from './form.js'
import { type LearningRate, learningRateSchema } from './schedule.js'

/** Options that Adam and AdamW share. */
export const adamFields = {
  learningRate: learningRateSchema.default(0.001),
  beta1: decaySchema.default(0.9),
  beta2: decaySchema.default(0.999),
  epsilon: notNegative.optional(),
  form: formSchema,
}

export const adamEpsilon = { keras: 1e-7, torch: 1e-8 } as const

export const adamSchema = z
  .strictObject({ name: z.literal('adam').default('adam'), ...adamFields })
  .transform((options): Adam => withEpsilon(options, adamEpsilon))

export interface AdamOptions {
  /** Size of a step, or a schedule of sizes. Default 0.001. */
  readonly learningRate?: LearningRate | undefined
  /** Decay of the mean of gradients. Default 0.9. */
  readonly beta1?: number | undefined
  /** Decay of the mean of squared gradients. Default 0.999. */
  readonly beta2?: number | undefined
  /** Keeps the divisor away from 0. Default 1e-7; 1e-8 in torch's form. */
  readonly epsilon?: number | undefined
  /** `'keras'` (default): w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps). `'torch'`: w -= lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps). */
  readonly form?: OptimizerForm | undefined
}

export interface Adam extends Filled<AdamOptions> {
  readonly name: 'adam'
}

/**
 * Adam.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example adam({ learningRate: 0.01 })
 */
export function adam(options: AdamOptions = {}): Adam {
  return Object.freeze(parseOptions('adam', adamSchema, options))
}
