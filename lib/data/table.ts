// Columns out of a DuckDB table. It decides what each column is, codes texts inside DuckDB (an enum per column, so that
// every distinct text crosses once) and reads numbers and codes in bulk. Order of rows is the table's.

import type { DuckDBDataChunk, DuckDBListVector } from '@duckdb/node-api'

import { quote } from '../core/check.js'
import { type Column, narrowed } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { ColumnBuilder } from './builder.js'
import { identifier, type Session } from './duckdb.js'

/** A column of the table and what it becomes. */
export interface ColumnPlan {
  /** In the table. */
  readonly source: string
  /** In the dataset. */
  readonly name: string
  readonly kind: 'number' | 'string' | 'numbers' | 'strings'
}

const mostRows = 2 ** 31 - 1
/** From here on integers do not fit a float64, and two ids might become one. */
const exactIntegers = 2 ** 53

const smallNumbers = /^(BOOLEAN|U?(TINY|SMALL)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\((\d|1[0-5]),\d+\))$/
const bigIntegers = /^(U?BIGINT|U?HUGEINT|BIGNUM|DECIMAL\(.*\))$/
const texts = /^(VARCHAR|ENUM\(.*\)|UUID|DATE|TIME.*|INTERVAL)$/s

/** What the columns of a typed table become. @throws ERR_MULTIGATE_DATA for a type that is neither number, text nor list. */
export async function planOfTable(session: Session, table: string): Promise<ColumnPlan[]> {
  const plans: ColumnPlan[] = []
  for (const [name, type] of (await session.rows(`DESCRIBE ${table}`)) as [string, string][]) {
    plans.push({ source: name, name, kind: await kindOf(session, table, name, type) })
  }
  return plans
}

const part = 'multigate_part'

/** Planned columns, `rows` at a time, or all at once; one part without rows where there are none. */
export async function* tableParts(
  session: Session,
  table: string,
  plans: readonly ColumnPlan[],
  rows: number | undefined,
): AsyncGenerator<Map<string, Column>, void, undefined> {
  if (rows === undefined) return yield await readTable(session, table, plans)
  const [[count] = []] = await session.rows(`SELECT count(*)::DOUBLE FROM ${table}`)
  for (let start = 0; start === 0 || start < Number(count); start += rows) {
    const bounds = `rowid >= ${start} AND rowid < ${start + rows}`
    await session.connection.run(`CREATE OR REPLACE TEMP TABLE ${part} AS SELECT * FROM ${table} WHERE ${bounds} ORDER BY rowid`)
    yield await readTable(session, part, plans)
  }
}

/** Reads planned columns. @throws ERR_MULTIGATE_DATA for more than 2^31 - 1 rows. */
async function readTable(session: Session, table: string, plans: readonly ColumnPlan[]): Promise<Map<string, Column>> {
  const [[count] = []] = await session.rows(`SELECT count(*)::DOUBLE FROM ${table}`)
  const rows = Number(count)
  if (rows > mostRows) throw new DataError(`expected at most ${mostRows} rows, found ${rows}; read a part of them with a query`)

  const readers: ColumnReader[] = []
  for (const [index, plan] of plans.entries())
    readers.push(await readerOf(session, table, plan, `multigate_texts_${index}`, rows))
  const result = await session.connection.stream(`SELECT ${readers.map(({ sql }) => sql).join(', ')} FROM ${table}`)
  let row = 0
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    for (const [index, reader] of readers.entries()) reader.read(chunk, index, row)
    row += chunk.rowCount
  }
  return new Map(plans.map(({ name }, index) => [name, (readers[index] as ColumnReader).finish()]))
}

interface ColumnReader {
  readonly sql: string
  /** Reads column `index` of a chunk whose first row is `row`. */
  read(chunk: DuckDBDataChunk, index: number, row: number): void
  finish(): Column
}

