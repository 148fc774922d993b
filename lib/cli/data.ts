// Data on the command line: a file by its ending, and a part of it by the split of a configuration.

import { ArgumentError } from '../core/errors.js'
import { Dataset } from '../data/dataset.js'
import { type Config, readConfig } from './config.js'

export const parts = ['train', 'validation', 'test'] as const
export type Part = (typeof parts)[number]

/** Reads `.csv`, `.csv.gz`, `.tsv`, `.tsv.gz` or `.parquet`. */
export async function readData(path: string, csv: Config['csv']): Promise<Dataset> {
  if (/\.parquet$/i.test(path)) return Dataset.fromParquet(path)
  if (/\.(csv|tsv)(\.gz)?$/i.test(path)) return Dataset.fromCsv(path, csv)
  throw new ArgumentError(`--data: expected a file that ends in .csv, .csv.gz, .tsv, .tsv.gz or .parquet, found ${path}`, {
    field: '--data',
  })
}

/** All rows of a file, or with a configuration one part of them. */
export async function readPart(path: string, options: { readonly config?: string; readonly part?: Part }): Promise<Dataset> {
  const config = options.config === undefined ? undefined : await readConfig(options.config)
  const data = await readData(path, config?.csv ?? {})
  if (options.part === undefined) return data
  if (config?.split === undefined) {
    throw new ArgumentError('--part: expected --config with a file that has a split, found none', { field: '--part' })
  }
  return data.split(config.split)[options.part]
}
