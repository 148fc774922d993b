// Reads columns out of a DuckDB table. It decides the kind of each column, codes texts inside DuckDB (so that each distinct text is
// transferred once) and reads numbers and codes in bulk. Rows keep the order of the table.

import type { DuckDBBlobValue, DuckDBDataChunk, DuckDBListValue } from '@duckdb/node-api'

import { quote } from '../core/check.js'
import { type Column, dateText, type NumberColumn, type ScalarColumn, type StringColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { mostItems, mostRows } from '../core/limits.js'
import { allocate } from '../core/memory.js'
import { inSlices, type Sliced, sliceValues } from '../core/slices.js'
import { identifier, type Session } from './duckdb.js'
import { groupsOf } from './groups.js'

/** What the values of a column, or the items of its lists, become. */
interface Values {
  readonly kind: 'number' | 'string'
  /** As in `Column`. */
  readonly type?: 'boolean' | 'date' | undefined
  /** Numbers are stored as 32-bit floats. */
  readonly float?: true | undefined
}

/** A column of the table, and what it becomes. */
export interface ColumnPlan extends Values {
  /** Its name in the table. */
  readonly source: string
  /** Its name in the dataset. */
  readonly name: string
  readonly list?: true | undefined
  /** For numbers: as in `NumberColumn`. */
  readonly asWritten?: true | undefined
}

/** So few rows that a statement per column takes longer than reading every text. */
const fewRows = 2 ** 14
/** From here on, float64 does not hold every integer: two ids could become one. */
const exactIntegers = 2 ** 53

const bigIntegers = /^(U?BIGINT|U?HUGEINT|BIGNUM|DECIMAL\(.*\))$/
const kinds: readonly (readonly [RegExp, Values])[] = [
  [/^BOOLEAN$/, { kind: 'number', type: 'boolean' }],
  [/^FLOAT$/, { kind: 'number', float: true }],
  [/^(U?(TINY|SMALL)INT|U?INTEGER|DOUBLE|DECIMAL\((\d|1[0-5]),\d+\))$/, { kind: 'number' }],
  [/^(DATE|TIMESTAMP.*)$/, { kind: 'string', type: 'date' }],
  [/^(VARCHAR|ENUM\(.*\)|UUID|TIME.*|INTERVAL)$/s, { kind: 'string' }],
]

/** What the columns of a typed table become. @throws ERR_MULTIGATE_DATA for a type that is not a number, text or list. */
export async function planOfTable(session: Session, table: string): Promise<ColumnPlan[]> {
  const plans: ColumnPlan[] = []
  for (const [name, type] of (await session.rows(`DESCRIBE ${table}`)) as [string, string][]) {
    const item = /^(.*)\[\d*\]$/s.exec(type)?.[1]
    const values = kinds.find(([form]) => form.test(item ?? type))?.[1] ?? (await kindOfIntegers(session, table, name, type))
    plans.push({ source: name, name, ...values, ...(item !== undefined && { list: true }) })
  }
  return plans
}

async function kindOfIntegers(session: Session, table: string, name: string, type: string): Promise<Values> {
  const item = /^(.*)\[\d*\]$/s.exec(type)?.[1]
  if (!bigIntegers.test(item ?? type)) {
    throw new DataError(
      `column ${quote(name)}: expected numbers, text or lists of them, found ${type}; read only the other columns (columns: [...]), or cast it with Dataset.fromQuery`,
      { column: name },
    )
  }
  const column = identifier(name)
  const largest = item === undefined ? `max(abs(${column}::DOUBLE))` : `max(list_max([abs(x) FOR x IN ${column}::DOUBLE[]]))`
  const [[value] = []] = await session.rows(`SELECT ${largest} FROM ${table}`)
  return { kind: value === null || Number(value) < exactIntegers ? 'number' : 'string' }
}

const part = 'multigate_part'

/**
 * Planned columns, `rows` at a time, or all at once. An empty table gives one part without rows.
 * @param numbers the column of row numbers, from 0.
 */
export async function* tableParts(
  session: Session,
  table: string,
  plans: readonly ColumnPlan[],
  rows: number | undefined,
  numbers = 'rowid',
): AsyncGenerator<Map<string, Column>, void, undefined> {
  if (rows === undefined) return yield await readTable(session, table, plans)
  const count = await rowsOf(session, table)
  for (let start = 0; start === 0 || start < count; start += rows) {
    const bounds = `${numbers} >= ${start} AND ${numbers} < ${start + rows}`
    await session.connection.run(
      `CREATE OR REPLACE TEMP TABLE ${part} AS SELECT * FROM ${table} WHERE ${bounds} ORDER BY ${numbers}`,
    )
    yield await readTable(session, part, plans)
  }
}

/** Reads planned columns. @throws ERR_MULTIGATE_DATA for more than 2^31 - 1 rows. */
async function readTable(session: Session, table: string, plans: readonly ColumnPlan[]): Promise<Map<string, Column>> {
  const rows = await rowsOf(session, table)
  if (rows > mostRows)
    throw new DataError(`dataset: expected at most ${mostRows} rows, found ${rows}; read a part of them with a query`)

  const columns = new Map<string, Column>(plans.map(({ name }) => [name, { kind: 'number', values: new Int32Array(0) }]))
  for (const plan of plans.filter(({ list }) => list === true))
    columns.set(plan.name, await listColumn(session, table, plan, rows))
  const scalars = plans.filter(({ list }) => list !== true)
  for (const [name, column] of await readScalars(session, table, scalars, rows)) columns.set(name, column)
  return columns
}

async function readScalars(
  session: Session,
  table: string,
  plans: readonly ColumnPlan[],
  rows: number,
): Promise<Map<string, ScalarColumn>> {
  const columns = new Map<string, ScalarColumn>()
  const coded = rows > fewRows ? plans.filter(({ kind }) => kind === 'string') : []
  for (const group of groupsOf(coded, joinedAtOnce))
    for (const [plan, column] of await codedTexts(session, table, group, rows)) columns.set(plan.name, column)
  for (const group of groupsOf(plans.filter((plan) => !coded.includes(plan)))) {
    const readers = group.map((plan) => readerOf(plan, rows))
    let row = 0
    for await (const chunk of chunksOf(session, `SELECT ${readers.map(({ sql }) => sql).join(', ')} FROM ${table}`)) {
      for (const [index, reader] of readers.entries()) reader.read(chunk, index, row)
      row += chunk.rowCount
    }
    for (const [index, { name }] of group.entries()) columns.set(name, await (readers[index] as Reader).finish())
  }
  return columns
}

async function rowsOf(session: Session, table: string): Promise<number> {
  const [[count] = []] = await session.rows(`SELECT count(*)::DOUBLE FROM ${table}`)
  return Number(count)
}

/** The rows of a query in chunks. Other work of this thread runs between two chunks. */
async function* chunksOf(session: Session, sql: string): AsyncGenerator<DuckDBDataChunk, void, undefined> {
  const result = await session.connection.stream(sql)
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) yield chunk
}

