// The first line of a CSV file: how many columns there are, and their names. It reads no further than that line.

import { quote } from '../core/check.js'
import { DataError } from '../core/errors.js'
import { textsOf } from './csv-bytes.js'
import { type Field, FieldReader } from './csv-fields.js'
import type { CsvFormat } from './csv-options.js'

/** Bytes that DuckDB takes for one line, at most. */
export const longestLine = 2_000_000

export const sayQuote = 'where quotes are ordinary characters, say quote: false'

export interface Header {
  /** In the order of the columns. */
  readonly names: readonly string[]
  /** Lines of the file that it takes, without the blank ones before it. */
  readonly lines: number
  /** Blank lines before it. */
  readonly blank: number
}

/**
 * @throws ERR_MULTIGATE_DATA for an empty file, one that is not gzip although it says so, names that come twice, and another number of
 * names than of columns.
 */
export async function readHeader(format: CsvFormat, encoding: string): Promise<Header> {
  const { path, header, trim } = format
  const { fields, blank } = await firstLine(format, encoding)
  const found = fields.map(({ value }) => (trim ? value.trim() : value))
  if (header && found.some((name) => name.includes('\0')))
    throw wrong(
      path,
      "the first line holds zero bytes; for UTF-16 without a byte order mark say encoding: 'utf-16le' or 'utf-16be'",
    )
  if (header && format.names === undefined && found.every((name) => name === ''))
    throw wrong(path, 'the first line names no column; say header: false where it holds values')
  const names = format.names ?? (header ? named(found) : found.map((_, index) => `c${index}`))
  if (names.length !== found.length)
    throw wrong(
      path,
      `csv.names has ${names.length} names, and the first line has ${found.length} fields; expected one name per field`,
    )
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
    // By pieces: what stands behind the line costs nothing.
    for (let at = 0; at < text.length; at += piece) {
      if (take(reader.push(text.slice(at, at + piece)))) return { fields: line, blank }
      if (characters + reader.waiting > longestLine) throw tooLong(format.path, reader.isQuoted)
    }
  }
  if (reader.isQuoted) throw wrong(format.path, `the first line opens a quote that does not end; ${sayQuote}`)
  if (take(reader.push('', true))) return { fields: line, blank }
  throw wrong(format.path, `the file is empty; expected ${format.header ? 'a first line that names the columns' : 'a row'}`)
}

const piece = 2 ** 16

function tooLong(path: string, isQuoted: boolean): DataError {
  const next = isQuoted ? `, as it opens a quote that does not end; ${sayQuote}` : ''
  return wrong(path, `the first line is longer than ${longestLine} characters${next}`)
}

/** Columns without a name, such as the index that pandas writes, get one. */
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
    if (seen.has(name)) throw wrong(path, `two columns are named ${quote(name)}`)
    seen.add(name)
  }
}

function wrong(path: string, what: string): DataError {
  return new DataError(`${path}: ${what}`, { file: path })
}
