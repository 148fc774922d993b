// The order in which those who use a model's memory take turns: one at a time, first come first served. Some training steps are
// one turn, so what is asked for during `fit` runs between two steps and sees weights that no step is writing.

export class Turns {
  readonly #giveWay: () => void
  #last: Promise<unknown> = Promise.resolve()
  #ended: (() => Error) | undefined

  /** @param giveWay asks whoever has the turn to end it soon. */
  constructor(giveWay: () => void) {
    this.#giveWay = giveWay
  }

  /**
   * Runs `job` when all jobs before it have ended, whether or not they failed.
   * @throws what `end` says, where that was called before the job has ended.
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

  /** No job begins from here on, and the one under way fails; then `last` is run. */
  end(error: () => Error, last: () => void): void {
    this.#giveWay()
    this.#ended = error
    void this.#last.then(last)
  }

  #check(): void {
    if (this.#ended !== undefined) throw this.#ended()
  }
}
