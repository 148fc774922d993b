// What `fit` trains on: a dataset in memory, or rows in parts. It fits encoders on them and encodes them.

import { invalidArgument } from '../core/check.js'
import type { CsvOptions } from '../data/csv-options.js'
import { checkDataset, type Dataset } from '../data/dataset.js'
import type { Feature } from '../features/spec/feature.js'
import type { NativeBinding } from '../native/binding.js'
import { checkRows, DataEncoder, ofDataset } from '../runtime/encode.js'
import { encodeParts, fitParts } from '../runtime/encode-parts.js'
import { isStream, Parts, type RowStream } from '../runtime/parts.js'
import { type RowSource, RowsInMemory } from '../runtime/row-source.js'
import type { RowsPrint } from '../runtime/rows-print.js'
import { formOf, ShardedRows } from '../runtime/sharded-rows.js'
import type { Task } from '../tasks/task.js'
import type { FitValues } from '../training/options.js'

/** Fitted encoders, and how the rows were read. */
export interface Fitted {
  readonly encoder: DataEncoder
  readonly reading: CsvOptions | undefined
}

export interface TrainingRows {
  /** Fits every open encoder. */
  fit(): Promise<Fitted>
  /** @param first whether nothing has been trained before, so that the labels must have something to learn. */
  encode(encoder: DataEncoder, options: { readonly first: boolean }): Promise<RowSource>
}

export interface RowsOptions {
  readonly features: readonly Feature[]
  readonly tasks: readonly Task[]
  readonly settings: Pick<FitValues, 'stream' | 'batchSize' | 'shuffle' | 'trainingMetrics'>
  readonly seed: number
  readonly native: NativeBinding
  /** Throws if the work must stop. */
  readonly check: () => void
}

/** @throws ERR_MULTIGATE_ARGUMENT for what has no rows, or for options that need all rows in memory. */
export async function trainingRows(train: Dataset | RowStream, options: RowsOptions): Promise<TrainingRows> {
  if (isStream(train)) return new InParts(train, options)
  checkDataset('fit.train', train)
  await ofDataset('training', () => checkRows(train))
  return new InMemory(train, options)
}

class InMemory implements TrainingRows {
  readonly #train: Dataset
  readonly #options: RowsOptions

  constructor(train: Dataset, options: RowsOptions) {
    this.#train = train
    this.#options = options
  }

  async fit(): Promise<Fitted> {
    const { features, tasks } = this.#options
    return ofDataset('training', async () => {
      return { encoder: await DataEncoder.fit(this.#train, features, tasks), reading: this.#train.reading }
    })
  }

  async encode(encoder: DataEncoder, { first }: { readonly first: boolean }): Promise<RowSource> {
    const { native, check } = this.#options
    const purpose = first ? 'training' : 'more training'
    return new RowsInMemory(await ofDataset('training', () => encoder.encode(this.#train, native, purpose, check)))
  }
}

class InParts implements TrainingRows {
  readonly #parts: Parts
  readonly #options: RowsOptions
  #print: RowsPrint | undefined

  constructor(train: RowStream, options: RowsOptions) {
    if (options.settings.trainingMetrics) {
      const next = 'leave it out: validation data are measured after every epoch'
      throw invalidArgument(
        'fit.trainingMetrics',
        'false for rows in parts, because it keeps the predictions of all rows',
        true,
        next,
      )
    }
    this.#parts = new Parts(train, 'fit.train')
    this.#options = options
  }

  async fit(): Promise<Fitted> {
    this.#parts.checkAgain('a new model fits its vocabularies before it encodes')
    const { print, ...fitted } = await ofDataset('training', () => fitParts(this.#parts, this.#options))
    this.#print = print
    return fitted
  }

  async encode(encoder: DataEncoder): Promise<RowSource> {
    const { settings, native, seed } = this.#options
    const { stream, shuffle } = settings
    const options = { scratch: stream.scratch, formOf: (rowBytes: number) => formFor(settings, rowBytes), print: this.#print }
    const { file, form, counts } = await ofDataset('training', () => encodeParts(this.#parts, encoder, this.#options, options))
    return new ShardedRows(file, { ...form, native, counts, seed, shuffle })
  }
}

function formFor(
  { stream: { memory }, batchSize }: RowsOptions['settings'],
  rowBytes: number,
): ReturnType<typeof formOf> & object {
  const form = formOf(memory, rowBytes, batchSize)
  if (form !== undefined) return form
  const least = 2 * batchSize * (rowBytes + 4)
  throw invalidArgument('fit.stream.memory', `at least ${least} bytes, which two batches take`, memory)
}
