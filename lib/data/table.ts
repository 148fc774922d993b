// Columns out of a DuckDB table. It decides what each column is, codes texts inside DuckDB (an enum per column, so that
// every distinct text crosses once) and reads numbers and codes in bulk. Order of rows is the table's.

import type { DuckDBDataChunk, DuckDBListVector } from '@duckdb/node-api'

import { quote } from '../core/check.js'
import type { Column, StringColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { ColumnBuilder } from './builder.js'
import { identifier, type Session } from './duckdb.js'
import { groupsOf } from './groups.js'

/** A column of the table and what it becomes. */
export interface ColumnPlan {
  /** In the table. */
  readonly source: string
  /** In the dataset. */
  readonly name: string
  readonly kind: 'number' | 'string' | 'numbers' | 'strings'
  /** Of numbers: as `NumberColumn` says. */
  readonly asWritten?: true
}

const mostRows = 2 ** 31 - 1
/** So few that a statement per column takes longer than reading every text. */
const fewRows = 2 ** 14
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

  const columns = new Map<string, Column>(plans.map(({ name }) => [name, { kind: 'number', values: new Int32Array(0) }]))
  const coded = rows > fewRows ? plans.filter(({ kind }) => kind === 'string') : []
  for (const { source, name } of coded) columns.set(name, await codedTexts(session, table, source, rows))
  for (const group of groupsOf(plans.filter((plan) => !coded.includes(plan)))) {
    const readers = group.map((plan) => readerOf(plan, rows))
    let row = 0
    for await (const chunk of chunksOf(session, `SELECT ${readers.map(({ sql }) => sql).join(', ')} FROM ${table}`)) {
      for (const [index, reader] of readers.entries()) reader.read(chunk, index, row)
      row += chunk.rowCount
    }
    for (const [index, { name }] of group.entries()) columns.set(name, (readers[index] as ColumnReader).finish())
  }
  return columns
}

/** The rows of a query, some at a time; other work of this thread runs between two chunks. */
async function* chunksOf(session: Session, sql: string): AsyncGenerator<DuckDBDataChunk, void, undefined> {
  const result = await session.connection.stream(sql)
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) yield chunk
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

function readerOf(plan: ColumnPlan, rows: number): ColumnReader {
  switch (plan.kind) {
    case 'number':
      return numberReader(plan, rows)
    case 'string':
      return textReader(plan, rows)
    default:
      return listReader(plan)
  }
}

function numberReader({ source, asWritten }: ColumnPlan, rows: number): ColumnReader {
  // 32-bit integers until a number is none.
  let values: Int32Array | Float64Array = new Int32Array(rows)
  return {
    sql: `coalesce(${identifier(source)}::DOUBLE, 'nan'::DOUBLE)`,
    read(chunk, index, row) {
      const numbers = itemsOf(chunk, index) as Float64Array
      if (values instanceof Int32Array && !numbers.every((value) => (value | 0) === value)) values = new Float64Array(values)
      values.set(numbers, row)
    },
    finish: () => ({ kind: 'number', values, ...(asWritten && { asWritten }) }),
  }
}

/** Texts of a few rows, which are coded here. */
function textReader({ source }: ColumnPlan, rows: number): ColumnReader {
  const seen = new Map<string, number>()
  const codes = new Int32Array(rows).fill(-1)
  return {
    sql: `${identifier(source)}::VARCHAR`,
    read(chunk, index, row) {
      const vector = chunk.getColumnVector(index)
      for (let item = 0; item < chunk.rowCount; item += 1) {
        const text = vector.getItem(item) as string | null
        if (text === null) continue
        let code = seen.get(text)
        if (code === undefined) seen.set(text, (code = seen.size))
        codes[row + item] = code
      }
    },
    finish() {
      const dictionary = [...seen.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      const places = new Int32Array(seen.size)
      for (const [place, text] of dictionary.entries()) places[seen.get(text) ?? 0] = place
      return { kind: 'string', dictionary, codes: codes.map((code) => places[code] ?? -1) }
    },
  }
}

const dictionaryTable = 'multigate_dictionary'

/** Texts of many rows, which DuckDB codes: by a join, which takes a fifth of the time of a cast to an enum. */
async function codedTexts(session: Session, table: string, source: string, rows: number): Promise<StringColumn> {
  const column = identifier(source)
  // Sorted, so that a dictionary does not depend on threads.
  await session.connection.run(
    `CREATE OR REPLACE TEMP TABLE ${dictionaryTable} AS SELECT text, row_number() OVER (ORDER BY text) - 1 AS code
    FROM (SELECT DISTINCT ${column}::VARCHAR AS text FROM ${table} WHERE ${column} IS NOT NULL)`,
  )
  const dictionary: string[] = []
  for await (const chunk of chunksOf(session, `SELECT text FROM ${dictionaryTable} ORDER BY code`)) {
    const vector = chunk.getColumnVector(0)
    for (let item = 0; item < chunk.rowCount; item += 1) dictionary.push(vector.getItem(item) as string)
  }
  const codes = new Int32Array(rows).fill(-1)
  const joined = `SELECT t.rowid::INTEGER, d.code::INTEGER FROM ${table} t JOIN ${dictionaryTable} d ON t.${column}::VARCHAR = d.text`
  // In any order: each code says its row.
  for await (const chunk of chunksOf(session, joined)) {
    const [places, found] = [itemsOf(chunk, 0), itemsOf(chunk, 1)]
    for (let item = 0; item < found.length; item += 1) codes[places[item] as number] = found[item] as number
  }
  return { kind: 'string', dictionary, codes }
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

/** The numbers of a vector without nulls, whole: one by one is what a read would spend its time in. */
function itemsOf(chunk: DuckDBDataChunk, index: number): Float64Array | Int32Array {
  const { items } = chunk.getColumnVector(index) as unknown as { readonly items: Float64Array | Int32Array }
  return items.subarray(0, chunk.rowCount)
}
