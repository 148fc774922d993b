// The bytes of a CSV file before DuckDB reads them: decompressed, decoded, their lines counted, or copied as UTF-8 with one kind of
// line end. DuckDB reads only such a copy reliably.

import { createReadStream } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { AbortedError, DataError, messageOf } from '../core/errors.js'
import type { Signal } from '../core/slices.js'
import { type Dialect, FieldReader } from './csv-fields.js'

/** A file that is read from its start. */
export interface ByteSource {
  readonly path: string
  readonly signal?: Signal | undefined
}

/** Bytes of a file; a gzip file is decompressed. @throws ERR_MULTIGATE_DATA if it cannot be read, ERR_MULTIGATE_ABORTED. */
export async function* bytesOf({ path, signal }: ByteSource): AsyncGenerator<Buffer, void, undefined> {
  const file = createReadStream(path, { highWaterMark: 2 ** 19 })
  // Errors of either stream end the loop below.
  const bytes = /\.gz$/i.test(path) ? pipeline(file, createGunzip({ chunkSize: 2 ** 18 }), () => undefined) : file
  try {
    for await (const chunk of bytes as AsyncIterable<Buffer>) {
      if (signal?.aborted === true) throw new AbortedError(`reading ${path}`, signal.reason)
      yield chunk
    }
  } catch (cause) {
    if (cause instanceof AbortedError) throw cause
    throw new DataError(`${path}: cannot read it: ${messageOf(cause)}`, { file: path, cause })
  } finally {
    file.destroy()
  }
}

/** The encoding that a byte order mark names, other than UTF-8. */
export async function markedEncoding(source: ByteSource): Promise<string | undefined> {
  for await (const [first, second] of bytesOf(source)) {
    if (first === 0xff && second === 0xfe) return 'utf-16le'
    return first === 0xfe && second === 0xff ? 'utf-16be' : undefined
  }
  return undefined
}

/** A file as text. @throws ERR_MULTIGATE_DATA for bytes that are not valid in this encoding. */
export async function* textsOf(source: ByteSource, encoding: string): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder(encoding, { fatal: true })
  const decode = (bytes?: Buffer): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined })
    } catch (cause) {
      const { path } = source
      throw new DataError(`${path}: expected text in ${encoding}, found other bytes; ${sayEncoding}`, { file: path, cause })
    }
  }
  for await (const bytes of bytesOf(source)) yield decode(bytes)
  yield decode()
}

export const sayEncoding = "set its encoding, such as encoding: 'gbk' or 'windows-1252'"

/** The lines of a file, with any line end. */
export interface Lines {
  readonly count: number
  readonly blank: number
  /** Whether there is more than one kind of line end, perhaps inside quotes. */
  readonly mixed: boolean
  /** Bytes of the longest line. */
  readonly longest: number
}

export async function countLines(source: ByteSource): Promise<Lines> {
  const ends: Ends = { lf: 0, cr: 0, crlf: 0, blank: 0, longest: 0, length: 0, afterCr: false }
  for await (const bytes of bytesOf(source)) countEnds(bytes, ends)
  const { lf, cr, crlf, blank, longest, length } = ends
  const count = lf + cr + crlf + (length > 0 ? 1 : 0)
  return { count, blank, mixed: [lf, cr, crlf].filter((kind) => kind > 0).length > 1, longest: Math.max(longest, length) }
}

/** The counts so far, and the state of the current line. */
interface Ends {
  lf: number
  cr: number
  crlf: number
  blank: number
  longest: number
  length: number
  afterCr: boolean
}

function countEnds(bytes: Buffer, ends: Ends): void {
  let { length } = ends
  const first = -bytes.byteOffset & 3
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + first, Math.max(0, bytes.length - first) >> 2)
  let start = 0
  for (let at = 0; at < bytes.length; at += 1) {
    // Skips four bytes at a time while no line ends in them.
    if (at >= first && ((at - first) & 3) === 0) {
      let word = (at - first) >> 2
      while (word < words.length && !hasEnd(words[word] as number)) word += 1
      at = first + 4 * word
    }
    const byte = bytes[at]
    if (byte !== 10 && byte !== 13) continue
    length += at - start
    start = at + 1
    if (byte === 10 && ends.afterCr && length === 0) {
      ends.crlf += 1
      ends.cr -= 1
      ends.afterCr = false
      continue
    }
    if (byte === 10) ends.lf += 1
    else ends.cr += 1
    ends.afterCr = byte === 13
    if (length === 0) ends.blank += 1
    if (length > ends.longest) ends.longest = length
    length = 0
  }
  ends.length = length + bytes.length - start
}

/** Whether one of four bytes is `\n` or `\r`. Such a byte becomes 0 here, and subtracting 1 then sets its high bit. */
function hasEnd(word: number): boolean {
  const lf = word ^ 0x0a0a0a0a
  const cr = word ^ 0x0d0d0d0d
  return (((((lf - 0x01010101) | 0) & ~lf) | (((cr - 0x01010101) | 0) & ~cr)) & 0x80808080) !== 0
}

/**
 * The result of `use` on a copy of a file in UTF-8. All lines of the copy end in `\n`; line ends inside quotes stay. The copy is in
 * the system's temporary folder and is removed when `use` is done.
 */
export async function withPlainCopy<T>(
  source: ByteSource,
  encoding: string,
  dialect: Dialect,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'multigate-csv-'))
  try {
    const path = join(folder, 'copy.csv')
    const file = await open(path, 'wx')
    try {
      for await (const text of plainTexts(textsOf(source, encoding), dialect)) await file.writeFile(text)
    } finally {
      await file.close()
    }
    return await use(path)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function* plainTexts(texts: AsyncIterable<string>, dialect: Dialect): AsyncGenerator<string, void, undefined> {
  const reader = new FieldReader(dialect)
  const plain = (text: string, last: boolean): string =>
    reader.push(text, last).reduce((all, { raw, end }) => all + raw + end.replace(/\r\n?/, '\n'), '')
  for await (const text of texts) yield plain(text, false)
  yield plain('', true)
}
