// The first line of a CSV file: the names of its columns. It reads no further than that line.

import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'

import { quote } from '../core/check.js'
import { DataError } from '../core/errors.js'

/** A header line longer than this is no header line: the file is not a CSV of this delimiter. */
const longestHeader = 16 * 2 ** 20

/**
 * Names in the order of the columns.
 * @throws ERR_MULTIGATE_DATA for an empty file, one that is not gzip although it says so, and names that are empty or come twice.
 */
export async function readHeader(path: string, delimiter: string, trim: boolean): Promise<string[]> {
  const names = fieldsOf(await firstLine(path), delimiter).map((name) => (trim ? name.trim() : name))
  const seen = new Set<string>()
  names.forEach((name, index) => {
    if (name === '') throw wrong(path, `column ${index + 1} has no name; the first line must name every column`)
    if (seen.has(name)) throw wrong(path, `two columns are named ${quote(name)}`)
    seen.add(name)
  })
  return names
}

async function firstLine(path: string): Promise<string> {
  const file = createReadStream(path)
  // Errors of either stream end the loop below.
  const bytes = path.toLowerCase().endsWith('.gz') ? pipeline(file, createGunzip(), () => undefined) : file
  const decoder = new TextDecoder('utf-8')
  let text = ''
  try {
    for await (const chunk of bytes as AsyncIterable<Buffer>) {
      text += decoder.decode(chunk, { stream: true })
      const end = endOfLine(text)
      if (end >= 0) return text.slice(0, end)
      if (text.length > longestHeader) throw wrong(path, `the first line is longer than ${longestHeader} characters`)
    }
  } catch (cause) {
    if (cause instanceof DataError) throw cause
    throw new DataError(`${path}: cannot read it: ${cause instanceof Error ? cause.message : String(cause)}`, {
      file: path,
      cause,
    })
  } finally {
    file.destroy()
  }
  if (text.trim() === '') throw wrong(path, 'the file is empty; expected a first line that names the columns')
  return text
}

/** Position of the first line end outside quotes, or -1. */
function endOfLine(text: string): number {
  let quoted = false
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index]
    if (character === '"') quoted = !quoted
    else if (!quoted && (character === '\n' || (character === '\r' && index + 1 < text.length))) return index
  }
  return -1
}

/** Fields of a line; `""` inside quotes is one quote. */
function fieldsOf(line: string, delimiter: string): string[] {
  const fields: string[] = []
  let field = ''
  let quoted = false
  for (let index = 0; index < line.length; index += 1) {
    const character = line[index] ?? ''
    if (quoted && character === '"' && line[index + 1] === '"') {
      field += '"'
      index += 1
    } else if (character === '"' && (quoted || field === '')) quoted = !quoted
    else if (character === delimiter && !quoted) {
      fields.push(field)
      field = ''
    } else field += character
  }
  return [...fields, field]
}

function wrong(path: string, what: string): DataError {
  return new DataError(`${path}: ${what}`, { file: path })
}
