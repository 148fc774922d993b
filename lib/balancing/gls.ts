// Geometric loss strategy (Chennupati et al., 2019): the loss is the geometric mean of the tasks' losses.

import { z } from 'zod'

import { type Filled, method, requirePositive } from './method.js'

export interface GlsOptions {
  readonly method: 'gls'
}

/** weight = m / (n L), where m is the geometric mean of the n losses that are present: the gradient of m. */
export type Gls = Filled<GlsOptions>

export const gls = method<Gls>({
  schema: z.strictObject({ method: z.literal('gls') }),
  needs: { before: 'losses', after: 'nothing', epochs: false },
  rule: ({ tasks }) => ({
    weigh(batch, weights) {
      requirePositive('gls', tasks, batch)
      const { losses, present } = batch
      let [sum, count] = [0, 0]
      for (let task = 0; task < tasks.length; task += 1) {
        if (present[task] !== 1) continue
        sum += Math.log(losses[task]!)
        count += 1
      }
      // In logarithms: a product of many losses would leave the range of numbers.
      for (let task = 0; task < tasks.length; task += 1)
        weights[task] = present[task] === 1 ? Math.exp(sum / count - Math.log(losses[task]!)) / count : 0
    },
  }),
})
