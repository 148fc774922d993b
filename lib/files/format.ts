// What a model file holds. Weights are named tensors in Keras's layout. The metadata hold everything else that predicting needs:
// options, tasks and fitted encoders. A checkpoint also holds the state of its training run.

import { z } from 'zod'

import type { CsvOptions } from '../data/csv-options.js'
import type { DataEncoder } from '../runtime/encode.js'
import type { NetworkRunner } from '../runtime/runner.js'
import type { Task } from '../tasks/task.js'
import type { Days } from '../training/growth.js'
import type { Drawn } from '../training/state.js'

/** Increased when an older release would misread a new file. Files of version 1 keep vocabularies in their JSON. */
export const formatVersion = '2'
export const formatVersions = ['1', formatVersion] as const

/** Metadata keys. */
export const metadataKeys = {
  format: 'multigate.format',
  model: 'multigate.model',
  drawn: 'multigate.drawn',
  days: 'multigate.days',
  reading: 'multigate.reading',
  training: 'multigate.training',
} as const

/** The metadata key of a delta, which is no model. */
export const deltaKey = 'multigate.delta'

/** What a model was made from. Its features are in its encoders. */
export interface ModelConfig {
  readonly model: string
  readonly tasks: readonly Task[]
  /** The model's own options, as the user wrote them. */
  readonly options: object
}

/** A model with weights. */
export interface Built {
  readonly encoder: DataEncoder
  readonly runner: NetworkRunner
  readonly drawn: Drawn
  /** How the CSV file of the training rows was read: options of `Dataset.fromCsv`. */
  readonly reading: CsvOptions | undefined
  /** Undefined unless the model is trained every day. */
  readonly days?: Days | undefined
}

const count = z.int().min(0)
/** The JSON of days. */
export const daysSchema = z.strictObject({
  kind: z.enum(['fits', 'number', 'date']),
  last: count.max(2 ** 31 - 1),
  drawnRows: z.record(z.string(), count),
})

/** Options of `Dataset.fromCsv`, which checks them. */
export const readingSchema: z.ZodType<CsvOptions> = z.record(z.string(), z.unknown())
