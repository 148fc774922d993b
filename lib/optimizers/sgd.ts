// Gradient descent, plain, with momentum, or with Nesterov's; Keras's and torch's forms are the same.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'

export const sgdSchema = z
  .strictObject({
    name: z.literal('sgd').default('sgd'),
    learningRate: z.number().min(0).default(0.01),
    momentum: z.number().min(0).lt(1).default(0),
    nesterov: z.boolean().default(false),
    form: z.enum(['keras', 'torch']).default('keras'),
  })
  .refine(({ nesterov, momentum }) => !nesterov || momentum > 0, {
    path: ['nesterov'],
    error: 'expected a momentum > 0 beside it, found momentum 0',
  })

export interface SgdOptions {
  /** Default 0.01. */
  readonly learningRate?: number
  /** m = momentum m - lr g; w += m. Default 0: w -= lr g. */
  readonly momentum?: number
  /** w += momentum m - lr g with the new m. Default false. */
  readonly nesterov?: boolean
  /** Both mean the same; kept so that every optimizer has it. */
  readonly form?: 'keras' | 'torch'
}

export interface Sgd extends Required<SgdOptions> {
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
