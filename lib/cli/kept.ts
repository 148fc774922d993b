// Columns of the input that `predict --keep` copies into its output as written: texts of a CSV file byte for byte, values of a Parquet file
// with their types. They are read separately and do not change how the model's data are read.

import { quote } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { nearest } from '../core/did-you-mean.js'
import { ArgumentError, DataError } from '../core/errors.js'
import { csvHeader, csvParts } from '../data/csv.js'
import type { CsvOptions } from '../data/csv-options.js'
import type { Dataset } from '../data/dataset.js'
import { textParts, typesOfParquet } from '../data/query.js'

/** A column to keep, and the DuckDB type of its values. */
export interface KeptColumn {
  readonly name: string
  readonly type: string
}

/** Texts of some rows of a kept column; null if a value is missing. */
export interface KeptTexts extends KeptColumn {
  readonly texts: readonly (string | null)[]
}

/** How to read the input file. */
export interface KeptSource {
  readonly path: string
  /** Options for a CSV file; undefined for Parquet. */
  readonly csv: CsvOptions | undefined
  readonly signal: AbortSignal
}

/** The columns of these names, in order. @throws naming the first that the file lacks or that cannot be kept. */
export async function keptColumns(names: readonly string[], { path, csv }: KeptSource): Promise<KeptColumn[]> {
  const types = csv === undefined ? await typesOfParquet(path) : undefined
  const known = types === undefined ? await csvHeader(path, csv ?? {}) : [...types.keys()]
  return names.map((name) => {
    if (!known.includes(name)) {
      const near = nearest(name, known).map(quote).join(', ')
      throw new DataError(
        `--keep: no column ${quote(name)} among the ${known.length} of ${path}; the nearest ${known.length === 1 ? 'is' : 'are'} ${near}`,
        { file: path, column: name },
      )
    }
    const type = types?.get(name) ?? 'VARCHAR'
    if (/\]$|^(STRUCT|MAP|UNION|BLOB|VARIANT|GEOMETRY)\b/.test(type)) {
      throw new DataError(
        `--keep: column ${quote(name)} of ${path}: expected numbers, texts, dates or similar, found ${type}; keep a column that identifies the row`,
        { file: path, column: name },
      )
    }
    return { name, type }
  })
}

/** @throws ERR_MULTIGATE_ARGUMENT if a kept column has the name of a score column. `anyCase`: ignores letter case. */
export function checkKept(
  kept: readonly KeptColumn[],
  scores: readonly string[],
  { anyCase }: { readonly anyCase: boolean },
): void {
  const plain = (name: string): string => (anyCase ? name.toLowerCase() : name)
  const taken = new Map(scores.map((name) => [plain(name), name]))
  for (const { name } of kept) {
    const other = taken.get(plain(name))
    if (other === undefined) {
      taken.set(plain(name), name)
      continue
    }
    throw new ArgumentError(
      `--keep: expected names that differ from all other output columns, found ${quote(name)} beside ${quote(other)}; rename it in the input, or keep another column`,
      { field: '--keep' },
    )
  }
}

/** Kept columns part by part, in step with the predicted rows. */
export class KeptRows {
  readonly #columns: readonly KeptColumn[]
  readonly #path: string
  readonly #parts: AsyncGenerator<ReadonlyMap<string, Column>, void, undefined>
  #part: ReadonlyMap<string, Column> = new Map()
  #first = 0
  #rows = 0

  /** @param rows per part, as in the predicted data; undefined: all rows in one part. */
  constructor(columns: readonly KeptColumn[], source: KeptSource, rows: number | undefined) {
    this.#columns = columns
    this.#path = source.path
    this.#parts = partsOf(columns, source, rows)
  }

  /** Kept texts of the next part of the data. */
  async next(data: Dataset): Promise<KeptTexts[]> {
    this.#first += this.#rows
    const { done, value } = await this.#parts.next()
    if (done !== true) this.#part = value
    this.#rows = done === true ? 0 : rowsOf(this.#part)
    return this.#columns.map((column) => ({ ...column, texts: this.#texts(column.name, data) }))
  }

  /** Ends the reading. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.return()
  }

  #texts(name: string, data: Dataset): (string | null)[] {
    const column = this.#part.get(name)
    if (column?.kind !== 'string') throw new Error(`column ${name} was not read as text`)
    const { codes, dictionary } = column
    return Array.from({ length: data.rows }, (_, index) => {
      const row = data.sourceRow(index) - this.#first
      if (row >= this.#rows)
        throw new DataError(`${this.#path}: the file changed while it was read; start again`, { file: this.#path })
      return dictionary[codes[row] ?? -1] ?? null
    })
  }
}

async function* partsOf(
  columns: readonly KeptColumn[],
  { path, csv, signal }: KeptSource,
  rows: number | undefined,
): AsyncGenerator<ReadonlyMap<string, Column>, void, undefined> {
  const kept = columns.map(({ name }) => name)
  if (csv === undefined) return yield* textParts(path, kept, rows, signal)
  const names = await csvHeader(path, csv)
  const { delimiter, quote: mark, escape: escapedBy, encoding } = csv
  const header = csv.header ?? csv.names === undefined
  // Keep the text exactly: no trimming, and no values that mean missing.
  const types = Object.fromEntries(kept.map((name) => [name, 'string'] as const))
  yield* csvParts(
    path,
    { delimiter, quote: mark, escape: escapedBy, encoding, header, names, columns: kept, types, signal },
    rows,
  )
}

function rowsOf(part: ReadonlyMap<string, Column>): number {
  const [column] = part.values()
  return column?.kind === 'string' ? column.codes.length : 0
}
