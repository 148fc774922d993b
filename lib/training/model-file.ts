// A file of a model, opened: what it says is checked against what its own configuration lowers to, so that a damaged or
// foreign file is an error and never a wrong model.

import { z } from 'zod'

import { describeIssues, quote } from '../core/check.js'
import { FormatError, MultigateError } from '../core/errors.js'
import type { LoweredProgram } from '../core/program.js'
import type { CsvOptions } from '../data/csv.js'
import type { Encoder } from '../features/encoder.js'
import { encoderFromJSON } from '../features/encoders.js'
import type { Feature } from '../features/feature.js'
import { SafetensorsFile } from '../io/safetensors.js'
import { type ModelName, models } from '../models/registry.js'
import type { FloatArray } from '../native/binding.js'
import { parseOptimizer } from '../optimizers/optimizer.js'
import { parseTask, type Task } from '../tasks/task.js'
import { DataEncoder } from './encode.js'
import type { EpochRecord } from './history.js'
import { chunkElements, type Place, type Snapshot, weightsOf } from './memories.js'
import type { NetworkRunner } from './network-runner.js'
import { formatVersions, metadataKeys } from './save.js'
import {
  callbackTensor,
  type Drawn,
  drawnSchema,
  momentTensor,
  type TrainingState,
  trainingPrefix,
  trainingSchema,
} from './training-state.js'
import { readVocabulary, vocabularyNames } from './vocabularies.js'

const modelSchema = z.strictObject({
  model: z.enum(Object.keys(models) as [ModelName, ...ModelName[]]),
  options: z.record(z.string(), z.unknown()),
  tasks: z.array(z.unknown()),
  encoders: z.array(z.unknown()),
})

type Configuration = z.output<typeof modelSchema>

/** Options of `Dataset.fromCsv`, which checks them. */
const readingSchema: z.ZodType<CsvOptions> = z.record(z.string(), z.unknown())

export class ModelFile {
  readonly path: string
  readonly model: ModelName
  /** The model's own options as they were written; unchecked. */
  readonly options: Readonly<Record<string, unknown>>
  readonly tasks: readonly Task[]
  readonly encoder: DataEncoder
  /** Undefined in files of before it was written. */
  readonly drawn: Drawn | undefined
  /** Undefined where the training rows were not read from a CSV file. */
  readonly reading: CsvOptions | undefined
  readonly #file: SafetensorsFile

  private constructor(
    path: string,
    file: SafetensorsFile,
    { model, options }: Configuration,
    tasks: readonly Task[],
    encoders: readonly Encoder[],
  ) {
    const optional = <Output>(key: string, schema: z.ZodType<Output>): Output | undefined =>
      file.metadata[key] === undefined ? undefined : readJson(path, file, key, schema)
    this.path = path
    this.#file = file
    this.model = model
    this.options = options
    this.tasks = tasks
    this.encoder = new DataEncoder(encoders, tasks)
    this.drawn = optional(metadataKeys.drawn, drawnSchema)
    this.reading = optional(metadataKeys.reading, readingSchema)
  }

