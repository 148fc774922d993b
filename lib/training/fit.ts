// One call of `fit`, from checked options to a history. It orders the parts (step loop, validation, callbacks) and has no numerics
// of its own.

import { isDeepStrictEqual } from 'node:util'

import { checkInteger, checkObject, guarded, invalidArgument } from '../core/check.js'
import { seesGpu } from '../core/device.js'
import { trainedElements } from '../core/layout.js'
import type { FilePath } from '../core/path.js'
import type { LoweredProgram } from '../core/program.js'
import type { NetworkTask } from '../models/network.js'
import type { NativePlan } from '../native/binding.js'
import type { Optimizer } from '../optimizers/optimizer.js'
import type { Evaluation } from '../runtime/evaluate.js'
import { type GateRecord, gateStatistics } from '../runtime/gate-statistics.js'
import type { EpochLosses } from '../runtime/losses.js'
import type { MeasuredRows } from '../runtime/measured-rows.js'
import { type Measuring, withoutGroups } from '../runtime/measuring.js'
import { checkRowsFit } from '../runtime/memory-budget.js'
import type { Queue } from '../runtime/queue.js'
import type { RowSource } from '../runtime/row-source.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { unknownIn } from '../runtime/unknown.js'
import type { WeightMemory } from '../runtime/weights.js'
import type { BalancedStep } from './balanced-step.js'
import {
  type Callback,
  type CallbackLike,
  type CallbackState,
  type FitControl,
  type FitPlan,
  type StepRecord,
  toCallback,
} from './callbacks.js'
import { EpochScores } from './epoch-scores.js'
import { GradientNorms } from './gradient-norms.js'
import type { Groups } from './groups.js'
import type { Continuation } from './growth.js'
import { Health } from './health.js'
import { type EpochRecord, type History, monitorNames, monitorValues } from './history.js'
import { LearningRates } from './learning-rates.js'
import type { FitValues } from './options.js'
import { overfitWarning } from './overfit.js'
import type { Drawn, OrderOfRows, TrainingState, WithinEpoch } from './state.js'
import { orderOf, StepLoop } from './step-loop.js'
import { checkTaskWeights, TaskBalance } from './task-balance.js'
import { WeightAverage } from './weight-average.js'

/** What a run of `fit` works on. The caller owns all of it. */
export interface FitRun {
  readonly model: string
  readonly runner: NetworkRunner
  /** The program of a step, and how it weighs the tasks. */
  readonly step: BalancedStep
  readonly tasks: readonly NetworkTask[]
  readonly train: RowSource
  readonly validation: MeasuredRows | undefined
  /** What validation measures. */
  readonly measuring: Measuring
  /** Seconds spent on encoding the training and validation rows. */
  readonly encodeSeconds: number
  readonly settings: FitValues
  readonly seed: number
  readonly drawn: Drawn
  readonly callbacks: readonly CallbackLike[]
  readonly queue: Queue
  /** Throws if training must stop: aborted or disposed. */
  readonly checkpoint: () => void
  /** Throws if the model is disposed. */
  readonly checkAlive: () => void
  readonly evaluate: (data: MeasuredRows) => Promise<Evaluation>
  readonly save: (path: FilePath, training: TrainingState) => Promise<void>
  readonly optimizer: Optimizer
  readonly groups: Groups
  /** The run to resume, if any. */
  readonly resumed: Resumed | undefined
  /** The optimizer that goes on, if any. A resumed run has its own. */
  readonly carried: CarriedOptimizer | undefined
  readonly continues: Continuation | undefined
}

/** The optimizer of an earlier run that goes on in this one. */
export interface CarriedOptimizer {
  readonly steps: number
  /** Restores the optimizer's moments once their memory exists. */
  readonly readMoments: (program: LoweredProgram) => Promise<void>
}

/** A run to resume. */
export interface Resumed extends Pick<CarriedOptimizer, 'readMoments'> {
  readonly state: TrainingState
}

