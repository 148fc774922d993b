// Data on the command line: a file, read by its ending, and a part of it, by the split of a configuration.

import { ArgumentError } from '../core/errors.js'
import type { CsvOptions } from '../data/csv-options.js'
import { Dataset } from '../data/dataset.js'
import type { DatasetStream } from '../data/dataset-stream.js'
import type { ParquetOptions } from '../data/query.js'
import { type Part, splitColumns } from '../data/split.js'
import type { Model } from '../model/model.js'
import { type Config, readConfig } from './config.js'
import type { KeptSource } from './kept.js'

/** Rows to read at a time. */
export const rowsAtOnce = 2 ** 18

/** The file that a flag names, or else the configuration. @throws ERR_MULTIGATE_ARGUMENT if neither does. */
export function dataOf(flag: string | undefined, { data }: Pick<Config, 'data'>): string {
  const path = flag ?? data
  if (path !== undefined) return path
  throw new ArgumentError(
    '--data: expected a file, found neither --data nor the key data of the configuration; give one of them',
    { field: '--data' },
  )
}

/** How a model needs a file to be read, and the signal that ends the reading. */
export type Reading = ReturnType<Model['csvOptions']> & { readonly signal: AbortSignal }

/**
 * Reads the columns of the model, and of the split if there is one, of a `.csv`, `.csv.gz`, `.tsv`, `.tsv.gz` or `.parquet` file. Options
 * in `csv` take precedence.
 */
export async function readData(path: string, given: Reading, { csv, split }: Pick<Config, 'csv' | 'split'>): Promise<Dataset> {
  const reading = withSplit(given, split)
  if (/\.parquet$/i.test(path)) return Dataset.fromParquet(path, ofParquet(reading))
  if (isCsv(path)) return Dataset.fromCsv(path, withCsv(reading, csv))
  throw unknownEnding(path)
}

/** The same, in parts. */
export function streamData(path: string, given: Reading, { csv, split }: Pick<Config, 'csv' | 'split'>): DatasetStream {
  const reading = withSplit(given, split)
  if (/\.parquet$/i.test(path)) return Dataset.streamParquet(path, { ...ofParquet(reading), chunkRows: rowsAtOnce })
  if (isCsv(path)) return Dataset.streamCsv(path, { ...withCsv(reading, csv), chunkRows: rowsAtOnce })
  throw unknownEnding(path)
}

/** The columns of the split too. */
function withSplit({ columns, ...reading }: Reading, split: Config['split']): Reading {
  return { ...reading, columns: [...new Set([...columns, ...(split === undefined ? [] : splitColumns(split))])] }
}

function withCsv(reading: Reading, csv: Config['csv']): CsvOptions {
  return { ...reading, ...csv, types: { ...reading.types, ...(csv.types as CsvOptions['types']) } }
}

function ofParquet({ columns, signal }: Reading): ParquetOptions {
  return { columns, signal }
}

function isCsv(path: string): boolean {
  return /\.(csv|tsv)(\.gz)?$/i.test(path)
}

function unknownEnding(path: string): ArgumentError {
  return new ArgumentError(`--data: expected a file that ends in .csv, .csv.gz, .tsv, .tsv.gz or .parquet, found ${path}`, {
    field: '--data',
  })
}

/** The rows of a file, chunk by chunk. A part of a split comes whole. */
export async function* streamPart(
  path: string,
  reading: Reading,
  options: { readonly config?: string | undefined; readonly part?: Part | undefined },
): AsyncGenerator<Dataset, void, undefined> {
  if (options.part !== undefined) return yield await readPart(path, reading, options)
  const config = options.config === undefined ? undefined : await readConfig(options.config)
  yield* streamData(path, reading, { csv: config?.csv ?? {}, split: undefined })
}

/** The same file, for the columns to keep as written. */
export async function keptSource(
  path: string,
  reading: Reading,
  options: { readonly config?: string | undefined },
): Promise<KeptSource> {
  const { signal } = reading
  if (/\.parquet$/i.test(path)) return { path, csv: undefined, signal }
  if (!isCsv(path)) throw unknownEnding(path)
  const config = options.config === undefined ? undefined : await readConfig(options.config)
  return { path, csv: withCsv(reading, config?.csv ?? {}), signal }
}

/** All rows of a file, or one part of its split. */
export async function readPart(path: string, reading: Reading, options: PartOptions): Promise<Dataset> {
  const { csv, split } = await partOf(options)
  const data = await readData(path, reading, { csv, split })
  if (options.part === undefined || split === undefined) return data
  return (await data.splitAsync(split, { signal: reading.signal }))[options.part]
}

/** The same rows as a stream. */
export async function streamedPart(path: string, reading: Reading, options: PartOptions): Promise<DatasetStream> {
  const { csv, split, located } = await partOf(options)
  const data = streamData(path, reading, { csv, split })
  return options.part === undefined || split === undefined ? data : located(() => data.split(split))[options.part]
}

interface PartOptions {
  readonly config?: string | undefined
  readonly part?: Part | undefined
}

async function partOf({ config: path, part }: PartOptions): Promise<Pick<Config, 'csv' | 'split' | 'located'>> {
  const config = path === undefined ? undefined : await readConfig(path)
  if (part !== undefined && config?.split === undefined) {
    throw new ArgumentError('--part: expected --config with a file that has a split, found none', { field: '--part' })
  }
  return {
    csv: config?.csv ?? {},
    split: part === undefined ? undefined : config?.split,
    located: config?.located ?? ((work) => work()),
  }
}
