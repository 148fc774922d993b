// The model class: options, then (once built) weights on a device. This class enforces the life cycle (built, busy, disposed) and
// leaves the work to the files beside it.

/// <reference lib="esnext.disposable" preserve="true" />

import { z } from 'zod'

import { parseBalancing } from '../balancing/registry.js'
import { isTypedArray } from '../core/arrays.js'
import { checkKeys, guarded, invalidArgument, parseOptions, unreadable } from '../core/check.js'
import { AbortedError, ArgumentError, BusyError, DisposedError, NotBuiltError } from '../core/errors.js'
import type { FilePath } from '../core/path.js'
import { pathSchema } from '../core/schemas.js'
import { Pause, type Signal } from '../core/slices.js'
import type { CsvOptions } from '../data/csv-options.js'
import { checkDataset, Dataset, isDataset } from '../data/dataset.js'
import type { Row } from '../data/rows.js'
import type { ColumnValues } from '../data/values.js'
import type { ValueCounts } from '../features/encode/encoder.js'
import { columnNameOf, type Feature, parseFeature } from '../features/spec/feature.js'
import type { Built, ModelConfig } from '../files/format.js'
import { ModelFile } from '../files/read.js'
import { writeModel } from '../files/write.js'
import type { ImportedWeights, ImportOptions } from '../import/import-weights.js'
import type { ModelDefinition, ModelOptions, TaskName } from '../models/definition.js'
import type { LoweredProgram, Network, NetworkTask } from '../models/network.js'
import type { CommonOptions } from '../models/options.js'
import type { FloatArray } from '../native/binding.js'
import { type OnnxFiles, type OnnxOptions, onnxSchema } from '../onnx/options.js'
import { adam } from '../optimizers/adam.js'
import { type Optimizer, parseOptimizer } from '../optimizers/optimizer.js'
import { type Batch, BoundBatch, batchOf, checkRowCount } from '../runtime/batch.js'
import { type Compute, type ComputeOptions, checkDataPlacement, resolveCompute } from '../runtime/compute.js'
import { checkRows, DataEncoder, ofDataset } from '../runtime/encode.js'
import { type Evaluating, type Evaluation, evaluate } from '../runtime/evaluate.js'
import { type GateWeights, gateWeights } from '../runtime/gates.js'
import { seenOnDay } from '../runtime/growth.js'
import { type MeasuredRows, measuredRows } from '../runtime/measured-rows.js'
import { type MeasuringOptions, measuringOf } from '../runtime/measuring.js'
import { isStream, type RowStream } from '../runtime/parts.js'
import { Queue } from '../runtime/queue.js'
import { textColumns } from '../runtime/reading.js'
import type { Candidates } from '../runtime/request.js'
import { NetworkRunner } from '../runtime/runner.js'
import { warnOfUnknown } from '../runtime/unknown.js'
import { checkBounds, checkWhere, kindOf, parseTask, type Task, targetColumnsOf } from '../tasks/task.js'
import { lowerBalancedStep, type SteppedModel } from '../training/balanced-step.js'
import { runFit } from '../training/fit.js'
import { checkGroups, type GroupOptions, Groups } from '../training/groups.js'
import { dayOf, type GrowOptions, growOptions } from '../training/growth.js'
import type { History } from '../training/history.js'
import {
  callSchema,
  evaluateSchema,
  type FitOptions,
  type FitValues,
  fitSchema,
  type StreamOptions,
} from '../training/options.js'
import type { TrainingState } from '../training/state.js'
import { checkTaskWeights } from '../training/task-balance.js'
import { checkColumns, checkMonitors, checkNamed, checkPenalties, embeddedIn } from './check.js'
import { type Continued, type Continuing, checkContinuing, continued, type Origin } from './continued.js'
import { type DeltaModel, saveDelta, withDelta } from './delta.js'
import { describe, type ModelDescription } from './describe.js'
import { type ExplainOptions, type Explanation, explain, explainSchema } from './explain.js'
import { type Importance, type ImportanceOptions, importanceOf, importanceSchema } from './importance.js'
import { checkSameModel, checkSameOptimizer, type ModelIdentity, resumed } from './resume.js'
import { type Fitted, trainingRows } from './training-rows.js'

/** A model's options: features, tasks, the network between them, and where it computes. */
export type ModelInput<
  NetworkOptions,
  Tasks extends readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelOptions<NetworkOptions, Features, Tasks> & ComputeOptions

/** Scores by task name: [rows] for each task, [rows, classes] for a multiclass task. */
export type Scores<Output extends string> = { readonly [Name in Output]: Float32Array }

/** The error of `structuredClone` and `postMessage` shows this function, because functions cannot be cloned. */
function aModelCannotBeClonedSaveItAndLoadItThere(): void {}

/** Options of a call that computes. */
export interface CallOptions {
  /** An `AbortSignal`, checked several times a second. Once it is aborted, the call ends with ERR_MULTIGATE_ABORTED. */
  readonly signal?: Signal | undefined | undefined
}

