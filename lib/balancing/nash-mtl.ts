// Nash-MTL (Navon et al., 2022): the bargaining solution, under which every task's gain is the inverse of its weight.

import { z } from 'zod'

import { amount } from '../core/schemas.js'
import { Directions, fillPresent, form } from './directions.js'
import { type Filled, type GradientOptions, gradientFields, method } from './method.js'
import { substitute } from './quadratic.js'

export interface NashMtlOptions extends GradientOptions {
  readonly method: 'nashMtl'
  /** Longest combined gradient; a longer one is scaled down to it. 0: no limit. Default 1. */
  readonly maxNorm?: number | undefined
  /** New weights are made every so many steps, by the number of the step. Default 1. */
  readonly every?: number | undefined
}

/**
 * weights = sqrt(|G|) a, where G a = 1 / a element by element, and |G| is the Frobenius norm of the Gram matrix, as in the authors' code.
 * They solve it by a sequence of approximations; here Newton's method finds the one solution.
 */
export type NashMtl = Filled<NashMtlOptions>

/** Added to the cosines' diagonal. Gradients that cancel would have no solution; so weights stay within 1000 of those without conflict. */
const ridge = 1e-6

export const nashMtl = method<NashMtl>({
  schema: z.strictObject({
    method: z.literal('nashMtl'),
    maxNorm: amount.default(1),
    every: z.int().min(1).default(1),
    ...gradientFields,
  }),
  needs: { before: 'gram', after: 'nothing', epochs: false },
  rule({ tasks, options: { maxNorm, every } }) {
    const all = tasks.length
    const directions = new Directions(all)
    const newton = new Bargain(all)
    // Before the limit: that depends on the step's gradients. 0 until the first solution with the task.
    const solution = new Float64Array(all)
    const x = new Float64Array(all)
    return {
      kept: { solution: { values: solution, min: 0 } },
      weigh(batch, weights) {
        directions.read(batch)
        const { count, longest, lengths, cosines } = directions
        let isKnown = true
        for (let at = 0; at < count; at += 1) isKnown &&= solution[directions.tasks[at]!]! > 0
        if (!isKnown || batch.step % every === 0) {
          newton.solve(count, cosines)
          let square = 0
          for (let row = 0; row < count; row += 1)
            for (let column = 0; column < count; column += 1)
              square += (cosines[row * count + column]! * lengths[row]! * lengths[column]!) ** 2
          // sqrt(|G|) a_t, where a_t = x_t / |g_t|: the scale of the gradients is in both.
          const scale = square ** 0.25
          for (let at = 0; at < count; at += 1) solution[directions.tasks[at]!] = (scale * newton.x[at]!) / lengths[at]!
        }
        weights.fill(0)
        for (let at = 0; at < count; at += 1) {
          const task = directions.tasks[at]!
          weights[task] = solution[task]!
          x[at] = solution[task]! * lengths[at]!
        }
        if (count === 0) fillPresent(weights, batch.present, 1)
        if (maxNorm === 0) return
        const norm = longest * Math.sqrt(Math.max(form(count, cosines, x), 0))
        if (norm > maxNorm) for (let task = 0; task < all; task += 1) weights[task]! *= maxNorm / norm
      },
    }
  },
})

/** Solves cosines x = 1 / x, the minimum of x' cosines x / 2 - sum log x, by Newton's method with a line search. */
class Bargain {
  readonly x: Float64Array
  readonly #slope: Float64Array
  readonly #step: Float64Array
  readonly #factor: Float64Array

  constructor(most: number) {
    this.x = new Float64Array(most)
    this.#slope = new Float64Array(most)
    this.#step = new Float64Array(most)
    this.#factor = new Float64Array(most * most)
  }

  solve(count: number, cosines: Float64Array): void {
    const { x } = this
    const slope = this.#slope
    const step = this.#step
    x.fill(1, 0, count)
    // The best point with all variables equal. x' cosines x = count at the solution.
    x.fill(Math.sqrt(count / (Math.max(form(count, cosines, x), 0) + ridge * count)), 0, count)
    for (let turn = 0; turn < 200; turn += 1) {
      for (let row = 0; row < count; row += 1) {
        slope[row] = this.#product(row, count, cosines, x) - 1 / x[row]!
        step[row] = slope[row]!
      }
      this.#factorize(count, cosines)
      substitute(this.#factor, step, count)
      let decrement = 0
      let linear = 0
      let square = 0
      for (let at = 0; at < count; at += 1) {
        decrement += slope[at]! * step[at]!
        linear += (slope[at]! + 1 / x[at]!) * step[at]!
        square += this.#product(at, count, cosines, step) * step[at]!
      }
      const share = this.#share(count, decrement, linear, square)
      for (let at = 0; at < count; at += 1) x[at]! -= share * step[at]!
      // After this step the next one would be of the size of its square.
      if (decrement < 1e-12) return
    }
  }

  /** The largest of 1, 1/2, 1/4 and so on that lowers the function by part of what its slope promises. */
  #share(count: number, decrement: number, linear: number, square: number): number {
    // The function is self-concordant: this near, the full step stays in its domain and converges quadratically.
    if (decrement < 0.06) return 1
    let share = 1
    for (; share > 1e-9; share /= 2) {
      let change = share * (0.5 * share * square - linear)
      // The logarithm of a negative number is NaN, which fails the comparison.
      for (let at = 0; at < count; at += 1) change -= Math.log(1 - (share * this.#step[at]!) / this.x[at]!)
      if (change <= -1e-3 * share * decrement) break
    }
    return share
  }

  /** Row `row` of cosines + ridge, times `vector`. */
  #product(row: number, count: number, cosines: Float64Array, vector: Float64Array): number {
    let sum = ridge * vector[row]!
    for (let column = 0; column < count; column += 1) sum += cosines[row * count + column]! * vector[column]!
    return sum
  }

  /** Of the second derivatives, cosines + ridge + 1 / x^2. */
  #factorize(count: number, cosines: Float64Array): void {
    const factor = this.#factor
    for (let row = 0; row < count; row += 1)
      for (let column = 0; column <= row; column += 1) {
        let sum = cosines[row * count + column]!
        if (row === column) sum += ridge + 1 / this.x[row]! ** 2
        for (let k = 0; k < column; k += 1) sum -= factor[row * count + k]! * factor[column * count + k]!
        factor[row * count + column] = row === column ? Math.sqrt(Math.max(sum, ridge)) : sum / factor[column * count + column]!
      }
  }
}
