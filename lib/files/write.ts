// Writes a model to a file.

import type { FilePath } from '../core/path.js'
import { encoderToJSON } from '../features/encode/encoders.js'
import { type TensorSource, writeSafetensors } from '../io/safetensors.js'
import { weightsOf } from '../runtime/weights.js'
import type { TrainingState } from '../training/state.js'
import { type Built, formatVersion, type ModelConfig, metadataKeys } from './format.js'
import { trainingJson, trainingTensors } from './training-state.js'
import { vocabularyTensors } from './vocabularies.js'

/** Writes a model; the file is replaced whole or not at all. */
export async function writeModel(
  path: FilePath,
  config: ModelConfig,
  { encoder, runner, drawn, reading }: Built,
  training?: TrainingState,
): Promise<void> {
  const { network, memories, compute } = runner
  const dtype = compute.element === Float64Array ? 'F64' : 'F32'
  const weights = weightsOf(network).map(
    (weight): TensorSource => ({
      name: weight.name,
      shape: weight.shape,
      dtype,
      chunks: () => memories.parts(weight),
    }),
  )
  const vocabularies = await vocabularyTensors(encoder.encoders)
  await writeSafetensors(path, {
    metadata: {
      [metadataKeys.format]: formatVersion,
      [metadataKeys.model]: JSON.stringify({ ...config, encoders: encoder.encoders.map(encoderToJSON) }),
      [metadataKeys.drawn]: JSON.stringify(drawn),
      ...(reading !== undefined && { [metadataKeys.reading]: JSON.stringify(reading) }),
      ...(training !== undefined && { [metadataKeys.training]: JSON.stringify(trainingJson(training)) }),
    },
    tensors: [...weights, ...vocabularies, ...(training === undefined ? [] : trainingTensors(training, memories, dtype))],
  })
}
