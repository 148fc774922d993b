// Data on the command line: a file by its ending, and a part of it by the split of a configuration.

import { ArgumentError } from '../core/errors.js'
import type { CsvOptions } from '../data/csv-options.js'
import { Dataset } from '../data/dataset.js'
import type { ParquetOptions } from '../data/query.js'
import type { Model } from '../model/model.js'
import { type Config, readConfig } from './config.js'

export const parts = ['train', 'validation', 'test'] as const
export type Part = (typeof parts)[number]

/** How a model wants a file read, and what ends that. */
export type Reading = ReturnType<Model['csvOptions']> & { readonly signal: AbortSignal }

/** Reads what a model reads of `.csv`, `.csv.gz`, `.tsv`, `.tsv.gz` or `.parquet`; what `csv` says comes first. */
export async function readData(path: string, reading: Reading, csv: Config['csv']): Promise<Dataset> {
  if (/\.parquet$/i.test(path)) return Dataset.fromParquet(path, ofParquet(reading))
  if (isCsv(path)) return Dataset.fromCsv(path, withCsv(reading, csv))
  throw unknownEnding(path)
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

/** The rows of a file part by part; all of one part of a split at once. */
export async function* streamPart(
  path: string,
  reading: Reading,
  options: { readonly config?: string; readonly part?: Part },
): AsyncGenerator<Dataset, void, undefined> {
  if (options.part !== undefined) return yield await readPart(path, reading, options)
  const config = options.config === undefined ? undefined : await readConfig(options.config)
  if (/\.parquet$/i.test(path)) yield* Dataset.streamParquet(path, undefined, ofParquet(reading))
  else if (isCsv(path)) yield* Dataset.streamCsv(path, withCsv(reading, config?.csv ?? {}))
  else throw unknownEnding(path)
}

/** All rows of a file, or with a configuration one part of them. */
export async function readPart(
  path: string,
  reading: Reading,
  options: { readonly config?: string; readonly part?: Part },
): Promise<Dataset> {
  const config = options.config === undefined ? undefined : await readConfig(options.config)
  if (options.part !== undefined && config?.split === undefined) {
    throw new ArgumentError('--part: expected --config with a file that has a split, found none', { field: '--part' })
  }
  const data = await readData(path, reading, config?.csv ?? {})
  return options.part === undefined || config?.split === undefined ? data : data.split(config.split)[options.part]
}
