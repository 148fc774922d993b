// The losses of an epoch: means over its steps, weighted by rows, and the check that they are numbers.

import { checkFailed } from '../core/check.js'
import type { LoweredProgram } from '../core/program.js'
import type { NetworkTask } from '../models/network.js'

export class EpochLosses {
  readonly #tasks: readonly NetworkTask[]
  readonly #scalars: readonly (readonly [name: string, number: number])[]
  readonly #sums: Float64Array
  #rows = 0

  constructor(program: LoweredProgram, tasks: readonly NetworkTask[]) {
    this.#tasks = tasks
    this.#scalars = Object.entries(program.scalarOutputs)
    this.#sums = new Float64Array(program.spec.scalarOutputs)
  }

  get rows(): number {
    return this.#rows
  }

  /** Takes a step in. @throws ERR_MULTIGATE_DIVERGED naming the task, the epoch and the step of a loss that is no number. */
  add(step: Float64Array, rows: number, place: { readonly epoch: number; readonly step: number }): void {
    for (const [name, number] of this.#scalars) {
      const value = step[number] ?? Number.NaN
      if (!Number.isFinite(value)) throw diverged(name, value, place)
      this.#sums[number] = (this.#sums[number] ?? 0) + value * rows
    }
    this.#rows += rows
  }

  /** Unweighted, by task. */
  get tasks(): Record<string, number> {
    return Object.fromEntries(this.#tasks.map(({ name }) => [name, this.#mean(`loss:${name}`)]))
  }

  /** Weighted, with penalties. */
  get total(): number {
    const penalties = this.#scalars.filter(([name]) => name.startsWith('penalty:'))
    return (
      this.#tasks.reduce((sum, { name, weight }) => sum + weight * this.#mean(`loss:${name}`), 0) +
      penalties.reduce((sum, [name]) => sum + this.#mean(name), 0)
    )
  }

  #mean(name: string): number {
    const number = this.#scalars.find(([known]) => known === name)?.[1] ?? -1
    return (this.#sums[number] ?? 0) / Math.max(this.#rows, 1)
  }
}

function diverged(scalar: string, value: number, { epoch, step }: { epoch: number; step: number }): Error {
  const [kind, name] = scalar.split(/:(.*)/s)
  const what = kind === 'loss' ? `the loss of task '${name}'` : `the penalty of '${name}'`
  return checkFailed(
    'ERR_MULTIGATE_DIVERGED',
    `${what} is ${value} in epoch ${epoch}, step ${step}: expected a finite number. Try a lower learning rate, and look for ` +
      'NaN or very large values in dense columns without a transform',
  )
}
