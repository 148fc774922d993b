// Homoscedastic uncertainty (Kendall, Gal and Cipolla, 2018). It minimizes sum_t exp(-s_t) L_t + s_t / 2 over s as well, where s_t is the
// logarithm of the task's variance. Adam moves s. The paper halves L for regression: that changes where a weight begins, not where it
// comes to rest, 1 / (2 L_t).

import { z } from 'zod'

import { Adam, rateField } from './adam.js'
import { type Filled, method } from './method.js'

export interface UncertaintyOptions {
  readonly method: 'uncertainty'
  /** Rate of Adam for the logarithms of the variances. Default 0.025. */
  readonly learningRate?: number | undefined
}

/** weight = exp(-s); ds = 1/2 - exp(-s) L. */
export type Uncertainty = Filled<UncertaintyOptions>

export const uncertainty = method<Uncertainty>({
  schema: z.strictObject({ method: z.literal('uncertainty'), learningRate: rateField }),
  needs: { before: 'nothing', after: 'losses', epochs: false },
  rule({ tasks, options }) {
    const adam = new Adam(tasks.length, options.learningRate)
    const variances = new Float64Array(tasks.length)
    return {
      kept: { logVariances: { values: variances }, ...adam.kept },
      weigh(_, weights) {
        for (let task = 0; task < tasks.length; task += 1) weights[task] = Math.exp(-variances[task]!)
      },
      settle({ losses, present }) {
        for (let task = 0; task < tasks.length; task += 1)
          if (present[task] === 1) adam.update(variances, task, 0.5 - Math.exp(-variances[task]!) * losses[task]!)
      },
    }
  },
})
