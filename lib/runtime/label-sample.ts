// Labels of rows that come in parts, as far as a task must see them before training: to fit what it needs, and to check that there is
// something to learn. It keeps all labels of a few million rows, and of more rows a sample.

import { Draws } from '../core/draws.js'
import { inSlices } from '../core/slices.js'
import type { FittedLabels } from '../tasks/kind.js'
import { checkLearnable, labelFitter, type Task } from '../tasks/task.js'
import { labelsOf } from './encode.js'
import type { Part } from './parts.js'
import { SampleSpace } from './sample-space.js'

/** Labels to keep: of a task that fits numbers on them, and of one that only checks them. */
const mostFitted = 2 ** 22
const mostChecked = 2 ** 16

export class LabelSample {
  readonly #task: Task
  readonly #most: number
  readonly #draws = new Draws()
  #kept = new Float32Array(2 ** 12)
  #seen = 0
  /** Why the first rows alone teach nothing. Undefined once some rows do. */
  #problem: { readonly error: unknown } | undefined
  #learnable = false

  /** @param stream a number of its own for each task. */
  constructor(task: Task, stream: number) {
    this.#task = task
    this.#most = labelFitter(task) === undefined ? mostChecked : mostFitted
    this.#draws.begin(0, 0, stream)
  }

  /** Whether further labels would change nothing. */
  get settled(): boolean {
    return this.#learnable && this.#most === mostChecked
  }

  /** Adds the labels of a part. @throws ERR_MULTIGATE_DATA naming row and value. */
  async add({ data }: Part, tasks: readonly Task[], check: () => void): Promise<void> {
    const space = new SampleSpace(tasks, data)
    const labels = await inSlices(labelsOf(this.#task, data, space, 'more training'), { check })
    if (!this.#learnable) {
      try {
        await inSlices(labelsOf(this.#task, data, space, 'training'), { check })
        this.#learnable = true
      } catch (error) {
        check()
        this.#problem ??= { error }
      }
    }
    if (this.#most === mostFitted || !this.#learnable) this.#keep(labels)
  }

  /** What the task fits. @throws ERR_MULTIGATE_DATA naming the task, if there is nothing to learn. */
  async fitted(check: () => void): Promise<FittedLabels | undefined> {
    const labels = this.#kept.subarray(0, Math.min(this.#seen, this.#most))
    if (!this.#learnable) {
      try {
        checkLearnable(this.#task, labels, () => ({ kind: 'number', values: labels }))
      } catch {
        // The error about the first part lists its values.
        throw this.#problem?.error
      }
    }
    const fitter = labelFitter(this.#task)
    return fitter === undefined ? undefined : await inSlices(fitter.fit(labels), { check })
  }

  /** Keeps each label with the same probability (Vitter 1985, algorithm R). */
  #keep(labels: Float32Array): void {
    for (const label of labels) {
      if (Number.isNaN(label)) continue
      this.#seen += 1
      if (this.#seen <= this.#most) {
        if (this.#seen > this.#kept.length) this.#grow()
        this.#kept[this.#seen - 1] = label
        continue
      }
      const place = Math.floor(this.#draws.uniform() * this.#seen)
      if (place < this.#most) this.#kept[place] = label
    }
  }

  #grow(): void {
    const kept = new Float32Array(Math.min(this.#most, 2 * this.#kept.length))
    kept.set(this.#kept)
    this.#kept = kept
  }
}