interface Reader {
  readonly sql: string
  /** Reads column `index` of a chunk whose first row is `row`. */
  read(chunk: DuckDBDataChunk, index: number, row: number): void
  finish(): ScalarColumn | Promise<ScalarColumn>
}

function readerOf(plan: ColumnPlan, rows: number): Reader {
  if (plan.kind === 'string') return textReader(plan, rows)
  return plan.float === true ? floatReader(plan, rows) : numberReader(plan, rows)
}

function floatReader({ source, name }: ColumnPlan, rows: number): Reader {
  const values = allocate(`column ${quote(name)}`, Float32Array, rows)
  return {
    sql: `coalesce(${identifier(source)}::FLOAT, 'nan'::FLOAT)`,
    read: (chunk, index, row) => values.set(itemsOf(chunk, index), row),
    finish: () => ({ kind: 'number', values }),
  }
}

/** Reads 32-bit integers. At the first other number, all become 64-bit floats. */
function numberReader({ source, name, type, asWritten }: ColumnPlan, rows: number): Reader {
  const what = `column ${quote(name)}`
  const integers = allocate(what, Int32Array, rows)
  let floats: Float64Array | undefined
  let before = rows
  const values = function* (): Sliced<Int32Array | Float64Array> {
    if (floats === undefined) return integers
    for (let from = 0; from < before; from += sliceValues) {
      floats.set(integers.subarray(from, Math.min(before, from + sliceValues)), from)
      yield
    }
    return floats
  }
  return {
    sql: `coalesce(${identifier(source)}::DOUBLE, 'nan'::DOUBLE)`,
    read(chunk, index, row) {
      const numbers = itemsOf(chunk, index) as Float64Array
      if (floats === undefined && !numbers.every((value) => (value | 0) === value)) {
        floats = allocate(what, Float64Array, rows)
        before = row
      }
      ;(floats ?? integers).set(numbers, row)
    },
    async finish(): Promise<NumberColumn> {
      const all = await inSlices(values())
      return { kind: 'number', ...(type === 'boolean' && { type }), values: all, ...(asWritten && { asWritten }) }
    },
  }
}

