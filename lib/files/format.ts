// What a model's file holds: weights as named tensors in Keras's layout, and in the metadata everything else that predicting needs:
// options, tasks, fitted encoders. A checkpoint has the state of its training run too.

import type { CsvOptions } from '../data/csv-options.js'
import type { DataEncoder } from '../runtime/encode.js'
import type { NetworkRunner } from '../runtime/runner.js'
import type { Task } from '../tasks/task.js'
import type { Drawn } from '../training/state.js'

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
