// The lengths of a run's gradients, which `clip.norm` limits.

import type { LoweredProgram } from '../core/program.js'
import { diverged } from '../runtime/losses.js'

/** Lengths of the whole gradient in an epoch, before it was limited. */
export interface GradientNormRecord {
  readonly mean: number
  readonly largest: number
  /** Share of the steps whose gradient was longer than `clip.norm`. */
  readonly clipped: number
}

export class GradientNorms {
  readonly #limit: number
  /** Index of the sum of squares among a step's results. */
  readonly #at: number
  #sum = 0
  #largest = 0
  #clipped = 0
  #steps = 0

  private constructor(limit: number, at: number) {
    this.#limit = limit
    this.#at = at
  }

  /** Undefined for a program that does not measure its gradient. */
  static of({ squares }: LoweredProgram, limit: number | undefined): GradientNorms | undefined {
    return squares === undefined || limit === undefined ? undefined : new GradientNorms(limit, squares)
  }

  /**
   * Takes in the results of a step.
   * @throws ERR_MULTIGATE_DIVERGED naming epoch and step if the length is not finite.
   */
  add(results: Float64Array, { epoch, step }: { readonly epoch: number; readonly step: number }): void {
    const norm = Math.sqrt(results[this.#at] ?? NaN)
    if (!Number.isFinite(norm)) throw diverged('the length of the gradient', norm, `in epoch ${epoch}, step ${step}`)
    this.#sum += norm
    this.#largest = Math.max(this.#largest, norm)
    this.#clipped += Number(norm > this.#limit)
    this.#steps += 1
  }

  /** The sums of the steps since the last `take`. */
  get sums(): readonly number[] {
    return [this.#sum, this.#largest, this.#clipped, this.#steps]
  }

  /** Goes on from the sums of an earlier run. */
  resume([sum = 0, largest = 0, clipped = 0, steps = 0]: readonly number[]): void {
    ;[this.#sum, this.#largest, this.#clipped, this.#steps] = [sum, largest, clipped, steps]
  }

  /** What the steps since the last call had. */
  take(): GradientNormRecord {
    const steps = Math.max(this.#steps, 1)
    const record = { mean: this.#sum / steps, largest: this.#largest, clipped: this.#clipped / steps }
    this.#sum = this.#largest = this.#clipped = this.#steps = 0
    return record
  }
}
