// Opens a model file and checks it against the network that its own configuration describes. A damaged or foreign file is an
// error, never a wrong model.

import { z } from 'zod'

import { describeIssues, quote } from '../core/check.js'
import { FormatError, MultigateError } from '../core/errors.js'
import { notFiniteAt } from '../core/finite.js'
import { elementsOf } from '../core/layout.js'
import type { FilePath } from '../core/path.js'
import type { LoweredProgram } from '../core/program.js'
import { inSlices, Pause, type Sliced } from '../core/slices.js'
import type { CsvOptions } from '../data/csv-options.js'
import type { Encoder } from '../features/encode/encoder.js'
import { encoderFromJSON } from '../features/encode/encoders.js'
import { tableEncoder } from '../features/encode/growth.js'
import type { Feature } from '../features/spec/feature.js'
import { parseJson } from '../io/json.js'
import { SafetensorsFile } from '../io/safetensors.js'
import type { Network } from '../models/network.js'
import { type ModelName, models } from '../models/registry.js'
import type { FloatArray } from '../native/binding.js'
import { parseOptimizer } from '../optimizers/optimizer.js'
import { DataEncoder } from '../runtime/encode.js'
import type { Compaction } from '../runtime/growth.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { chunkElements, type Place, type Snapshot, weightsOf } from '../runtime/weights.js'
import { fittedSchema } from '../tasks/fitted.js'
import { parseTask, type Task } from '../tasks/task.js'
import type { WeightGroup } from '../training/groups.js'
import type { Days } from '../training/growth.js'
import type { Drawn, TrainingState } from '../training/state.js'
import { type ExtentOptions, leastExtent } from './extent.js'
import { daysSchema, deltaKey, formatVersions, metadataKeys, readingSchema } from './format.js'
import { callbackTensor, drawnSchema, epochsOf, momentTensor, trainingPrefix, trainingSchema } from './training-state.js'
import { readLastSeen, readVocabulary, vocabularyNames } from './vocabularies.js'

const modelSchema = z.strictObject({
  model: z.enum(Object.keys(models) as [ModelName, ...ModelName[]]),
  options: z.record(z.string(), z.unknown()),
  tasks: z.array(z.unknown()),
  encoders: z.array(z.unknown()),
  /** What each task has fitted on training labels. Absent if no task has. */
  fitted: z.array(fittedSchema.nullable()).optional(),
})

export class ModelFile {
  readonly path: string
  readonly model: ModelName
  /** The model's own options, as the user wrote them; unchecked. */
  readonly options: Readonly<Record<string, unknown>>
  readonly tasks: readonly Task[]
  readonly encoder: DataEncoder
  /** Undefined in files older than this field. */
  readonly drawn: Drawn | undefined
  /** Undefined unless the model is trained every day. */
  readonly days: Days | undefined
  /** Undefined if the training rows did not come from a CSV file. */
  readonly reading: CsvOptions | undefined
  readonly #file: SafetensorsFile

  private constructor(file: SafetensorsFile, { model, options, tasks, encoder, drawn, days, reading }: Content) {
    this.path = file.path
    this.#file = file
    this.model = model
    this.options = options
    this.tasks = tasks
    this.encoder = encoder
    this.drawn = drawn
    this.days = days
    this.reading = reading
  }

