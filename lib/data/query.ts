// Columns of a Parquet file or of a query: the types are the source's own, nothing is guessed.

import { z } from 'zod'

import { invalidArgument, parseOptions } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { pathLiteral, usingDuckDB } from './duckdb.js'
import { checkFile } from './file.js'
import { planOfTable, tableParts } from './table.js'

/** Where a query runs. */
export interface QueryOptions {
  /** A DuckDB database file, opened read-only. Default: an empty database in memory; queries can name files. */
  readonly database?: string
}

const schema = z.strictObject({ database: z.string().min(1).optional() })
const table = 'multigate_query'

/** The columns of a SELECT. @throws as `Dataset.fromQuery` says. */
export async function readQuery(sql: string, options: QueryOptions): Promise<Map<string, Column>> {
  const { database } = parseOptions('query', schema, options)
  if (typeof sql !== 'string' || sql.trim() === '') throw invalidArgument('sql', 'a SELECT', sql)
  if (database !== undefined) await checkFile(database)
  for await (const columns of selectParts('the query', sql.trim().replace(/;+\s*$/, ''), database, undefined)) return columns
  throw new Error('a table has at least one part')
}

/** The columns of a Parquet file. @throws as `Dataset.fromParquet` says. */
export async function readParquet(path: string): Promise<Map<string, Column>> {
  for await (const columns of parquetParts(path, undefined)) return columns
  throw new Error('a table has at least one part')
}

/** The columns of a Parquet file, `rows` at a time. */
export async function* parquetParts(
  path: string,
  rows: number | undefined,
): AsyncGenerator<Map<string, Column>, void, undefined> {
  await checkFile(path)
  yield* selectParts(`reading ${path}`, `SELECT * FROM read_parquet(${pathLiteral(path)})`, undefined, rows)
}

function selectParts(
  what: string,
  select: string,
  database: string | undefined,
  rows: number | undefined,
): AsyncGenerator<Map<string, Column>, void, undefined> {
  return usingDuckDB(what, { database }, async function* (session) {
    // On a line of its own: the query may end in a comment.
    await session.connection.run(`CREATE TEMP TABLE ${table} AS (\n${select}\n)`)
    yield* tableParts(session, table, await planOfTable(session, table), rows)
  })
}