  /** Opens a file that `save` or a checkpoint has written. @throws ERR_MULTIGATE_FORMAT naming what is wrong with it. */
  static async open(path: string): Promise<ModelFile> {
    const file = await SafetensorsFile.open(path)
    try {
      const format = file.metadata[metadataKeys.format]
      if (!formatVersions.some((version) => version === format)) {
        const found = format === undefined ? 'none: was this file written by multigate?' : `'${format}'`
        const expected = formatVersions.map((version) => `'${version}'`).join(' or ')
        throw formatError(path, metadataKeys.format, `expected ${expected}, found ${found}`)
      }
      const configuration = readJson(path, file, metadataKeys.model, modelSchema)
      const tasks = ofFile(path, () => configuration.tasks.map((task, index) => parseTask(task, `tasks[${index}]`)))
      const encoders: Encoder[] = []
      for (const [index, state] of configuration.encoders.entries()) {
        const vocabularyOf = ({ name }: Feature) => readVocabulary(path, file, name)
        encoders.push(await ofFile(path, () => encoderFromJSON(state, `encoders[${index}]`, vocabularyOf)))
      }
      return new ModelFile(path, file, configuration, tasks, encoders)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Runs a check whose arguments come from the file: what is wrong with them is the file's fault. */
  check<Result>(read: () => Result): Result {
    return ofFile(this.path, read)
  }

  /** Writes the weights to the memories of the network that they belong to. */
  async readWeights({ network, memories }: NetworkRunner): Promise<void> {
    const weights = weightsOf(network)
    const known = new Set([...weights.map(({ name }) => name), ...vocabularyNames(this.encoder.encoders)])
    const trained = this.#file.metadata[metadataKeys.training] !== undefined
    const unknown = [...this.#file.tensors.keys()].find(
      (name) => !known.has(name) && !(trained && name.startsWith(trainingPrefix)),
    )
    if (unknown !== undefined) throw formatError(this.path, unknown, 'expected no such tensor, found one')
    for (const { name, shape } of weights) this.#checkShape(name, shape)
    for (const weight of weights) await this.#copy(weight.name, weight, memories)
  }

  /** What the run that wrote this file as a checkpoint remembered. @throws ERR_MULTIGATE_FORMAT where `save` has written it. */
  async readTraining(): Promise<TrainingState> {
    if (this.#file.metadata[metadataKeys.training] === undefined) {
      const what = 'expected the state of a training run, found a model alone: only the checkpoints of fit can be resumed from'
      throw formatError(this.path, metadataKeys.training, what)
    }
    const { callbacks, stopped, optimizer, epochs, ...rest } = readJson(
      this.path,
      this.#file,
      metadataKeys.training,
      trainingSchema,
    )
    return {
      ...rest,
      optimizer: this.check(() => parseOptimizer(optimizer, `${metadataKeys.training}.optimizer`)),
      epochs: epochs as unknown as EpochRecord[],
      stopped: stopped ?? undefined,
      callbacks: await Promise.all(
        callbacks.map(async (own, index) => {
          if (own === null) return undefined
          return { json: own.json, weights: own.hasWeights ? await this.#snapshot(index) : undefined }
        }),
      ),
    }
  }

  /** Writes the optimizer's moments to the memories that a training program has bound. */
  async readMoments({ bindings, spec }: LoweredProgram, { memories }: NetworkRunner): Promise<void> {
    const moments = Object.entries(bindings).filter(([memory]) => memory.startsWith('moment'))
    const elements = (buffer: number): number => (spec.buffers[buffer]?.width ?? 0) * (spec.buffers[buffer]?.count ?? 0)
    for (const [memory, buffer] of moments) this.#checkShape(momentTensor(memory), [elements(buffer)])
    for (const [memory] of moments) await this.#copy(momentTensor(memory), { memory, offset: 0 }, memories)
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
    return snapshot
  }

  async #copy(
    name: string,
    { memory, offset }: Pick<Place, 'memory' | 'offset'>,
    memories: NetworkRunner['memories'],
  ): Promise<void> {
    let at = offset
    for await (const part of this.#parts(name)) {
      memories.write({ memory, offset: at }, part)
      at += part.length
    }
  }

  async *#parts(name: string): AsyncGenerator<FloatArray> {
    for await (const part of this.#file.chunks(name, chunkElements)) {
      if (part instanceof Float32Array || part instanceof Float64Array) yield part
      else throw formatError(this.path, name, `expected F32 or F64, found ${this.#file.entry(name).dtype}`)
    }
  }

  #checkShape(name: string, shape: readonly number[]): void {
    const found = this.#file.entry(name).shape
    if (found.join() === shape.join()) return
    throw formatError(this.path, name, `expected shape [${shape.join(', ')}], found [${found.join(', ')}]`)
  }
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

function readJson<Output>(path: string, { metadata }: SafetensorsFile, key: string, schema: z.ZodType<Output>): Output {
  let json: unknown
  try {
    json = JSON.parse(metadata[key] ?? '')
  } catch (cause) {
    throw formatError(path, key, 'expected JSON, found something else', cause)
  }
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const [problem] = describeIssues(key, result.error.issues, json)
  throw new FormatError(`${path}: ${problem?.message ?? 'the configuration is damaged'}`, { file: path, field: problem?.field })
}

function formatError(path: string, field: string, what: string, cause?: unknown): FormatError {
  const name = field.startsWith('multigate.') ? field : `tensor ${quote(field)}`
  return new FormatError(`${path}: ${name}: ${what}`, { file: path, field, ...(cause !== undefined && { cause }) })
}
