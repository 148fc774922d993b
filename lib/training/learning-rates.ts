// The learning rates of a run: those of its optimizers and groups, and the factor that callbacks have made of them.

import { invalidArgument } from '../core/check.js'
import type { RateScalar } from '../core/program.js'
import { amount } from '../core/schemas.js'
import type { Optimizer } from '../optimizers/optimizer.js'
import { rateAfter } from '../optimizers/schedule.js'
import type { RateSource } from './groups.js'

/** A rate of the step that follows `done` steps. */
export type RateOfStep = (done: number, rate?: RateScalar) => number

export class LearningRates {
  readonly #optimizer: Optimizer
  readonly #sources: ReadonlyMap<RateScalar, RateSource>
  #factor: number

  /**
   * @param sources all rates of the step; `learningRate` is the optimizer's.
   * @param factor that of the run that is resumed.
   */
  constructor(optimizer: Optimizer, sources: ReadonlyMap<RateScalar, RateSource>, factor = 1) {
    this.#optimizer = optimizer
    this.#sources = sources
    this.#factor = factor
  }

  /** What callbacks have made of the rates. */
  get factor(): number {
    return this.#factor
  }

  /** The rates as they are now. A later `set` does not change them. */
  current(): RateOfStep {
    const all = this.#factor
    return (done, rate = 'learningRate') => {
      const source = this.#sources.get(rate)
      if (source === undefined) throw new Error(`there is no rate ${rate}`)
      return all * source.factor * rateAfter(source.optimizer.learningRate, done)
    }
  }

  /**
   * The next step, after `done` ones, takes this rate of the optimizer. All others change by the same factor.
   * @throws ERR_MULTIGATE_ARGUMENT.
   */
  set(rate: number, done: number): void {
    const field = 'learningRate.rate'
    const divides = [...this.#sources.values()].some(({ optimizer }) => optimizer.name === 'ftrl')
    if (!amount.safeParse(rate).success || (divides && rate === 0)) {
      throw invalidArgument(field, divides ? 'a number > 0 that float32 holds' : 'a number >= 0 that float32 holds', rate)
    }
    const own = rateAfter(this.#optimizer.learningRate, done)
    if (own === 0 && rate !== 0) throw invalidArgument(field, "0, because the optimizer's own rate is 0 now", rate)
    this.#factor = own === 0 ? this.#factor : rate / own
  }
}
