// IMTL-G (Liu et al., 2021): the combined gradient has projections of one length onto the gradients of all tasks.

import { z } from 'zod'

import { Directions, fillPresent } from './directions.js'
import { Eigen } from './eigen.js'
import { type Filled, type GradientOptions, gradientFields, method } from './method.js'

export interface ImtlGOptions extends GradientOptions {
  readonly method: 'imtlG'
}

/**
 * weights = x_t / |g_t|, scaled to the sum 1, where x is the shortest solution of cosines x = 1. Weights may be negative. Tasks whose
 * gradient is 0 are left out. Where gradients cancel, so that no combination has such projections, all weights are 0.
 */
export type ImtlG = Filled<ImtlGOptions>

/** A sum of directions or of weights that is this small beside its parts is rounding. */
const vanishing = 1e-12

export const imtlG = method<ImtlG>({
  schema: z.strictObject({ method: z.literal('imtlG'), ...gradientFields }),
  needs: { before: 'gram', after: 'nothing', epochs: false },
  rule({ tasks }) {
    const directions = new Directions(tasks.length)
    const eigen = new Eigen(tasks.length)
    const x = new Float64Array(tasks.length)
    return {
      weigh(batch, weights) {
        directions.read(batch)
        const { count, lengths, cosines, present } = directions
        if (count === 0) {
          fillPresent(weights, batch.present, 1 / present)
          return
        }
        eigen.solve(count, cosines)
        let most = 0
        for (let k = 0; k < count; k += 1) most = Math.max(most, eigen.values[k]!)
        x.fill(0)
        for (let k = 0; k < count; k += 1) {
          // As in Aligned-MTL: below this, a value is rounding of float32 gradients.
          if (eigen.values[k]! <= most * count * 2 ** -23) continue
          let sum = 0
          for (let at = 0; at < count; at += 1) sum += eigen.vectors[at * count + k]!
          // At a right angle up to rounding: gradients that cancel give nothing but this.
          if (Math.abs(sum) <= vanishing) continue
          for (let at = 0; at < count; at += 1) x[at]! += (sum / eigen.values[k]!) * eigen.vectors[at * count + k]!
        }
        let sum = 0
        let size = 0
        for (let at = 0; at < count; at += 1) {
          x[at]! /= lengths[at]!
          sum += x[at]!
          size += Math.abs(x[at]!)
        }
        weights.fill(0)
        if (Math.abs(sum) <= vanishing * size) return
        for (let at = 0; at < count; at += 1) weights[directions.tasks[at]!] = x[at]! / sum
      },
    }
  },
})
