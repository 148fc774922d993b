// Whether a model computes after its last update, which no step has looked at: before weights leave `fit`, into a file, a copy or
// the caller's hands. Every weight is looked at, and the last rows that were trained on are run once more.

import { quote } from '../core/check.js'
import { notFiniteAt } from '../core/finite.js'
import { inSlices, type Sliced } from '../core/slices.js'
import type { NetworkTask } from '../models/network.js'
import type { EncodedRows } from '../runtime/encode.js'
import { diverged, lossPlace } from '../runtime/losses.js'
import type { Turns } from '../runtime/queue.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { type Place, weightsOf } from '../runtime/weights.js'
import type { FitValues } from './options.js'

/** What it looks at. */
export interface Watched {
  readonly runner: NetworkRunner
  readonly turns: Turns
  readonly tasks: readonly NetworkTask[]
  readonly train: EncodedRows
  readonly settings: Pick<FitValues, 'batchSize' | 'shuffle'>
}

export class Health {
  readonly #watched: Watched
  #unseen = false
  /** Whether rows have the order of an epoch. */
  #ordered = false

  constructor(watched: Watched) {
    this.#watched = watched
  }

  /** An epoch begins. */
  trains(): void {
    this.#unseen = this.#ordered = true
  }

  /** The weights are others from here on. */
  restored(): void {
    this.#unseen = true
  }

  /**
   * Looks at the weights, once after every change.
   * @throws ERR_MULTIGATE_DIVERGED naming the weights or the task, and `when`.
   */
  async check(when: string): Promise<void> {
    if (!this.#unseen) return
    await this.#watched.turns.take(async () => {
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
    const rows = Math.min(batchSize, train.rows)
    const outputs = runner.outputs(program, rows)
    const own = [...outputs.values()]
    const start = train.rows - rows
    const results = await runner.runPart(program, train, { start, rows, outputs: own, shuffled: shuffle && this.#ordered })
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

function* checkWeights({ network, memories }: NetworkRunner, when: string): Sliced<void> {
  const whole: Place[] = [
    { memory: 'parameters', offset: 0, shape: [network.parameters.elements] },
    ...network.tables.map(({ name, rows, dim }) => ({ memory: `table:${name}`, offset: 0, shape: [rows, dim] })),
  ]
  for (const place of whole) {
    for (const part of memories.parts(place)) {
      if (notFiniteAt(part) >= 0) throw yield* named()
      yield
    }
  }

  function* named(): Sliced<Error> {
    for (const weight of weightsOf(network)) {
      for (const part of memories.parts(weight)) {
        const wrong = part[notFiniteAt(part)]
        if (wrong !== undefined) return diverged(`a number of the weights ${quote(weight.name)}`, Math.fround(wrong), when)
        yield
      }
    }
    throw new Error('weights that are not finite belong to no name')
  }
}
