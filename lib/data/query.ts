// Columns of a Parquet file or of a query: the types are the source's own, nothing is guessed.

import { z } from 'zod'

import { invalidArgument, parseOptions } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { type ColumnsOptions, chosenColumns, columnsSchema } from './chosen.js'
import { identifier, pathLiteral, type Session, usingDuckDB } from './duckdb.js'
import { fileOf } from './file.js'
import { planOfTable, tableParts } from './table.js'

/** Where a query runs. */
export interface QueryOptions {
  /** A DuckDB database file, opened read-only. Default: an empty database in memory; queries can name files. */
  readonly database?: string | undefined
}

const schema = z.strictObject({ database: z.string().min(1).optional() })
const table = 'multigate_query'

/** The columns of a SELECT. @throws as `Dataset.fromQuery` says. */
export async function readQuery(sql: string, options: QueryOptions): Promise<Map<string, Column>> {
  const { database } = parseOptions('query', schema, options)
  if (typeof sql !== 'string' || sql.trim() === '') throw invalidArgument('sql', 'a SELECT', sql)
  if (database !== undefined) await fileOf(database)
  const select = sql.trim().replace(/;+\s*$/, '')
  const parts = usingDuckDB('the query', { database }, (session) => selected(session, select, undefined))
  for await (const columns of parts) return columns
  throw new Error('a table has at least one part')
}

const parquetSchema = z.strictObject({ columns: columnsSchema })

/** The columns of a Parquet file. @throws as `Dataset.fromParquet` says. */
export async function readParquet(path: string, options: ColumnsOptions): Promise<Map<string, Column>> {
  for await (const columns of parquetParts(path, undefined, options)) return columns
  throw new Error('a table has at least one part')
}

/** The columns of a Parquet file, `rows` at a time. */
export async function* parquetParts(
  path: string,
  rows: number | undefined,
  options: ColumnsOptions,
): AsyncGenerator<Map<string, Column>, void, undefined> {
  const { columns } = parseOptions('parquet', parquetSchema, options)
  await fileOf(path)
  const file = `read_parquet(${pathLiteral(path)})`
  yield* usingDuckDB(`reading ${path}`, {}, async function* (session) {
    const names = (await session.rows(`DESCRIBE SELECT * FROM ${file}`)).map(([name]) => String(name))
    const chosen = chosenColumns(path, names, columns).map(identifier)
    yield* selected(session, `SELECT ${chosen.join(', ')} FROM ${file}`, rows)
  })
}

async function* selected(
  session: Session,
  select: string,
  rows: number | undefined,
): AsyncGenerator<Map<string, Column>, void, undefined> {
  // On a line of its own: the query may end in a comment.
  await session.connection.run(`CREATE TEMP TABLE ${table} AS (\n${select}\n)`)
  yield* tableParts(session, table, await planOfTable(session, table), rows)
}
