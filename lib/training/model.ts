// A model as users hold it: options, then (once built) weights on a device. This class keeps the rules of life (built, busy,
// disposed) and hands the work to the files beside it.

import type { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { AbortedError, BusyError, DisposedError, NotBuiltError } from '../core/errors.js'
import type { Dataset } from '../data/dataset.js'
import type { Feature } from '../features/feature.js'
import type { ModelDefinition } from '../models/definition.js'
import type { CommonOptions } from '../models/options.js'
import { adam } from '../optimizers/adam.js'
import type { Optimizer } from '../optimizers/optimizer.js'
import type { Task } from '../tasks/task.js'
import type { CallbackLike } from './callbacks.js'
import { resolveCompute, type Compute, type ComputeOptions } from './compute.js'
import { Encoder, type EncodedRows, type RawColumns } from './encode.js'
import { evaluate, type Evaluation } from './evaluate.js'
import { fitOptions, runFit } from './fit.js'
import type { History } from './history.js'
import { NetworkRunner } from './network-runner.js'
import { Turns } from './turns.js'

/** Options of every model: what goes in, what comes out, where it computes. A model's own options stand beside them. */
export interface ModelOptions<Tasks extends readonly Task[]> extends ComputeOptions {
  readonly features: readonly Feature[]
  readonly tasks: Tasks
  /** Only `'float32'` so far. */
  readonly precision?: 'float32'
}

/** Scores by task name. */
export type Scores<Tasks extends readonly Task[]> = { readonly [Name in Tasks[number]['name']]: Float32Array }

export interface FitOptions {
  /** Measured after every epoch; what early stopping and `val_` monitors need. */
  readonly validation?: Dataset | undefined
  /** Default 1024. The last batch of an epoch may be smaller. */
  readonly batchSize?: number | undefined
  /** Default 1. */
  readonly epochs?: number | undefined
  /** Default `adam()`. It starts anew with every `fit`. */
  readonly optimizer?: Optimizer | undefined
  readonly callbacks?: readonly CallbackLike[] | undefined
  /** A new order of the rows every epoch, from the model's seed. Default true. */
  readonly shuffle?: boolean | undefined
  /** Looked at between two steps. The model keeps the weights of the last whole step. */
  readonly signal?: AbortSignal | undefined
}

/** What a saved file gives a new model. */
export interface ModelState {
  readonly encoder: Encoder
  readonly write: (runner: NetworkRunner) => void
}

/** Not for users: how `loadModel` fills a model and `save` looks into one. */
export const inside = Symbol('inside')

interface Built {
  readonly encoder: Encoder
  readonly runner: NetworkRunner
}

export class Model<Tasks extends readonly Task[] = readonly Task[], Network extends CommonOptions = CommonOptions> {
  /** The model's name in a configuration: `MMoE`. */
  readonly name: string
  readonly #definition: ModelDefinition<never, Network>
  readonly #network: Network
  readonly #features: readonly Feature[]
  readonly #tasks: Tasks
  readonly #compute: Compute
  readonly #turns = new Turns()
  #built: Built | undefined
  /** What has the model to itself. */
  #busy: string | undefined
  #disposed = false

  /** @throws ERR_MULTIGATE_ARGUMENT naming the option; ERR_MULTIGATE_DEVICE where the device cannot be used. */
  protected constructor(definition: ModelDefinition<never, Network>, options: ModelOptions<Tasks>) {
    const { features, tasks, device, threads, isa, precision, ...network } = options
    checkPrecision(precision)
    this.name = definition.name
    this.#definition = definition
    this.#network = definition.parse(network as never)
    this.#features = checkFeatures(definition.name, features)
    this.#tasks = checkTasks(definition.name, tasks)
    this.#compute = resolveCompute({ device, threads, isa })
  }

  /** Whether encoders are fitted and weights exist. */
  get built(): boolean {
    return this.#built !== undefined
  }

  /** Where it computes. `reason`: why `device: 'auto'` did not take the GPU. */
  get device(): { readonly name: string; readonly threads: number; readonly reason: string | undefined } {
    const { device, threads, reason } = this.#compute
    return { name: device, threads, reason }
  }

  /**
   * Fits every encoder (vocabularies, means) on `train` and draws the initial weights. `fit` does it where it was not done;
   * a second call changes nothing.
   * @throws ERR_MULTIGATE_DATA naming the column that does not fit a feature or task.
   */
  async build(train: Dataset): Promise<void> {
    this.#enter('build')
    this.#build(train)
  }

  /**
   * Trains, and gives one record per epoch. The first call builds the model from `train`.
   * @throws ERR_MULTIGATE_BUSY while another `fit` runs, ERR_MULTIGATE_ABORTED by its signal, ERR_MULTIGATE_DIVERGED where a
   * loss is no finite number, ERR_MULTIGATE_DATA as `build`.
   */
  async fit(train: Dataset, options: FitOptions = {}): Promise<History> {
    this.#enter('fit')
    this.#busy = 'fit'
    try {
      return await this.#fit(train, options)
    } finally {
      this.#busy = undefined
    }
  }

  /**
   * Losses and metrics on a dataset that has labels. During `fit` it waits for the end of a step.
   * @throws ERR_MULTIGATE_NOT_BUILT before `fit` or `build`.
   */
  async evaluate(data: Dataset): Promise<Evaluation<Tasks[number]['name']>> {
    const { encoder, runner } = this.#need('evaluate')
    using rows = encoder.encode(data, runner.compute, { labels: true })
    return await this.#turns.take(() => evaluate(runner, rows, this.#evaluationOptions()))
  }

  /**
   * Scores of every row, by task name. During `fit` it waits for the end of a step. Labels are not looked at.
   * @throws ERR_MULTIGATE_NOT_BUILT before `fit` or `build`.
   */
  async predict(data: Dataset | Readonly<Record<string, ColumnValues>>): Promise<Scores<Tasks>> {
    const { encoder, runner } = this.#need('predict')
    using rows = encoder.encode(data instanceof Dataset ? data : Dataset.fromColumns(data), runner.compute, { labels: false })
    const { outputs } = await this.#turns.take(() => runner.run(runner.network.predict, rows))
    return Object.fromEntries([...outputs].map(([task, scores]) => [task, toFloat32(scores)])) as unknown as Scores<Tasks>
  }

  /**
   * Writes config, encoders and weights to one safetensors file, which is replaced whole or not at all. The optimizer's state
   * is not in it.
   * @throws ERR_MULTIGATE_NOT_BUILT before `fit` or `build`, ERR_MULTIGATE_BUSY while `fit` runs.
   */
  async save(path: string): Promise<void> {
    const built = this.#need('save')
    this.#enter('save')
    await this.#save(path, built)
  }

  /** Frees the native memory, after the step or call that is under way. A `fit` that runs ends with ERR_MULTIGATE_DISPOSED. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    void this.#turns.take(() => this.#built?.runner.dispose())
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** @internal What `loadModel` fills and inspection reads. */
  get [inside](): Inside {
    return {
      describe: () => this.#describe(),
      network: () => this.#need('inspect').runner.network,
      load: (encoder, fill) => {
        this.#built = this.#assemble(encoder, fill)
      },
      features: this.#features,
      tasks: this.#tasks,
    }
  }

  async #fit(train: Dataset, options: FitOptions): Promise<History> {
    const { validation, signal, callbacks = [], optimizer = adam(), ...rest } = options
    const settings = parseOptions('fit', fitSchema, rest)
    const checkpoint = (): void => {
      if (this.#disposed) throw new DisposedError(`the model ${this.name}`)
      if (signal?.aborted === true) throw new AbortedError('fit', signal.reason)
    }
    checkpoint()
    const { encoder, runner } = this.#build(train)
    const network = this.#lower(encoder, optimizer.rule)
    using rows = encoder.encode(train, runner.compute, { labels: true })
    using held = validation && encoder.encode(validation, runner.compute, { labels: true })
    return await runFit({
      ...settings,
      model: this.name,
      runner,
      program: network.train,
      tasks: encoder.tasks,
      train: rows,
      validation: held,
      learningRate: optimizer.learningRate,
      seed: this.#network.seed,
      callbacks,
      turns: this.#turns,
      checkpoint,
      evaluate: (data) => this.#turns.take(() => evaluate(runner, data, this.#evaluationOptions())),
      save: (path) => this.#save(path, { encoder, runner }),
    })
  }

  #build(train: Dataset): Built {
    this.#built ??= this.#assemble(Encoder.fit(train, this.#features, this.#tasks), (runner) => {
      runner.memories.initialize(runner.network, this.#network.seed)
    })
    return this.#built
  }

  #assemble(encoder: Encoder, fill: (runner: NetworkRunner) => void): Built {
    // Which optimizer will train it matters to the training program alone, and `fit` lowers that again.
    const runner = new NetworkRunner(this.#lower(encoder, adam().rule), this.#compute)
    fill(runner)
    return { encoder, runner }
  }

  #lower({ features, tasks }: Encoder, optimizer: Optimizer['rule']): Network_ {
    return this.#definition.lower(this.#network, { features, tasks, optimizer })
  }

  async #save(path: string, { encoder, runner }: Built): Promise<void> {
    await saveModel(path, { ...this.#describe(), encoder: encoder.toJSON() }, runner, this.#turns)
  }
}
