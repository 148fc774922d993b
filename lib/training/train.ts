// The step loop of `fit`: epochs of shuffled batches, one call into the addon per step, the last, smaller batch included.
// It stops at step boundaries only, so that weights are never half updated.

import type { LoweredProgram } from '../core/program.js'
import type { NetworkTask } from '../models/network.js'
import type { DataResidence, NativePlan } from '../native/binding.js'
import type { StepRecord } from './callbacks.js'
import type { EncodedRows } from './encode.js'
import { EpochLosses } from './losses.js'
import type { Drawn } from './training-state.js'
import type { Turns } from './turns.js'

export interface StepLoopOptions {
  readonly plan: NativePlan
  readonly program: LoweredProgram
  readonly tasks: readonly NetworkTask[]
  readonly rows: EncodedRows
  readonly data: DataResidence
  readonly batchSize: number
  readonly learningRate: number
  readonly shuffle: boolean
  readonly seed: number
  readonly threads: number
  readonly turns: Turns
  /** Thrown before each step where training must not go on. */
  readonly checkpoint: () => void
  readonly onStep: (step: StepRecord) => Promise<void> | undefined
  /** Steps that the optimizer has done already. */
  readonly stepsBefore: number
  /** Counts on with every epoch and step. */
  readonly drawn: Drawn
}

export class StepLoop {
  readonly #options: StepLoopOptions
  readonly #scalars: Float64Array
  readonly #columnOf: readonly number[]
  #steps: number

  constructor(options: StepLoopOptions) {
    this.#options = options
    this.#steps = options.stepsBefore
    this.#scalars = new Float64Array(options.program.spec.scalarInputs)
    this.#columnOf = options.rows.columnOf(options.program)
  }

  /** Steps since the optimizer began: its bias correction counts them. */
  get steps(): number {
    return this.#steps
  }

  /** All rows once. */
  async epoch(epoch: number): Promise<EpochLosses> {
    const { program, tasks, rows: data, batchSize, shuffle, seed, turns, checkpoint, onStep, drawn } = this.#options
    const losses = new EpochLosses(program, tasks)
    drawn.epochs += 1
    if (shuffle) await turns.take(() => data.columns.shuffle(seed, drawn.epochs))
    for (let start = 0, step = 1; start < data.rows; start += batchSize, step += 1) {
      checkpoint()
      const rows = Math.min(batchSize, data.rows - start)
      losses.add(await turns.take(() => this.#step(start, rows)), rows, { epoch, step })
      const waiting = onStep({ epoch, step, rows: losses.rows, losses: losses.tasks, loss: losses.total })
      if (waiting !== undefined) await waiting
    }
    checkpoint()
    return losses
  }

  #step(start: number, rows: number): Promise<Float64Array> {
    const { plan, program, rows: encoded, data, learningRate, shuffle, threads, drawn } = this.#options
    this.#steps += 1
    drawn.steps += 1
    this.#set(program, 'learningRate', learningRate)
    this.#set(program, 'step', this.#steps)
    this.#set(program, 'draw', drawn.steps)
    return plan.runAsync({
      rows,
      columns: encoded.columns,
      columnOf: this.#columnOf,
      start,
      shuffled: shuffle,
      data,
      outputs: [],
      scalars: this.#scalars,
      threads,
    })
  }

  #set({ scalarInputs }: LoweredProgram, name: string, value: number): void {
    const number = scalarInputs[name]
    if (number !== undefined) this.#scalars[number] = value
  }
}
