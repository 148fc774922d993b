// Columns of a Parquet file or of a query. Types come from the source; nothing is guessed.

import { z } from 'zod'

import { invalidArgument, parseOptions, quote } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { nearest } from '../core/did-you-mean.js'
import { DataError } from '../core/errors.js'
import type { FilePath } from '../core/path.js'
import { abortSignal, frozen } from '../core/schemas.js'
import type { Signal } from '../core/slices.js'
import { type ColumnsOptions, chosenColumns, columnsSchema } from './column-selection.js'
import { identifier, pathLiteral, type Session, usingDuckDB } from './duckdb.js'
import { fileOf } from './file.js'
import { interruptible } from './interruptible.js'
import { fixThreads, freeThreads, refusalOf, refuseVolatile } from './repeatable.js'
import { type ColumnPlan, planOfTable, tableParts } from './table.js'

/** Where a query runs, and the order of its rows. */
export interface QueryOptions {
  /** A DuckDB database file, opened read-only. Default: an empty database in memory; queries can name files. */
  readonly database?: FilePath | undefined
  /** Ends the query when it is aborted. */
  readonly signal?: Signal | undefined
  /**
   * Columns of the result that identify each row. Rows are sorted by them, and joins and groups with exact aggregates then run on all
   * threads. Default: the order that the query gives on one thread.
   */
  readonly orderBy?: string | readonly string[] | undefined
}

const schema = z.strictObject({
  database: z.custom<FilePath>().optional(),
  signal: abortSignal.optional(),
  orderBy: z.union([z.string(), frozen(z.array(z.string()).min(1))]).optional(),
})
const table = 'multigate_query'

/** The columns of a SELECT. @throws as `Dataset.fromQuery` says. */
export async function readQuery(sql: string, options: QueryOptions): Promise<Map<string, Column>> {
  for await (const columns of queryParts(sql, undefined, options)) return columns
  throw new Error('a table has at least one part')
}

/** The columns of a SELECT, `rows` at a time. */
export async function* queryParts(
  sql: string,
  rows: number | undefined,
  options: QueryOptions,
): AsyncGenerator<Map<string, Column>, void, undefined> {
  const { database, orderBy = [], signal } = parseOptions('query', schema, options)
  if (typeof sql !== 'string' || sql.trim() === '') throw invalidArgument('sql', 'a SELECT', sql)
  const file = database === undefined ? undefined : await fileOf(database, 'query.database')
  yield* usingDuckDB('the query', { database: file, inParts: rows !== undefined }, (session) =>
    interruptible(session, 'the query', signal, async function* () {
      await runQuery(session, sql.trim().replace(/;+\s*$/, ''), typeof orderBy === 'string' ? [orderBy] : orderBy)
      yield* tableParts(session, table, await planOfTable(session, table), rows)
    }),
  )
}

/** Puts the rows of a query into the table: the same rows in the same order each time. */
async function runQuery(session: Session, select: string, orderBy: readonly string[]): Promise<void> {
  try {
    // Parsed alone too: inside brackets, a text could close them and add another statement.
    await session.connection.extractStatements(select)
    await refuseVolatile(session)
    const create = createTable(select)
    await fixThreads(session, create, select, orderBy.length > 0)
    await session.connection.run(create)
    await freeThreads(session)
  } catch (cause) {
    throw refusalOf(cause)
  }
  if (orderBy.length > 0) await sortByKey(session, orderBy)
}

async function sortByKey(session: Session, orderBy: readonly string[]): Promise<void> {
  const names = (await session.rows(`DESCRIBE ${table}`)).map(([name]) => String(name))
  const other = orderBy.find((name) => !names.includes(name))
  if (other !== undefined) {
    const near = nearest(other, names).map(quote).join(', ')
    throw new DataError(`query.orderBy: expected a column of the result, found ${quote(other)}; the nearest are ${near}`, {
      column: other,
    })
  }
  const keys = orderBy.map(identifier)
  const find = (what: string): Promise<readonly (readonly unknown[])[]> =>
    session.rows(
      `SELECT ${keys.map((key) => `${key}::VARCHAR`).join(', ')} FROM ${table} ${what} ORDER BY ${keys.join(', ')} LIMIT 1`,
    )
  const [missing] = await find(`WHERE ${keys.map((key) => `${key} IS NULL`).join(' OR ')}`)
  const [twice] = missing === undefined ? await find(`GROUP BY ${keys.join(', ')} HAVING count(*) > 1`) : []
  const wrong = missing ?? twice
  if (wrong !== undefined) {
    const found = orderBy.map(
      (name, index) => `${quote(name)} ${wrong[index] === null ? 'missing' : quote(String(wrong[index]))}`,
    )
    const where = missing === undefined ? 'two rows' : 'a row'
    throw new DataError(
      `query.orderBy: expected columns that identify each row, found ${where} with ${found.join(', ')}; add columns until each row has its own key, or leave orderBy out`,
    )
  }
  await session.connection.run(
    `ALTER TABLE ${table} RENAME TO ${unsorted}; CREATE TEMP TABLE ${table} AS SELECT * FROM ${unsorted} ORDER BY ${keys.join(', ')}; DROP TABLE ${unsorted}`,
  )
}

