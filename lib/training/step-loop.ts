// The step loop of `fit`: epochs of shuffled batches, the last, smaller one included. Steps go together, a tenth of a second in one
// call into the addon, as going from thread to thread and back costs as much as a step of a thousand rows. A call ends sooner
// where others wait, and at step boundaries only, so that weights are never half updated.

import type { LoweredProgram } from '../core/program.js'
import type { NetworkTask } from '../models/network.js'
import type { NativePlan } from '../native/binding.js'
import type { EncodedRows } from '../runtime/encode.js'
import { EpochLosses, resultsOf } from '../runtime/losses.js'
import type { Turns } from '../runtime/queue.js'
import type { StepRecord } from './callbacks.js'
import type { FitValues } from './options.js'
import type { Drawn } from './state.js'

export interface StepLoopOptions extends Pick<FitValues, 'batchSize' | 'shuffle' | 'dataPlacement'> {
  readonly plan: NativePlan
  readonly program: LoweredProgram
  readonly tasks: readonly NetworkTask[]
  readonly rows: EncodedRows
  readonly learningRate: number
  readonly seed: number
  readonly threads: number
  readonly turns: Turns
  /** Thrown before each step where training must not go on. */
  readonly checkpoint: () => void
  /** Absent: nobody wants to know of every step. */
  readonly onStep: ((step: StepRecord) => Promise<void> | undefined) | undefined
  readonly onProgress: (step: StepRecord) => Promise<void> | undefined
  /** Steps that the optimizer has done already. */
  readonly stepsBefore: number
  /** Counts on with every epoch and step. */
  readonly drawn: Drawn
}

/** What one call takes, about, in milliseconds: so long an abort waits, and a display. */
const callMilliseconds = 100
/** Of one call at most: their scalars are laid out before it. */
const mostSteps = 1024

export class StepLoop {
  readonly #options: StepLoopOptions
  readonly #columnOf: readonly number[]
  #steps: number

  constructor(options: StepLoopOptions) {
    this.#options = options
    this.#steps = options.stepsBefore
    this.#columnOf = options.rows.columnOf(options.program)
  }

  /** Steps since the optimizer began: its bias correction counts them. */
  get steps(): number {
    return this.#steps
  }

  /** All rows once. */
  async epoch(epoch: number): Promise<EpochLosses> {
    const { program, tasks, rows: data, batchSize, shuffle, seed, turns, checkpoint, onStep, onProgress, drawn } = this.#options
    const losses = new EpochLosses(program, tasks)
    const width = resultsOf(program)
    drawn.epochs += 1
    if (shuffle) await turns.take(() => data.columns.shuffleAsync(seed, drawn.epochs))
    for (let start = 0, step = 0; start < data.rows; ) {
      checkpoint()
      const rows = Math.min(batchSize, data.rows - start)
      const whole = onStep === undefined ? Math.min(Math.floor((data.rows - start) / batchSize), mostSteps) : 1
      const results = await turns.take(() => this.#run(start, rows, Math.max(whole, 1)))
      const record = (): StepRecord => ({ epoch, step, rows: losses.rows, losses: losses.tasks, loss: losses.total })
      for (let at = 0; at < results.length; at += width) {
        step += 1
        losses.add(results.subarray(at, at + width), rows, { epoch, step })
        start += rows
        const waiting = onStep?.(record())
        if (waiting !== undefined) await waiting
      }
      const waiting = onProgress(record())
      if (waiting !== undefined) await waiting
    }
    checkpoint()
    return losses
  }

  /** Steps that follow each other, `steps` at most. */
  async #run(start: number, rows: number, steps: number): Promise<Float64Array> {
    const { plan, program, rows: encoded, dataPlacement, shuffle, threads, drawn } = this.#options
    const results = await plan.runAsync({
      rows,
      columns: encoded.columns,
      columnOf: this.#columnOf,
      start,
      steps,
      milliseconds: callMilliseconds,
      shuffled: shuffle,
      data: dataPlacement,
      outputs: [],
      scalars: this.#scalars(steps),
      threads,
    })
    const done = results.length / resultsOf(program)
    this.#steps += done
    drawn.steps += done
    return results
  }

  /** Of the next steps, which count from here on. */
  #scalars(steps: number): Float64Array {
    const { program, tasks, learningRate, drawn } = this.#options
    const { scalars: numbers, taskWeights, spec } = program
    const weights = taskWeights.map(({ task, scalar }) => {
      return { scalar, weight: tasks.find(({ name }) => name === task)?.weight ?? Number.NaN }
    })
    const scalars = new Float64Array(steps * spec.scalarInputs)
    for (let k = 0; k < steps; k += 1) {
      const first = k * spec.scalarInputs
      const set = (scalar: number | undefined, value: number): void => {
        if (scalar !== undefined) scalars[first + scalar] = value
      }
      set(numbers.learningRate, learningRate)
      set(numbers.step, this.#steps + k + 1)
      set(numbers.draw, drawn.steps + k + 1)
      for (const { scalar, weight } of weights) set(scalar, weight)
    }
    return scalars
  }
}
