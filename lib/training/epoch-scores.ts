// The predictions that the steps of an epoch made, each before its own update, and what they measure. A step writes them into arrays for
// all rows of the epoch, in the order of training, beside their labels and weights.

import { inSlices } from '../core/slices.js'
import { labelInput, weightInput } from '../layers/heads.js'
import type { NetworkTask } from '../models/network.js'
import type { FloatArray } from '../native/binding.js'
import { type TaskEvaluation, TaskMeter } from '../runtime/evaluate.js'
import type { Measuring } from '../runtime/measuring.js'

export class EpochScores {
  readonly #outputs: ReadonlyMap<string, FloatArray>
  readonly #rows: number
  #done = 0

  /** @param outputs arrays of the program's row outputs, by name, in its order. @param rows of an epoch. */
  constructor(outputs: ReadonlyMap<string, FloatArray>, rows: number) {
    this.#outputs = outputs
    this.#rows = rows
  }

  /** Begins a new epoch. */
  begin(): void {
    this.#done = 0
  }

  /** Where the next step writes its row outputs. */
  next(rows: number): FloatArray[] {
    const from = this.#done
    this.#done += rows
    return [...this.#outputs.values()].map((values) => {
      const width = values.length / this.#rows
      return values.subarray(from * width, this.#done * width)
    })
  }

  /** Measures the tasks of the epoch. @param losses of each task. */
  async measure(
    tasks: readonly NetworkTask[],
    losses: Readonly<Record<string, number>>,
    { measuring, check }: { readonly measuring: Measuring; readonly check: () => void },
  ): Promise<Record<string, TaskEvaluation>> {
    const results: Record<string, TaskEvaluation> = {}
    for (const task of tasks) {
      const labels = this.#outputs.get(labelInput(task.name))
      const targets = labels && { labels, weights: this.#outputs.get(weightInput(task.name)) }
      const scores = this.#outputs.get(task.name)
      if (targets === undefined || scores === undefined) throw new Error('steps gave no scores or labels of a task')
      const meter = new TaskMeter(task, measuring, false)
      await inSlices(meter.add({ scores, ...targets }), { check })
      results[task.name] = await inSlices(meter.finish(losses[task.name] ?? 0), { check })
    }
    return results
  }
}