  /** Opens a file that `save` or a checkpoint wrote. @throws ERR_MULTIGATE_FORMAT naming what is wrong with it. */
  static async open(path: FilePath): Promise<ModelFile> {
    const file = await SafetensorsFile.open(path)
    try {
      const content = await readContent(file)
      checkExtent(file, content)
      return new ModelFile(file, content)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Runs a check whose arguments come from the file. Its error becomes a FormatError. */
  check<Result>(read: () => Result): Result {
    return ofFile(this.path, read)
  }

  /**
   * Checks that the file has exactly the weights of this network. Call it before allocating memory for them.
   * @throws ERR_MULTIGATE_FORMAT naming the tensor.
   */
  checkWeights(network: Network): void {
    const weights = weightsOf(network)
    const known = new Set(weights.map(({ name }) => name))
    const unknown = weightNames(this.#file, this).find((name) => !known.has(name))
    if (unknown !== undefined) throw formatError(this.path, unknown, 'expected no such tensor, found one')
    for (const { name, shape } of weights) this.#checkShape(name, shape)
  }

  /**
   * Copies the weights into the network's memories. `kept`: the rows of tables that stay; the network's own may have more.
   * @throws as `checkWeights`, and for a number that is not finite.
   */
  async readWeights({ network, weights: memories }: NetworkRunner, kept: KeptRows = () => undefined): Promise<void> {
    for (const weight of weightsOf(network)) await this.#copy(weight.name, weight, memories, kept(weight.memory))
  }

  /** One array of weights, part by part. Each part reuses the memory of the one before. @throws as `readWeights`. */
  weight(name: string): AsyncGenerator<FloatArray> {
    return this.#parts(name, { passing: true })
  }

  /** Whether it holds the state of a training run. */
  get isCheckpoint(): boolean {
    return this.#file.metadata[metadataKeys.training] !== undefined
  }

  /**
   * The saved state of the training run, without that of callbacks if `callbacks` is false.
   * @throws ERR_MULTIGATE_FORMAT if `save` wrote the file: it holds no such state.
   */
  async readTraining({ callbacks: all = true } = {}): Promise<TrainingState> {
    if (!this.isCheckpoint) {
      const what = 'expected the state of a training run, found a model alone; resume from a file that a checkpoint of fit wrote'
      throw formatError(this.path, metadataKeys.training, what)
    }
    const json = await readJson(this.#file, metadataKeys.training, trainingSchema)
    const { callbacks, steps, rateFactor, stopped, weightsOf, within, optimizer, optimizers, freeze } = json
    const optimizerOf = (value: unknown, name: string) => parseOptimizer(value, `${metadataKeys.training}.${name}`)
    const remembered: TrainingState['callbacks'][number][] = []
    for (const [index, own] of all ? callbacks.entries() : []) {
      const weights = own?.hasWeights === true ? await this.#snapshot(index) : undefined
      remembered.push(own === null ? undefined : { json: own.json, weights })
    }
    return {
      steps,
      balance: json.balance as TrainingState['balance'],
      rateFactor,
      optimizer: this.check(() => optimizerOf(optimizer, 'optimizer')),
      optimizers: this.check(() => mapValues(optimizers, (value, group) => optimizerOf(value, `optimizers.${group}`))),
      freeze: freeze as WeightGroup[],
      ema: json.ema,
      epochs: epochsOf(json),
      stopReason: stopped ?? undefined,
      weightsEpoch: weightsOf,
      within,
      callbacks: remembered,
    }
  }

  /**
   * Copies the optimizer's moments into the memories that a training program has bound. `before`: the network of the file, if its tables had
   * other sizes, and the rows of them that stay.
   */
  async readMoments(
    { bindings, spec }: LoweredProgram,
    { weights: memories, network }: NetworkRunner,
    before?: { readonly network: Network; readonly kept: KeptRows },
  ): Promise<void> {
    const moments = Object.entries(bindings).filter(([memory]) => memory.startsWith('moment'))
    const tables = new Map(before?.network.tables.map(({ name, rows }) => [name, rows]))
    const rowsNow = new Map(network.tables.map(({ name, rows }) => [name, rows]))
    const elements = (buffer: number): number => (spec.buffers[buffer]?.width ?? 0) * (spec.buffers[buffer]?.count ?? 0)
    // Some moments have one number per row, and not one per weight.
    const perRow = (memory: string, buffer: number): number => elements(buffer) / (rowsNow.get(tableOf(memory)) ?? 1)
    for (const [memory, buffer] of moments) {
      const rows = tables.get(tableOf(memory))
      this.#checkShape(momentTensor(memory), [rows === undefined ? elements(buffer) : rows * perRow(memory, buffer)])
    }
    for (const [memory, buffer] of moments) {
      const kept = before?.kept(`table:${tableOf(memory)}`, perRow(memory, buffer))
      await this.#copy(momentTensor(memory), { memory, offset: 0 }, memories, kept)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close()
  }

  async #snapshot(callback: number): Promise<Snapshot> {
    const prefix = callbackTensor(callback, '')
    const snapshot = new Map<string, FloatArray[]>()
    for (const name of this.#file.tensors.keys()) {
      if (!name.startsWith(prefix)) continue
      const parts: FloatArray[] = []
      for await (const part of this.#parts(name)) parts.push(part)
      snapshot.set(name.slice(prefix.length), parts)
    }
    if (snapshot.size === 0) throw formatError(this.path, prefix, 'expected the weights that a callback keeps, found none')
    return snapshot
  }

  async #copy(
    name: string,
    { memory, offset }: Pick<Place, 'memory' | 'offset'>,
    memories: NetworkRunner['weights'],
    kept?: Compaction,
  ): Promise<void> {
    let at = offset
    for await (const part of this.#parts(name, { passing: true })) {
      const own = kept === undefined ? part : kept.next(part)
      if (own.length > 0) memories.write({ memory, offset: at }, own)
      at += own.length
    }
  }

  async *#parts(name: string, { passing = false } = {}): AsyncGenerator<FloatArray> {
    this.#checkFloat(name)
    let element = 0
    for await (const part of this.#file.chunks(name, chunkElements, { passing })) {
      const numbers = part as FloatArray
      const wrong = notFiniteAt(numbers)
      if (wrong >= 0) {
        const what = `expected finite numbers, found ${numbers[wrong]} at element ${element + wrong}; load an earlier file`
        throw formatError(this.path, name, what)
      }
      yield numbers
      element += numbers.length
    }
  }

  #checkShape(name: string, shape: readonly number[]): void {
    const found = this.#file.entry(name).shape
    if (found.join() !== shape.join())
      throw formatError(this.path, name, `expected shape [${shape.join(', ')}], found [${found.join(', ')}]`)
    this.#checkFloat(name)
  }

  #checkFloat(name: string): void {
    const { dtype } = this.#file.entry(name)
    if (dtype !== 'F32' && dtype !== 'F64') throw formatError(this.path, name, `expected F32 or F64, found ${dtype}`)
  }
}

/**
 * The rows of a table, by the name of its memory, that stay; undefined: all. Each answer serves one pass.
 * @param width numbers per row. Default: that of the table.
 */
export type KeptRows = (memory: string, width?: number) => Compaction | undefined

/** The feature of a table's moment: `userid` of `moment1:userid`. Empty for one of the dense weights. */
function tableOf(moment: string): string {
  const at = moment.indexOf(':')
  return at < 0 ? '' : moment.slice(at + 1)
}

type Content = Pick<ModelFile, 'model' | 'options' | 'tasks' | 'encoder' | 'drawn' | 'days' | 'reading'>

async function readContent(file: SafetensorsFile): Promise<Content> {
  const { path, metadata } = file
  const format = metadata[metadataKeys.format]
  if (!formatVersions.some((version) => version === format)) {
    const foreign =
      deltaKey in metadata ? 'a delta: load its base, and apply it there' : 'none: was this file written by multigate?'
    const found = format === undefined ? foreign : `'${format}'`
    const expected = formatVersions.map((version) => `'${version}'`).join(' or ')
    throw formatError(path, metadataKeys.format, `expected ${expected}, found ${found}`)
  }
  const { model, options, ...saved } = await readJson(file, metadataKeys.model, modelSchema)
  const tasks = await inSlices(tasksOf(file, saved.tasks))
  const encoders: Encoder[] = []
  const vocabularyOf = ({ name }: Feature) => readVocabulary(path, file, name)
  const pause = new Pause()
  for (const [index, state] of saved.encoders.entries()) {
    const encoder = await ofFile(path, () => encoderFromJSON(state, `encoders[${index}]`, vocabularyOf))
    encoders.push(await withLastSeen(file, encoder))
    await pause.ifDue()
  }
  const optional = async <Output>(key: string, schema: z.ZodType<Output>): Promise<Output | undefined> =>
    metadata[key] === undefined ? undefined : await readJson(file, key, schema)
  const fitted = saved.fitted?.map((own) => own ?? undefined)
  const encoder = ofFile(path, () => new DataEncoder(encoders, tasks, fitted))
  const drawn = await optional(metadataKeys.drawn, drawnSchema)
  const days = await optional(metadataKeys.days, daysSchema)
  const reading = await optional(metadataKeys.reading, readingSchema)
  return { model, options, tasks, encoder, drawn, days, reading }
}

async function withLastSeen(file: SafetensorsFile, encoder: Encoder): Promise<Encoder> {
  if (encoder.kind === 'dense' || encoder.vocabulary === undefined) return encoder
  const lastSeen = await readLastSeen(file.path, file, encoder.feature.name, encoder.vocabulary.size)
  return lastSeen === undefined ? encoder : tableEncoder(encoder, { ...encoder, lastSeen })
}

function mapValues<Out>(
  values: Readonly<Record<string, unknown>>,
  of: (value: unknown, key: string) => Out,
): Record<string, Out> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, of(value, key)]))
}

