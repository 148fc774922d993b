// UPGrad (Quinton and Rey, 2024): each gradient is projected onto the cone of directions along which no task gets worse; the result is
// their mean.

import { z } from 'zod'

import { amount } from '../core/schemas.js'
import { fillPresent } from './directions.js'
import { type Filled, type GradientOptions, gradientFields, method } from './method.js'
import { Quadratic } from './quadratic.js'

export interface UpgradOptions extends GradientOptions {
  readonly method: 'upgrad'
  /** If the sum of the squared lengths of all gradients is below this, they are only averaged. Default 0. */
  readonly normEps?: number | undefined
  /** Added to the diagonal of the Gram matrix, which is divided by its trace first. Default 0.0001. */
  readonly regEps?: number | undefined
}

/** weights = sum_i argmin of v' M v over v >= e_i / n, where M is the Gram matrix by its trace, plus regEps I. */
export type Upgrad = Filled<UpgradOptions>

export const upgrad = method<Upgrad>({
  schema: z.strictObject({
    method: z.literal('upgrad'),
    normEps: amount.default(0),
    regEps: amount.default(1e-4),
    ...gradientFields,
  }),
  needs: { before: 'gram', after: 'nothing', epochs: false },
  rule({ tasks, options: { normEps, regEps } }) {
    const all = tasks.length
    const solver = new Quadratic(all)
    const chosen = new Int32Array(all)
    const matrix = new Float64Array(all * all)
    const linear = new Float64Array(all)
    return {
      weigh({ gram, present }, weights) {
        let [count, trace, largest] = [0, 0, 0]
        for (let task = 0; task < all; task += 1) {
          if (present[task] !== 1) continue
          chosen[count] = task
          count += 1
          trace += gram[task * all + task]!
          largest = Math.max(largest, gram[task * all + task]!)
        }
        fillPresent(weights, present, 1 / count)
        if (trace < normEps || !(trace > 0)) return
        for (let row = 0; row < count; row += 1)
          for (let column = 0; column < count; column += 1)
            matrix[row * count + column] = gram[chosen[row]! * all + chosen[column]!]! / trace + (row === column ? regEps : 0)
        // v = e_i / n + x with x >= 0.
        for (let own = 0; own < count; own += 1) {
          for (let at = 0; at < count; at += 1) linear[at] = matrix[own * count + at]!
          solver.solve(count, matrix, linear, 1 / count)
          for (let at = 0; at < count; at += 1) weights[chosen[at]!]! += solver.x[at]!
        }
      },
    }
  },
})
