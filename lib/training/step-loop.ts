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
import type { Drawn, OrderOfRows, WithinEpoch } from './state.js'
import type { BatchOf, TaskBalance } from './task-balance.js'
import type { WeightAverage } from './weight-average.js'

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
  /** Steps between two calls of `onSteps`, for each callback that has it. */
  readonly pauses: readonly number[]
  /** After the steps of one of `pauses`. */
  readonly onSteps: (step: StepRecord, steps: number) => Promise<void>
  /** Takes the predictions of the steps. Undefined if the program has none. */
  readonly scores: EpochScores | undefined
  /** The average of the weights, if one is kept. */
  readonly average: WeightAverage | undefined
  /** Takes the lengths of the steps' gradients. Undefined if the program does not measure them. */
  readonly norms: GradientNorms | undefined
  /** Steps that the optimizer has already done. */
  readonly stepsBefore: number
  /** Counts of draws, increased with every epoch and step. */
  readonly drawn: Drawn
}

/** The epoch that is being trained. */
interface Current {
  readonly epoch: number
  /** Steps that are done. */
  step: number
  readonly losses: EpochLosses
  /** When it began, in milliseconds, without breaks. */
  readonly start: number
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

/** What the order of an epoch's rows depends on, beside the seed. */
export function orderOf(
  { rows, form }: RowSource,
  { batchSize, shuffle }: Pick<StepLoopOptions, 'batchSize' | 'shuffle'>,
): OrderOfRows {
  return { rows, batchSize, shuffle, shardRows: form?.shardRows ?? 0, blockRows: form?.blockRows ?? 0 }
}

export class StepLoop {
  readonly #options: StepLoopOptions
  #steps: number
  #learningRate = 0
  #current: Current | undefined

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

  /** Where it is in the middle of an epoch. */
  get within(): WithinEpoch | undefined {
    if (this.#current === undefined) return undefined
    const { epoch, step, losses, start } = this.#current
    const { source, batchSize, shuffle, balance, norms } = this.#options
    return {
      epoch,
      step,
      rows: losses.rows,
      seconds: (performance.now() - start) / 1000,
      order: orderOf(source, { batchSize, shuffle }),
      losses: losses.state(),
      balance: balance.sums(),
      norms: norms?.sums ?? [],
    }
  }

  /** Trains on all rows once, shard by shard, or on those that are left. */
  async epoch(epoch: number, within?: WithinEpoch): Promise<EpochLosses> {
    const { program, tasks, source, epochs, shuffle, seed, queue, checkpoint, drawn, scores, balance, norms, rates } =
      this.#options
    scores?.begin()
    const losses = new EpochLosses(program, tasks)
    if (within === undefined) drawn.epochs += 1
    else {
      losses.restore(within.losses, within.rows)
      balance.resumeSums(within.balance)
      norms?.resume(within.norms)
      this.#learningRate = rates.current()(Math.max(this.#steps - 1, 0))
    }
    this.#current = { epoch, step: within?.step ?? 0, losses, start: performance.now() - 1000 * (within?.seconds ?? 0) }
    try {
      const rowsOfEpoch = source.epoch({ draw: drawn.epochs, done: losses.rows, more: epoch < epochs })
      for await (const { rows, order, start } of rowsOfEpoch) {
        if (shuffle) await queue.take(() => rows.columns.shuffleAsync(seed, order))
        await this.#train(rows, this.#current, start)
      }
    } finally {
      this.#current = undefined
    }
    checkpoint()
    balance.epoch(losses)
    return losses
  }

  /** Trains on the rows of a shard from `first` on. */
  async #train(shard: EncodedRows, current: Current, first: number): Promise<void> {
    const { program, batchSize, queue, checkpoint, onStep, onProgress, onSteps, balance, scores, norms } = this.#options
    const { epoch, losses } = current
    const width = resultsOf(program)
    const record = (): StepRecord => {
      const { step } = current
      return { epoch, step, rows: losses.rows, losses: losses.tasks, loss: losses.total, learningRate: this.#learningRate }
    }
    let told = 0
    for (let start = first; start < shard.rows; ) {
      checkpoint()
      const rows = Math.min(batchSize, shard.rows - start)
      // A run of several steps gives no row outputs.
      const several = onStep === undefined && balance.ahead && scores === undefined
      const most = several ? Math.min(Math.floor((shard.rows - start) / batchSize), mostSteps, this.#untilPause) : 1
      const results = await queue.take(() => this.#run(shard, { start, rows, steps: Math.max(most, 1) }))
      for (let at = 0; at < results.length; at += width) {
        current.step += 1
        const { step } = current
        const own = results.subarray(at, at + width)
        losses.add(own, rows, { epoch, step })
        norms?.add(own, { epoch, step })
        start += rows
        const waiting = onStep?.(record())
        if (waiting !== undefined) await waiting
      }
      if (this.#isPause) await onSteps(record(), this.#steps)
      if (!balance.ahead && start < shard.rows && performance.now() - told < callMilliseconds) continue
      told = performance.now()
      const waiting = onProgress(record())
      if (waiting !== undefined) await waiting
    }
  }

  /** Steps until the next of `pauses`. */
  get #untilPause(): number {
    return this.#options.pauses.reduce((least, steps) => Math.min(least, steps - (this.#steps % steps)), Infinity)
  }

  get #isPause(): boolean {
    return this.#options.pauses.some((steps) => this.#steps % steps === 0)
  }

  /** At most `steps` consecutive steps. */
  async #run(shard: EncodedRows, { start, rows, steps: most }: StepRange): Promise<Float64Array> {
    const { plan, program, dataPlacement, shuffle, threads, drawn, rates, balance, average, scores } = this.#options
    await average?.prepare()
    const scales = average?.scales(this.#steps, most)
    const steps = scales?.length ?? most
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
    const scalars = this.#scalars(steps, rateOf, scales)
    const outputs = scores?.next(rows) ?? []
    const results = await (balance.ahead
      ? plan.runAsync({ ...batchOf(program), steps, milliseconds: callMilliseconds, outputs, scalars })
      : balance.run(plan, batchOf, { scalars, outputs }, this.#steps + 1))
    const done = results.length / resultsOf(program)
    if (balance.ahead) balance.ran(this.#steps + 1, done)
    average?.ran(this.#steps, done)
    this.#steps += done
    drawn.steps += done
    this.#learningRate = rateOf(this.#steps - 1)
    return results
  }

  /** Scalar inputs of the next `steps` steps. */
  #scalars(steps: number, rateOf: RateOfStep, averageScales: readonly number[] = []): Float64Array {
    const { program, tasks, drawn, balance } = this.#options
    const { scalars: numbers, taskWeights, spec } = program
    const weighted = taskWeights.map(({ task, scalar }) => ({ scalar, task: tasks.findIndex(({ name }) => name === task) }))
    const rates = Object.entries(numbers).flatMap(([name, scalar]): [number, RateScalar][] =>
      name.startsWith('learningRate') ? [[scalar, name as RateScalar]] : [],
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
      set(numbers.averageScale, averageScales[k] ?? NaN)
      if (!balance.ahead) continue
      const weights = balance.weightsOf(this.#steps + k + 1)
      for (const { scalar, task } of weighted) set(scalar, weights[task] ?? NaN)
    }
    return scalars
  }
}
