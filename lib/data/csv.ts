// Reads a CSV file: every field as text first, into a table of its own; then each column is numbers where every value of
// the whole file is one. Nothing is guessed from a sample, and text is never changed unless `trim` is asked for.

import { z } from 'zod'

import { parseOptions, quote } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { nearest } from '../core/nearest.js'
import { frozen } from '../core/schemas.js'
import { type ColumnsOptions, chosenColumns, columnsSchema } from './chosen.js'
import { readHeader } from './csv-header.js'
import { literal, pathLiteral, type Session, usingDuckDB } from './duckdb.js'
import { checkFile } from './file.js'
import { type ColumnPlan, tableParts } from './table.js'

/** How a CSV file is written. */
export interface CsvOptions extends ColumnsOptions {
  /** One character. Default `,`, and a tab for `.tsv` and `.tsv.gz`. */
  readonly delimiter?: string
  /** Removes blanks and tabs around every field. Default false. */
  readonly trim?: boolean
  /** Fields that are missing values. Default `['']`. */
  readonly nullValues?: readonly string[]
  /** The kind of a column, where what its values look like is not what they are: `{ zip: 'string' }`. */
  readonly types?: Readonly<Record<string, 'number' | 'string'>>
}

const schema = z.strictObject({
  delimiter: z
    .string()
    .min(1)
    .max(1)
    .refine((text) => !/["\r\n]/.test(text), 'expected no quote and no line end')
    .optional(),
  trim: z.boolean().default(false),
  nullValues: frozen(z.array(z.string())).default(['']),
  types: z.record(z.string(), z.enum(['number', 'string'])).default({}),
  columns: columnsSchema,
})

type Options = z.output<typeof schema>

const sampledRows = 2048
const table = 'multigate_csv'
/** A number in decimal, outer blanks allowed, or `nan` and `inf` as other programs write them. */
const numberForm = literal('[ \\t]*[+-]?(?:(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))[ \\t]*')
/** Integers that might not fit a float64: 16 digits and more. */
const longInteger = literal('[ \\t]*[+-]?[0-9]{16,}[ \\t]*')

/** The columns of a CSV file. @throws as `Dataset.fromCsv` says. */
export async function readCsv(path: string, options: CsvOptions): Promise<Map<string, Column>> {
  for await (const columns of csvParts(path, options, undefined)) return columns
  throw new Error('a table has at least one part')
}

/** The columns of a CSV file, `rows` at a time; what each column is comes from the whole file. */
export async function* csvParts(
  path: string,
  options: CsvOptions,
  rows: number | undefined,
): AsyncGenerator<Map<string, Column>, void, undefined> {
  const parsed = parseOptions('csv', schema, options)
  await checkFile(path)
  const delimiter = parsed.delimiter ?? (/\.tsv(\.gz)?$/i.test(path) ? '\t' : ',')
  const names = await readHeader(path, delimiter, parsed.trim)
  checkTypes(path, names, parsed.types)
  const chosen = new Set(chosenColumns(path, names, parsed.columns))
  const read = [...names.keys()].filter((index) => chosen.has(names[index] ?? ''))
  yield* usingDuckDB(`reading ${path}`, {}, async function* (session) {
    await loadTexts(session, path, delimiter, names, parsed)
    const numeric = await numericColumns(session, names, read, parsed)
    const plans = read.map((index): ColumnPlan => {
      return { source: `c${index}`, name: names[index] ?? '', kind: numeric.has(index) ? 'number' : 'string' }
    })
    yield* tableParts(session, table, plans, rows)
  })
}

function checkTypes(path: string, names: readonly string[], types: Options['types']): void {
  for (const name of Object.keys(types)) {
    if (names.includes(name)) continue
    const near = nearest(name, names).map(quote).join(', ')
    throw new DataError(`csv.types: no column ${quote(name)} in ${path}; the nearest are ${near}`, { file: path, column: name })
  }
}

async function loadTexts(
  session: Session,
  path: string,
  delimiter: string,
  names: readonly string[],
  options: Options,
): Promise<void> {
  const { trim, nullValues } = options
  const fields = names.map((_, index) => `c${index}: 'VARCHAR'`).join(', ')
  const nulls = `[${nullValues.map(literal).join(', ')}]`
  const trimmed = names.map((_, index) => {
    const text = `trim(c${index}, ' \t')`
    return `CASE WHEN list_contains(${nulls}::VARCHAR[], ${text}) THEN NULL ELSE ${text} END AS c${index}`
  })
  // Nothing is left to detection except line ends.
  const source = `read_csv(${pathLiteral(path)}, columns = {${fields}}, auto_detect = false, header = true,
    delim = ${literal(delimiter)}, quote = '"', escape = '"', comment = '', nullstr = ${nullValues.length > 0 ? nulls : `['']`},
    allow_quoted_nulls = ${nullValues.includes('')}, null_padding = false, ignore_errors = false)`
  try {
    await session.connection.run(`CREATE TEMP TABLE ${table} AS SELECT ${trim ? trimmed.join(', ') : '*'} FROM ${source}`)
  } catch (cause) {
    throw malformed(path, cause)
  }
}

/** DuckDB says the line and what is wrong with it, then proposes options that are not ours. */
function malformed(path: string, cause: unknown): DataError {
  const text = cause instanceof Error ? cause.message : String(cause)
  const [what = text] = text.split(/Possible (?:fixes|solution)|\n {2}file = /i)
  const line = Number(/Line: (\d+)/.exec(text)?.[1] ?? NaN)
  const place = Number.isNaN(line) ? path : `${path}, line ${line}`
  const detail = what
    .replace(/^.*?CSV Error on Line: \d+\n/s, '')
    .replace(/^(Original Line: .{80}).*$/m, '$1...')
    .trim()
    .replace(/\n+/g, '; ')
    .slice(0, 500)
  return new DataError(`${place}: ${detail}`, { file: path, row: Number.isNaN(line) ? undefined : line - 2, cause })
}

/** Positions of the columns that are numbers, of those that are read. */
async function numericColumns(
  session: Session,
  names: readonly string[],
  read: readonly number[],
  { types }: Options,
): Promise<Set<number>> {
  const open = read.filter((index) => types[names[index] ?? ''] === undefined)
  // Most columns of text show it in their first rows; only the others are read whole.
  const likely = await allNumbers(session, open, `(SELECT * FROM ${table} LIMIT ${sampledRows})`)
  const numeric = new Set(await allNumbers(session, likely, table))
  for (const index of read) {
    const name = names[index] ?? ''
    if (types[name] !== 'number') continue
    await checkNumbers(session, index, name)
    numeric.add(index)
  }
  return numeric
}

async function allNumbers(session: Session, columns: readonly number[], from: string): Promise<number[]> {
  if (columns.length === 0) return []
  const tests = columns.map((index) => {
    const exact = `NOT (length(c${index}) > 15 AND regexp_full_match(c${index}, ${longInteger}) AND abs(try_cast(c${index} AS DOUBLE)) >= 9007199254740992)`
    return `coalesce(bool_and(regexp_full_match(c${index}, ${numberForm}) AND ${exact}), true)`
  })
  const [answers = []] = await session.rows(`SELECT ${tests.join(', ')} FROM ${from}`)
  return columns.filter((_, position) => answers[position] === true)
}

async function checkNumbers(session: Session, index: number, name: string): Promise<void> {
  const [wrong] = await session.rows(
    `SELECT rowid::DOUBLE, c${index} FROM ${table} WHERE NOT regexp_full_match(c${index}, ${numberForm}) ORDER BY rowid LIMIT 1`,
  )
  if (wrong === undefined) return
  const [row, value] = wrong as [number, string]
  throw new DataError(
    `column ${quote(name)}, row ${row}: expected a number, as csv.types says, found ${quote(value)}; if that means missing, add it to csv.nullValues`,
    { column: name, row, value },
  )
}