function* tasksOf({ path }: SafetensorsFile, saved: readonly unknown[]): Sliced<Task[]> {
  const tasks: Task[] = []
  for (const [index, task] of saved.entries()) {
    tasks.push(ofFile(path, () => parseTask(task, `tasks[${index}]`)))
    yield
  }
  return tasks
}

/** The names of the tensors that are weights, without vocabularies and training state. */
function weightNames({ metadata, tensors }: SafetensorsFile, { encoder }: Pick<Content, 'encoder'>): string[] {
  const trained = metadata[metadataKeys.training] !== undefined
  const vocabularies = new Set(vocabularyNames(encoder.encoders))
  return [...tensors.keys()].filter((name) => !vocabularies.has(name) && !(trained && name.startsWith(trainingPrefix)))
}

/** @throws ERR_MULTIGATE_FORMAT if the options describe a network larger than the file. It runs before the network is made. */
function checkExtent(file: SafetensorsFile, content: Content): void {
  const { model, options, tasks, encoder } = content
  const parsed = ofFile<ExtentOptions>(file.path, () => models[model].parse(options as never))
  const least = leastExtent(parsed, encoder.features, tasks.length)
  const own = weightNames(file, content)
  const weights = own.reduce((sum, name) => sum + elementsOf(file.entry(name).shape), 0)
  if (least.tensors <= own.length && least.weights <= weights) return
  const [found, expected] = [`${own.length} tensors of ${weights} numbers`, `${least.tensors} of ${least.weights}`]
  throw formatError(
    file.path,
    metadataKeys.model,
    `expected the weights that its options describe, ${expected} at least, found ${found}`,
  )
}

