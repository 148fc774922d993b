// Loads a CSV file into a table of DuckDB, all fields as text, and proves that nothing is missing. DuckDB silently drops rows if line
// ends change or a line is too long, and a stray pair of quotes swallows the rows between. So lines are counted, and missing lines
// are an error.

import { quote } from '../core/check.js'
import { AbortedError, DataError, messageOf } from '../core/errors.js'
import { countLines, type Lines, sayEncoding, textsOf, withPlainCopy } from './csv-bytes.js'
import { type Dialect, type Line, linesOf } from './csv-fields.js'
import { type Header, longestLine, sayQuote } from './csv-header.js'
import type { CsvFormat } from './csv-options.js'
import { literal, pathLiteral, type Session } from './duckdb.js'
import { groupsOf } from './groups.js'

/** The table that a file is loaded into. */
export const csvTable = 'multigate_csv'

/** The name of column `index` in the table. */
export const columnAt = (index: number): string => `c${index}`

/** Loads a file. @throws ERR_MULTIGATE_DATA for a malformed file, and for one whose quotes seem to be ordinary characters. */
export async function loadTexts(session: Session, format: CsvFormat, header: Header, encoding: string): Promise<void> {
  const { path, dialect, signal } = format
  if (encoding === 'utf-8') {
    // Both run at once, and either may fail.
    const [lines, created] = await Promise.allSettled([countLines(format), createTable(session, path, format, header)])
    if (lines.status === 'rejected') throw lines.reason
    try {
      if (created.status === 'rejected') throw created.reason
      return await checkWhole(session, path, format, header, lines.value)
    } catch (cause) {
      if (cause instanceof AbortedError || !lines.value.mixed) throw cause
    }
  }
  await withPlainCopy(format, encoding, dialect, async (copy) => {
    try {
      await createTable(session, copy, format, header)
      await checkWhole(session, copy, format, header, await countLines({ path: copy, signal }))
    } catch (cause) {
      if (cause instanceof AbortedError) throw cause
      throw (await loneReturn(format, encoding, header, cause)) ?? cause
    }
  })
}

/**
 * A carriage return ends a line too. In a file with other line ends it may cut a row in two. This error then says so, in place of the
 * confusing fault that follows.
 */
async function loneReturn(
  format: CsvFormat,
  encoding: string,
  { names }: Header,
  cause: unknown,
): Promise<DataError | undefined> {
  const { path, dialect } = format
  let row = format.header ? -1 : 0
  let before: Line | undefined
  let others = false
  for await (const line of linesOf(textsOf(format, encoding), dialect)) {
    const cut = line.end === '\r' ? line : before?.end === '\r' ? before : undefined
    if (cut !== undefined && line.fields < names.length && (others || line.end.endsWith('\n'))) {
      const at = row - (cut === before ? 1 : 0)
      return new DataError(
        `${path}, ${at < 0 ? 'the first line' : `row ${at}`}: expected lines of ${names.length} fields, found a lone carriage return (\\r without \\n) after ${quote(cut.last.slice(-40))}, which ends the line too early; put the field that holds it in quotes, or remove it from the file`,
        { file: path, row: at < 0 ? undefined : at, cause },
      )
    }
    others ||= line.end !== '\r'
    before = line
    row += 1
  }
  return undefined
}

async function createTable(session: Session, file: string, format: CsvFormat, header: Header): Promise<void> {
  const { trim, nullValues, nullsOf } = format
  const texts = header.names.map((name, index) => {
    const column = columnAt(index)
    const text = trim ? `trim(${column}, ' \t')` : column
    const nulls = [...(trim ? nullValues : []), ...(nullsOf.get(name) ?? [])]
    if (nulls.length === 0) return `${text} AS ${column}`
    return `CASE WHEN list_contains([${nulls.map(literal).join(', ')}]::VARCHAR[], ${text}) THEN NULL ELSE ${text} END AS ${column}`
  })
  const changed = trim || nullsOf.size > 0 ? texts.join(', ') : '*'
  const source = sourceOf(file, format, header, format.dialect)
  try {
    await session.connection.run(`CREATE OR REPLACE TEMP TABLE ${csvTable} AS SELECT ${changed} FROM ${source}`)
  } catch (cause) {
    throw malformed(format, header, cause)
  }
}

function sourceOf(file: string, format: CsvFormat, header: Header, marks: Pick<Dialect, 'quote' | 'escape'>): string {
  const { nullValues, dialect } = format
  const fields = header.names.map((_, index) => `${columnAt(index)}: 'VARCHAR'`).join(', ')
  const nulls = nullValues.length > 0 ? `[${nullValues.map(literal).join(', ')}]` : `['']`
  // DuckDB detects only the line ends.
  return `read_csv(${pathLiteral(file)}, columns = {${fields}}, auto_detect = false, header = ${format.header}, skip = ${header.blank},
    delim = ${literal(dialect.delimiter)}, quote = ${literal(marks.quote)}, escape = ${literal(marks.escape)}, comment = '', nullstr = ${nulls},
    allow_quoted_nulls = ${nullValues.includes('')}, null_padding = false, ignore_errors = false)`
}

