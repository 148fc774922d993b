// PCGrad (Yu et al., 2020): each gradient loses what points against the others, one after another in a random order; then they are added.

import { z } from 'zod'

import { Draws } from '../core/draws.js'
import { type Filled, type GradientOptions, gradientFields, method } from './method.js'

export interface PcgradOptions extends GradientOptions {
  readonly method: 'pcgrad'
}

/**
 * For every task i and the others j in an order drawn from the seed and the step: if p_i . g_j < 0 then p_i -= (p_i . g_j / g_j . g_j) g_j.
 * The g_j are the original gradients. The result is the sum of all p_i.
 */
export type Pcgrad = Filled<PcgradOptions>

export const pcgrad = method<Pcgrad>({
  schema: z.strictObject({ method: z.literal('pcgrad'), ...gradientFields }),
  needs: { before: 'gram', after: 'nothing', epochs: false },
  rule({ tasks, seed }) {
    const all = tasks.length
    const own = new Float64Array(all)
    const order = new Int32Array(all)
    const draws = new Draws()
    return {
      weigh({ step, gram, present }, weights) {
        weights.fill(0)
        for (let task = 0; task < all; task += 1) {
          if (present[task] !== 1) continue
          draws.begin(seed, step, task)
          shuffle(order, draws)
          own.fill(0)
          own[task] = 1
          for (let k = 0; k < all; k += 1) {
            const other = order[k]!
            const square = gram[other * all + other]!
            if (other === task || present[other] !== 1 || !(square > 0)) continue
            let product = 0
            for (let at = 0; at < all; at += 1) product += gram[other * all + at]! * own[at]!
            if (product < 0) own[other]! -= product / square
          }
          for (let at = 0; at < all; at += 1) weights[at]! += own[at]!
        }
      },
    }
  },
})

/** Fisher and Yates. */
function shuffle(order: Int32Array, draws: Draws): void {
  for (let at = 0; at < order.length; at += 1) order[at] = at
  for (let last = order.length - 1; last > 0; last -= 1) {
    const at = Math.floor(draws.uniform() * (last + 1))
    const kept = order[last]!
    order[last] = order[at]!
    order[at] = kept
  }
}
