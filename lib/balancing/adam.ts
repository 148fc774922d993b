// Adam (Kingma and Ba, 2015) for the few numbers that a method learns itself. Its step is at most a few times the rate, however large the
// losses are. A task that is absent keeps its moments.

import type { z } from 'zod'

import { amount } from '../core/schemas.js'
import type { Kept } from './method.js'

export const rateField = amount.gt(0).default(0.025)
export type Rate = z.output<typeof rateField>

const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8]

export class Adam {
  readonly #rate: number
  readonly #mean: Float64Array
  readonly #square: Float64Array
  readonly #steps: Float64Array

  constructor(tasks: number, rate: number) {
    this.#rate = rate
    this.#mean = new Float64Array(tasks)
    this.#square = new Float64Array(tasks)
    this.#steps = new Float64Array(tasks)
  }

  get kept(): { readonly mean: Kept; readonly square: Kept; readonly steps: Kept } {
    return { mean: { values: this.#mean }, square: { values: this.#square, min: 0 }, steps: { values: this.#steps, min: 0 } }
  }

  /** Moves `values[task]` down its gradient. */
  update(values: Float64Array, task: number, gradient: number): void {
    const steps = (this.#steps[task]! += 1)
    const mean = (this.#mean[task] = beta1 * this.#mean[task]! + (1 - beta1) * gradient)
    const square = (this.#square[task] = beta2 * this.#square[task]! + (1 - beta2) * gradient * gradient)
    const divisor = Math.sqrt(square / (1 - beta2 ** steps)) + epsilon
    values[task]! -= (this.#rate * (mean / (1 - beta1 ** steps))) / divisor
  }
}
