// Weighs the tasks of every step. Where a method reads the batch before it can weigh it, a second program runs on the same rows with the
// same dropout, or the step is cut before its update: see `BalancedStep`. Methods and their state are in lib/balancing.

import { z } from 'zod'

import type { Balancer, BalancerState } from '../balancing/balancer.js'
import { balancerOf } from '../balancing/registry.js'
import { invalidArgument, parseOptions, quote } from '../core/check.js'
import { FormatError } from '../core/errors.js'
import type { LoweredProgram } from '../core/program.js'
import { amount } from '../core/schemas.js'
import type { GramPlace, NetworkTask } from '../models/network.js'
import type { NativePlan, RunRequest } from '../native/binding.js'
import { diverged, type EpochLosses, lossPlace } from '../runtime/losses.js'
import { checkRowsFit } from '../runtime/memory-budget.js'
import type { NetworkRunner } from '../runtime/runner.js'
import type { BalancedStep } from './balanced-step.js'

/** What balancing did in an epoch: means over its steps. */
export interface BalanceRecord {
  /** The factor of each task's loss: its own weight times what the method and `clip.taskNorm` made of it. */
  readonly weights: Readonly<Record<string, number>>
  /** Lengths of the tasks' gradients, before any limit, for methods that read gradients and for `clip.taskNorm`. */
  readonly norms?: Readonly<Record<string, number>> | undefined
  /** Cosines between the tasks' gradients, by task and later task. Below 0 they oppose each other. A pair that never met is absent. */
  readonly cosines?: Readonly<Record<string, Readonly<Record<string, number>>>> | undefined
}

/** Mean cosine below which two tasks are said to oppose each other. */
const opposed = -0.1

/** Pairs of tasks whose gradients opposed each other in an epoch. */
export function opposedPairs(
  balance: BalanceRecord | undefined,
): { readonly task: string; readonly other: string; readonly cosine: number }[] {
  return Object.entries(balance?.cosines ?? {}).flatMap(([task, others]) =>
    Object.entries(others).flatMap(([other, cosine]) => (cosine < opposed ? [{ task, other, cosine }] : [])),
  )
}

/** What a checkpoint keeps. */
export interface BalanceState {
  /** Weights that a callback has set. */
  readonly taskWeights: Readonly<Record<string, number>> | null
  readonly method: BalancerState
}

/** The rows of a step, as a program reads them, and options, without scalars. */
export type BatchOf = (program: LoweredProgram) => Omit<RunRequest, 'scalars' | 'steps' | 'milliseconds' | 'outputs'>

interface Program {
  readonly plan: NativePlan
  readonly program: LoweredProgram
}

export class TaskBalance {
  readonly #step: BalancedStep
  readonly #tasks: readonly NetworkTask[]
  readonly #balancer: Balancer
  /** [tasks]: their own weights. */
  readonly #own: Float64Array
  /** [tasks]: what the method makes of them, and both together. */
  readonly #method: Float64Array
  readonly #weights: Float64Array
  readonly #batch: { step: number; losses: Float64Array; gram: Float64Array; present: Uint8Array }
  readonly #after: Float64Array
  /** [tasks, tasks]: the products of the gradients before any limit. */
  readonly #gram: Float64Array
  /** [tasks]: what `clip.taskNorm` leaves of each gradient. */
  readonly #shares: Float64Array
  readonly #sums: Sums
  #changed = false
  #before: Program | undefined
  #again: Program | undefined

