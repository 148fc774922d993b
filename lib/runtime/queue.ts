// Users of a model's memory take turns: one at a time, first come first served. A turn of `fit` is a few steps, so other calls run
// between two steps and never see half-updated weights.

export class Queue {
  readonly #giveWay: () => void
  #last: Promise<unknown> = Promise.resolve()
  #ended: (() => Error) | undefined

  /** @param giveWay asks the holder of the turn to end it soon. */
  constructor(giveWay: () => void) {
    this.#giveWay = giveWay
  }

  /**
   * Runs `job` after all earlier jobs have ended, whether or not they failed.
   * @throws the error given to `end`, if `end` was called before the job ended.
   */
  take<Result>(job: () => Result | Promise<Result>): Promise<Result> {
    this.#giveWay()
    const turn = this.#last.then(async () => {
      this.#check()
      const result = await job()
      this.#check()
      return result
    })
    this.#last = turn.catch(() => undefined)
    return turn
  }

  /** Starts no further job and fails the current one, then runs `last`. */
  end(error: () => Error, last: () => void): void {
    this.#giveWay()
    this.#ended = error
    void this.#last.then(last)
  }

  #check(): void {
    if (this.#ended !== undefined) throw this.#ended()
  }
}
