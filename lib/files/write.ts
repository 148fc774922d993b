// Writes a model to a file.

import { checkFailed, quote } from '../core/check.js'
import { notFiniteAt } from '../core/finite.js'
import { type FilePath, pathOf } from '../core/path.js'
import { encoderToJSON } from '../features/encode/encoders.js'
import { writeSafetensors } from '../io/safetensors.js'
import type { FloatArray } from '../native/binding.js'
import { weightsOf } from '../runtime/weights.js'
import type { TrainingState } from '../training/state.js'
import { type Built, formatVersion, type ModelConfig, metadataKeys } from './format.js'
import { type FloatSource, trainingJson, trainingTensors } from './training-state.js'
import { vocabularyTensors } from './vocabularies.js'

/**
 * Writes a model. It replaces the whole file or leaves it untouched.
 * @throws ERR_MULTIGATE_DIVERGED naming the tensor that is not finite: no one could load the file.
 */
export async function writeModel(
  path: FilePath,
  config: ModelConfig,
  { encoder, runner, drawn, reading, days }: Built,
  training?: TrainingState,
): Promise<void> {
  const { network, weights: memory, compute } = runner
  const dtype = compute.element === Float64Array ? 'F64' : 'F32'
  const weights = weightsOf(network).map(
    (weight): FloatSource => ({
      name: weight.name,
      shape: weight.shape,
      dtype,
      chunks: () => memory.passing(weight),
    }),
  )
  const state = training === undefined ? [] : trainingTensors(training, memory, dtype)
  const vocabularies = await vocabularyTensors(encoder.encoders)
  await writeSafetensors(path, {
    metadata: {
      [metadataKeys.format]: formatVersion,
      [metadataKeys.model]: JSON.stringify({
        ...config,
        encoders: encoder.encoders.map(encoderToJSON),
        ...(encoder.fitted.some((own) => own !== undefined) && { fitted: encoder.fitted.map((own) => own ?? null) }),
      }),
      [metadataKeys.drawn]: JSON.stringify(drawn),
      ...(days !== undefined && { [metadataKeys.days]: JSON.stringify(days) }),
      ...(reading !== undefined && { [metadataKeys.reading]: JSON.stringify(reading) }),
      ...(training !== undefined && { [metadataKeys.training]: JSON.stringify(trainingJson(training)) }),
    },
    tensors: [...[...weights, ...state].map((source) => checked(pathOf('path', path), source)), ...vocabularies],
  })
}

/** The same tensor, with each chunk checked when it is written. */
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
        `${path}: tensor ${quote(name)}: expected finite numbers, found ${part[at]} at element ${element + at}; nothing was written. Load an earlier file, or make a new model and train it with a lower learning rate`,
      )
    }
    yield part
    element += part.length
  }
}