  constructor(step: BalancedStep, tasks: readonly NetworkTask[], seed: number) {
    const { length } = tasks
    this.#step = step
    this.#tasks = tasks
    this.#balancer = balancerOf(step.balancing, { tasks: tasks.map(({ name }) => name), seed })
    this.#own = Float64Array.from(tasks, ({ weight }) => weight)
    this.#method = new Float64Array(length).fill(1)
    this.#weights = Float64Array.from(this.#own)
    this.#batch = {
      step: 0,
      losses: new Float64Array(length),
      gram: new Float64Array(length * length),
      present: new Uint8Array(length),
    }
    this.#after = new Float64Array(length)
    this.#gram = new Float64Array(length * length)
    this.#shares = new Float64Array(length).fill(1)
    this.#sums = new Sums(length)
  }

  /** Compiles the programs that run beside the step. */
  async prepare(runner: NetworkRunner, rows: number): Promise<void> {
    const compiled = async (program: LoweredProgram): Promise<Program> => {
      const plan = await runner.prepare(program)
      checkRowsFit(rows, plan.info(rows), program, runner.compute)
      return { plan, program }
    }
    const { before, after } = this.#step
    if (before !== undefined) this.#before = await compiled(before.program)
    if (after !== undefined) this.#again = after === this.#before?.program ? this.#before : await compiled(after)
  }

  dispose(): void {
    this.#before?.plan.dispose()
    this.#again?.plan.dispose()
  }

  /** Whether the weights of many steps can be made in advance, so that one call runs them. */
  get ahead(): boolean {
    return this.#balancer.ahead && this.#step.separate === undefined
  }

  /** The tasks' own weights. The next step takes them. */
  set(weights: Readonly<Record<string, number>>): void {
    this.#tasks.forEach(({ name }, task) => {
      if (weights[name] !== undefined) this.#own[task] = weights[name]
    })
    this.#changed = true
  }

  /** The weights of a step that needs nothing of its batch, in the order of the tasks. Valid until the next call. */
  weightsOf(step: number): Float64Array {
    this.#batch.step = step
    return this.#weigh()
  }

  /** Steps `first` to `first + count - 1` took the weights of `weightsOf`. */
  ran(first: number, count: number): void {
    for (let step = first; step < first + count; step += 1) this.#sums.add(this.weightsOf(step), undefined)
  }

  /**
   * Runs one step. Returns its results.
   * @param io scalars of the step, without the weights of tasks, and its row outputs.
   */
  async run(
    plan: NativePlan,
    batchOf: BatchOf,
    { scalars, outputs }: Pick<RunRequest, 'scalars' | 'outputs'>,
    step: number,
  ): Promise<Float64Array> {
    const { needs } = this.#balancer
    const { program } = this.#step
    this.#batch.step = step
    if (this.#step.separate !== undefined) return await this.#runSeparate(plan, batchOf, scalars, step)
    if (this.#before !== undefined) {
      const results = await this.#runBeside(this.#before, batchOf, scalars)
      this.#readBatch(this.#before.program, results, this.#step.before?.grams ?? [])
    }
    const weights = this.#weigh()
    setWeights(program, this.#tasks, weights, scalars)
    const results = await plan.runAsync({ ...batchOf(program), outputs, scalars })
    if (needs.before === 'nothing' && needs.after !== 'gram') this.#readBatch(program, results, [])
    await this.#settle(batchOf, scalars)
    return results
  }

  /** Learns from an epoch that is over. */
  epoch(losses: EpochLosses): void {
    const { tasks, measured } = losses
    const means = Float64Array.from(this.#tasks, ({ name }, task) => (tasks[name] ?? 0) * (this.#own[task] ?? NaN))
    this.#balancer.epoch(
      means,
      Uint8Array.from(this.#tasks, ({ name }) => Number(measured.includes(name))),
    )
  }

  /** What it did since the last call; undefined for fixed weights without limits. */
  record(): BalanceRecord | undefined {
    const sums = this.#sums.take(this.#tasks.map(({ name }) => name))
    return this.#step.balancing.method === 'fixed' && this.#step.taskNorm === undefined ? undefined : sums
  }

  /** The sums of the epoch so far. */
  sums(): number[] {
    return this.#sums.state()
  }

  /** Goes on from such sums. @throws ERR_MULTIGATE_FORMAT for those of other tasks. */
  resumeSums(sums: readonly number[]): void {
    this.#sums.restore(sums)
  }

  state(): BalanceState {
    const own = this.#tasks.map(({ name }, task) => [name, this.#own[task] ?? NaN] as const)
    return { taskWeights: this.#changed ? Object.fromEntries(own) : null, method: this.#balancer.state() }
  }

  /** @throws ERR_MULTIGATE_ARGUMENT for the state of another method; ERR_MULTIGATE_FORMAT if it is damaged. */
  resume({ taskWeights, method }: BalanceState): void {
    const own = this.#step.balancing.method
    if (method.method !== own) {
      const next = "pass the balance of the checkpoint's run"
      throw invalidArgument('fit.resume', `the balance ${quote(method.method)}, as in the checkpoint`, own, next)
    }
    this.#balancer.restore(method)
    if (taskWeights !== null) this.set(taskWeights)
  }

  /** Makes the weights of the batch. */
  #weigh(): Float64Array {
    this.#balancer.weigh(this.#batch, this.#method)
    for (let task = 0; task < this.#own.length; task += 1) {
      this.#method[task] = (this.#method[task] ?? NaN) * (this.#shares[task] ?? NaN)
      this.#weights[task] = (this.#own[task] ?? NaN) * (this.#method[task] ?? NaN)
    }
    return this.#weights
  }

  #hasGram(): boolean {
    const { before, after } = this.#balancer.needs
    return before === 'gram' || after === 'gram' || this.#step.taskNorm !== undefined
  }

  /**
   * Limits the gradients of the batch, and their products with them.
   * @throws ERR_MULTIGATE_DIVERGED naming the task whose gradient has no length.
   */
  #limit(limit: number, step: number): void {
    const { length } = this.#tasks
    const { gram } = this.#batch
    this.#tasks.forEach(({ name }, task) => {
      const norm = Math.sqrt(Math.max(this.#gram[task * (length + 1)] ?? NaN, 0))
      if (!Number.isFinite(norm)) throw diverged(`the length of the gradient of task '${name}'`, norm, `in step ${step} of fit`)
      this.#shares[task] = norm > limit ? limit / norm : 1
    })
    this.#gram.forEach((product, at) => {
      const [one, other] = [Math.floor(at / length), at % length]
      gram[at] = product * (this.#shares[one] ?? NaN) * (this.#shares[other] ?? NaN)
    })
  }

  /** A step that is cut before its update. */
  async #runSeparate(plan: NativePlan, batchOf: BatchOf, scalars: Float64Array, number: number): Promise<Float64Array> {
    const { program, separate, taskNorm } = this.#step
    setWeights(program, this.#tasks, this.#own, scalars)
    const step = plan.begin({ ...batchOf(program), scalars })
    try {
      await step.run('rows', 'gradients')
      this.#readBatch(program, step.results, separate?.grams ?? [])
      if (taskNorm !== undefined) this.#limit(taskNorm, number)
      this.#weigh()
      step.setWeights(separate?.weights ?? NaN, this.#method)
      await step.run('update', 'tables')
      const { results } = step
      await this.#settle(batchOf, scalars)
      return results
    } finally {
      step.end()
    }
  }

  /** Runs a program without an update on the rows of the step. */
  async #runBeside({ plan, program }: Program, batchOf: BatchOf, ofStep: Float64Array): Promise<Float64Array> {
    const scalars = new Float64Array(program.spec.scalarInputs)
    const [to, from] = [program.scalars.draw, this.#step.program.scalars.draw]
    if (to !== undefined && from !== undefined) scalars[to] = ofStep[from] ?? NaN
    setWeights(program, this.#tasks, this.#own, scalars)
    return await plan.runAsync({ ...batchOf(program), outputs: [], scalars })
  }

  async #settle(batchOf: BatchOf, scalars: Float64Array): Promise<void> {
    if (this.#again !== undefined) {
      this.#readLosses(this.#again.program, await this.#runBeside(this.#again, batchOf, scalars), this.#after)
    }
    this.#balancer.settle(this.#batch, this.#after)
    this.#sums.add(this.#weights, this.#hasGram() ? this.#gram : undefined)
  }

  #readBatch(program: LoweredProgram, results: Float64Array, grams: readonly GramPlace[]): void {
    this.#readLosses(program, results, this.#batch.losses)
    const { length } = this.#tasks
    const gram = this.#gram
    gram.fill(0)
    for (const { output, tasks } of grams) {
      let at = output
      for (const [index, one] of tasks.entries()) {
        for (const other of tasks.slice(index)) {
          const product = results[at] ?? NaN
          gram[one * length + other] = (gram[one * length + other] ?? NaN) + product
          if (one !== other) gram[other * length + one] = (gram[other * length + one] ?? NaN) + product
          at += 1
        }
      }
    }
    this.#batch.gram.set(gram)
  }

  /** A task is absent from a batch without a row of it that counts. Of `'batch'` every row counts, so there it is one without a loss. */
  #readLosses(program: LoweredProgram, results: Float64Array, losses: Float64Array): void {
    this.#tasks.forEach(({ name }, task) => {
      const { at, divisorAt } = lossPlace(program, name)
      const loss = results[at] ?? NaN
      const ofAll = program.spec.denominators[divisorAt - program.spec.scalarOutputs]?.reduction === 'batch'
      losses[task] = (this.#own[task] ?? NaN) * loss
      this.#batch.present[task] = Number((results[divisorAt] ?? NaN) !== 0 && !(ofAll && loss === 0))
    })
  }
}