/** Trains. @throws ERR_MULTIGATE_DIVERGED, the signal's reason, and whatever a callback throws. */
export async function runFit(run: FitRun): Promise<History> {
  const callbacks = run.callbacks.map(toCallback)
  if (run.settings.trainingMetrics && callbacks.some(({ everySteps }) => everySteps !== undefined)) {
    const next = 'leave it out: validation data are measured after every epoch'
    const why = 'false beside a callback with everySteps, because a checkpoint does not keep the predictions of an epoch'
    throw invalidArgument('fit.trainingMetrics', why, true, next)
  }
  const { weights } = run.runner
  weights.dropMoments()
  const { program } = run.step
  const plan = await run.runner.prepare(program)
  const balance = new TaskBalance(run.step, run.tasks, run.seed)
  const { ema } = run.settings
  const average = ema && new WeightAverage(ema, weights, run.resumed !== undefined)
  try {
    const rows = Math.min(run.settings.batchSize, run.train.rows)
    checkRowsFit(rows, plan.info(rows), program, run.runner.compute)
    await balance.prepare(run.runner, rows)
    await (run.resumed ?? run.carried)?.readMoments(program)
    if (run.carried !== undefined) await average?.begin()
    return await new Run(run, { plan, balance, average }, callbacks).history()
  } catch (error) {
    // The model keeps the average up to the last whole step. If even that fails, the caller throws the first error.
    await run.queue.take(async () => average?.show()).catch(() => undefined)
    for (const callback of callbacks) await tellFailure(callback, error)
    throw error
  } finally {
    balance.dispose()
    plan.dispose()
    weights.dropMoments()
  }
}

/** A second failure must neither hide the first nor keep it from other callbacks. */
async function tellFailure(callback: Callback, error: unknown): Promise<void> {
  try {
    await callback.onFailure?.(error)
  } catch {
    // The caller throws the first error.
  }
}

/** A step that can run. */
interface Compiled {
  readonly plan: NativePlan
  readonly balance: TaskBalance
  readonly average: WeightAverage | undefined
}

class Run {
  readonly #run: FitRun
  readonly #callbacks: readonly Callback[]
  readonly #loop: StepLoop
  readonly #rates: LearningRates
  readonly #balance: TaskBalance
  /** Undefined unless `ema` asks for it. Whatever reads the weights shows it first. */
  readonly #average: WeightAverage | undefined
  readonly #control: FitControl
  readonly #health: Health
  /** Undefined unless `trainingMetrics` asks for them. */
  readonly #scores: EpochScores | undefined
  readonly #trainingMeasuring: Measuring
  /** Undefined unless `clip.norm` needs them. */
  readonly #norms: GradientNorms | undefined
  readonly #epochs: EpochRecord[] = []
  #stopReason: string | undefined
  #weightsEpoch = 0

