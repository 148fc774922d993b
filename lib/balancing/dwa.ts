// Dynamic weight averaging (Liu, Johns and Davison, 2019): tasks whose loss fell less in the last epoch weigh more in the next.

import { z } from 'zod'

import { amount } from '../core/schemas.js'
import { type Filled, method } from './method.js'
import { softmax } from './softmax.js'

export interface DwaOptions {
  readonly method: 'dwa'
  /** The larger, the more equal the weights. Default 2. */
  readonly temperature?: number | undefined
}

/** weight = T softmax(r / temperature), where r is the loss of the last epoch by that of the one before; 1 before there are two. */
export type Dwa = Filled<DwaOptions>

export const dwa = method<Dwa>({
  schema: z.strictObject({ method: z.literal('dwa'), temperature: amount.gt(0).default(2) }),
  needs: { before: 'nothing', after: 'nothing', epochs: true },
  rule({ tasks, options }) {
    const count = tasks.length
    // 0 until there are that many epochs.
    const [last, earlier] = [new Float64Array(count), new Float64Array(count)]
    return {
      kept: { last: { values: last }, earlier: { values: earlier } },
      weigh(_, weights) {
        for (let task = 0; task < count; task += 1) {
          const ratio = earlier[task]! > 0 ? last[task]! / earlier[task]! : 1
          weights[task] = ratio / options.temperature
        }
        softmax(weights)
        for (let task = 0; task < count; task += 1) weights[task]! *= count
      },
      epoch(losses, present) {
        for (let task = 0; task < count; task += 1) {
          if (present[task] !== 1) continue
          earlier[task] = last[task]!
          last[task] = losses[task]!
        }
      },
    }
  },
})
