// AdamW (Loshchilov and Hutter, 2019): Adam with weight decay apart from the gradient.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { type AdamOptions, adamEpsilon, adamFields } from './adam.js'
import { type Filled, notNegative, withEpsilon } from './form.js'

const defaultDecay = { keras: 0.004, torch: 0.01 } as const

export const adamwSchema = z
  .strictObject({ name: z.literal('adamw').default('adamw'), ...adamFields, weightDecay: notNegative.optional() })
  .transform(
    (options): AdamW => ({
      ...withEpsilon(options, adamEpsilon),
      weightDecay: options.weightDecay ?? defaultDecay[options.form],
    }),
  )

export interface AdamWOptions extends AdamOptions {
  /**
   * Before each of Adam's steps: w -= lr decay w, for kernels, biases and embedding rows alike. A table with lazy updates decays only
   * the rows of the batch. Default 0.004; 0.01 in torch's form.
   */
  readonly weightDecay?: number | undefined
}

export interface AdamW extends Filled<AdamWOptions> {
  readonly name: 'adamw'
}

/**
 * AdamW.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example adamw({ learningRate: 0.001, weightDecay: 0.01 })
 */
export function adamw(options: AdamWOptions = {}): AdamW {
  return Object.freeze(parseOptions('adamw', adamwSchema, options))
}