  constructor(run: FitRun, { plan, balance, average }: Compiled, callbacks: readonly Callback[]) {
    this.#run = run
    this.#balance = balance
    this.#average = average
    this.#callbacks = callbacks
    this.#control = this.#makeControl()
    this.#health = new Health(run)
    if (run.resumed !== undefined) {
      const { epochs, stopReason, weightsEpoch, balance: balanced } = run.resumed.state
      if (balanced !== undefined) balance.resume(balanced)
      this.#epochs.push(...epochs)
      this.#stopReason = stopReason
      this.#weightsEpoch = weightsEpoch
    }
    this.#rates = new LearningRates(run.optimizer, run.groups.rates, rateFactorOf(run))
    const { settings, step, train, runner } = run
    this.#scores = settings.trainingMetrics ? new EpochScores(runner.outputs(step.program, train.rows), train.rows) : undefined
    this.#trainingMeasuring = withoutGroups(run.measuring)
    this.#norms = GradientNorms.of(step.program, settings.clip.norm)
    this.#loop = new StepLoop({
      ...run,
      ...run.settings,
      plan,
      program: run.step.program,
      balance,
      scores: this.#scores,
      norms: this.#norms,
      average,
      rates: this.#rates,
      stepsBefore: run.resumed?.state.steps ?? run.carried?.steps ?? 0,
      source: run.train,
      threads: run.runner.compute.threads,
      onStep: callbacks.some(({ onStep }) => onStep !== undefined) ? (step) => this.#tell('onStep', step) : undefined,
      onProgress: (step) => this.#tell('onProgress', step),
      pauses: callbacks.flatMap(({ everySteps, onSteps }) => (onSteps === undefined ? [] : (everySteps ?? []))),
      onSteps: (step, steps) => this.#pause(step, steps),
    })
  }

  async history(): Promise<History> {
    const plan = this.#plan()
    await this.#each((callback) => callback.onStart?.(plan, this.#control))
    await this.#resumeCallbacks()
    let within = this.#within()
    for (let epoch = this.#epochs.length + 1; epoch <= this.#run.settings.epochs; epoch += 1) {
      // A run that is to stop after this epoch still ends it.
      if (this.#stopReason !== undefined && within === undefined) break
      const record = await this.#epoch(epoch, within)
      within = undefined
      await this.#each((callback) => callback.onEpochEnd?.(record, this.#control))
      await this.#each((callback) => callback.onEpochSettled?.(record, this.#control))
    }
    // Each callback sees the weights that earlier callbacks left. The last state is the result.
    await this.#each((callback) => callback.onEnd?.(this.#soFar(), this.#control))
    await this.#checkWeights()
    return this.#soFar()
  }

  /** No loss has been computed after the last step, so check the weights. */
  async #checkWeights(): Promise<void> {
    await this.#showAverage()
    await this.#health.check(`after epoch ${this.#weightsEpoch}`)
  }

  async #showAverage(): Promise<void> {
    await this.#run.queue.take(async () => this.#average?.show())
  }

  /** Calls the callbacks one after the other. One that disposes of the model is the last. */
  async #each(call: (callback: Callback, index: number) => unknown): Promise<void> {
    for (const [index, callback] of this.#callbacks.entries()) {
      await call(callback, index)
      this.#run.checkAlive()
    }
  }

  /** Where a resumed run is in an epoch. @throws ERR_MULTIGATE_ARGUMENT if the rows now have another order. */
  #within(): WithinEpoch | undefined {
    const { resumed, train, settings } = this.#run
    const within = resumed?.state.within
    if (within === undefined || within.epoch > settings.epochs) return undefined
    const own = orderOf(train, settings)
    for (const name of Object.keys(own) as (keyof OrderOfRows)[]) {
      if (own[name] === within.order[name]) continue
      const next = `the checkpoint is in the middle of epoch ${within.epoch}: pass the rows and options of its run`
      throw invalidArgument('fit.resume', `the ${name} ${within.order[name]}, as in the checkpoint`, own[name], next)
    }
    return within
  }

  /** Calls the callbacks whose turn it is after so many steps. */
  async #pause(step: StepRecord, steps: number): Promise<void> {
    await this.#each((callback) => {
      const { everySteps } = callback
      return everySteps !== undefined && steps % everySteps === 0 ? callback.onSteps?.(step, this.#control) : undefined
    })
  }

  async #epoch(epoch: number, within: WithinEpoch | undefined): Promise<EpochRecord> {
    this.#health.trains()
    const start = performance.now() - 1000 * (within?.seconds ?? 0)
    const resets = this.#run.settings.resetEmbeddings === 'epoch'
    if (within === undefined) {
      if (resets && epoch > 1) await this.#resetEmbeddings()
      await this.#setTemperatures()
    }
    const losses = await this.#loop.epoch(epoch, within)
    await this.#showAverage()
    const seconds = (performance.now() - start) / 1000
    const training = await this.#measureTraining(losses)
    const gates = await this.#measureGates()
    const validation = await this.#validate(epoch)
    const { tasks, measuring, runner, settings } = this.#run
    const metrics = monitorValues(losses, tasks, {
      training: training && { measuring: this.#trainingMeasuring, result: training },
      validation: validation && { measuring, result: validation },
    })
    const steps = this.#run.train.stepsOf(settings.batchSize)
    const record = epochRecord(
      {
        epoch,
        steps,
        learningRate: this.#loop.learningRate,
        seconds,
        balance: this.#balance.record(),
        ...(this.#norms && { gradientNorm: this.#norms.take() }),
      },
      losses,
      { gates, training, validation, metrics },
    )
    const before = this.#epochs.at(-1)
    const warning = before && runner.network.tables.length > 0 && !resets ? overfitWarning(before, record) : undefined
    const told = warning === undefined ? record : { ...record, warning }
    this.#epochs.push(told)
    this.#weightsEpoch = epoch
    return told
  }

  /** The count of the model's epochs numbers the draws: a resumed run draws the same. */
  async #resetEmbeddings(): Promise<void> {
    const { runner, queue, groups, drawn, seed, step } = this.#run
    const trained = runner.network.tables.filter((table) => groups.of(table) !== null)
    await queue.take(async () => {
      // The average of new weights is these weights.
      await this.#average?.prepare()
      await runner.weights.redraw(trained, drawn.epochs, seed, step.program.initial)
    })
  }

  /** Gives the gates the temperature of the next epoch, if it follows a schedule. */
  async #setTemperatures(): Promise<void> {
    const { runner, queue, drawn } = this.#run
    const scheduled = runner.network.parameters.tensors.filter(({ temperature }) => typeof temperature === 'object')
    if (scheduled.length === 0) return
    await queue.take(async () => {
      // No average of temperatures: only the weights may change.
      await this.#average?.prepare()
      runner.weights.setTemperatures(scheduled, drawn.epochs)
    })
  }

  async #measureTraining(losses: EpochLosses): Promise<Pick<Evaluation, 'tasks'> | undefined> {
    if (this.#scores === undefined) return undefined
    const { tasks, checkpoint } = this.#run
    const options = { measuring: this.#trainingMeasuring, check: checkpoint }
    return { tasks: await this.#scores.measure(tasks, losses.tasks, options) }
  }

  async #measureGates(): Promise<GateRecord | undefined> {
    const { settings, queue, runner, train, seed, checkpoint: check } = this.#run
    if (!settings.gateStatistics) return undefined
    const rows = await train.latest()
    return await queue.take(() => gateStatistics(runner, rows, { seed, check }))
  }

  async #validate(epoch: number): Promise<Evaluation | undefined> {
    const { validation, evaluate } = this.#run
    if (validation === undefined) return undefined
    await this.#each((callback) => callback.onValidationStart?.(epoch))
    return evaluate(validation)
  }

  /** Calls the callbacks one after the other, starting at `from`. Returns a promise only if one of them does. */
  #tell(what: 'onStep' | 'onProgress', step: StepRecord, from = 0): Promise<void> | undefined {
    for (let index = from; index < this.#callbacks.length; index += 1) {
      const waiting: unknown = this.#callbacks[index]?.[what]?.(step)
      if (isPromise(waiting)) return Promise.resolve(waiting).then(() => this.#tell(what, step, index + 1))
    }
    return undefined
  }

  async #resumeCallbacks(): Promise<void> {
    const states = this.#run.resumed?.state.callbacks ?? []
    await this.#each((callback, index) => {
      const state = states[index]
      return state && callback.resume?.(state)
    })
  }

  async #state(): Promise<TrainingState> {
    const { steps } = this.#loop
    const callbacks: TrainingState['callbacks'][number][] = []
    await this.#each(async (callback, index) => {
      const state: unknown = await callback.state?.()
      callbacks.push(keptState(`fit.callbacks[${index}].state()`, state, this.#run.runner.weights))
    })
    const { optimizers, freeze } = this.#run.groups.options
    const trained = { optimizer: this.#run.optimizer, optimizers, freeze, ema: this.#run.settings.ema }
    const { within } = this.#loop
    return {
      ...trained,
      steps,
      rateFactor: this.#rates.factor,
      balance: this.#balance.state(),
      within,
      ...this.#soFar(),
      callbacks,
    }
  }

  #soFar(): History {
    const unknown = unknownIn(this.#run.train.counts)
    return { epochs: [...this.#epochs], stopReason: this.#stopReason, weightsEpoch: this.#weightsEpoch, ...unknown }
  }

  #makeControl(): FitControl {
    const { runner, queue, save } = this.#run
    return {
      stop: (reason) => {
        if (typeof reason !== 'string') throw invalidArgument('stop.reason', 'a text', reason)
        this.#stopReason ??= reason
      },
      learningRate: (rate) => {
        const { steps } = this.#loop
        if (rate !== undefined) this.#rates.set(rate, steps)
        return this.#rates.current()(steps)
      },
      taskWeights: (weights) => {
        const names = this.#run.tasks.map(({ name }) => name)
        this.#balance.set(checkTaskWeights('taskWeights', weights, names))
      },
      snapshot: async () => {
        await this.#checkWeights()
        return await queue.take(() => runner.weights.snapshot())
      },
      restore: async (snapshot, epoch) => {
        checkInteger('restore.epoch', epoch, { min: 0 })
        this.#health.restored()
        await this.#showAverage()
        await queue.take(async () => {
          await runner.weights.restore(snapshot)
          await this.#average?.restored()
        })
        this.#weightsEpoch = epoch
      },
      save: async (path) => {
        await this.#checkWeights()
        await save(path, await this.#state())
        // More steps follow.
        if (this.#loop.within !== undefined) this.#health.trains()
      },
    }
  }

  #plan(): FitPlan {
    const { model, runner, tasks, settings, train, validation, measuring, encodeSeconds, optimizer, resumed, continues } =
      this.#run
    const { epochs, batchSize } = settings
    const { network, compute } = runner
    const names = tasks.map(({ name }) => name)
    const tensors = trainedElements(network.parameters.tensors)
    const before = resumed?.state.epochs ?? []
    return {
      model,
      device: compute.device,
      isa: runner.info(Math.min(batchSize, train.rows)).isa,
      threads: compute.threads,
      fallback: seesGpu() ? compute.reason : undefined,
      parameters: network.tables.reduce((sum, { rows, dim }) => sum + rows * dim, tensors),
      tasks: names,
      epochs,
      epochsBefore: before.length,
      continues,
      stepsBefore: before.reduce((sum, { steps }) => sum + steps, 0),
      stepsPerEpoch: train.stepsOf(batchSize),
      batchSize,
      learningRate: optimizer.learningRate,
      trainRows: train.rows,
      validationRows: validation?.rows ?? 0,
      unknownValues: { training: unknownIn(train.counts), validation: unknownIn(validation?.counts ?? new Map()) },
      encodedRowsPerSecond: (train.rows + (validation?.rows ?? 0)) / Math.max(encodeSeconds, 1e-6),
      monitors: monitorNames(tasks, {
        training: this.#scores && this.#trainingMeasuring,
        validation: validation && measuring,
      }),
    }
  }
}

/** What a checkpoint keeps of a callback. @throws ERR_MULTIGATE_ARGUMENT unless it has JSON, and weights of this model or none. */
function keptState(field: string, state: unknown, memory: WeightMemory): CallbackState | undefined {
  if (state === undefined || state === null) return undefined
  return guarded(field, undefined, () => {
    const { json, weights } = checkObject(field, state as CallbackState, '{ json, weights } or nothing')
    const text = guarded(`${field}.json`, undefined, () => JSON.stringify(json) as string | undefined)
    return {
      json: text === undefined ? null : (JSON.parse(text) as unknown),
      ...(weights !== undefined && { weights: memory.checked(weights, `${field}.weights`) }),
    }
  })
}

/** Whether a value can be awaited. */
function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value
}

/** A resumed run keeps what callbacks had made of the rates, unless its optimizer has others. */
function rateFactorOf({ resumed, optimizer }: FitRun): number {
  if (resumed === undefined) return 1
  const { rateFactor, optimizer: before } = resumed.state
  return isDeepStrictEqual(before.learningRate, optimizer.learningRate) ? rateFactor : 1
}

function epochRecord(
  done: Pick<EpochRecord, 'epoch' | 'steps' | 'learningRate' | 'seconds' | 'balance' | 'gradientNorm'>,
  losses: EpochLosses,
  { gates, training, validation, metrics }: Pick<EpochRecord, 'gates' | 'training' | 'validation' | 'metrics'>,
): EpochRecord {
  const tasks = Object.fromEntries(Object.entries(losses.tasks).map(([task, loss]) => [task, { loss }]))
  return {
    ...done,
    loss: losses.total,
    tasks,
    ...(gates && { gates }),
    ...(training && { training }),
    validation,
    metrics,
    rowsPerSecond: losses.rows / done.seconds,
  }
}