/** Options of `fill`. */
export interface FillOptions {
  /** Values by column name that count for all candidates, such as those of the user. */
  readonly shared?: Row | undefined
}

/** Options of `evaluate`. */
export interface EvaluateOptions extends CallOptions, MeasuringOptions {
  /** `scratch`: the folder of the scratch file, for rows in parts. A dataset does not need it. */
  readonly stream?: Pick<StreamOptions, 'scratch'> | undefined
}

/**
 * @internal Fills an unbuilt model from a file.
 * @throws ERR_MULTIGATE_FORMAT, ERR_MULTIGATE_OUT_OF_MEMORY.
 */
export let restoreModel: (model: Model, file: ModelFile) => Promise<void>
/** @internal The built parts of a model. */
export let builtOf: (model: Model) => Built
/** @internal The program of the model's training steps. */
export let stepProgramOf: (model: Model, optimizer: Optimizer) => LoweredProgram

const deltaSchema = z.strictObject({ since: pathSchema })

/** What a model restores from an earlier run. */
type Past = { readonly [Key in 'drawn' | 'reading' | 'days']?: Built[Key] | undefined }

/** The definition of any model, which checks its own options. */
type Definition = ModelDefinition<never>

/** `Output`: the names of the predictions, by default the names of the tasks. */
export class Model<
  Tasks extends readonly Task[] = readonly Task[],
  Output extends string = TaskName<Tasks>,
  Features extends readonly Feature[] = readonly Feature[],
