// IMTL-L (Liu et al., 2021): the weighted losses of all tasks become equal. It minimizes sum_t exp(s_t) L_t - s_t over s as well.

import { z } from 'zod'

import { Adam, rateField } from './adam.js'
import { type Filled, method, requirePositive } from './method.js'

export interface ImtlLOptions {
  readonly method: 'imtlL'
  /** Rate of Adam for the logarithms of the weights. Default 0.025. */
  readonly learningRate?: number | undefined
}

/** weight = exp(s); ds = exp(s) L - 1. At rest the weight is 1 / L. */
export type ImtlL = Filled<ImtlLOptions>

export const imtlL = method<ImtlL>({
  schema: z.strictObject({ method: z.literal('imtlL'), learningRate: rateField }),
  needs: { before: 'nothing', after: 'losses', epochs: false },
  rule({ tasks, options }) {
    const adam = new Adam(tasks.length, options.learningRate)
    const scales = new Float64Array(tasks.length)
    return {
      kept: { logWeights: { values: scales }, ...adam.kept },
      weigh(_, weights) {
        for (let task = 0; task < tasks.length; task += 1) weights[task] = Math.exp(scales[task]!)
      },
      settle(batch) {
        requirePositive('imtlL', tasks, batch)
        for (let task = 0; task < tasks.length; task += 1)
          if (batch.present[task] === 1) adam.update(scales, task, Math.exp(scales[task]!) * batch.losses[task]! - 1)
      },
    }
  },
})
