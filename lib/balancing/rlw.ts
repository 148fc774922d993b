// Random loss weighting (Lin et al., 2022): new random weights in every step, softmax of standard normal numbers.

import { z } from 'zod'

import { Draws } from '../core/draws.js'
import { type Filled, method } from './method.js'
import { softmax } from './softmax.js'

export interface RlwOptions {
  readonly method: 'rlw'
}

export type Rlw = Filled<RlwOptions>

export const rlw = method<Rlw>({
  schema: z.strictObject({ method: z.literal('rlw') }),
  needs: { before: 'nothing', after: 'nothing', epochs: false },
  rule({ tasks, seed }) {
    const draws = new Draws()
    return {
      weigh({ step }, weights) {
        draws.begin(seed, step, 0)
        for (let task = 0; task < tasks.length; task += 1) weights[task] = draws.normal()
        softmax(weights)
      },
    }
  },
})
