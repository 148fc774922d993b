// A model as a file: weights as named tensors in Keras's layout, and in the metadata everything else that predicting needs:
// options, tasks, fitted encoders. A checkpoint has the state of its training run too.

import { checkFailed, quote } from '../core/check.js'
import { notFiniteAt } from '../core/finite.js'
import { type FilePath, pathOf } from '../core/path.js'
import type { CsvOptions } from '../data/csv-options.js'
import { encoderToJSON } from '../features/encoders.js'
import { writeSafetensors } from '../io/safetensors.js'
import type { FloatArray } from '../native/binding.js'
import type { Task } from '../tasks/task.js'
import type { DataEncoder } from './encode.js'
import { weightsOf } from './memories.js'
import type { NetworkRunner } from './network-runner.js'
import { type Drawn, type FloatSource, type TrainingState, trainingJson, trainingTensors } from './training-state.js'
import { vocabularyTensors } from './vocabularies.js'

/** Raised where a program of before would read a file wrongly. Files of version 1 have vocabularies in their JSON. */
export const formatVersion = '2'
export const formatVersions = ['1', formatVersion] as const

/** Keys of the metadata. */
export const metadataKeys = {
  format: 'multigate.format',
  model: 'multigate.model',
  drawn: 'multigate.drawn',
  reading: 'multigate.reading',
  training: 'multigate.training',
} as const

/** What a model was made from; its features are in its encoders. */
export interface ModelConfig {
  readonly model: string
  readonly tasks: readonly Task[]
  /** The model's own options as they were written. */
  readonly options: object
}

/** A model with weights. */
export interface Built {
  readonly encoder: DataEncoder
  readonly runner: NetworkRunner
  readonly drawn: Drawn
  /** How the file was read that its encoders were fitted on: options of `Dataset.fromCsv`. */
  readonly reading: CsvOptions | undefined
}

/**
 * Writes a model; the file is replaced whole or not at all.
 * @throws ERR_MULTIGATE_DIVERGED naming the tensor that is not finite, which no one could load.
 */
export async function writeModel(
  path: FilePath,
  config: ModelConfig,
  { encoder, runner, drawn, reading }: Built,
  training?: TrainingState,
): Promise<void> {
  const { network, memories, compute } = runner
  const dtype = compute.element === Float64Array ? 'F64' : 'F32'
  const weights = weightsOf(network).map(
    (weight): FloatSource => ({
      name: weight.name,
      shape: weight.shape,
      dtype,
      chunks: () => memories.passing(weight),
    }),
  )
  const state = training === undefined ? [] : trainingTensors(training, memories, dtype)
  const vocabularies = await vocabularyTensors(encoder.encoders)
  await writeSafetensors(path, {
    metadata: {
      [metadataKeys.format]: formatVersion,
      [metadataKeys.model]: JSON.stringify({ ...config, encoders: encoder.encoders.map(encoderToJSON) }),
      [metadataKeys.drawn]: JSON.stringify(drawn),
      ...(reading !== undefined && { [metadataKeys.reading]: JSON.stringify(reading) }),
      ...(training !== undefined && { [metadataKeys.training]: JSON.stringify(trainingJson(training)) }),
    },
    tensors: [...[...weights, ...state].map((source) => checked(pathOf('path', path), source)), ...vocabularies],
  })
}

/** The same tensor, whose parts are looked at when their turn to be written comes. */
function checked(path: string, source: FloatSource): FloatSource {
  return { ...source, chunks: () => finite(path, source) }
}

function* finite(path: string, { name, chunks }: FloatSource): Generator<FloatArray, void, undefined> {
  let element = 0
  for (const part of chunks()) {
    const at = notFiniteAt(part)
    if (at >= 0) {
      throw checkFailed(
        'ERR_MULTIGATE_DIVERGED',
        `${path}: tensor ${quote(name)}: expected finite numbers, found ${part[at]} at element ${element + at}; nothing was written, as no one could load it. Load a file of before that, or make the model anew and train it with a lower learning rate`,
      )
    }
    yield part
    element += part.length
  }
}
