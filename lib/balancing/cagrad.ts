// CAGrad (Liu et al., 2021): of all directions near the mean gradient, the one along which the worst task gains most.

import { z } from 'zod'

import { fraction } from '../core/schemas.js'
import { Directions, fillPresent, form } from './directions.js'
import { type Filled, type GradientOptions, gradientFields, method } from './method.js'
import { Quadratic } from './quadratic.js'

export interface CagradOptions extends GradientOptions {
  readonly method: 'cagrad'
  /** How far from the mean gradient, by its length, in [0, 1). 0 is the mean. The paper uses 0.5, and 0.4 or 0.2 on some data. Default 0.5. */
  readonly c?: number | undefined
  /**
   * What the direction is divided by: 1 + c^2 (`'square'`, default, as in the authors' code), 1 + c (`'sum'`), or nothing (`'none'`, as in
   * the paper's algorithm).
   */
  readonly rescale?: 'none' | 'square' | 'sum' | undefined
}

/** d = g_0 + c |g_0| g_w / |g_w|: g_0 is the mean, g_w the convex combination that minimizes g_w . g_0 + c |g_0| |g_w|. */
export type Cagrad = Filled<CagradOptions>

/** A combination that is this much shorter than its parts is 0 up to rounding. */
const vanishing = 1e-5

export const cagrad = method<Cagrad>({
  schema: z.strictObject({
    method: z.literal('cagrad'),
    c: fraction.default(0.5),
    rescale: z.enum(['none', 'square', 'sum']).default('square'),
    ...gradientFields,
  }),
  needs: { before: 'gram', after: 'nothing', epochs: false },
  rule({ tasks, options: { c, rescale } }) {
    const directions = new Directions(tasks.length)
    const solver = new Quadratic(tasks.length)
    const [linear, total] = [new Float64Array(tasks.length), new Float64Array(tasks.length)]
    const divisor = rescale === 'square' ? 1 + c * c : rescale === 'sum' ? 1 + c : 1
    return {
      weigh(batch, weights) {
        directions.read(batch)
        const { count, lengths, cosines, present } = directions
        fillPresent(weights, batch.present, 1 / (present * divisor))
        let square = 0
        for (let at = 0; at < count; at += 1) {
          total[at] = 1 / lengths[at]!
          let product = 0
          for (let other = 0; other < count; other += 1) product += (cosines[at * count + other]! * lengths[other]!) / present
          linear[at] = product
          square += (product * lengths[at]!) / present
        }
        const radius = c * Math.sqrt(Math.max(square, 0))
        if (!(radius > 0)) return
        const { x } = solver
        const length = combine(solver, directions, linear, total, radius)
        let parts = 0
        for (let at = 0; at < count; at += 1) parts += x[at]!
        // The gradients cancel, so that no direction is good for all: the mean alone.
        if (length <= vanishing * parts) return
        for (let at = 0; at < count; at += 1)
          weights[directions.tasks[at]!]! += ((radius / length) * x[at]! * total[at]!) / divisor
      },
    }
  },
})

/**
 * Minimizes linear . x + radius |x|_cosines over x >= 0, total . x = 1, into `solver.x`. Returns |x|_cosines.
 *
 * For a fixed length t the minimizer is that of x' cosines x / 2 + (t / radius) linear . x, and the right t is the length that comes out.
 * Over one set of variables the squared length is least + slope s^2 with s = t / radius: one step solves it, and a bracket guards the step
 * where the set changes.
 */
function combine(
  solver: Quadratic,
  { count, cosines }: Directions,
  linear: Float64Array,
  total: Float64Array,
  radius: number,
): number {
  solver.solve(count, cosines, linear, 0, total)
  let square = form(count, cosines, solver.x)
  if (!(square > 0)) return 0
  // No combination is longer than the longest gradient, which has length 1.
  let [low, high] = [square / radius ** 2, 1 / radius ** 2]
  let s2 = low
  for (let turn = 0; turn < 200; turn += 1) {
    solver.solve(count, cosines, linear, Math.sqrt(s2), total)
    square = form(count, cosines, solver.x)
    if (square > radius ** 2 * s2) low = s2
    else high = s2
    const slope = (square - solver.least) / s2
    const solved = solver.least / (radius ** 2 - slope)
    const next = solved >= low && solved <= high ? solved : Math.sqrt(low) * Math.sqrt(high)
    if (Math.abs(next - s2) <= 1e-14 * s2 || high <= low * (1 + 1e-14)) break
    s2 = next
  }
  return Math.sqrt(Math.max(square, 0))
}
