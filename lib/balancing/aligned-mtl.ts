// Aligned-MTL (Senushkin et al., 2023): the matrix of gradients is replaced by the nearest one whose gradients are at right angles and of
// one length; so none conflicts or dominates.

import { z } from 'zod'

import { fillPresent } from './directions.js'
import { Eigen } from './eigen.js'
import { type Filled, type GradientOptions, gradientFields, method } from './method.js'

export interface AlignedMtlOptions extends GradientOptions {
  readonly method: 'alignedMtl'
  /** The length of the aligned gradients: the least singular value of the gradients, their median, or their root mean square. Default `'min'`. */
  readonly scale?: 'min' | 'median' | 'rmse' | undefined
}

/**
 * weights = scale V S^-1 V' 1/n, with the Gram matrix V S^2 V'. Values S^2 below n 2^-23 of the largest are rounding of float32 gradients,
 * and are left out. Weights may be negative.
 */
export type AlignedMtl = Filled<AlignedMtlOptions>

export const alignedMtl = method<AlignedMtl>({
  schema: z.strictObject({
    method: z.literal('alignedMtl'),
    scale: z.enum(['min', 'median', 'rmse']).default('min'),
    ...gradientFields,
  }),
  needs: { before: 'gram', after: 'nothing', epochs: false },
  rule({ tasks, options: { scale } }) {
    const all = tasks.length
    const eigen = new Eigen(all)
    const chosen = new Int32Array(all)
    const matrix = new Float64Array(all * all)
    const roots = new Float64Array(all)
    return {
      weigh({ gram, present }, weights) {
        let count = 0
        let largest = 0
        for (let task = 0; task < all; task += 1) {
          if (present[task] !== 1) continue
          chosen[count] = task
          count += 1
          largest = Math.max(largest, gram[task * all + task]!)
        }
        fillPresent(weights, present, 1 / count)
        if (!(largest > 0)) return
        for (let row = 0; row < count; row += 1)
          for (let column = 0; column < count; column += 1)
            matrix[row * count + column] = gram[chosen[row]! * all + chosen[column]!]! / largest
        eigen.solve(count, matrix)
        const length = aligned(eigen.values, count, scale, roots)
        weights.fill(0)
        for (let k = 0; k < count; k += 1) {
          if (!(roots[k]! > 0)) continue
          let share = 0
          for (let at = 0; at < count; at += 1) share += eigen.vectors[at * count + k]! / count
          const factor = (length * share) / roots[k]!
          for (let at = 0; at < count; at += 1) weights[chosen[at]!]! += factor * eigen.vectors[at * count + k]!
        }
      },
    }
  },
})

/** The length of the aligned gradients. Writes the singular values into `roots`, 0 for those that are left out. */
function aligned(values: Float64Array, count: number, scale: 'min' | 'median' | 'rmse', roots: Float64Array): number {
  let most = 0
  for (let k = 0; k < count; k += 1) most = Math.max(most, values[k]!)
  let [rank, sum, least] = [0, 0, Infinity]
  for (let k = 0; k < count; k += 1) {
    const isCounted = values[k]! > most * count * 2 ** -23
    roots[k] = isCounted ? Math.sqrt(values[k]!) : 0
    if (!isCounted) continue
    rank += 1
    sum += values[k]!
    least = Math.min(least, roots[k]!)
  }
  if (scale === 'min') return least
  if (scale === 'rmse') return Math.sqrt(sum / rank)
  // The lower median, as torch has it: the value with (rank - 1) / 2 below it. Equal values are told apart by their place.
  for (let k = 0; k < count; k += 1) {
    if (roots[k] === 0) continue
    let below = 0
    for (let other = 0; other < count; other += 1)
      if (roots[other]! > 0 && (roots[other]! < roots[k]! || (roots[other] === roots[k] && other < k))) below += 1
    if (below === Math.floor((rank - 1) / 2)) return roots[k]!
  }
  return least
}
