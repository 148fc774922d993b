// Decides which columns of texts are numbers. In such a column every value of the whole file is written as programs write numbers,
// and no two different texts become the same number. So ids keep their zeros, signs and letters.

import { quote } from '../core/check.js'
import { DataError } from '../core/errors.js'
import { columnAt, csvTable } from './csv-table.js'
import { literal, type Session } from './duckdb.js'
import { groupsOf } from './groups.js'

/** Positions of the columns that are numbers. */
export interface Numbers {
  /** Every value is written as `numberText` writes it. */
  readonly asWritten: Set<number>
  readonly others: Set<number>
}

/** SQL that is true if all values of a column that are not null pass. */
type Test = (column: string) => string

const every = (column: string, condition: string): string => `count(${column}) = count(*) FILTER (WHERE ${condition})`
const matches = (column: string, form: string): string => `regexp_full_match(${column}, ${literal(form)})`
const number = (column: string): string => `try_cast(${column} AS DOUBLE)`
const isMinusZero = (column: string): string => `(starts_with(${column}, '-') AND ${number(column)} = 0)`

const largestInteger = Number.MAX_SAFE_INTEGER
/** So few digits, with a sign and a point, that a float64 keeps them apart. */
const fewDigits = (column: string): string => `strlen(${column}) <= 16`

const integer: Test = (column) => {
  const value = `try_cast(${column} AS BIGINT)`
  return every(column, `${value}::VARCHAR = ${column} AND ${value} BETWEEN -${largestInteger} AND ${largestInteger}`)
}

/** The result of `String(value)`: 7, 0.1, 0.000012, 1e-7. DuckDB writes 7.0, 0.1, 1.2e-05, 1e-07. */
function javaScriptText(value: string): string {
  const text = `${value}::VARCHAR`
  const digits = `replace(split_part(${text}, 'e-', 1), '.', '')`
  const zeros = `repeat('0', try_cast(split_part(${text}, 'e-', 2) AS INTEGER) - 1)`
  const plain = `CASE WHEN ${value} < 0 THEN '-0.' ELSE '0.' END || ${zeros} || ltrim(${digits}, '-')`
  const small = `CASE WHEN abs(${value}) < 1e-6 THEN replace(${text}, 'e-0', 'e-') ELSE ${plain} END`
  return `CASE WHEN ends_with(${text}, '.0') THEN left(${text}, -2) WHEN contains(${text}, 'e-') THEN ${small} ELSE ${text} END`
}

/** Every value equals `numberText` of its number, and whole numbers are at most 2^53 - 1, so that none stands for another. */
const shortest: Test = (column) => {
  const exact = `(abs(${number(column)}) <= ${largestInteger} OR contains(${column}, '.') OR contains(${column}, 'e'))`
  return every(
    column,
    `${javaScriptText(number(column))} = ${column} AND isfinite(${number(column)}) AND ${exact} AND ${column} <> '-0'`,
  )
}

/** In these forms, different texts are always different numbers. */
const forms: readonly Test[] = [
  // The shortest text that reads back as the same float64, as Python and DuckDB write it: 0.1, 7.0, 1e-05.
  (column) => every(column, `${number(column)}::VARCHAR = ${column} AND isfinite(${number(column)}) AND ${column} <> '-0.0'`),
  // The same number of decimals: 7.00, 0.10.
  (column) => {
    const decimals = `strlen(${column}) - instr(${column}, '.')`
    const form = `${matches(column, '-?(0|[1-9][0-9]*)\\.[0-9]+')} AND ${fewDigits(column)} AND NOT ${isMinusZero(column)}`
    return `${every(column, form)} AND coalesce(min(${decimals}) = max(${decimals}), true)`
  },
]

/** A whole number, or one with decimals, or with an exponent. The exponent has a sign or decimals before it: 1e5 may be an id. */
const written = '-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-][0-9]+)?'
const word = '[+-]?(?i:nan|inf|infinity)'

const isIndented: Test = (column) => `${every(column, `starts_with(${column}, ' ')`)} AND count(${column}) > 0`

const isWritten: Test = (column) => every(column, matches(column, `${written}|${word}`))

/** Like `isWritten`; in addition, the distinct texts and the distinct numbers are counted and must be equally many. */
const distinct: Test = (column) => {
  const value = `CASE WHEN ${matches(column, written)} THEN ${number(column)} + 0.0 END`
  const exact = `(${matches(column, '[^.eE]+')} AND abs(${value}) > ${largestInteger})`
  const none = `count(*) FILTER (WHERE NOT isfinite(${value}) OR ${exact}) = 0`
  return `${isWritten(column)} AND ${none} AND count(DISTINCT CASE WHEN ${matches(column, written)} THEN ${column} END) = count(DISTINCT ${value})`
}

const sampledRows = 2048

/** A column and the part of its fields that may be a number. */
interface Cells {
  readonly index: number
  /** Whether every field begins with a blank: some programs write one after each comma. */
  readonly isIndented: boolean
}

