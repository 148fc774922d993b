// FAMO (Liu et al., 2023): all losses fall at one rate, by their logarithms, without gradients per task. It learns from the losses of the
// same batch after the update.

import { z } from 'zod'

import { amount } from '../core/schemas.js'
import { Adam, rateField } from './adam.js'
import { type Filled, lossesByTask, method, requirePositive } from './method.js'
import { softmax } from './softmax.js'

export interface FamoOptions {
  readonly method: 'famo'
  /** Pulls the logits to 0. Default 0.01, as in the authors' code; the paper chooses it per data set. */
  readonly gamma?: number | undefined
  /** Rate of Adam for the logits. Default 0.025. */
  readonly learningRate?: number | undefined
  /** Losses that cannot be fallen below, by task. Default 0 each. */
  readonly minLosses?: Readonly<Record<string, number>> | undefined
}

/**
 * weight = c z / (L - min) with z = softmax(logits) and the c that makes their sum 1. The logits go down the gradient of
 * sum_t z_t (log(L_t - min_t) before the update - after it), plus gamma times themselves.
 */
export type Famo = Filled<FamoOptions>

export const famo = method<Famo>({
  schema: z.strictObject({
    method: z.literal('famo'),
    gamma: amount.default(0.01),
    learningRate: rateField,
    minLosses: z.record(z.string(), amount).default({}),
  }),
  needs: { before: 'losses', after: 'again', epochs: false },
  rule({ tasks, options: { gamma, learningRate, minLosses } }) {
    const count = tasks.length
    const adam = new Adam(count, learningRate)
    const logits = new Float64Array(count)
    const least = lossesByTask('balance.minLosses', tasks, minLosses)
    const [shares, falls] = [new Float64Array(count), new Float64Array(count)]
    return {
      kept: { logits: { values: logits }, ...adam.kept },
      weigh(batch, weights) {
        requirePositive('famo', tasks, batch, least)
        const { losses, present } = batch
        shares.set(logits)
        softmax(shares, present)
        // By the smallest, so that no quotient overflows.
        let smallest = Infinity
        for (let task = 0; task < count; task += 1)
          if (present[task] === 1) smallest = Math.min(smallest, losses[task]! - least[task]!)
        let sum = 0
        for (let task = 0; task < count; task += 1) {
          weights[task] = present[task] === 1 ? shares[task]! * (smallest / (losses[task]! - least[task]!)) : 0
          sum += weights[task]!
        }
        if (sum > 0) for (let task = 0; task < count; task += 1) weights[task]! /= sum
      },
      settle(batch, after) {
        const { losses, present } = batch
        requirePositive('famo', tasks, batch, least)
        requirePositive('famo', tasks, { losses: after, present }, least)
        shares.set(logits)
        softmax(shares, present)
        let mean = 0
        for (let task = 0; task < count; task += 1) {
          falls[task] = present[task] === 1 ? Math.log(losses[task]! - least[task]!) - Math.log(after[task]! - least[task]!) : 0
          mean += shares[task]! * falls[task]!
        }
        for (let task = 0; task < count; task += 1)
          if (present[task] === 1) adam.update(logits, task, shares[task]! * (falls[task]! - mean) + gamma * logits[task]!)
      },
    }
  },
})
