// A model as a file: weights as named tensors in Keras's layout, and in the metadata everything else that predicting needs:
// options, tasks, fitted encoders. A checkpoint has the state of its training run too.

import { type TensorSource, writeSafetensors } from '../io/safetensors.js'
import type { Task } from '../tasks/task.js'
import type { DataEncoder } from './encode.js'
import { weightsOf } from './memories.js'
import type { NetworkRunner } from './network-runner.js'
import { type Drawn, type TrainingState, trainingJson, trainingTensors } from './training-state.js'

/** Raised where a file of before could be read wrongly. */
export const formatVersion = '1'

/** Keys of the metadata. */
export const metadataKeys = {
  format: 'multigate.format',
  model: 'multigate.model',
  drawn: 'multigate.drawn',
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
}

/** Writes a model; the file is replaced whole or not at all. */
export async function writeModel(
  path: string | URL,
  config: ModelConfig,
  { encoder, runner, drawn }: Built,
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
  await writeSafetensors(path, {
    metadata: {
      [metadataKeys.format]: formatVersion,
      [metadataKeys.model]: JSON.stringify({ ...config, encoders: encoder.encoders }),
      [metadataKeys.drawn]: JSON.stringify(drawn),
      ...(training !== undefined && { [metadataKeys.training]: JSON.stringify(trainingJson(training)) }),
    },
    tensors: training === undefined ? weights : [...weights, ...trainingTensors(training, memories, dtype)],
  })
}
