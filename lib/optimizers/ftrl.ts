// FTRL-Proximal (McMahan et al., 2013), in Keras's form. l1 makes weights exactly 0. It suits wide, linear models: its z starts from 0,
// so the first step nearly erases the initial weights, and hidden relu layers can die.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { float32 } from '../core/schemas.js'
import { type Filled, notNegative } from './form.js'
import { type LearningRate, positiveRateSchema } from './schedule.js'

export const ftrlSchema = z.strictObject({
  name: z.literal('ftrl').default('ftrl'),
  learningRate: positiveRateSchema.default(0.001),
  learningRatePower: float32.max(0).default(-0.5),
  initialAccumulator: notNegative.default(0.1),
  l1: notNegative.default(0),
  l2: notNegative.default(0),
  l2Shrinkage: notNegative.default(0),
  beta: notNegative.default(0),
})

export interface FtrlOptions {
  /** Size of a step, or a schedule of sizes. Must exceed 0, because the rule divides by it. Default 0.001. */
  readonly learningRate?: LearningRate | undefined
  /** How the rate falls with the sum of squares; 0 keeps it constant. Default -0.5. */
  readonly learningRatePower?: number | undefined
  /** Start value of the sum of squares. Default 0.1. */
  readonly initialAccumulator?: number | undefined
  /** Pulls weights to exactly 0. Default 0. */
  readonly l1?: number | undefined
  /** Pulls weights towards 0. Default 0. */
  readonly l2?: number | undefined
  /** An l2 on the gradient only, which does not pull weights to 0. Default 0. */
  readonly l2Shrinkage?: number | undefined
  /** Adds beta / learningRate to the divisor, like an l2. Default 0. */
  readonly beta?: number | undefined
}

/**
 * n' = n + g^2; z += g + 2 l2Shrinkage w - (n'^-power - n^-power) / lr w;
 * w = (clip(z, -l1, l1) - z) / ((n'^-power + beta) / lr + 2 l2).
 */
export interface Ftrl extends Filled<FtrlOptions> {
  readonly name: 'ftrl'
}

/**
 * FTRL-Proximal. As in Keras, the first step nearly erases the initial weights; prefer another optimizer for deep relu layers.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example ftrl({ learningRate: 0.1, l1: 0.001 })
 */
export function ftrl(options: FtrlOptions = {}): Ftrl {
  return Object.freeze(parseOptions('ftrl', ftrlSchema, options))
}
