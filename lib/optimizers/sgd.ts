// Gradient descent: plain, with momentum, or with Nesterov momentum, in Keras's or torch's form. If the learning rate changes, Keras's
// momentum keeps the rates of past steps; torch's does not.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { decaySchema, type Filled, formSchema, type OptimizerForm } from './form.js'
import { type LearningRate, learningRateSchema } from './schedule.js'

export const sgdSchema = z
  .strictObject({
    name: z.literal('sgd').default('sgd'),
    learningRate: learningRateSchema.default(0.01),
    momentum: decaySchema.default(0),
    nesterov: z.boolean().default(false),
    form: formSchema,
  })
  .refine(({ nesterov, momentum }) => !nesterov || momentum > 0, {
    path: ['nesterov'],
    error: 'expected a momentum > 0 as well, found momentum 0',
  })

export interface SgdOptions {
  /** Size of a step, or a schedule of sizes. Default 0.01. */
  readonly learningRate?: LearningRate | undefined
  /** Momentum. Default 0: plain descent, w -= lr g. */
  readonly momentum?: number | undefined
  /** Looks one step of momentum ahead: w += momentum m - lr g with the new m; torch: w -= lr (momentum m + g). Default false. */
  readonly nesterov?: boolean | undefined
  /** `'keras'` (default): m = momentum m - lr g; w += m. `'torch'`: m = momentum m + g; w -= lr m. */
  readonly form?: OptimizerForm | undefined
}

export interface Sgd extends Filled<SgdOptions> {
  readonly name: 'sgd'
}

/**
 * Gradient descent.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example sgd({ learningRate: 0.1, momentum: 0.9, nesterov: true })
 */
export function sgd(options: SgdOptions = {}): Sgd {
  return Object.freeze(parseOptions('sgd', sgdSchema, options))
}
