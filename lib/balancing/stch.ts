// Smooth Tchebycheff scalarization (Lin et al., 2024): a smooth maximum of the losses, so that the worst task counts most.

import { z } from 'zod'

import { amount } from '../core/schemas.js'
import { type Filled, lossesByTask, method, requirePositive } from './method.js'
import { softmax } from './softmax.js'

export interface StchOptions {
  readonly method: 'stch'
  /** Smoothness: near 0 the worst task alone counts, and with large values all count alike. Default 1. */
  readonly mu?: number | undefined
  /**
   * `'log'` (default): the losses are log(L / nadir), as in the authors' code for multi-task learning; the nadir of a task is its mean loss
   * in the last epoch of the warm-up, during which the sum of log L is trained. `'plain'`: the losses are L - ideal, as in the paper.
   */
  readonly form?: 'log' | 'plain' | undefined
  /** Epochs of warm-up, with the form `'log'`. Default 5, as in the authors' code; choose fewer for short trainings. */
  readonly warmUp?: number | undefined
  /** Ideal losses by task, with the form `'plain'`: those of models of one task each, or somewhat less. Default 0 each. */
  readonly ideal?: Readonly<Record<string, number>> | undefined
}

/**
 * `'log'`: the gradient of n mu log sum_t exp(log(L_t / nadir_t) / mu): weight = n softmax(log(L / nadir) / mu) / L.
 * `'plain'`: that of mu log sum_t exp((L_t - ideal_t) / mu): weight = softmax((L - ideal) / mu).
 */
export type Stch = Filled<StchOptions>

export const stch = method<Stch>({
  schema: z
    .strictObject({
      method: z.literal('stch'),
      mu: amount.gt(0).default(1),
      form: z.enum(['log', 'plain']).default('log'),
      warmUp: z.int().min(0).optional(),
      ideal: z.record(z.string(), amount).default({}),
    })
    .refine(({ form, warmUp }) => warmUp === undefined || warmUp > 0 === (form === 'log'), {
      path: ['warmUp'],
      error: "expected a number >= 1 with the form 'log', and none with the form 'plain'",
    })
    .refine(({ form, ideal }) => form === 'plain' || Object.keys(ideal).length === 0, {
      path: ['ideal'],
      error: "expected no ideal losses with the form 'log', which measures a nadir itself; set form: 'plain'",
    })
    .transform((options): Stch => ({ ...options, warmUp: options.warmUp ?? (options.form === 'log' ? 5 : 0) })),
  needs: { before: 'losses', after: 'nothing', epochs: true },
  rule({ tasks, options: { mu, form, warmUp, ideal } }) {
    const count = tasks.length
    const least = lossesByTask('balance.ideal', tasks, ideal)
    if (form === 'plain')
      return {
        weigh({ losses, present }, weights) {
          for (let task = 0; task < count; task += 1) weights[task] = (losses[task]! - least[task]!) / mu
          softmax(weights, present)
        },
      }
    // 0 for a task whose nadir is not known yet.
    const nadir = new Float64Array(count)
    const epochs = new Float64Array(1)
    return {
      kept: { nadir: { values: nadir, min: 0 }, epochs: { values: epochs, min: 0 } },
      weigh(batch, weights) {
        requirePositive('stch', tasks, batch)
        const { losses, present } = batch
        let known = 0
        for (let task = 0; task < count; task += 1) {
          known += present[task]!
          weights[task] = nadir[task]! > 0 && present[task] === 1 ? (Math.log(losses[task]!) - Math.log(nadir[task]!)) / mu : 0
        }
        const isWarm = epochs[0]! >= warmUp
        if (isWarm) softmax(weights, present)
        for (let task = 0; task < count; task += 1) {
          const share = isWarm ? known * weights[task]! : 1
          weights[task] = present[task] === 1 ? share / losses[task]! : 0
        }
      },
      epoch(losses, present) {
        epochs[0]! += 1
        if (epochs[0]! < warmUp) return
        // A task that is absent from the last epoch of the warm-up takes its nadir from the first one that has it.
        for (let task = 0; task < count; task += 1) if (present[task] === 1 && nadir[task] === 0) nadir[task] = losses[task]!
      },
    }
  },
})
