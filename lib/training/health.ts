// Checks that a model still computes after its last update, which no later step has tested. It runs before weights leave `fit` for a
// file, a copy or the caller. It reads every weight and runs the last trained rows once more.

import { quote } from '../core/check.js'
import { notFiniteAt } from '../core/finite.js'
import { inSlices, type Sliced } from '../core/slices.js'
import type { NetworkTask } from '../models/network.js'
import { diverged, lossPlace } from '../runtime/losses.js'
import type { Queue } from '../runtime/queue.js'
import type { RowSource } from '../runtime/row-source.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { type Place, weightsOf } from '../runtime/weights.js'
import type { FitValues } from './options.js'

/** What the check reads. */
export interface Watched {
  readonly runner: NetworkRunner
  readonly queue: Queue
  readonly tasks: readonly NetworkTask[]
  readonly train: RowSource
  readonly settings: Pick<FitValues, 'batchSize' | 'shuffle'>
}

export class Health {
  readonly #watched: Watched
  #unseen = false
  /** Whether an epoch has given the rows an order. */
  #ordered = false

  constructor(watched: Watched) {
    this.#watched = watched
  }

  /** An epoch begins. */
  trains(): void {
    this.#unseen = this.#ordered = true
  }

  /** Marks the weights as changed. */
  restored(): void {
    this.#unseen = true
  }

  /**
   * Checks the weights, once after every change.
   * @throws ERR_MULTIGATE_DIVERGED naming the weights or the task, and `when`.
   */
  async check(when: string): Promise<void> {
    if (!this.#unseen) return
    await this.#watched.queue.take(async () => {
      const { runner } = this.#watched
      await inSlices(checkWeights(runner, when))
      await this.#checkLosses(when)
    })
    this.#unseen = false
  }

  async #checkLosses(when: string): Promise<void> {
    const { runner, tasks, train, settings } = this.#watched
    const { batchSize, shuffle } = settings
    const program = runner.network.evaluate
    const shard = await train.latest()
    const rows = Math.min(batchSize, shard.rows)
    const outputs = runner.outputs(program, rows)
    const own = [...outputs.values()]
    const start = shard.rows - rows
    const results = await runner.runPart(program, shard, { start, rows, outputs: own, shuffled: shuffle && this.#ordered })
    for (const { name } of tasks) {
      const loss = results[lossPlace(program, name).at] ?? NaN
      if (!Number.isFinite(loss)) throw diverged(`the loss of task '${name}'`, loss, when)
    }
    for (const [name, values] of outputs) {
      const wrong = values.find((value) => !Number.isFinite(value))
      if (wrong !== undefined) throw diverged(`a prediction of '${name}'`, wrong, when)
    }
  }
}

function* checkWeights({ network, weights }: NetworkRunner, when: string): Sliced<void> {
  const whole: Place[] = [
    { memory: 'parameters', offset: 0, shape: [network.parameters.elements] },
    ...network.tables.map(({ name, rows, dim }) => ({ memory: `table:${name}`, offset: 0, shape: [rows, dim] })),
  ]
  for (const place of whole) {
    for (const part of weights.passing(place)) {
      if (notFiniteAt(part) >= 0) throw yield* named()
      yield
    }
  }

  function* named(): Sliced<Error> {
    for (const weight of weightsOf(network)) {
      for (const part of weights.passing(weight)) {
        const wrong = part[notFiniteAt(part)]
        if (wrong !== undefined) return diverged(`a number of the weights ${quote(weight.name)}`, Math.fround(wrong), when)
        yield
      }
    }
    throw new Error('no named array holds the weights that are not finite')
  }
}