/**
 * Weights by the names of tasks.
 * @throws ERR_MULTIGATE_ARGUMENT naming a weight of no task, or one that is no number >= 0.
 */
export function checkTaskWeights(field: string, weights: unknown, tasks: readonly string[]): Record<string, number> {
  const checked = parseOptions<Record<string, number>>(field, z.record(z.string(), amount), weights)
  for (const name of Object.keys(checked)) {
    if (!tasks.includes(name)) throw invalidArgument(`${field}.${name}`, `a task (${tasks.join(', ')})`, name)
  }
  return checked
}

/** Sets the scalar inputs of a program that weight its tasks. */
function setWeights(
  { taskWeights }: LoweredProgram,
  tasks: readonly NetworkTask[],
  weights: Float64Array,
  scalars: Float64Array,
): void {
  for (const { task, scalar } of taskWeights) scalars[scalar] = weights[tasks.findIndex(({ name }) => name === task)] ?? NaN
}

/** Sums over the steps of an epoch. */
class Sums {
  readonly #tasks: number
  readonly #weights: Float64Array
  readonly #norms: Float64Array
  /** [tasks, tasks] above the diagonal: cosines, and how many there were. */
  readonly #cosines: Float64Array
  readonly #met: Float64Array
  #steps = 0
  #grams = 0