function ofFile<Result>(path: string, read: () => Result): Result {
  const wrong = (cause: unknown): unknown => {
    const ofContent = cause instanceof MultigateError && /^ERR_MULTIGATE_(ARGUMENT|FORMAT)$/.test(cause.code)
    if (!ofContent || cause.message.startsWith(path)) return cause
    return new FormatError(`${path}: ${cause.message}`, { file: path, cause })
  }
  try {
    const result = read()
    return result instanceof Promise ? (result.catch((cause: unknown) => Promise.reject(wrong(cause))) as Result) : result
  } catch (cause) {
    throw wrong(cause)
  }
}

async function readJson<Output>({ path, metadata }: SafetensorsFile, key: string, schema: z.ZodType<Output>): Promise<Output> {
  const json = await inSlices(parseJson(metadata[key] ?? '')).catch((cause: Error) => {
    throw formatError(path, key, `expected JSON, found something else (${cause.message})`, cause)
  })
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const [problem] = describeIssues(key, result.error.issues, json)
  throw new FormatError(`${path}: ${problem?.message ?? 'the configuration is damaged'}`, { file: path, field: problem?.field })
}

function formatError(path: string, field: string, what: string, cause?: unknown): FormatError {
  const name = field.startsWith('multigate.') ? field : `tensor ${quote(field)}`
  return new FormatError(`${path}: ${name}: ${what}`, { file: path, field, ...(cause !== undefined && { cause }) })
}
