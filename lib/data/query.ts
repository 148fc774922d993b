// Columns of a Parquet file or of a query: the types are the source's own, nothing is guessed.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { pathLiteral, withDuckDB } from './duckdb.js'
import { checkFile } from './file.js'
import { planOfTable, readTable } from './table.js'

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
  if (database !== undefined) await checkFile(database)
  return readSelect('the query', sql.trim().replace(/;+\s*$/, ''), database)
}

/** The columns of a Parquet file. @throws as `Dataset.fromParquet` says. */
export async function readParquet(path: string): Promise<Map<string, Column>> {
  await checkFile(path)
  return readSelect(`reading ${path}`, `SELECT * FROM read_parquet(${pathLiteral(path)})`)
}

function readSelect(what: string, select: string, database?: string): Promise<Map<string, Column>> {
  return withDuckDB(what, { database }, async (session) => {
    // On a line of its own: the query may end in a comment.
    await session.connection.run(`CREATE TEMP TABLE ${table} AS (\n${select}\n)`)
    return readTable(session, table, await planOfTable(session, table))
  })
}
