// Reads a CSV file. First every field goes into a table as text. Then a column becomes numbers if every value of the whole file is a
// number. Nothing is guessed from a sample, and only `trim` changes text.

import { quote } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { nearest } from '../core/did-you-mean.js'
import { DataError } from '../core/errors.js'
import type { FilePath } from '../core/path.js'
import { chosenColumns } from './column-selection.js'
import { markedEncoding } from './csv-bytes.js'
import { readHeader } from './csv-header.js'
import { numberColumns } from './csv-numbers.js'
import { type CsvFormat, type CsvOptions, csvFormat } from './csv-options.js'
import { columnAt, csvTable, loadTexts } from './csv-table.js'
import { usingDuckDB } from './duckdb.js'
import { fileOf } from './file.js'
import { interruptible } from './interruptible.js'
import { type ColumnPlan, tableParts } from './table.js'

/** The columns of a CSV file. @throws as `Dataset.fromCsv` says. */
export async function readCsv(path: FilePath, options: CsvOptions): Promise<Map<string, Column>> {
  for await (const columns of csvParts(path, options, undefined)) return columns
  throw new Error('a table has at least one part')
}

/** The columns of a CSV file, `rows` at a time. The whole file decides the kind of each column. */
export async function* csvParts(
  file: FilePath,
  options: CsvOptions,
  rows: number | undefined,
): AsyncGenerator<Map<string, Column>, void, undefined> {
  const path = await fileOf(file)
  const format = csvFormat(path, options)
  const { signal } = format
  const encoding = await encodingOf(format)
  const header = await readHeader(format, encoding)
  const { names } = header
  checkNames(format, names)
  const chosen = new Set(chosenColumns(path, names, format.columns))
  const read = [...names.keys()].filter((index) => chosen.has(names[index] ?? ''))
  yield* usingDuckDB(`reading ${path}`, { inParts: rows !== undefined }, (session) =>
    interruptible(session, `reading ${path}`, signal, async function* () {
      await loadTexts(session, format, header, encoding)
      const { asWritten, others } = await numberColumns(session, names, read, format.types)
      const plans = read.map((index): ColumnPlan => {
        const column = { source: columnAt(index), name: names[index] ?? '' }
        if (asWritten.has(index)) return { ...column, kind: 'number', asWritten: true }
        return { ...column, kind: others.has(index) ? 'number' : 'string' }
      })
      yield* tableParts(session, csvTable, plans, rows)
    }),
  )
}

/** The names of all columns of a file. @throws as `Dataset.fromCsv` says. */
export async function csvHeader(file: FilePath, options: CsvOptions): Promise<readonly string[]> {
  const format = csvFormat(await fileOf(file), options)
  return (await readHeader(format, await encodingOf(format))).names
}

async function encodingOf(format: CsvFormat): Promise<string> {
  return new TextDecoder(format.encoding ?? (await markedEncoding(format)) ?? 'utf-8').encoding
}

/** Checks that options by column name existing columns. */
function checkNames({ path, types, nullsOf }: CsvFormat, names: readonly string[]): void {
  const known = new Set(names)
  const given: readonly (readonly [string, Iterable<string>])[] = [
    ['types', types.keys()],
    ['nullValues', nullsOf.keys()],
  ]
  for (const [option, columns] of given) {
    for (const name of columns) {
      if (known.has(name)) continue
      const near = nearest(name, names).map(quote).join(', ')
      throw new DataError(`csv.${option}: expected a column of ${path}, found ${quote(name)}; the nearest are ${near}`, {
        file: path,
        column: name,
      })
    }
  }
}
