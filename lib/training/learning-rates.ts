// The learning rates of a run: the optimizer's, and the factor that callbacks have made of them.

import { invalidArgument } from '../core/check.js'
import { amount } from '../core/schemas.js'
import type { Optimizer } from '../optimizers/optimizer.js'
import { rateAfter } from '../optimizers/schedule.js'

/** The rate of the step that follows `done` steps. */
export type RateOfStep = (done: number) => number

export class LearningRates {
  readonly #optimizer: Optimizer
  #factor: number

  /** @param factor that of the run that is resumed. */
  constructor(optimizer: Optimizer, factor = 1) {
    this.#optimizer = optimizer
    this.#factor = factor
  }

  /** What callbacks have made of the rates. */
  get factor(): number {
    return this.#factor
  }

  /** The rates as they are now. A later `set` does not change them. */
  current(): RateOfStep {
    const { learningRate } = this.#optimizer
    const factor = this.#factor
    return (done) => factor * rateAfter(learningRate, done)
  }

  /** The next step, after `done` ones, takes this rate. All others change by the same factor. @throws ERR_MULTIGATE_ARGUMENT. */
  set(rate: number, done: number): void {
    const field = 'learningRate.rate'
    const divides = this.#optimizer.name === 'ftrl'
    if (!amount.safeParse(rate).success || (divides && rate === 0)) {
      throw invalidArgument(field, divides ? 'a number > 0 that float32 holds' : 'a number >= 0 that float32 holds', rate)
    }
    const own = rateAfter(this.#optimizer.learningRate, done)
    if (own === 0 && rate !== 0) throw invalidArgument(field, "0, because the optimizer's own rate is 0 now", rate)
    this.#factor = own === 0 ? this.#factor : rate / own
  }
}
