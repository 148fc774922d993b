// The losses of an epoch, and the check that they are finite. A task's loss is that of one step over all rows so far: each step counts
// by its divisor (labelled rows, all rows or sums of weights, as `lossReduction` says). Penalties count by the rows of their step.

import { checkFailed } from '../core/check.js'
import { FormatError } from '../core/errors.js'
import type { LoweredProgram } from '../core/program.js'
import type { NetworkTask } from '../models/network.js'

/** The mean of a scalar output over the steps so far. */
interface Mean {
  /** The name in errors. */
  readonly called: string
  /** Index among a step's results. */
  readonly at: number
  /** Index of the step's divisor. Undefined: it counts by rows. */
  readonly divisorAt: number | undefined
  sum: number
  divisor: number
}

/** Indices of a task's loss and of its divisor among a run's results. */
export interface LossPlace {
  readonly at: number
  readonly divisorAt: number
}

/** Finds the indices for the loss of a task. */
export function lossPlace({ losses, spec }: LoweredProgram, task: string): LossPlace {
  const loss = losses.find((candidate) => candidate.task === task)
  if (loss === undefined) throw new Error(`the program has no loss of task ${task}`)
  return { at: loss.output, divisorAt: spec.scalarOutputs + loss.denominator }
}

/** The number of results of a step: scalar outputs, then denominators. */
export function resultsOf({ spec }: LoweredProgram): number {
  return spec.scalarOutputs + spec.denominators.length
}

export class EpochLosses {
  readonly #means: readonly Mean[]
  readonly #tasks: readonly { readonly task: NetworkTask; readonly mean: Mean }[]
  #rows = 0

  constructor(program: LoweredProgram, tasks: readonly NetworkTask[]) {
    const mean = (called: string, at: number, divisorAt?: number): Mean => ({ called, at, divisorAt, sum: 0, divisor: 0 })
    this.#tasks = tasks.map((task) => {
      const { at, divisorAt } = lossPlace(program, task.name)
      return { task, mean: mean(`the loss of task '${task.name}'`, at, divisorAt) }
    })
    const penalties = program.penalties.map(({ of, output }) => mean(`the penalty of '${of}'`, output))
    this.#means = [...this.#tasks.map((own) => own.mean), ...penalties]
  }

  get rows(): number {
    return this.#rows
  }

  /**
   * Takes in the results of a step.
   * @throws ERR_MULTIGATE_DIVERGED naming task, epoch and step of a loss that is not finite.
   */
  add(results: Float64Array, rows: number, place: { readonly epoch: number; readonly step: number }): void {
    for (const mean of this.#means) {
      const value = results[mean.at] ?? Number.NaN
      if (!Number.isFinite(value)) throw diverged(mean.called, value, `in epoch ${place.epoch}, step ${place.step}`)
      const divisor = mean.divisorAt === undefined ? rows : (results[mean.divisorAt] ?? Number.NaN)
      mean.sum += value * divisor
      mean.divisor += divisor
    }
    this.#rows += rows
  }

  /** What `restore` takes: a sum and a divisor of every mean. */
  state(): number[] {
    return this.#means.flatMap(({ sum, divisor }) => [sum, divisor])
  }

  /** Goes on from `rows` rows. @throws ERR_MULTIGATE_FORMAT for the sums of other means. */
  restore(sums: readonly number[], rows: number): void {
    if (sums.length !== 2 * this.#means.length) {
      const message = `losses of an epoch: expected ${2 * this.#means.length} sums, found ${sums.length}`
      throw new FormatError(message, { field: 'multigate.training' })
    }
    for (const [index, mean] of this.#means.entries()) {
      mean.sum = sums[2 * index] ?? NaN
      mean.divisor = sums[2 * index + 1] ?? NaN
    }
    this.#rows = rows
  }

  /** Unweighted, by task; 0 for a task without a row that counts. */
  get tasks(): Record<string, number> {
    return Object.fromEntries(this.#tasks.map(({ task, mean }) => [task.name, quotientOf(mean)]))
  }

  /** Tasks with rows that count. */
  get measured(): string[] {
    return this.#tasks.filter(({ mean }) => mean.divisor > 0).map(({ task }) => task.name)
  }

  /** The weighted sum, with penalties. */
  get total(): number {
    const penalties = this.#means.slice(this.#tasks.length)
    return (
      this.#tasks.reduce((sum, { task, mean }) => sum + task.weight * quotientOf(mean), 0) +
      penalties.reduce((sum, mean) => sum + quotientOf(mean), 0)
    )
  }
}

function quotientOf({ sum, divisor }: Mean): number {
  return divisor === 0 ? 0 : sum / divisor
}

/** The error for a number that training has driven out of bounds. */
export function diverged(what: string, value: number, when: string): Error {
  return checkFailed(
    'ERR_MULTIGATE_DIVERGED',
    `${what} ${when}: expected a finite number, found ${value}; lower the learning rate, and look for ` +
      'NaN or very large values in dense columns without a transform',
  )
}
