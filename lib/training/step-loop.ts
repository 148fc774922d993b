// The step loop of `fit`: epochs of shuffled batches, the last, smaller one included. Steps go together, a tenth of a second in one
// call into the addon, as going from thread to thread and back costs as much as a step of a thousand rows. A call ends sooner
// where others wait, and at step boundaries only, so that weights are never half updated.

import type { LoweredProgram } from '../core/program.js'
import type { NetworkTask } from '../models/network.js'
import type { NativePlan } from '../native/binding.js'
import type { EncodedRows } from '../runtime/encode.js'
import { EpochLosses, resultsOf } from '../runtime/losses.js'
import type { Turns } from '../runtime/queue.js'
import type { RowSource } from '../runtime/row-source.js'
import type { StepRecord } from './callbacks.js'
import type { FitValues } from './options.js'
import type { Drawn } from './state.js'

export interface StepLoopOptions extends Pick<FitValues, 'batchSize' | 'shuffle' | 'dataPlacement'> {
  readonly plan: NativePlan
  readonly program: LoweredProgram
  readonly tasks: readonly NetworkTask[]
  readonly source: RowSource
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

/** A step of an epoch. */
interface StepPlace {
  readonly epoch: number
  readonly step: number
}

/** Steps over rows that follow each other in a shard, from `start` on, `rows` each. */
interface StepRange {
  readonly start: number
  readonly rows: number
  readonly steps: number
}

/** What one call takes, about, in milliseconds: so long an abort waits, and a display. */
const callMilliseconds = 100
/** Of one call at most: their scalars are laid out before it. */
const mostSteps = 1024

export class StepLoop {
  readonly #options: StepLoopOptions
  #steps: number

  constructor(options: StepLoopOptions) {
    this.#options = options
    this.#steps = options.stepsBefore
  }

  /** Steps since the optimizer began: its bias correction counts them. */
  get steps(): number {
    return this.#steps
  }

  /** All rows once, shard by shard. */
  async epoch(epoch: number): Promise<EpochLosses> {
    const { program, tasks, source, shuffle, seed, turns, checkpoint, drawn } = this.#options
    const losses = new EpochLosses(program, tasks)
    drawn.epochs += 1
    let step = 0
    for await (const shard of source.epoch()) {
      if (shuffle) await turns.take(() => shard.columns.shuffleAsync(seed, drawn.epochs))
      step = await this.#train(shard, losses, { epoch, step })
    }
    checkpoint()
    return losses
  }

  /** All rows of a shard once. Gives how many steps of the epoch have been done. */
  async #train(shard: EncodedRows, losses: EpochLosses, { epoch, step: before }: StepPlace): Promise<number> {
    const { program, batchSize, turns, checkpoint, onStep, onProgress } = this.#options
    const width = resultsOf(program)
    let step = before
    for (let start = 0; start < shard.rows; ) {
      checkpoint()
      const rows = Math.min(batchSize, shard.rows - start)
      const whole = onStep === undefined ? Math.min(Math.floor((shard.rows - start) / batchSize), mostSteps) : 1
      const results = await turns.take(() => this.#run(shard, { start, rows, steps: Math.max(whole, 1) }))
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
    return step
  }

  /** Steps that follow each other, `steps` at most. */
  async #run(shard: EncodedRows, { start, rows, steps }: StepRange): Promise<Float64Array> {
    const { plan, program, dataPlacement, shuffle, threads, drawn } = this.#options
    const results = await plan.runAsync({
      rows,
      columns: shard.columns,
      columnOf: shard.columnOf(program),
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
