// The first line of a CSV file: the number of columns and their names. Nothing after that line is read.

import { quote } from '../core/check.js'
import { DataError } from '../core/errors.js'
import { textsOf } from './csv-bytes.js'
import { type Field, FieldReader } from './csv-fields.js'
import type { CsvFormat } from './csv-options.js'

/** The longest line that DuckDB reads, in bytes. */
export const longestLine = 2_000_000

export const sayQuote = 'if quotes are ordinary characters, set quote: false'

export interface Header {
  /** In the order of the columns. */
  readonly names: readonly string[]
  /** Lines of the file that the header takes, without blank lines before it. */
  readonly lines: number
  /** Blank lines before it. */
  readonly blank: number
}

/**
 * Reads the header.
 * @throws ERR_MULTIGATE_DATA for an empty file, a `.gz` file that is not gzip, duplicate names, and a number of names that differs
 * from the number of columns.
 */
export async function readHeader(format: CsvFormat, encoding: string): Promise<Header> {
  const { path, header, trim } = format
  const { fields, blank } = await firstLine(format, encoding)
  const found = fields.map(({ value }) => (trim ? value.trim() : value))
  if (header && found.some((name) => name.includes('\0')))
    throw wrong(
      path,
      "expected text, found zero bytes in the first line; for UTF-16 without a byte order mark set encoding: 'utf-16le' or 'utf-16be'",
    )
  if (header && format.names === undefined && found.every((name) => name === ''))
    throw wrong(path, 'expected column names in the first line, found none; if it holds values, set header: false')
  const names = format.names ?? (header ? named(found) : found.map((_, index) => `c${index}`))
  if (names.length !== found.length)
    throw wrong(path, `csv.names: expected ${found.length} names, one per field of the first line, found ${names.length}`)
  checkDistinct(path, names)
  const ends = fields.reduce((sum, { raw }) => sum + (raw.match(/\r\n|\n|\r/g)?.length ?? 0), 0)
  return header ? { names, lines: 1 + ends, blank } : { names, lines: 0, blank: 0 }
}

async function firstLine(
  format: CsvFormat,
  encoding: string,
): Promise<{ readonly fields: readonly Field[]; readonly blank: number }> {
  const reader = new FieldReader(format.dialect)
  const line: Field[] = []
  let characters = 0
  let blank = 0
  const take = (fields: readonly Field[]): boolean => {
    for (const field of fields) {
      line.push(field)
      characters += field.raw.length
      if (field.end === format.dialect.delimiter) continue
      if (line.length > 1 || field.raw !== '') return true
      if (field.end !== '') blank += 1
      line.pop()
    }
    return false
  }
  for await (const text of textsOf(format, encoding)) {
    // In pieces, so that text after the line costs nothing.
    for (let at = 0; at < text.length; at += piece) {
      if (take(reader.push(text.slice(at, at + piece)))) return { fields: line, blank }
      if (characters + reader.waiting > longestLine) throw tooLong(format.path, reader.isQuoted)
    }
  }
  if (reader.isQuoted)
    throw wrong(format.path, `expected each quote of the first line to end, found one that does not; ${sayQuote}`)
  if (take(reader.push('', true))) return { fields: line, blank }
  throw wrong(format.path, `expected ${format.header ? 'a first line that names the columns' : 'a row'}, found an empty file`)
}

const piece = 2 ** 16

function tooLong(path: string, isQuoted: boolean): DataError {
  const next = isQuoted ? ` and a quote that does not end; ${sayQuote}` : '; is this a CSV file?'
  return wrong(path, `expected a first line of at most ${longestLine} characters, found a longer one${next}`)
}

/** Names the columns that have no name, such as the index that pandas writes. */
function named(found: readonly string[]): string[] {
  const taken = new Set(found)
  return found.map((name, index) => {
    if (name !== '') return name
    let given = `unnamed_${index}`
    while (taken.has(given)) given += '_'
    return given
  })
}

function checkDistinct(path: string, names: readonly string[]): void {
  const seen = new Set<string>()
  for (const name of names) {
    if (seen.has(name))
      throw wrong(path, `expected each column name once, found ${quote(name)} twice; give the names with csv.names`)
    seen.add(name)
  }
}

function wrong(path: string, what: string): DataError {
  return new DataError(`${path}: ${what}`, { file: path })
}
