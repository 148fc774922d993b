// RMSprop (Tieleman and Hinton, 2012), plain, with momentum, or centered (Graves, 2013).

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { decaySchema, type Filled, formSchema, notNegative, type OptimizerForm, withEpsilon } from './form.js'
import { type LearningRate, learningRateSchema } from './schedule.js'

/** Defaults of each library. */
const defaults = {
  keras: { learningRate: 0.001, rho: 0.9 },
  torch: { learningRate: 0.01, rho: 0.99 },
} as const

export const rmspropSchema = z
  .strictObject({
    name: z.literal('rmsprop').default('rmsprop'),
    learningRate: learningRateSchema.optional(),
    rho: decaySchema.optional(),
    momentum: decaySchema.default(0),
    centered: z.boolean().default(false),
    epsilon: notNegative.optional(),
    form: formSchema,
  })
  .transform(
    ({ learningRate, rho, ...options }): RMSprop => ({
      ...withEpsilon(options, { keras: 1e-7, torch: 1e-8 }),
      learningRate: learningRate ?? defaults[options.form].learningRate,
      rho: rho ?? defaults[options.form].rho,
    }),
  )

export interface RMSpropOptions {
  /** Size of a step, or a schedule of sizes. Default 0.001; 0.01 in torch's form. */
  readonly learningRate?: LearningRate | undefined
  /** Decay of the mean of squared gradients; torch's alpha. Default 0.9; 0.99 in torch's form. */
  readonly rho?: number | undefined
  /** Momentum. Default 0. */
  readonly momentum?: number | undefined
  /** Divides by the deviation instead of the root mean square. Default false. */
  readonly centered?: boolean | undefined
  /** Keeps the divisor away from 0. Default 1e-7; 1e-8 in torch's form. */
  readonly epsilon?: number | undefined
  /** `'keras'` (default): w -= lr g / sqrt(v + eps). `'torch'`: w -= lr g / (sqrt(v) + eps). */
  readonly form?: OptimizerForm | undefined
}

export interface RMSprop extends Filled<RMSpropOptions> {
  readonly name: 'rmsprop'
}

/**
 * RMSprop.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example rmsprop({ learningRate: 0.01, centered: true })
 */
export function rmsprop(options: RMSpropOptions = {}): RMSprop {
  return Object.freeze(parseOptions('rmsprop', rmspropSchema, options))
}