/** Decides for the columns `read`. @throws ERR_MULTIGATE_DATA for a value that is not a number in a column that `types` says is. */
export async function numberColumns(
  session: Session,
  names: readonly string[],
  read: readonly number[],
  types: ReadonlyMap<string, 'number' | 'string'>,
): Promise<Numbers> {
  const typeOf = (index: number) => types.get(names[index] ?? '')
  const said = read.filter((index) => typeOf(index) === 'number')
  await checkNumbers(session, names, said)
  const guessed = read.filter((index) => typeOf(index) === undefined)
  const [[rows] = []] = await session.rows(`SELECT count(*)::DOUBLE FROM ${csvTable}`)
  if (rows === 0) return { asWritten: new Set(guessed), others: new Set(said) }

  // The first rows show most text columns, and the form of most number columns. Only the others are read more than once.
  const passing = async (test: Test, cells: readonly Cells[]): Promise<readonly Cells[]> => {
    const likely = await passingAtFirst(session, test, cells)
    return Number(rows) <= sampledRows ? likely : await passingThroughout(session, test, likely)
  }
  const flush = guessed.map((index) => ({ index, isIndented: false }))
  const indented = new Set(await passingAtFirst(session, isIndented, flush))
  let open = flush.map((cells) => (indented.has(cells) ? { ...cells, isIndented: true } : cells))
  open = await passingAtFirst(session, isWritten, open)
  const settle = async (test: Test): Promise<Iterable<Cells>> => {
    const sure = new Set(await passing(test, open))
    open = open.filter((cells) => !sure.has(cells))
    return sure
  }
  const numbers: Numbers = { asWritten: new Set(), others: new Set(said) }
  for (const test of [integer, shortest])
    for (const cells of await settle(test)) (cells.isIndented ? numbers.others : numbers.asWritten).add(cells.index)
  for (const test of [...forms, distinct]) for (const { index } of await settle(test)) numbers.others.add(index)
  return numbers
}

function cell({ index, isIndented }: Cells): string {
  return isIndented ? `substr(${columnAt(index)}, 2)` : columnAt(index)
}

/** Tests the first rows, one cell per row: DuckDB's time for a statement grows with the number of its expressions. */
async function passingAtFirst(session: Session, test: Test, columns: readonly Cells[]): Promise<Cells[]> {
  const passed: Cells[] = []
  for (const group of groupsOf(columns)) {
    const fields = group.map(({ index }) => columnAt(index)).join(', ')
    const cells = `SELECT unnest([${group.map(cell).join(', ')}]) AS cell, unnest(range(${group.length})) AS place
      FROM (SELECT ${fields} FROM ${csvTable} LIMIT ${sampledRows})`
    const found = await session.rows(`SELECT place::DOUBLE FROM (${cells}) GROUP BY place HAVING ${test('cell')} ORDER BY place`)
    for (const [place] of found) passed.push(group[Number(place)] as Cells)
  }
  return passed
}

async function passingThroughout(session: Session, test: Test, columns: readonly Cells[]): Promise<Cells[]> {
  const passed: Cells[] = []
  for (const group of groupsOf(columns)) {
    const tests = group.map((cells) => {
      const passes = test(cell(cells))
      return cells.isIndented ? `${passes} AND ${isIndented(columnAt(cells.index))}` : passes
    })
    const [answers = []] = await session.rows(`SELECT ${tests.join(', ')} FROM ${csvTable}`)
    passed.push(...group.filter((_, position) => answers[position] === true))
  }
  return passed
}

/** A decimal number; outer blanks are allowed. */
const decimal = '[ \\t]*[+-]?(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \\t]*'

const isNumber = (column: string): string =>
  `(${matches(column, decimal)} AND isfinite(${number(column)}) OR ${matches(column, `[ \\t]*${word}[ \\t]*`)})`

async function checkNumbers(session: Session, names: readonly string[], said: readonly number[]): Promise<void> {
  const cells = said.map((index) => ({ index, isIndented: false }))
  const right = new Set(await passingThroughout(session, (column) => every(column, isNumber(column)), cells))
  const { index } = cells.find((candidate) => !right.has(candidate)) ?? {}
  if (index === undefined) return
  const column = columnAt(index)
  const [wrong = []] = await session.rows(
    `SELECT rowid::DOUBLE, ${column} FROM ${csvTable} WHERE NOT coalesce(${isNumber(column)}, ${column} IS NULL) ORDER BY rowid LIMIT 1`,
  )
  const [row, value] = wrong as [number, string]
  const name = names[index] ?? ''
  const next = /^[ \t+-]*\.?[0-9]/.test(value)
    ? 'write decimal numbers up to 1.8e308, or read the column as text'
    : `if that means missing, set nullValues: { ${quote(name)}: [${quote(value)}] }`
  throw new DataError(`column ${quote(name)}, row ${row}: expected a number, as csv.types says, found ${quote(value)}; ${next}`, {
    column: name,
    row,
    value,
  })
}
