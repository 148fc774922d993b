// A file as a model. What the file says is checked against what its own configuration lowers to, so that a damaged or
// foreign file is an error and never a wrong model.

import { z } from 'zod'

import { describeIssues } from '../core/check.js'
import { FormatError, MultigateError } from '../core/errors.js'
import { encoderFromJSON } from '../features/encoders.js'
import { SafetensorsFile } from '../io/safetensors.js'
import type { Network } from '../models/network.js'
import { parseTask } from '../tasks/task.js'
import type { ComputeOptions } from './compute.js'
import { DataEncoder } from './encode.js'
import { chunkElements, weightsOf } from './memories.js'
import { inside, load, type Model } from './model.js'
import { modelClasses } from './models.js'
import { formatVersion, metadataKeys } from './save.js'

const schema = z.strictObject({
  model: z.enum(Object.keys(modelClasses) as (keyof typeof modelClasses)[]),
  options: z.record(z.string(), z.unknown()),
  tasks: z.array(z.unknown()),
  encoders: z.array(z.unknown()),
})

/**
 * Reads a model that `save` has written. It predicts the same bits as the one that was saved, on the same device and ISA.
 * @throws ERR_MULTIGATE_FORMAT naming what is wrong with the file, ERR_MULTIGATE_DEVICE as the constructor.
 * @example const model = await loadModel('model.safetensors')
 */
export async function loadModel(path: string, compute: ComputeOptions = {}): Promise<Model> {
  const file = await SafetensorsFile.open(path)
  try {
    const { model, encoder } = restore(path, file, compute)
    model[load](encoder)
    try {
      await readWeights(path, file, model)
    } catch (error) {
      model.dispose()
      throw error
    }
    return model
  } finally {
    await file.close()
  }
}

function restore(path: string, { metadata }: SafetensorsFile, compute: ComputeOptions): { model: Model; encoder: DataEncoder } {
  const { model: name, options, tasks: saved, encoders: states } = readMetadata(path, metadata)
  return asFormatError(path, () => {
    const tasks = saved.map((task, index) => parseTask(task, `tasks[${index}]`))
    const encoders = states.map((state, index) => encoderFromJSON(state, `encoders[${index}]`))
    // The constructor checks the options again: their type is known only at run time here.
    const model = new modelClasses[name]({
      ...options,
      features: encoders.map(({ feature }) => feature),
      tasks,
      ...compute,
    } as never)
    return { model, encoder: new DataEncoder(encoders, tasks) }
  })
}

function readMetadata(path: string, metadata: Readonly<Record<string, string>>): z.output<typeof schema> {
  const format = metadata[metadataKeys.format]
  if (format !== formatVersion) {
    const found = format === undefined ? 'none: was this file written by multigate?' : `'${format}'`
    throw new FormatError(`${path}: ${metadataKeys.format}: expected '${formatVersion}', found ${found}`, {
      file: path,
      field: metadataKeys.format,
    })
  }
  const json = parseJson(path, metadata[metadataKeys.model] ?? '')
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const [problem] = describeIssues(metadataKeys.model, result.error.issues, json)
  throw new FormatError(`${path}: ${problem?.message ?? 'the configuration is damaged'}`, { file: path, field: problem?.field })
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new FormatError(`${path}: ${metadataKeys.model}: expected JSON, found something else`, {
      file: path,
      field: metadataKeys.model,
      cause,
    })
  }
}

/** A configuration that is wrong in a file is the file's fault. */
function asFormatError<Result>(path: string, read: () => Result): Result {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof MultigateError) || cause.code !== 'ERR_MULTIGATE_ARGUMENT') throw cause
    throw new FormatError(`${path}: ${cause.message}`, { file: path, cause })
  }
}

async function readWeights(path: string, file: SafetensorsFile, model: Model): Promise<void> {
  const { network, memories } = model[inside].runner
  checkTensors(path, file, network)
  for (const weight of weightsOf(network)) {
    let at = 0
    for await (const part of file.chunks(weight.name, chunkElements)) {
      if (!(part instanceof Float32Array || part instanceof Float64Array)) {
        throw new FormatError(`${path}: ${weight.name}: expected F32 or F64, found ${file.entry(weight.name).dtype}`, {
          file: path,
          field: weight.name,
        })
      }
      memories.write({ ...weight, offset: weight.offset + at }, part)
      at += part.length
    }
  }
}

/** The same names with the same shapes, none missing and none too many. */
function checkTensors(path: string, file: SafetensorsFile, network: Network): void {
  const weights = weightsOf(network)
  for (const { name, shape } of weights) {
    const found = file.entry(name).shape
    if (found.join() === shape.join()) continue
    throw new FormatError(`${path}: ${name}: expected shape [${shape.join(', ')}], found [${found.join(', ')}]`, {
      file: path,
      field: name,
    })
  }
  const known = new Set(weights.map(({ name }) => name))
  const unknown = [...file.tensors.keys()].find((name) => !known.has(name))
  if (unknown !== undefined)
    throw new FormatError(`${path}: expected no tensor ${unknown}, found one`, { file: path, field: unknown })
}
