// GradNorm (Chen et al., 2018): weights move until the weighted gradients of all tasks have lengths that fit the tasks' rates of learning.

import { z } from 'zod'

import { amount } from '../core/schemas.js'
import { Adam, rateField } from './adam.js'
import { type Filled, type GradientOptions, gradientFields, method } from './method.js'

export interface GradnormOptions extends GradientOptions {
  readonly method: 'gradnorm'
  /** How strongly a task that learns slowly is preferred; 0 makes all lengths equal. Default 1.5. */
  readonly alpha?: number | undefined
  /** Rate of Adam for the weights. Default 0.025. */
  readonly learningRate?: number | undefined
}

/**
 * Minimizes sum_t |w_t |g_t| - m r_t^alpha|, where m is the mean of w_t |g_t|, and r_t is L_t by the task's first loss, by the mean of these
 * quotients over tasks. m r_t^alpha counts as constant. After each step the weights are scaled to the sum T.
 */
export type Gradnorm = Filled<GradnormOptions>

/** Weights stay above this, so that a task can come back. */
const least = 1e-3

export const gradnorm = method<Gradnorm>({
  schema: z.strictObject({
    method: z.literal('gradnorm'),
    alpha: amount.default(1.5),
    learningRate: rateField,
    ...gradientFields,
  }),
  needs: { before: 'nothing', after: 'gram', epochs: false },
  rule({ tasks, options: { alpha, learningRate } }) {
    const count = tasks.length
    const adam = new Adam(count, learningRate)
    const current = new Float64Array(count).fill(1)
    const first = new Float64Array(count)
    const [lengths, rates] = [new Float64Array(count), new Float64Array(count)]
    return {
      kept: { weights: { values: current, min: 0 }, firstLosses: { values: first, min: 0 }, ...adam.kept },
      weigh: (_, weights) => weights.set(current),
      settle({ losses, gram, present }) {
        let [known, length, rate, before] = [0, 0, 0, 0]
        for (let task = 0; task < count; task += 1) {
          if (present[task] === 1 && first[task] === 0) first[task] = Math.max(losses[task]!, 0)
          // A task without a first loss has no rate yet.
          const counts = present[task] === 1 && first[task]! > 0
          lengths[task] = counts ? Math.sqrt(Math.max(gram[task * count + task]!, 0)) : 0
          rates[task] = counts ? Math.max(losses[task]!, 0) / first[task]! : -1
          if (!counts) continue
          known += 1
          length += lengths[task]!
          rate += rates[task]!
          before += current[task]!
        }
        if (length === 0) return
        length /= known
        rate /= known
        let mean = 0
        for (let task = 0; task < count; task += 1) {
          // By the mean length, so that the rate means the same at every scale.
          lengths[task]! /= length
          mean += (current[task]! * lengths[task]!) / known
        }
        let after = 0
        for (let task = 0; task < count; task += 1) {
          if (rates[task]! < 0) continue
          const goal = mean * (rate > 0 ? rates[task]! / rate : 1) ** alpha
          adam.update(current, task, Math.sign(current[task]! * lengths[task]! - goal) * lengths[task]!)
          current[task] = Math.max(current[task]!, least)
          after += current[task]!
        }
        for (let task = 0; task < count; task += 1) if (rates[task]! >= 0) current[task]! *= before / after
      },
    }
  },
})