const unsorted = 'multigate_unsorted'

/** Options of a Parquet file. */
export interface ParquetOptions extends ColumnsOptions {
  /** Ends the read when it is aborted. */
  readonly signal?: Signal | undefined
}

const parquetSchema = z.strictObject({ columns: columnsSchema, signal: abortSignal.optional() })

/** The columns of a Parquet file. @throws as `Dataset.fromParquet` says. */
export async function readParquet(path: FilePath, options: ParquetOptions): Promise<Map<string, Column>> {
  for await (const columns of parquetParts(path, undefined, options)) return columns
  throw new Error('a table has at least one part')
}

/** The columns of a Parquet file, `rows` at a time. */
export async function* parquetParts(
  file: FilePath,
  rows: number | undefined,
  options: ParquetOptions,
): AsyncGenerator<Map<string, Column>, void, undefined> {
  const { columns, signal } = parseOptions('parquet', parquetSchema, options)
  const path = await fileOf(file)
  const source = `read_parquet(${pathLiteral(path)})`
  yield* usingDuckDB(`reading ${path}`, { inParts: rows !== undefined }, (session) =>
    interruptible(session, `reading ${path}`, signal, async function* () {
      const names = (await session.rows(`DESCRIBE SELECT * FROM ${source}`)).map(([name]) => String(name))
      const chosen = chosenColumns(path, names, columns).map(identifier)
      const select = `SELECT ${chosen.join(', ')} FROM ${source}`
      if (rows === undefined || names.some((name) => name.toLowerCase() === rowNumber)) {
        // A plain scan keeps the order of the file.
        await session.connection.run(createTable(select))
        return yield* tableParts(session, table, await planOfTable(session, table), rows)
      }
      // Row groups without rows of a part are skipped, so nothing but the part is in memory.
      await session.connection.run(`CREATE TEMP VIEW ${table} AS ${select}`)
      const plans = await planOfTable(session, table)
      const numbered = `SELECT ${chosen.join(', ')}, ${rowNumber} FROM read_parquet(${pathLiteral(path)}, ${rowNumber} = true)`
      await session.connection.run(`CREATE TEMP VIEW ${table}_rows AS ${numbered}`)
      yield* tableParts(session, `${table}_rows`, plans, rows, rowNumber)
    }),
  )
}

/** DuckDB's name of the number of a row in its file. */
const rowNumber = 'file_row_number'

/** The columns of a Parquet file and DuckDB's names of their types. */
export async function typesOfParquet(file: FilePath): Promise<ReadonlyMap<string, string>> {
  const path = await fileOf(file)
  const described = usingDuckDB(`reading ${path}`, {}, async function* ({ rows }) {
    yield await rows(`DESCRIBE SELECT * FROM read_parquet(${pathLiteral(path)})`)
  })
  for await (const rows of described) return new Map(rows.map(([name, type]) => [String(name), String(type)]))
  return new Map()
}

/** Columns of a Parquet file as texts that DuckDB casts back to the same values, `rows` at a time. */
export async function* textParts(
  file: FilePath,
  names: readonly string[],
  rows: number | undefined,
  signal: Signal | undefined,
): AsyncGenerator<Map<string, Column>, void, undefined> {
  const path = await fileOf(file)
  yield* usingDuckDB(`reading ${path}`, {}, (session) =>
    interruptible(session, `reading ${path}`, signal, async function* () {
      await session.connection.run(
        createTable(`SELECT ${names.map(identifier).join(', ')} FROM read_parquet(${pathLiteral(path)})`),
      )
      const plans = names.map((name): ColumnPlan => ({ source: name, name, kind: 'string' }))
      yield* tableParts(session, table, plans, rows)
    }),
  )
}

/** The query has its own lines because it may end in a comment. */
function createTable(select: string): string {
  return `CREATE TEMP TABLE ${table} AS (\n${select}\n)`
}
