// The order in which those who use a model's memory take turns: one at a time, first come first served. A training step is
// one turn, so what is asked for during `fit` runs between two steps and sees weights that no step is writing.

export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs `job` when all jobs before it have ended, whether or not they failed. */
  take<Result>(job: () => Result | Promise<Result>): Promise<Result> {
    const turn = this.#last.then(job)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}