> {
  /** The model's name in a configuration: `MMoE`. */
  readonly name: string
  /** The features, with defaults filled in. */
  readonly features: readonly Feature[]
  /** The tasks, with defaults filled in, in the order of training and prediction. */
  readonly tasks: readonly Task[]
  /** @internal Makes `structuredClone` and `postMessage` fail with this function's name, instead of making a copy without weights. */
  readonly cannotBeCloned = aModelCannotBeClonedSaveItAndLoadItThere
  readonly #definition: Definition
  readonly #network: CommonOptions
  readonly #config: ModelConfig
  readonly #compute: Compute
  readonly #queue: Queue
  #built: Built | undefined
  /** The call that holds the model alone, such as `fit`. */
  #busy: string | undefined
  /** Features whose unknown values a prediction has already warned about. */
  readonly #warned = new Set<string>()
  #disposed = false

  static {
    restoreModel = async (model, file) => {
      model.#built = await model.#restore(file, file)
    }
    builtOf = (model) => model.#need('builtOf')
    stepProgramOf = (model, optimizer) => {
      const groups = new Groups({ optimizer, optimizers: {}, rates: {}, freeze: [] })
      return lowerBalancedStep(model.#stepped(builtOf(model)), { groups, balancing: parseBalancing('fixed') }).program
    }
  }

  /** @throws ERR_MULTIGATE_ARGUMENT naming the option; ERR_MULTIGATE_DEVICE if the device cannot be used. */
  constructor(definition: Definition, options: ModelInput<object, Tasks, Features>) {
    this.name = definition.name
    const { features, tasks, device, threads, isa, precision, ...network } = guarded(this.name, undefined, () => {
      if (typeof options !== 'object' || options === null) throw invalidArgument(this.name, 'an object of options', options)
      return { ...options }
    })
    this.#definition = definition
    this.#network = definition.parse(network as never)
    this.features = checkNamed(`${this.name}.features`, features, parseFeature)
    this.tasks = checkNamed<Task>(`${this.name}.tasks`, tasks, parseTask)
    checkColumns(`${this.name}.features`, this.features, this.tasks)
    checkMonitors(`${this.name}.tasks`, this.tasks)
    checkWhere(`${this.name}.tasks`, this.tasks)
    checkBounds(`${this.name}.tasks`, this.tasks)
    checkPenalties(this.name, this.#network, this.features)
    definition.check(this, this.#network)
    this.#config = { model: this.name, tasks: this.tasks, options: network }
    this.#compute = resolveCompute({ device, threads, isa, precision })
    this.#queue = new Queue(() => this.#compute.native.giveWay())
  }

  /** Whether encoders are fitted and weights exist. */
  get built(): boolean {
    return this.#built !== undefined
  }

  /** Where the model computes. `reason`: why `device: 'auto'` did not take the GPU. */
  get device(): { readonly name: string; readonly threads: number; readonly reason: string | undefined } {
    const { device, threads, reason } = this.#compute
    return { name: device, threads, reason }
  }

  /**
   * Fits every open encoder (vocabularies, means) on `train` and draws the initial weights. On a built model it changes nothing.
   * `fit` builds a model that is not built. Labels may be absent; those present are checked.
   * @throws ERR_MULTIGATE_DATA naming the column that does not fit a feature or task.
   */
  async build(train: Dataset): Promise<void> {
    this.#checkFree('build')
    checkDataset('build.train', train)
    if (this.#built !== undefined) return
    checkRows(train)
    this.#busy = 'build'
    try {
      await this.#build(train)
    } finally {
      this.#busy = undefined
    }
  }

  /**
   * Trains the model. The first call also builds it from `train`, where every task needs something to learn, such as a positive
   * label. Later training rows need not have that.
   * @param train a dataset, or rows that are read in parts: a stream (`Dataset.streamParquet`), or a function that opens an iterable of
   * datasets. Rows in parts may be more than memory holds. They are read twice before the first step, the second time into a scratch file,
   * which goes when `fit` ends, or its process. One reading is enough if there is nothing to fit, and for a model that is built, or comes
   * `from` a file, unless it grows.
   * @returns one record per epoch.
   * @throws ERR_MULTIGATE_BUSY while another `fit` runs; ERR_MULTIGATE_ABORTED if its signal aborts; ERR_MULTIGATE_DIVERGED if a loss
   * is not finite; ERR_MULTIGATE_DATA as `build`, naming the dataset, and if rows in parts change between two readings;
   * ERR_MULTIGATE_WRITE if the scratch file cannot be written.
   * @example await model.fit(Dataset.streamParquet('log.parquet'), { epochs: 2, stream: { scratch: '/data/tmp' } })
   */
  async fit(train: Dataset | RowStream, options: FitOptions = {}): Promise<History<Tasks>> {
    this.#checkFree('fit')
    this.#busy = 'fit'
    try {
      const history = await this.#fit(train, options)
      this.#checkAlive()
      return history as History<Tasks>
    } finally {
      this.#busy = undefined
    }
  }

  /**
   * Measures losses and metrics on rows with labels. During `fit` it waits for the end of a step.
   * @param data a dataset, or rows in parts as `fit` takes them. These are read once, into a scratch file. In memory are the labels and groups
   * of all rows, and the scores that metrics need at once, such as AUC: 8 to 12 bytes a row and task. The numbers are those of a dataset.
   * @throws ERR_MULTIGATE_NOT_BUILT before `fit` or `build`; ERR_MULTIGATE_ARGUMENT naming a metric that these tasks do not have;
   * ERR_MULTIGATE_ABORTED if its signal aborts; ERR_MULTIGATE_DATA naming the column that does not fit a feature or task, or if there are no
   * rows, which have no mean loss; ERR_MULTIGATE_WRITE if the scratch file cannot be written.
   * @example const { tasks } = await model.evaluate(test, { groups: 'userid', metrics: ['prauc', 'ndcg@10'] })
   */
  async evaluate(data: Dataset | RowStream, options: EvaluateOptions = {}): Promise<Evaluation<Tasks>> {
    const { signal, stream, ...asked } = parseOptions('evaluate', evaluateSchema, options)
    const check = this.#checking('evaluate', { signal })
    const built = this.#need('evaluate')
    using _ = built.runner.hold()
    const measuring = measuringOf('evaluate', this.tasks, asked)
    if (!isStream(data)) checkDataset('evaluate.data', data)
    await using rows = await this.#measured(built, data, { measuring, check, scratch: stream.scratch, what: 'evaluate' })
    return (await this.#evaluate(built, rows, { measuring, check })) as Evaluation<Tasks>
  }

  /**
   * How much each task loses if the values of one feature are given to other rows: the permutation importance of every feature, with its
   * spread. It evaluates the data once and then `repeats` times per feature. Features that read one column are permuted together. A feature
   * that others can stand in for loses little, however much the model uses it.
   * @throws as `evaluate`; ERR_MULTIGATE_ARGUMENT for a feature that reads a column of labels or weights.
   * @example console.log(importanceTable(await model.importance(test)))
   */
  async importance(data: Dataset, options: ImportanceOptions = {}): Promise<Importance> {
    const { signal, ...settings } = parseOptions('importance', importanceSchema, options)
    this.#need('importance')
    checkDataset('importance.data', data)
    const { features, tasks } = this
    return await importanceOf({ features, tasks, evaluate: (rows) => this.evaluate(rows, { signal }) }, data, settings)
  }

  /**
   * Explains the prediction of each row: what became of its values, how the gates weighed the experts, and what each feature contributed to
   * the logit of each task, as Shapley values. Meant for a few rows: each one takes about as long as scoring `orders` rows per feature.
   * @throws as `predict`; ERR_MULTIGATE_ARGUMENT if a feature takes no missing value and there is no background.
   * @example for (const one of await model.explain(test.slice(0, 3), { background: train })) console.log(explainTable(one))
   */
  async explain(
    data: Dataset | Readonly<Record<string, ColumnValues>>,
    options: ExplainOptions = {},
  ): Promise<Explanation<Tasks>[]> {
    const { signal, ...settings } = parseOptions('explain', explainSchema, options)
    const check = this.#checking('explain', { signal })
    const { encoder, runner } = this.#need('explain')
    const { native } = this.#compute
    const model = { encoder, runner, native, queue: this.#queue }
    return (await explain(model, datasetOf(data), settings, check)) as unknown as Explanation<Tasks>[]
  }

  /**
   * Scores every row, by task name; no rows give no scores. While this model or another of the same thread trains, it waits for the
   * end of a step, or 10 ms if steps are shorter. `predictSync` of another model does not wait. Labels are not read. It emits one
   * process warning if a vocabulary knows less than half of a feature's values.
   * @throws ERR_MULTIGATE_NOT_BUILT before `fit` or `build`; ERR_MULTIGATE_ABORTED if its signal aborts.
   */
  async predict(data: Dataset | Readonly<Record<string, ColumnValues>>, options: CallOptions = {}): Promise<Scores<Output>> {
    const check = this.#checking('predict', options)
    const { encoder, runner } = this.#need('predict')
    using _ = runner.hold()
    const dataset = datasetOf(data)
    using rows = await encoder.encode(dataset, this.#compute.native, 'prediction', check)
    warnOfUnknown(rows.counts, this.#warned)
    const { outputs } = await this.#queue.take(() => runner.run(runner.network.predict, rows, check))
    const scores = [...outputs].map(([task, values]) => [task, toFloat32(values)])
    return Object.fromEntries(scores) as Scores<Output>
  }

  /**
   * Makes reusable arrays for up to `rows` rows, for `predictSync`. They hold encoded values: an id is a row number of the feature's
   * table. `fill` encodes raw values into them. You may also set ids directly, such as the values of a feature with `vocabulary: N`.
   * @throws ERR_MULTIGATE_NOT_BUILT before `fit` or `build`, ERR_MULTIGATE_ARGUMENT for a wrong number of rows.
   * @example
   * const batch = model.createBatch(256)
   * batch.userid.set(ids)
   * const { like } = model.predictSync(batch)
   */
  createBatch(rows: number): Batch<Features> {
    const { runner } = this.#need('createBatch')
    const capacity = checkRowCount(rows)
    return new BoundBatch(this, capacity, runner).inputs as Batch<Features>
  }

  /**
   * Encodes raw values into the first rows of a batch: columns, a dataset, or an object per candidate. The values of `shared`, such as those
   * of the user, count for all candidates. Only columns that features read are looked at. 100 candidates of 7 features take 25 to 40 us.
   * @param options.shared values by column name. A column is here or in the candidates.
   * @returns how many rows there are.
   * @throws ERR_MULTIGATE_DATA as `predict`, with row and value, and for more rows than the batch holds. Nothing is written then.
   * @example
   * const rows = model.fill(batch, [{ feedid: 3 }, { feedid: 8 }], { shared: { userid: 17, device: 'phone' } })
   * const { like } = model.predictSync(batch, { rows })
   */
  fill(batch: Batch<Features>, candidates: Candidates, options?: FillOptions): number {
    const { encoder, runner } = this.#need('fill')
    const shared = options === undefined ? undefined : checkKeys('fill', options, ['shared']).shared
    const held = batchOf(batch, this, 'fill.batch')
    held.check(runner, 'fill.batch')
    const request = encoder.request.encode(candidates, shared, held.capacity, 'fill')
    held.write(request)
    return request.rows
  }

  /**
   * What the last `fill` of a batch met: for each feature with ids, how many values were not missing, and how many of them its vocabulary
   * does not know. Shared values count once per candidate.
   * @throws ERR_MULTIGATE_ARGUMENT for a batch of another model; ERR_MULTIGATE_NOT_BUILT; ERR_MULTIGATE_DISPOSED.
   * @example for (const [feature, { values, unknown }] of Object.entries(model.valueCounts(batch))) count(feature, values, unknown)
   */
  valueCounts(batch: Batch<Features>): Readonly<Record<string, ValueCounts>> {
    this.#need('valueCounts')
    return Object.fromEntries(batchOf(batch, this, 'valueCounts.batch').counts)
  }

  /**
   * Scores the rows of a batch on this thread. Use it for a few rows, where a promise would cost more than the scores. It allocates
   * nothing: it returns the batch's own arrays, the same ones for the same number of rows, and the next call overwrites them. Scores
   * equal those of `predict` to the bit.
   * @param options.rows scores only the first `rows` rows; 0 rows give no scores. Default: every row that the batch holds.
   * @throws ERR_MULTIGATE_ARGUMENT naming feature, row and id if the table has no such id, and for a batch of another model or one whose
   * memory was transferred away; ERR_MULTIGATE_BUSY while `fit` runs; ERR_MULTIGATE_NOT_BUILT; ERR_MULTIGATE_DISPOSED.
   */
  predictSync(batch: Batch<Features>, options?: { readonly rows?: number | undefined }): Scores<Output> {
    const { runner } = this.#need('predictSync')
    // A delta leaves these weights as they are.
    if (this.#busy !== 'applyDelta') this.#checkFree('predictSync')
    const held = batchOf(batch, this, 'predictSync.batch')
    held.check(runner, 'predictSync.batch')
    return held.predict(rowsIn(options) ?? held.capacity) as Scores<Output>
  }

  /**
   * Mean weights that the gates give the experts over these rows, level by level. Empty if the model has no gates. Labels are not
   * read. During `fit` it waits for the end of a step.
   * @throws ERR_MULTIGATE_NOT_BUILT before `fit` or `build`; ERR_MULTIGATE_ABORTED if its signal aborts; ERR_MULTIGATE_DATA for a
   * dataset without rows, which has no mean.
   */
  async gates(data: Dataset | Readonly<Record<string, ColumnValues>>, options: CallOptions = {}): Promise<GateWeights[]> {
    const check = this.#checking('gates', options)
    const { encoder, runner } = this.#need('gates')
    using _ = runner.hold()
    const dataset = datasetOf(data)
    checkRows(dataset)
    using rows = await encoder.encode(dataset, this.#compute.native, 'prediction', check)
    return await this.#queue.take(() => gateWeights(runner, rows, check))
  }

  /**
   * Writes configuration, encoders and weights to one safetensors file, without the optimizer's state. It replaces the whole file or
   * leaves it untouched.
   * @throws ERR_MULTIGATE_NOT_BUILT before `fit` or `build`; ERR_MULTIGATE_BUSY while `fit` runs; ERR_MULTIGATE_WRITE with the reason
   * why the file cannot be written; ERR_MULTIGATE_DIVERGED naming weights that are not finite.
   */
  async save(path: FilePath): Promise<void> {
    const built = this.#need('save')
    this.#checkFree('save')
    await this.#save(built, path)
  }

  /**
   * Writes the model's predictions as an ONNX file, for onnxruntime and others. Each feature is an input [rows, width] and each task an output
   * [rows, 1], or [rows, classes]. See docs/onnx.md for the types of the inputs. Above 2 GiB the weights go to `<path>.data` beside it.
   * The numbers are those of float32, also for a model with another `precision`.
   * @returns the path of that second file, if there is one.
   * @throws as `save`; ERR_MULTIGATE_ARGUMENT for vocabularies above 2 GiB, which need `encoded: true`, and for what ONNX cannot express.
   * @example await model.saveOnnx('ranking.onnx')
   */
  async saveOnnx(path: FilePath, options: OnnxOptions = {}): Promise<OnnxFiles> {
    const settings = parseOptions('saveOnnx', onnxSchema, options)
    const { encoder, runner } = this.#need('saveOnnx')
    this.#checkFree('saveOnnx')
    using _ = runner.hold()
    // Protobuf is loaded by those who need it.
    const { writeOnnx } = await import('../onnx/write.js')
    const classes = new Map(
      this.tasks.flatMap((task) => {
        const names = kindOf(task).classes(task)
        return names === undefined ? [] : [[task.name, names]]
      }),
    )
    const source = { model: this.name, encoders: encoder.encoders, runner, classes }
    return await this.#queue.take(() => writeOnnx(path, source, settings))
  }

  /**
   * Writes what has changed since a model file or checkpoint: for `applyDelta` of a model that was loaded from it. The file is much smaller
   * than that of `save` if few rows of the tables have changed. It replaces the whole file or leaves it untouched.
   * @param options.since the base: a file of an earlier state of this model.
   * @throws as `save`; ERR_MULTIGATE_ARGUMENT naming what differs from a model of the same options; ERR_MULTIGATE_FORMAT of the base.
   * @example await model.saveDelta('tuesday.delta', { since: 'monday.safetensors' })
   */
  async saveDelta(path: FilePath, options: { readonly since: FilePath }): Promise<void> {
    const { since } = parseOptions('saveDelta', deltaSchema, options)
    const built = this.#need('saveDelta')
    this.#checkFree('saveDelta')
    await this.#queue.take(() => saveDelta(path, since, built, this.#deltaModel))
  }

  /**
   * Takes the changes of a file that `saveDelta` wrote. Afterwards the model scores as the one that wrote it, to the bit. It takes all of them
   * or, on an error, none. Predictions that run meanwhile see either the old model or the new one. Batches of `createBatch` from before are
   * refused afterwards: make new ones. For a moment both models are in memory.
   * @throws ERR_MULTIGATE_ARGUMENT if this is not the model that the delta starts from; ERR_MULTIGATE_FORMAT for a damaged file;
   * ERR_MULTIGATE_BUSY while `fit` runs; ERR_MULTIGATE_NOT_BUILT; ERR_MULTIGATE_OUT_OF_MEMORY.
   * @example await served.applyDelta('tuesday.delta')
   */
  async applyDelta(path: FilePath): Promise<void> {
    const built = this.#need('applyDelta')
    this.#checkFree('applyDelta')
    this.#busy = 'applyDelta'
    try {
      const next = await withDelta(path, built, this.#deltaModel)
      if (this.#disposed) next.runner.dispose()
      this.#checkAlive()
      this.#take(next)
    } finally {
      this.#busy = undefined
    }
  }

  /**
   * Takes the weights of a model of another library: of the Keras recipe, DeepCTR, DeepCTR-Torch or torch-rechub, from a `.keras`, `.h5`,
   * `.pt` or `.safetensors` file. Build this model first, with the sizes, tasks and features of the other one, in its order. Batch
   * normalization is folded into the layer before it. The model takes all weights or, on an error, none; batches of `createBatch` from before
   * are refused afterwards. No code of the file is run. Needs the package `h5wasm` for Keras, and `yauzl` for `.keras` and `.pt`.
   * @returns where each weight came from; `importTable` makes text of it.
   * @throws ERR_MULTIGATE_ARGUMENT naming what does not fit; ERR_MULTIGATE_FORMAT; ERR_MULTIGATE_MISSING_PACKAGE; ERR_MULTIGATE_BUSY while
   * `fit` runs; ERR_MULTIGATE_NOT_BUILT; ERR_MULTIGATE_OUT_OF_MEMORY.
   * @example console.log(importTable(await model.importWeights('model.keras')))
   */
  async importWeights(path: FilePath, options: ImportOptions = {}): Promise<ImportedWeights> {
    const { encoder, runner, reading, days } = this.#need('importWeights')
    this.#checkFree('importWeights')
    this.#busy = 'importWeights'
    const next = this.#assemble(encoder, runner.network, { reading, days })
    try {
      // Loaded by those who need it.
      const { importWeights } = await import('../import/import-weights.js')
      const imported = await importWeights(
        path,
        next.runner,
        encoder.tasks.map(({ name }) => name),
        options,
      )
      this.#checkAlive()
      this.#take(next)
      return imported
    } catch (error) {
      next.runner.dispose()
      throw error
    } finally {
      this.#busy = undefined
    }
  }

  /**
   * Options of `Dataset.fromCsv` that read a file as the training rows were read. They select the columns that this model reads and keep
   * text ids as text, even if they look like numbers. If the training rows came from a CSV file, they repeat its format (delimiter,
   * `trim`, `nullValues`, ...). Before `fit` or `build` they follow from the features alone.
   * With `labels: true`, the options also name the columns of labels, row weights and conditions. Default false. `groups` is a column to
   * read too, for the metrics of groups.
   * @example const scores = await model.predict(await Dataset.fromCsv('today.csv', model.csvOptions()))
   */
  csvOptions(options: { readonly labels?: boolean; readonly groups?: string | undefined } = {}): CsvOptions & {
    readonly columns: readonly string[]
  } {
    this.#checkAlive()
    const { labels = false, groups } = checkKeys('csvOptions', options, ['labels', 'groups'])
    const targets = labels ? targetColumnsOf(this.tasks) : []
    const columns = [...this.features.map(columnNameOf), ...targets, ...(groups === undefined ? [] : [groups])]
    const types = textColumns(this.#built?.encoder.encoders ?? this.features)
    return { ...this.#built?.reading, columns: [...new Set(columns)], types }
  }

  /**
   * Describes the model: options, features, tasks, gates, tables, weights and memory.
   * @throws ERR_MULTIGATE_NOT_BUILT before `fit` or `build`.
   */
  describe(): ModelDescription {
    const { encoder, runner } = this.#need('describe')
    return describe(this.#config, encoder, runner)
  }

  /**
   * Frees the native memory after the current step. Calls that have not ended, `fit` and those that wait, end with
   * ERR_MULTIGATE_DISPOSED.
   */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#queue.end(
      () => this.#ended(),
      () => this.#built?.runner.dispose(),
    )
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  async #build(train: Dataset): Promise<void> {
    const encoder = await DataEncoder.fit(train, this.features, this.tasks)
    const built = this.#make({ encoder, reading: train.reading })
    try {
      await built.encoder.checkLabels(train)
      await this.#draw(built)
    } catch (error) {
      built.runner.dispose()
      throw error
    }
    this.#built = built
  }

  async #fit(train: Dataset | RowStream, options: FitOptions): Promise<History> {
    const {
      validation,
      signal,
      resume,
      from,
      optimizer: chosen = adam(),
      optimizers = {},
      callbacks,
      ...settings
    } = parseOptions('fit', fitSchema, options)
    const optimizer = parseOptimizer(chosen, 'fit.optimizer')
    const groups = this.#groups(optimizer, optimizers, settings)
    const balancing = parseBalancing(settings.balance ?? 'fixed', 'fit.balance')
    const weights = checkTaskWeights(
      'fit.taskWeights',
      settings.taskWeights,
      this.tasks.map(({ name }) => name),
    )
    if (this.tasks.every(({ name }) => weights[name] === 0)) throw invalidArgument('fit.taskWeights', 'a weight above 0', weights)
    const checkpoint = this.#checking('fit', { signal })
    const data = await trainingRows(train, {
      features: this.features,
      tasks: this.tasks,
      settings,
      seed: this.#network.seed,
      native: this.#compute.native,
      check: checkpoint,
    })
    if (isDataset(validation)) await ofDataset('validation', () => checkRows(validation))
    checkDataPlacement(settings.dataPlacement, this.#compute.device)
    const measuring = measuringOf('fit', this.tasks, settings)
    const grow = growOptions(settings.grow)
    checkContinuing({ from, resume, grow: grow !== undefined, built: this.#built !== undefined })
    checkpoint()
    const path = resume ?? from
    await using file = path === undefined ? undefined : await ModelFile.open(path)
    const trained = { ...groups.options, ema: settings.ema }
    const state = resume === undefined ? undefined : file && (await this.#resume(file, trained))
    const origin = this.#origin(from === undefined ? undefined : file, grow)
    const next = origin && (await this.#continue(origin, grow, { trained, today: data, check: checkpoint }))
    const known = state?.built ?? next?.built ?? this.#built
    const built = known ?? this.#make(await data.fit(), grow)
    // Keep a new model unbuilt until its data are checked: the next call may bring other data.
    using _ = { [Symbol.dispose]: () => this.#built !== built && built.runner.dispose() }
    if (known === undefined) await this.#draw(built)
    const { clip, ema, trainingMetrics: scored } = settings
    const averages = ema !== undefined
    const step = lowerBalancedStep(this.#stepped(built), { groups, balancing, clip, averages, scored })
    const started = performance.now()
    await using rows = await data.encode(built.encoder, { first: known === undefined })
    const { scratch } = settings.stream
    const measured = { measuring, check: checkpoint, scratch, what: 'fit' } as const
    await using held = validation && (await ofDataset('validation', () => this.#measured(built, validation, measured)))
    checkpoint()
    this.#take(built)
    const tasks = built.encoder.tasks.map((task) => ({ ...task, weight: weights[task.name] ?? task.weight }))
    return await runFit({
      settings,
      callbacks,
      model: this.name,
      runner: built.runner,
      step,
      optimizer,
      groups,
      resumed: file && state && resumed(file, state.training, built.runner),
      carried: next?.carried,
      continues: next?.continues,
      tasks,
      train: rows,
      validation: held,
      measuring,
      encodeSeconds: (performance.now() - started) / 1000,
      seed: this.#network.seed,
      drawn: built.drawn,
      queue: this.#queue,
      checkpoint,
      checkAlive: () => this.#checkAlive(),
      evaluate: (data) => this.#evaluate(built, data, { measuring, check: checkpoint }, tasks),
      save: (path, training) => this.#save(built, path, training),
    })
  }

  /** Restores from a checkpoint: the model and the state of its training. */
  async #resume(
    file: ModelFile,
    options: GroupOptions & Pick<FitValues, 'ema'>,
  ): Promise<{ built: Built; training: TrainingState }> {
    if (this.#built !== undefined) {
      const message =
        'fit.resume: expected a model that is not built yet, found one with weights; make a new one with the same options'
      throw new ArgumentError(message, { field: 'fit.resume' })
    }
    checkSameModel(file, this.#identity)
    const training = await file.readTraining()
    checkSameOptimizer(file, training, options)
    // In files older than `drawn`, their `fit` was the model's first.
    const drawn = file.drawn ?? { epochs: training.epochs.length, steps: training.steps }
    return { built: await this.#restore(file, { drawn, reading: file.reading, days: file.days }), training }
  }

  async #evaluate(
    { encoder, runner }: Built,
    rows: MeasuredRows,
    options: Omit<Evaluating, 'queue'>,
    tasks: readonly NetworkTask[] = encoder.tasks,
  ): Promise<Evaluation> {
    return await evaluate(runner, rows, tasks, this.#network, { queue: this.#queue, ...options })
  }

  /** Encodes rows to measure. */
  async #measured(
    { encoder }: Built,
    data: Dataset | RowStream,
    {
      what,
      scratch,
      ...options
    }: Pick<Evaluating, 'measuring' | 'check'> & { what: 'fit' | 'evaluate'; scratch: string | undefined },
  ): Promise<MeasuredRows> {
    return await measuredRows(data, encoder, {
      ...options,
      native: this.#compute.native,
      scratch: { folder: scratch, option: `${what}.stream.scratch` },
      field: what === 'fit' ? 'fit.validation' : 'evaluate.data',
    })
  }

  async #save(built: Built, path: FilePath, training?: TrainingState): Promise<void> {
    await this.#queue.take(() => writeModel(path, this.#config, built, training))
  }

  get #identity(): ModelIdentity {
    return { config: this.#config, features: this.features, definition: this.#definition }
  }

  get #deltaModel(): DeltaModel {
    return {
      identity: this.#identity,
      lower: (encoder) => this.#lower(encoder),
      assemble: (encoder, network, past) => this.#assemble(encoder, network, past),
      check: () => this.#checkAlive(),
    }
  }

  /** What `fit` goes on from, unless it trains the model's own weights as they are, or new ones. */
  #origin(file: ModelFile | undefined, grow: GrowOptions | undefined): Origin | undefined {
    if (file !== undefined) return { file }
    return grow && this.#built && { built: this.#built }
  }

  async #continue(
    origin: Origin,
    grow: GrowOptions | undefined,
    run: Pick<Continuing, 'trained' | 'today' | 'check'>,
  ): Promise<Continued> {
    return await continued(origin, grow, { ...this.#deltaModel, ...run, seed: this.#network.seed })
  }

  /** Takes other weights. Calls that use those of before finish with them. */
  #take(built: Built): void {
    const before = this.#built
    this.#built = built
    if (before?.runner !== built.runner) before?.runner.retire()
  }

  /** The weights are zero. */
  #make({ encoder: fitted, reading }: Fitted, grow?: GrowOptions): Built {
    this.#checkAlive()
    const day = grow && dayOf(grow, undefined)
    const encoder = day === undefined ? fitted : seenOnDay(fitted, this.tasks, day.last, grow?.features)
    return this.#assemble(encoder, this.#lower(encoder), { reading, days: day && { ...day, drawnRows: {} } })
  }

  async #draw({ runner }: Built): Promise<void> {
    await runner.weights.initialize(runner.network, this.#network.seed)
    this.#checkAlive()
  }

  /** Restores the encoders and weights of a file. */
  async #restore(file: ModelFile, past: Past): Promise<Built> {
    const pause = new Pause()
    await pause.taken()
    const network = file.check(() => this.#lower(file.encoder))
    await pause.taken()
    // Check this before allocating their memory.
    file.checkWeights(network)
    await pause.taken()
    this.#checkAlive()
    const built = this.#assemble(file.encoder, network, past)
    try {
      await file.readWeights(built.runner)
      this.#checkAlive()
      return built
    } catch (error) {
      built.runner.dispose()
      throw error
    }
  }

  #assemble(encoder: DataEncoder, network: Network, { drawn = { epochs: 0, steps: 0 }, reading, days }: Past): Built {
    return { encoder, runner: new NetworkRunner(network, this.#compute), drawn: { ...drawn }, reading, days }
  }

  #lower({ features, tasks }: DataEncoder): Network {
    return this.#definition.lower(this.#network, { features, tasks })
  }

  /** The optimizers and rates of the groups of weights. */
  #groups(optimizer: Optimizer, optimizers: object, { rates, freeze }: FitValues): Groups {
    const given = Object.entries(optimizers).filter(([, one]) => one !== undefined)
    const parsed = given.map(([group, one]) => [group, parseOptimizer(one, `fit.optimizers.${group}`)])
    const groups = new Groups({ optimizer, optimizers: Object.fromEntries(parsed), rates, freeze })
    checkGroups(groups.options, { embedded: embeddedIn(this.features), tasks: this.tasks.map(({ name }) => name) })
    return groups
  }

  /** What a training step is lowered for. */
  #stepped({ runner: { network }, encoder: { features, tasks } }: Built): SteppedModel {
    return { definition: this.#definition, options: this.#network, network, target: { features, tasks } }
  }

  #need(what: string): Built {
    this.#checkAlive()
    if (this.#built === undefined) throw new NotBuiltError(what)
    return this.#built
  }

  #checkFree(what: string): void {
    this.#checkAlive()
    if (this.#busy !== undefined) throw new BusyError(what, this.#busy)
  }

  #checkAlive(): void {
    if (this.#disposed) throw this.#ended()
  }

  #ended(): DisposedError {
    return new DisposedError(`the ${this.name} model`)
  }

  /** A check for a call to make between its parts. It throws if the call must not go on. */
  #checking(what: string, options: CallOptions): () => void {
    const { signal } = parseOptions(what, callSchema, options)
    return () => {
      this.#checkAlive()
      if (signal?.aborted === true) throw new AbortedError(what, signal.reason)
    }
  }
}

/** The option of `predictSync`. Not `guarded`, which allocates a function. */
function rowsIn(options: { readonly rows?: number | undefined } | undefined): number | undefined {
  try {
    return options?.rows
  } catch (cause) {
    throw unreadable('predictSync', undefined, cause)
  }
}

/** Columns of a few rows become a dataset without conversion. */
function datasetOf(data: Dataset | Readonly<Record<string, ColumnValues>>): Dataset {
  return isDataset(data) ? data : Dataset.fromColumns(data)
}

function toFloat32(values: FloatArray): Float32Array {
  return isTypedArray(values, 'Float32Array') ? values : Float32Array.from(values)
}