  constructor(tasks: number) {
    this.#tasks = tasks
    this.#weights = new Float64Array(tasks)
    this.#norms = new Float64Array(tasks)
    this.#cosines = new Float64Array(tasks * tasks)
    this.#met = new Float64Array(tasks * tasks)
  }

  add(weights: Float64Array, gram: Float64Array | undefined): void {
    const count = this.#tasks
    this.#steps += 1
    for (let task = 0; task < count; task += 1) this.#weights[task] = (this.#weights[task] ?? NaN) + (weights[task] ?? NaN)
    if (gram === undefined) return
    this.#grams += 1
    const normOf = (task: number): number => Math.sqrt(Math.max(gram[task * (count + 1)] ?? NaN, 0))
    for (let one = 0; one < count; one += 1) {
      this.#norms[one] = (this.#norms[one] ?? NaN) + normOf(one)
      for (let other = one + 1; other < count; other += 1) {
        const scale = normOf(one) * normOf(other)
        if (scale === 0) continue
        const at = one * count + other
        this.#cosines[at] = (this.#cosines[at] ?? NaN) + (gram[at] ?? NaN) / scale
        this.#met[at] = (this.#met[at] ?? NaN) + 1
      }
    }
  }

  state(): number[] {
    return [this.#steps, this.#grams, ...this.#all().flatMap((sums) => [...sums])]
  }

  restore(state: readonly number[]): void {
    const all = this.#all()
    const length = all.reduce((sum, { length: own }) => sum + own, 2)
    if (state.length !== length) {
      const message = `balance of an epoch: expected ${length} sums, found ${state.length}`
      throw new FormatError(message, { field: 'multigate.training' })
    }
    const [steps = NaN, grams = NaN] = state
    this.#steps = steps
    this.#grams = grams
    let at = 2
    for (const sums of all) {
      sums.set(state.slice(at, at + sums.length))
      at += sums.length
    }
  }

  #all(): Float64Array[] {
    return [this.#weights, this.#norms, this.#cosines, this.#met]
  }

  /** The means so far. It begins anew. */
  take(names: readonly string[]): BalanceRecord {
    const count = this.#tasks
    const byTask = (sums: Float64Array, steps: number): Record<string, number> => {
      return Object.fromEntries(names.map((name, task) => [name, (sums[task] ?? NaN) / Math.max(steps, 1)]))
    }
    const cosines = names.slice(0, -1).map((name, one) => {
      const met = names.flatMap((other, index): [string, number][] => {
        const at = one * count + index
        return index > one && (this.#met[at] ?? 0) > 0 ? [[other, (this.#cosines[at] ?? NaN) / (this.#met[at] ?? NaN)]] : []
      })
      return [name, Object.fromEntries(met)] as const
    })
    const record = {
      weights: byTask(this.#weights, this.#steps),
      ...(this.#grams > 0 && { norms: byTask(this.#norms, this.#grams), cosines: Object.fromEntries(cosines) }),
    }
    for (const sums of this.#all()) sums.fill(0)
    this.#steps = this.#grams = 0
    return record
  }
}
