// The step loop of `fit`: epochs of shuffled batches, including the last, smaller one. One call into the addon runs about a tenth of a
// second of steps, because changing threads costs as much as a step of a thousand rows. A call ends sooner if others wait, but only
// between steps, so weights are never half updated.

import type { LoweredProgram, RateScalar } from '../core/program.js'
import type { NetworkTask } from '../models/network.js'
import type { NativePlan } from '../native/binding.js'
import type { EncodedRows } from '../runtime/encode.js'
import { EpochLosses, resultsOf } from '../runtime/losses.js'
import type { Queue } from '../runtime/queue.js'
import type { RowSource } from '../runtime/row-source.js'
import type { StepRecord } from './callbacks.js'
import type { EpochScores } from './epoch-scores.js'
import type { GradientNorms } from './gradient-norms.js'
import type { LearningRates, RateOfStep } from './learning-rates.js'
import type { FitValues } from './options.js'
import type { Drawn } from './state.js'
import type { BatchOf, TaskBalance } from './task-balance.js'

export interface StepLoopOptions extends Pick<FitValues, 'batchSize' | 'epochs' | 'shuffle' | 'dataPlacement'> {
  readonly plan: NativePlan
  readonly program: LoweredProgram
  readonly tasks: readonly NetworkTask[]
  readonly source: RowSource
  readonly rates: LearningRates
  /** The weights of the tasks. */
  readonly balance: TaskBalance
  readonly seed: number
  readonly threads: number
  readonly queue: Queue
  /** Throws before a step if training must stop. */
  readonly checkpoint: () => void
  /** Undefined if no callback listens to every step. */
  readonly onStep: ((step: StepRecord) => Promise<void> | undefined) | undefined
  readonly onProgress: (step: StepRecord) => Promise<void> | undefined
  /** Takes the predictions of the steps. Undefined if the program has none. */
  readonly scores: EpochScores | undefined
  /** Takes the lengths of the steps' gradients. Undefined if the program does not measure them. */
  readonly norms: GradientNorms | undefined
  /** Steps that the optimizer has already done. */
  readonly stepsBefore: number
  /** Counts of draws, increased with every epoch and step. */
  readonly drawn: Drawn
}

/** A step of an epoch. */
interface StepPlace {
  readonly epoch: number
  readonly step: number
}

/** Steps over consecutive rows of a shard: each takes `rows`, the first begins at `start`. */
interface StepRange {
  readonly start: number
  readonly rows: number
  readonly steps: number
}

/** Target duration of a call in milliseconds. An abort and a display wait this long. */
const callMilliseconds = 100
/** Most steps in a call: it needs their scalars in advance. */
const mostSteps = 1024

export class StepLoop {
  readonly #options: StepLoopOptions
  #steps: number
  #learningRate = 0

  constructor(options: StepLoopOptions) {
    this.#options = options
    this.#steps = options.stepsBefore
  }

  /** Steps since the optimizer began, for its bias correction. */
  get steps(): number {
    return this.#steps
  }

  /** The rate of the last step. */
  get learningRate(): number {
    return this.#learningRate
  }

  /** Trains on all rows once, shard by shard. */
  async epoch(epoch: number): Promise<EpochLosses> {
    const { program, tasks, source, epochs, shuffle, seed, queue, checkpoint, drawn, scores } = this.#options
    scores?.begin()
    const losses = new EpochLosses(program, tasks)
    drawn.epochs += 1
    let step = 0
    for await (const { rows, order, start } of source.epoch({ draw: drawn.epochs, done: 0, more: epoch < epochs })) {
      if (shuffle) await queue.take(() => rows.columns.shuffleAsync(seed, order))
      step = await this.#train(rows, losses, { epoch, step, start })
    }
    checkpoint()
    this.#options.balance.epoch(losses)
    return losses
  }

