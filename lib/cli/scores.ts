// Writes scores to a file, part by part: CSV, JSON lines or Parquet by its ending. It replaces the whole file or leaves it untouched. Kept
// columns come first.

import type { DuckDBAppender } from '@duckdb/node-api'

import { ArgumentError, WriteError } from '../core/errors.js'
import { identifier, literal, usingDuckDB } from '../data/duckdb.js'
import { replaceFile, writeAtomically } from '../io/atomic.js'
import { csvField } from '../io/csv.js'
import type { KeptTexts } from './kept.js'

/** A column of scores: a task, or one class of it. */
export interface ScoreColumn {
  readonly name: string
  readonly values: Float32Array
}

/** The columns of one part of the rows. */
export type ScorePart = readonly (ScoreColumn | KeptTexts)[]

/** Writes all parts to a file, or to stdout as CSV. @throws ERR_MULTIGATE_ARGUMENT for another ending. */
export async function writeScores(path: string | undefined, parts: AsyncIterable<ScorePart>): Promise<void> {
  if (path === undefined) {
    for await (const text of csv(parts)) await writeOut(text)
  } else if (/\.csv$/i.test(path)) await writeText(path, csv(parts))
  else if (/\.(jsonl|ndjson)$/i.test(path)) await writeText(path, jsonLines(parts))
  else if (isParquet(path)) await writeParquet(path, parts)
  else {
    throw new ArgumentError(`--out: expected a file that ends in .csv, .jsonl, .ndjson or .parquet, found ${path}`, {
      field: '--out',
    })
  }
}

export function isParquet(path: string | undefined): boolean {
  return path !== undefined && /\.parquet$/i.test(path)
}

async function writeText(path: string, texts: AsyncIterable<string>): Promise<void> {
  const encoder = new TextEncoder()
  await writeAtomically(path, async (sink) => {
    for await (const text of texts) await sink.write(encoder.encode(text))
  })
}

function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()))
  })
}

const linesAtOnce = 10_000

async function* csv(parts: AsyncIterable<ScorePart>): AsyncGenerator<string, void, undefined> {
  let first = true
  for await (const columns of parts) {
    if (first) yield `${columns.map(({ name }) => csvField(name)).join(',')}\n`
    first = false
    const cells = columns.map((column) => ('texts' in column ? textsOf(column) : scoresOf(column)))
    yield* lines(columns, (row) => cells.map((cell) => cell(row)).join(','))
  }

  function textsOf({ texts }: KeptTexts): Cell {
    return (row) => csvField(texts[row] ?? '')
  }
}

/** JSON has no NaN: scores of a model that diverged become `null`. */
async function* jsonLines(parts: AsyncIterable<ScorePart>): AsyncGenerator<string, void, undefined> {
  for await (const columns of parts) {
    const cells = columns.map((column): Cell => {
      const key = JSON.stringify(column.name)
      const cell = 'texts' in column ? jsonOf(column) : scoresOf(column)
      return (row) => `${key}:${cell(row)}`
    })
    yield* lines(columns, (row) => `{${cells.map((cell) => cell(row)).join(',')}}`)
  }

  function scoresOf({ values }: ScoreColumn): Cell {
    return (row) => JSON.stringify(rounded(values[row]))
  }
}

/** The text of a cell for a row. */
type Cell = (row: number) => string

function scoresOf({ values }: ScoreColumn): Cell {
  return (row) => String(rounded(values[row]))
}

/** Nine digits are enough to restore the same float32. */
function rounded(value = Number.NaN): number {
  return Number(value.toPrecision(9))
}

const plainTypes = /^(BOOLEAN|FLOAT|DOUBLE|DECIMAL\(.*\)|BIGNUM|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER)$/

/** Numbers keep all their digits; other values become texts. */
function jsonOf({ texts, type }: KeptTexts): Cell {
  if (!plainTypes.test(type)) return (row) => JSON.stringify(texts[row] ?? null)
  return (row) => {
    const text = texts[row] ?? ''
    return /^(-?\d|true$|false$)/.test(text) ? text : 'null'
  }
}

function* lines(columns: ScorePart, line: (row: number) => string): Generator<string, void, undefined> {
  const rows = rowsOf(columns)
  for (let start = 0; start < rows; start += linesAtOnce) {
    let text = ''
    for (let row = start; row < Math.min(start + linesAtOnce, rows); row += 1) text += `${line(row)}\n`
    yield text
  }
}

function rowsOf([first]: ScorePart): number {
  if (first === undefined) return 0
  return 'texts' in first ? first.texts.length : first.values.length
}

async function writeParquet(path: string, parts: AsyncIterable<ScorePart>): Promise<void> {
  await replaceFile(path, (temporary) => writeParquetTo(temporary, path, parts))
}

async function writeParquetTo(temporary: string, path: string, parts: AsyncIterable<ScorePart>): Promise<void> {
  let written: readonly string[] = []
  const steps = usingDuckDB(`writing ${path}`, {}, async function* ({ connection }) {
    let made = false
    for await (const columns of parts) {
      if (!made) {
        const types = columns.map((column, index) => `c${index} ${'texts' in column ? 'VARCHAR' : 'FLOAT'}`)
        await connection.run(`CREATE TABLE scores (${types.join(', ')})`)
        written = columns.map(
          (column, index) => `c${index}${'texts' in column ? `::${column.type}` : ''} AS ${identifier(column.name)}`,
        )
      }
      made = true
      const appender = await connection.createAppender('scores')
      const rows = rowsOf(columns)
      for (let row = 0; row < rows; row += 1) {
        for (const column of columns) append(appender, column, row)
        appender.endRow()
      }
      appender.closeSync()
    }
    const all = `SELECT ${written.join(', ')} FROM scores`
    await connection.run(`COPY (${all}) TO ${literal(temporary)} (FORMAT parquet, USE_TMP_FILE false)`).catch((cause: Error) => {
      throw new WriteError(path, cause.message, { cause })
    })
    yield
  })
  // The statement returns no rows; it ends when the file is written.
  for await (const _ of steps);
}

function append(appender: DuckDBAppender, column: ScorePart[number], row: number): void {
  const value = 'texts' in column ? (column.texts[row] ?? null) : (column.values[row] ?? Number.NaN)
  if (value === null) appender.appendNull()
  else if (typeof value === 'number') appender.appendFloat(value)
  else appender.appendVarchar(value)
}