/** Reads and codes the texts of a few rows here, not in DuckDB. */
function textReader(plan: ColumnPlan, rows: number): Reader {
  const seen = new Map<string, number>()
  const codes = new Int32Array(rows).fill(-1)
  return {
    // As bytes: the package drops a byte order mark, which is part of the value.
    sql: `encode(${identifier(plan.source)}::VARCHAR)`,
    read(chunk, index, row) {
      const vector = chunk.getColumnVector(index)
      for (let item = 0; item < chunk.rowCount; item += 1) {
        const value = vector.getItem(item) as DuckDBBlobValue | null
        if (value === null) continue
        const text = Buffer.from(value.bytes).toString()
        let code = seen.get(text)
        if (code === undefined) seen.set(text, (code = seen.size))
        codes[row + item] = code
      }
    },
    finish() {
      const sorted = [...seen.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      const places = new Int32Array(seen.size)
      for (const [place, text] of sorted.entries()) places[seen.get(text) ?? 0] = place
      const placed = codes.map((code) => places[code] ?? -1)
      const dictionary = sorted.map((text) => written(plan, text))
      return textColumn(plan, dictionary, placed)
    },
  }
}

/** Dates in the form of `dateText`. What that form cannot hold (infinity, years before Christ) stays as DuckDB writes it. */
function written({ type }: ColumnPlan, text: string): string {
  return type === 'date' ? (dateText(text) ?? text) : text
}

function textColumn({ type }: ColumnPlan, dictionary: readonly string[], codes: Int32Array): StringColumn {
  return { kind: 'string', ...(type === 'date' && { type }), dictionary, codes }
}

/** Limits for coding columns in one statement: columns, and distinct texts of each. All their hash tables are in memory at once. */
const joinedAtOnce = 8
const fewTexts = 2 ** 16

/** A column and the texts of its codes, which are also in the table `table`. */
interface Coded {
  readonly plan: ColumnPlan
  readonly table: string
  readonly dictionary: readonly string[]
}

/** Codes texts of many rows in DuckDB, by joins. They take a fifth of the time of casts to enums. */
async function codedTexts(
  session: Session,
  table: string,
  plans: readonly ColumnPlan[],
  rows: number,
): Promise<readonly (readonly [ColumnPlan, StringColumn])[]> {
  const coded: Coded[] = []
  for (const [index, plan] of plans.entries())
    coded.push(await dictionaryOf(session, table, plan, `multigate_dictionary_${index}`))
  const few = coded.filter(({ dictionary }) => dictionary.length <= fewTexts)
  const columns: (readonly [ColumnPlan, StringColumn])[] = []
  for (const group of [few, ...coded.filter((one) => !few.includes(one)).map((one) => [one])]) {
    const codes = group.length === 0 ? [] : await joinedCodes(session, table, group, rows)
    for (const [index, { plan, dictionary }] of group.entries())
      columns.push([plan, textColumn(plan, dictionary, codes[index] as Int32Array)])
  }
  return columns
}

/** Bytes of a page, up to one text more. */
const pageBytes = 2 ** 16

async function dictionaryOf(session: Session, table: string, plan: ColumnPlan, into: string): Promise<Coded> {
  const column = identifier(plan.source)
  // Sorted, so that a dictionary does not depend on threads.
  await session.connection.run(
    `CREATE OR REPLACE TEMP TABLE ${into} AS
    SELECT text, row_number() OVER texts - 1 AS code, sum(strlen(text)) OVER texts // ${pageBytes} AS page
    FROM (SELECT DISTINCT ${column}::VARCHAR AS text FROM ${table} WHERE ${column} IS NOT NULL)
    WINDOW texts AS (ORDER BY text ROWS UNBOUNDED PRECEDING)`,
  )
  const dictionary: string[] = []
  // Pages of texts side by side: reading texts one by one takes twice as long.
  const pages = `SELECT encode(string_agg(text, '' ORDER BY code)), list(strlen(text)::INTEGER ORDER BY code)
    FROM ${into} GROUP BY page ORDER BY page`
  for await (const chunk of chunksOf(session, pages)) {
    const [texts, lengths] = [chunk.getColumnVector(0), chunk.getColumnVector(1)]
    for (let item = 0; item < chunk.rowCount; item += 1) {
      const { bytes } = texts.getItem(item) as DuckDBBlobValue
      const { items } = lengths.getItem(item) as DuckDBListValue
      for (const text of textsOf(bytes, items as readonly number[])) dictionary.push(written(plan, text))
    }
  }
  return { plan, table: into, dictionary }
}

/** Texts that lie side by side as UTF-8. @param lengths in bytes. */
function textsOf(bytes: Uint8Array, lengths: readonly number[]): string[] {
  const page = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const all = page.toString()
  // Where every character is one byte, cutting the text is faster.
  const cut = all.length === page.length
  let start = 0
  return lengths.map((length) => {
    const from = start
    start += length
    return cut ? all.slice(from, start) : page.toString('utf8', from, start)
  })
}

async function joinedCodes(session: Session, table: string, columns: readonly Coded[], rows: number): Promise<Int32Array[]> {
  const codes = columns.map(({ plan }) => allocate(`column ${quote(plan.name)}`, Int32Array, rows))
  const found = columns.map((_, index) => `coalesce(d${index}.code, -1)::INTEGER`).join(', ')
  const joins = columns.map(({ plan, table: dictionary }, index) => {
    return `LEFT JOIN ${dictionary} d${index} ON t.${identifier(plan.source)}::VARCHAR = d${index}.text`
  })
  const joined = `SELECT t.rowid::INTEGER, ${found} FROM ${table} t ${joins.join(' ')}`
  // Rows come in any order: each carries its row number.
  for await (const chunk of chunksOf(session, joined)) {
    const places = itemsOf(chunk, 0)
    for (const [index, into] of codes.entries()) {
      const items = itemsOf(chunk, index + 1)
      for (let item = 0; item < items.length; item += 1) into[places[item] as number] = items[item] as number
    }
  }
  return codes
}

const itemsTable = 'multigate_items'

/** Reads all items of the lists as one column. */
async function listColumn(session: Session, table: string, plan: ColumnPlan, rows: number): Promise<Column> {
  const { source, name, list: _list, ...values } = plan
  const type = values.kind === 'string' ? 'VARCHAR' : values.float === true ? 'FLOAT' : 'DOUBLE'
  const column = `${identifier(source)}::${type}[]`
  await session.connection.run(`CREATE OR REPLACE TEMP TABLE ${itemsTable} AS SELECT unnest(${column}) AS item FROM ${table}`)
  const items = await rowsOf(session, itemsTable)
  if (items > mostItems) {
    throw new DataError(`column ${quote(name)}: expected at most ${mostItems} items in all lists together, found ${items}`, {
      column: name,
    })
  }
  const offsets = allocate(`column ${quote(name)}`, Int32Array, rows + 1)
  let row = 0
  for await (const chunk of chunksOf(session, `SELECT coalesce(len(${column}), 0)::INTEGER FROM ${table}`)) {
    for (const length of itemsOf(chunk, 0)) {
      offsets[row + 1] = (offsets[row] as number) + length
      row += 1
    }
  }
  const read = await readScalars(session, itemsTable, [{ ...values, source: 'item', name }], items)
  return { kind: 'list', offsets, items: read.get(name) as ScalarColumn }
}

/** All numbers of a vector without nulls, in bulk: reading them one by one is slow. */
function itemsOf(chunk: DuckDBDataChunk, index: number): Float64Array | Float32Array | Int32Array {
  const { items } = chunk.getColumnVector(index) as unknown as { readonly items: Float64Array | Float32Array | Int32Array }
  return items.subarray(0, chunk.rowCount)
}
