// What `fit` trains on: a dataset in memory, or rows in parts. It fits encoders on them and encodes them.

import { invalidArgument } from '../core/check.js'
import { inSlices } from '../core/slices.js'
import type { CsvOptions } from '../data/csv-options.js'
import { checkDataset, type Dataset } from '../data/dataset.js'
import type { Feature } from '../features/spec/feature.js'
import type { NativeBinding } from '../native/binding.js'
import { checkRows, DataEncoder, ofDataset } from '../runtime/encode.js'
import { columnsOf, encodeParts, type FirstReading, fitFirstPart, fitParts, readParts } from '../runtime/encode-parts.js'
import type { RowReader } from '../runtime/growth.js'
import { LabelSample } from '../runtime/label-sample.js'
import { NegativeSampling, noneKept } from '../runtime/negative-sampling.js'
import { isStream, ofPart, type Part, Parts, type RowStream } from '../runtime/parts.js'
import { type RowSource, RowsInMemory } from '../runtime/row-source.js'
import { formOf, ShardedRows } from '../runtime/sharded-rows.js'
import { ofSource } from '../runtime/source.js'
import type { Task } from '../tasks/task.js'
import type { FitValues } from '../training/options.js'

/** Fitted encoders, and how the rows were read. */
export interface Fitted {
  readonly encoder: DataEncoder
  readonly reading: CsvOptions | undefined
}

export interface TrainingRows {
  /** How the rows were read. Undefined for rows in parts that have not been read yet. */
  readonly reading: CsvOptions | undefined
  /** Gives all rows to each reader. @throws ERR_MULTIGATE_ARGUMENT for an iterator, which cannot be read once more to be encoded. */
  read(readers: readonly RowReader[]): Promise<void>
  /** Fits every open encoder. */
  fit(): Promise<Fitted>
  /** @param first whether nothing has been trained before, so that the labels must have something to learn. */
  encode(encoder: DataEncoder, options: { readonly first: boolean }): Promise<RowSource>
}

export interface RowsOptions {
  readonly features: readonly Feature[]
  readonly tasks: readonly Task[]
  readonly settings: Pick<FitValues, 'stream' | 'batchSize' | 'shuffle' | 'trainingMetrics' | 'sampleNegatives'>
  readonly seed: number
  readonly native: NativeBinding
  /** Throws if the work must stop. */
  readonly check: () => void
}

/** @throws ERR_MULTIGATE_ARGUMENT for what has no rows, or for options that need all rows in memory. */
export async function trainingRows(train: Dataset | RowStream, given: RowsOptions): Promise<TrainingRows> {
  const { sampleNegatives } = given.settings
  const options = { ...given, sampling: sampleNegatives && new NegativeSampling(given.tasks, sampleNegatives) }
  if (isStream(train)) return new InParts(train, options)
  checkDataset('fit.train', train)
  await ofDataset('training', () => checkRows(train))
  return new InMemory(train, options)
}

interface SampledRows extends RowsOptions {
  readonly sampling: NegativeSampling | undefined
}

class InMemory implements TrainingRows {
  readonly #train: Dataset
  readonly #options: SampledRows

  constructor(train: Dataset, options: SampledRows) {
    this.#train = train
    this.#options = options
  }

  get reading(): CsvOptions | undefined {
    return this.#train.reading
  }

  async read(readers: readonly RowReader[]): Promise<void> {
    const { check } = this.#options
    const train = this.#train
    // One after the other, so that what only one of them needs goes before the next begins.
    for (const reader of readers)
      await ofDataset('training', () =>
        ofSource(train, async () => {
          await inSlices(reader.add(train), { check })
          await inSlices(reader.finish(), { check })
        }),
      )
  }

  async fit(): Promise<Fitted> {
    const { features, tasks } = this.#options
    return ofDataset('training', async () => {
      return { encoder: await DataEncoder.fit(this.#train, features, tasks), reading: this.#train.reading }
    })
  }

  async encode(encoder: DataEncoder, { first }: { readonly first: boolean }): Promise<RowSource> {
    const { native, check, sampling, settings } = this.#options
    const purpose = first ? 'training' : 'more training'
    return ofDataset('training', async () => {
      const train = sampling === undefined ? this.#train : await this.#sampled(sampling)
      return new RowsInMemory(await encoder.encode(train, native, purpose, check, { sampling, scored: settings.trainingMetrics }))
    })
  }

  /** The rows that keep a label. */
  async #sampled(sampling: NegativeSampling): Promise<Dataset> {
    const rows = await ofSource(this.#train, () => inSlices(sampling.kept(this.#train), { check: this.#options.check }))
    if (rows.length === 0) throw noneKept()
    return this.#train.select(rows)
  }
}

class InParts implements TrainingRows {
  readonly #parts: Parts
  readonly #options: SampledRows
  #first: FirstReading | undefined
  /** Labels that no reading has seen, and that must have something to learn. */
  #unseen: readonly LabelSample[] = []

  constructor(train: RowStream, options: SampledRows) {
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

  get reading(): CsvOptions | undefined {
    return this.#first?.reading
  }

  async read(readers: readonly RowReader[]): Promise<void> {
    const { check } = this.#options
    this.#parts.checkAgain('vocabularies grow before rows are encoded')
    await ofDataset('training', async () => {
      // Readers count the rows of all parts themselves.
      this.#first = await readParts(this.#parts, this.#options, async ({ data }) => {
        for (const reader of readers) await inSlices(reader.add(data), { check })
      })
      for (const reader of readers) await inSlices(reader.finish(), { check })
    })
  }

  async fit(): Promise<Fitted> {
    this.#parts.checkAgain('a new model fits its vocabularies before it encodes')
    return await ofDataset('training', async () => {
      const { tasks } = this.#options
      const early = await fitFirstPart(this.#parts, this.#options)
      if (early === undefined) return (this.#first = await fitParts(this.#parts, this.#options))
      this.#unseen = tasks.map((task, index) => new LabelSample(task, index))
      return early
    })
  }

  async encode(encoder: DataEncoder): Promise<RowSource> {
    const { settings, native, seed, sampling, check } = this.#options
    const { stream, shuffle } = settings
    const encoded = await ofDataset('training', () =>
      encodeParts(this.#parts, encoder, {
        purpose: 'more training',
        scratch: { folder: stream.scratch, option: 'fit.stream.scratch' },
        formOf: (rowBytes) => formFor(settings, rowBytes),
        sampling,
        again: this.#first && { print: this.#first.print, columns: columnsOf(this.#options) },
        seen: (part) => this.#see(part),
        check,
      }),
    )
    const { file, form, counts } = encoded
    try {
      await ofDataset('training', async () => {
        for (const labels of this.#unseen) await labels.fitted(check)
      })
    } catch (error) {
      await file.close()
      throw error
    }
    return new ShardedRows(file, { ...form, native, counts, seed, shuffle })
  }

  async #see(part: Part): Promise<void> {
    const { tasks, check } = this.#options
    await ofPart(part, async () => {
      for (const labels of this.#unseen) if (!labels.settled) await labels.add(part, tasks, check)
    })
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