async function kindOf(session: Session, table: string, name: string, type: string): Promise<ColumnPlan['kind']> {
  const list = /^(.*)\[\d*\]$/s.exec(type)?.[1]
  const scalar = list ?? type
  if (texts.test(scalar)) return list === undefined ? 'string' : 'strings'
  if (smallNumbers.test(scalar)) return list === undefined ? 'number' : 'numbers'
  if (!bigIntegers.test(scalar)) {
    throw new DataError(
      `column ${quote(name)}: expected numbers, text or lists of them, found ${type}; read others alone (columns: [...]), or cast it with Dataset.fromQuery`,
      { column: name },
    )
  }
  const column = identifier(name)
  const largest = list === undefined ? `max(abs(${column}::DOUBLE))` : `max(list_max([abs(x) FOR x IN ${column}::DOUBLE[]]))`
  const [[value] = []] = await session.rows(`SELECT ${largest} FROM ${table}`)
  const exact = value === null || Number(value) < exactIntegers
  if (list === undefined) return exact ? 'number' : 'string'
  return exact ? 'numbers' : 'strings'
}

function readerOf(
  session: Session,
  table: string,
  plan: ColumnPlan,
  type: string,
  rows: number,
): Promise<ColumnReader> | ColumnReader {
  switch (plan.kind) {
    case 'number':
      return numberReader(plan, rows)
    case 'string':
      return stringReader(session, table, plan, type, rows)
    default:
      return listReader(plan)
  }
}

function numberReader({ source }: ColumnPlan, rows: number): ColumnReader {
  const values = new Float64Array(rows)
  return {
    sql: `coalesce(${identifier(source)}::DOUBLE, 'nan'::DOUBLE)`,
    read: (chunk, index, row) => readNumbers(chunk, index, values, row),
    finish: () => ({ kind: 'number', values: narrowed(values) }),
  }
}

async function stringReader(
  session: Session,
  table: string,
  { source }: ColumnPlan,
  type: string,
  rows: number,
): Promise<ColumnReader> {
  const text = `${identifier(source)}::VARCHAR`
  // Sorted, so that a dictionary does not depend on threads. An enum needs a value.
  const distinct = `SELECT ${text} FROM ${table} WHERE ${identifier(source)} IS NOT NULL GROUP BY 1 ORDER BY 1`
  const [some] = await session.rows(`SELECT 1 FROM ${table} WHERE ${identifier(source)} IS NOT NULL LIMIT 1`)
  if (some === undefined) {
    const codes = new Int32Array(rows).fill(-1)
    return { sql: '1', read: () => undefined, finish: () => ({ kind: 'string', dictionary: [], codes }) }
  }
  await session.connection.run(`DROP TYPE IF EXISTS ${type}`)
  await session.connection.run(`CREATE TEMP TYPE ${type} AS ENUM (${distinct})`)
  const dictionary = (await session.rows(`SELECT unnest(enum_range(NULL::${type}))::VARCHAR`)).map(([value]) => value as string)
  const codes = new Int32Array(rows)
  return {
    sql: `coalesce(enum_code((${text})::${type})::INTEGER, -1)`,
    read: (chunk, index, row) => readNumbers(chunk, index, codes, row),
    finish: () => ({ kind: 'string', dictionary, codes }),
  }
}

function listReader({ source, name, kind }: ColumnPlan): ColumnReader {
  const builder = new ColumnBuilder(name)
  const type = kind === 'numbers' ? 'DOUBLE[]' : 'VARCHAR[]'
  return {
    sql: `coalesce(${identifier(source)}::${type}, []::${type})`,
    read(chunk, index) {
      const vector = chunk.getColumnVector(index) as DuckDBListVector
      for (let row = 0; row < chunk.rowCount; row += 1) {
        const items = vector.getItem(row)?.items ?? []
        builder.append(items as readonly (number | string | null)[])
      }
    },
    finish: () => builder.finish(),
  }
}

/** One function for all columns: the loop is what a read spends its time in on this side. */
function readNumbers(chunk: DuckDBDataChunk, index: number, into: Float64Array | Int32Array, row: number): void {
  const vector = chunk.getColumnVector(index)
  const count = chunk.rowCount
  for (let item = 0; item < count; item += 1) into[row + item] = vector.getItem(item) as number
}
