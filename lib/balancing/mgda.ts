// MGDA (Desideri, 2012; Sener and Koltun, 2018): the shortest convex combination of the gradients. No task gets worse along it, and it is
// 0 where no direction is good for all.

import { z } from 'zod'

import { Directions } from './directions.js'
import { type Filled, type GradientOptions, gradientFields, method, requirePositive } from './method.js'
import { Quadratic } from './quadratic.js'

export interface MgdaOptions extends GradientOptions {
  readonly method: 'mgda'
  /**
   * What each gradient is divided by while the weights are sought: nothing, its length (`'l2'`), its loss (`'loss'`), or both (`'loss+'`).
   * The weights then apply to the undivided gradients, as in the authors' code. Default `'none'`.
   */
  readonly normalization?: 'none' | 'l2' | 'loss' | 'loss+' | undefined
}

/** weights = argmin of |sum_t w_t g_t|^2 over w >= 0, sum w = 1. */
export type Mgda = Filled<MgdaOptions>

export const mgda = method<Mgda>({
  schema: z.strictObject({
    method: z.literal('mgda'),
    normalization: z.enum(['none', 'l2', 'loss', 'loss+']).default('none'),
    ...gradientFields,
  }),
  needs: { before: 'gram', after: 'nothing', epochs: false },
  rule({ tasks, options: { normalization } }) {
    const directions = new Directions(tasks.length)
    const solver = new Quadratic(tasks.length)
    const total = new Float64Array(tasks.length)
    return {
      weigh(batch, weights) {
        const byLoss = normalization === 'loss' || normalization === 'loss+'
        if (byLoss) requirePositive('mgda', tasks, batch)
        directions.read(batch)
        const { count, present } = directions
        weights.fill(0)
        if (count < present) {
          // A gradient of 0 is the shortest combination. If several are, they share it.
          for (let task = 0; task < tasks.length; task += 1)
            if (batch.present[task] === 1 && !(batch.gram[task * tasks.length + task]! > 0)) weights[task] = 1 / (present - count)
          return
        }
        if (count === 0) return
        // In units of directions: x_t = w_t times the length of the divided gradient, so that sum_t x_t / length_t = 1.
        for (let at = 0; at < count; at += 1) {
          const loss = byLoss ? batch.losses[directions.tasks[at]!]! : 1
          total[at] = normalization === 'l2' || normalization === 'loss+' ? loss : loss / directions.lengths[at]!
        }
        solver.solve(count, directions.cosines, undefined, 1, total)
        for (let at = 0; at < count; at += 1) weights[directions.tasks[at]!] = solver.x[at]! * total[at]!
      },
    }
  },
})
