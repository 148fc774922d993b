// Scores as a file: CSV, JSON lines or Parquet by its ending, part after part. A file is replaced whole or not at all.

import { ArgumentError, WriteError } from '../core/errors.js'
import { identifier, literal, usingDuckDB } from '../data/duckdb.js'
import { replaceFile, writeAtomically } from '../io/atomic.js'

/** A column of scores: a task, or one class of it. */
export interface ScoreColumn {
  readonly name: string
  readonly values: Float32Array
}

/** The columns of one part of the rows. */
export type ScorePart = readonly ScoreColumn[]

/** Writes all parts to a file, or to stdout as CSV. @throws ERR_MULTIGATE_ARGUMENT for another ending. */
export async function writeScores(path: string | undefined, parts: AsyncIterable<ScorePart>): Promise<void> {
  if (path === undefined) {
    for await (const text of csv(parts)) await writeOut(text)
  } else if (/\.csv$/i.test(path)) await writeText(path, csv(parts))
  else if (/\.(jsonl|ndjson)$/i.test(path)) await writeText(path, jsonLines(parts))
  else if (/\.parquet$/i.test(path)) await writeParquet(path, parts)
  else {
    throw new ArgumentError(`--out: expected a file that ends in .csv, .jsonl, .ndjson or .parquet, found ${path}`, {
      field: '--out',
    })
  }
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
    if (first) yield `${columns.map(({ name }) => quoted(name)).join(',')}\n`
    first = false
    yield* lines(columns, (values) => values.join(','))
  }
}

/** Of a model that has diverged, `null`: JSON has no NaN. */
async function* jsonLines(parts: AsyncIterable<ScorePart>): AsyncGenerator<string, void, undefined> {
  for await (const columns of parts) {
    const keys = columns.map(({ name }) => JSON.stringify(name))
    yield* lines(columns, (values) => `{${values.map((value, index) => `${keys[index]}:${JSON.stringify(value)}`).join(',')}}`)
  }
}

/** Nine digits give the same float32 back. */
function* lines(columns: ScorePart, line: (values: number[]) => string): Generator<string, void, undefined> {
  const rows = columns[0]?.values.length ?? 0
  for (let start = 0; start < rows; start += linesAtOnce) {
    let text = ''
    for (let row = start; row < Math.min(start + linesAtOnce, rows); row += 1) {
      text += `${line(columns.map(({ values }) => Number((values[row] ?? Number.NaN).toPrecision(9))))}\n`
    }
    yield text
  }
}

function quoted(name: string): string {
  return /[",\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name
}

async function writeParquet(path: string, parts: AsyncIterable<ScorePart>): Promise<void> {
  await replaceFile(path, (temporary) => writeParquetTo(temporary, path, parts))
}

async function writeParquetTo(temporary: string, path: string, parts: AsyncIterable<ScorePart>): Promise<void> {
  const written = usingDuckDB(`writing ${path}`, {}, async function* ({ connection }) {
    let made = false
    for await (const columns of parts) {
      if (!made)
        await connection.run(`CREATE TABLE scores (${columns.map(({ name }) => `${identifier(name)} FLOAT`).join(', ')})`)
      made = true
      const appender = await connection.createAppender('scores')
      const rows = columns[0]?.values.length ?? 0
      for (let row = 0; row < rows; row += 1) {
        for (const { values } of columns) appender.appendFloat(values[row] ?? Number.NaN)
        appender.endRow()
      }
      appender.closeSync()
    }
    await connection.run(`COPY scores TO ${literal(temporary)} (FORMAT parquet, USE_TMP_FILE false)`).catch((cause: Error) => {
      throw new WriteError(path, cause.message, { cause })
    })
    yield
  })
  // It gives nothing back: it ends when the file is written.
  for await (const _ of written);
}