/** Checks that every line of the file is the header, a row, blank, or part of a field. */
async function checkWhole(session: Session, file: string, format: CsvFormat, header: Header, lines: Lines): Promise<void> {
  const [[count] = []] = await session.rows(`SELECT count(*)::DOUBLE FROM ${csvTable}`)
  const rows = Number(count)
  const missing = lines.count - lines.blank - header.lines - rows
  if (missing <= 0) return
  const inside = await linesInside(session, header)
  const found = [...inside.values()].reduce((sum, ends) => sum + ends, 0)
  const countsAll = !format.nullValues.some((text) => /[\r\n]/.test(text))
  if (found < missing && countsAll) throw lost(format, rows, missing - found, lines)
  // A file with one column can always be read without quotes, so the comparison proves nothing.
  if (format.dialect.quote === '' || format.quoteIsSaid || header.names.length === 1) return
  const unquoted = await rowsWithoutQuotes(session, file, format, header)
  if (unquoted > rows) throw await swallowed(session, format, header, inside, unquoted - rows)
}

const lineEnds = literal('[\r\n]+')

/** How many extra lines, without blank ones, the fields of each column take. Columns without extra lines are left out. */
async function linesInside(session: Session, { names }: Header): Promise<ReadonlyMap<number, number>> {
  const inside = new Map<number, number>()
  for (const group of groupsOf([...names.keys()])) {
    const sums = group.map(columnAt).map((column) => {
      const isLong = `contains(${column}, chr(10)) OR contains(${column}, chr(13))`
      return `coalesce(sum(CASE WHEN ${isLong} THEN len(regexp_extract_all(${column}, ${lineEnds})) ELSE 0 END), 0)::DOUBLE`
    })
    const [found = []] = await session.rows(`SELECT ${sums.join(', ')} FROM ${csvTable}`)
    for (const [position, index] of group.entries()) if (Number(found[position]) > 0) inside.set(index, Number(found[position]))
  }
  return inside
}

/** The number of rows if quotes are ordinary characters. 0 if the file cannot be read so, or if it has whole fields in quotes. */
async function rowsWithoutQuotes(session: Session, file: string, format: CsvFormat, header: Header): Promise<number> {
  const mark = literal(format.dialect.quote)
  const fields = header.names.map((_, index) => columnAt(index)).join(', ')
  const quoted = `len([x FOR x IN [${fields}] IF starts_with(x, ${mark}) AND ends_with(x, ${mark}) AND length(x) > 1])`
  const source = sourceOf(file, format, header, { quote: '', escape: '' })
  // This fails if lines differ in their number of fields: then the quotes are real.
  const [[rows, inQuotes] = []] = await session
    .rows(`SELECT count(*)::DOUBLE, sum(${quoted})::DOUBLE FROM ${source}`)
    .catch(() => [])
  return rows === undefined || 2 * Number(inQuotes) > Number(rows) ? 0 : Number(rows)
}

async function swallowed(
  session: Session,
  { path, dialect }: CsvFormat,
  { names }: Header,
  inside: ReadonlyMap<number, number>,
  rows: number,
): Promise<DataError> {
  const [index = 0] = inside.keys()
  const column = names[index]
  const [[first, value] = []] = await session.rows(
    `SELECT rowid::DOUBLE, ${columnAt(index)} FROM ${csvTable} WHERE regexp_matches(${columnAt(index)}, ${lineEnds}) ORDER BY rowid LIMIT 1`,
  )
  const row = Number(first)
  return new DataError(
    `${path}, row ${row}: column ${quote(column ?? '')}: expected a field, found whole lines of the file (${quote(String(value))}), with ${rows} rows lost inside quotes; ${sayQuote}; if they do quote fields, set quote: ${quote(dialect.quote)}`,
    { file: path, row, column, value },
  )
}

function lost({ path }: CsvFormat, rows: number, missing: number, { longest }: Lines): DataError {
  const why =
    longest > longestLine
      ? `the longest line has ${longest} bytes: shorten it to ${longestLine}`
      : 'look for line ends or quotes that do not match'
  return new DataError(`${path}: expected every line to be read, found ${missing} lost lines beside ${rows} rows; ${why}`, {
    file: path,
  })
}

/** DuckDB names the line and the fault, then proposes options that multigate does not have. Those are cut off. */
function malformed({ path, dialect, signal }: CsvFormat, header: Header, cause: unknown): Error {
  if (signal?.aborted === true) return new AbortedError(`reading ${path}`, signal.reason)
  const text = messageOf(cause)
  const [what = text] = text.split(/Possible (?:fixes|solution)|\n {2}file = /i)
  const line = Number(/Line: (\d+)/.exec(text)?.[1] ?? NaN)
  const place = Number.isNaN(line) ? path : `${path}, line ${line}`
  const detail = what
    .replace(/^.*?CSV Error on Line: \d+\n/s, '')
    .replace(/^(Original Line: .{80}).*$/m, '$1...')
    .trim()
    .replace(/\n+/g, '; ')
    .slice(0, 500)
  const next = cureOf(detail, dialect.escape === dialect.quote)
  const row = Number.isNaN(line) ? undefined : line - header.blank - header.lines - 1
  return new DataError(`${place}: ${detail}${next}`, { file: path, row, cause })
}

function cureOf(detail: string, doubled: boolean): string {
  if (/not utf-8/i.test(detail)) return `; ${sayEncoding}`
  if (!/unterminated quote/i.test(detail)) return ''
  const escaped = doubled && detail.includes('\\') ? `; if \\ escapes them, set escape: '\\\\'` : ''
  return `; ${sayQuote}${escaped}`
}