  /** Trains on the rows of a shard from `start` on. Returns the number of steps done in the epoch. */
  async #train(
    shard: EncodedRows,
    losses: EpochLosses,
    { epoch, step: before, start: first }: StepPlace & { readonly start: number },
  ): Promise<number> {
    const { program, batchSize, queue, checkpoint, onStep, onProgress, balance, scores, norms } = this.#options
    const width = resultsOf(program)
    let step = before
    let told = 0
    for (let start = first; start < shard.rows; ) {
      checkpoint()
      const rows = Math.min(batchSize, shard.rows - start)
      // A run of several steps gives no row outputs.
      const several = onStep === undefined && balance.ahead && scores === undefined
      const whole = several ? Math.min(Math.floor((shard.rows - start) / batchSize), mostSteps) : 1
      const results = await queue.take(() => this.#run(shard, { start, rows, steps: Math.max(whole, 1) }))
      const record = (): StepRecord => {
        return { epoch, step, rows: losses.rows, losses: losses.tasks, loss: losses.total, learningRate: this.#learningRate }
      }
      for (let at = 0; at < results.length; at += width) {
        step += 1
        const own = results.subarray(at, at + width)
        losses.add(own, rows, { epoch, step })
        norms?.add(own, { epoch, step })
        start += rows
        const waiting = onStep?.(record())
        if (waiting !== undefined) await waiting
      }
      if (!balance.ahead && start < shard.rows && performance.now() - told < callMilliseconds) continue
      told = performance.now()
      const waiting = onProgress(record())
      if (waiting !== undefined) await waiting
    }
    return step
  }

  /** At most `steps` consecutive steps. */
  async #run(shard: EncodedRows, { start, rows, steps }: StepRange): Promise<Float64Array> {
    const { plan, program, dataPlacement, shuffle, threads, drawn, rates, balance, scores } = this.#options
    const rateOf = rates.current()
    const batchOf: BatchOf = (of) => {
      return {
        rows,
        columns: shard.columns,
        columnOf: shard.columnOf(of),
        start,
        shuffled: shuffle,
        data: dataPlacement,
        threads,
      }
    }
    const scalars = this.#scalars(steps, rateOf)
    const outputs = scores?.next(rows) ?? []
    const results = await (balance.ahead
      ? plan.runAsync({ ...batchOf(program), steps, milliseconds: callMilliseconds, outputs, scalars })
      : balance.run(plan, batchOf, { scalars, outputs }, this.#steps + 1))
    const done = results.length / resultsOf(program)
    if (balance.ahead) balance.ran(this.#steps + 1, done)
    this.#steps += done
    drawn.steps += done
    this.#learningRate = rateOf(this.#steps - 1)
    return results
  }

  /** Scalar inputs of the next `steps` steps. */
  #scalars(steps: number, rateOf: RateOfStep): Float64Array {
    const { program, tasks, drawn, balance } = this.#options
    const { scalars: numbers, taskWeights, spec } = program
    const weighted = taskWeights.map(({ task, scalar }) => ({ scalar, task: tasks.findIndex(({ name }) => name === task) }))
    const rates = Object.entries(numbers).flatMap(([name, scalar]): [number, RateScalar][] =>
      name === 'step' || name === 'draw' ? [] : [[scalar, name as RateScalar]],
    )
    const scalars = new Float64Array(steps * spec.scalarInputs)
    for (let k = 0; k < steps; k += 1) {
      const first = k * spec.scalarInputs
      const set = (scalar: number | undefined, value: number): void => {
        if (scalar !== undefined) scalars[first + scalar] = value
      }
      for (const [scalar, rate] of rates) set(scalar, rateOf(this.#steps + k, rate))
      set(numbers.step, this.#steps + k + 1)
      set(numbers.draw, drawn.steps + k + 1)
      if (!balance.ahead) continue
      const weights = balance.weightsOf(this.#steps + k + 1)
      for (const { scalar, task } of weighted) set(scalar, weights[task] ?? NaN)
    }
    return scalars
  }
}
