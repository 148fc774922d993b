// The bytes of a CSV file before DuckDB reads them: decompressed, decoded, counted by lines, or written anew as UTF-8 with one kind
// of line end, which is all that DuckDB reads without fault.

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

/** Bytes of a file, of a gzip file those inside. @throws ERR_MULTIGATE_DATA for what cannot be read, ERR_MULTIGATE_ABORTED. */
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

/** What a byte order mark says that a file is coded in, other than UTF-8. */
export async function markedEncoding(source: ByteSource): Promise<string | undefined> {
  for await (const [first, second] of bytesOf(source)) {
    if (first === 0xff && second === 0xfe) return 'utf-16le'
    return first === 0xfe && second === 0xff ? 'utf-16be' : undefined
  }
  return undefined
}

/** A file as text. @throws ERR_MULTIGATE_DATA for bytes that are no text in this coding. */
export async function* textsOf(source: ByteSource, encoding: string): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder(encoding, { fatal: true })
  const decode = (bytes?: Buffer): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined })
    } catch (cause) {
      const { path } = source
      throw new DataError(`${path}: it has bytes that are no text in ${encoding}; ${sayEncoding}`, { file: path, cause })
    }
  }
  for await (const bytes of bytesOf(source)) yield decode(bytes)
  yield decode()
}

export const sayEncoding = "say how it is coded, such as encoding: 'gbk' or 'windows-1252'"

/** The lines of a file, wherever they end. */
export interface Lines {
  readonly count: number
  readonly blank: number
  /** They end in more than one way, some of them perhaps inside quotes. */
  readonly mixed: boolean
  /** Bytes of the longest. */
  readonly longest: number
}

export async function countLines(source: ByteSource): Promise<Lines> {
  let [lf, cr, crlf, blank, longest] = [0, 0, 0, 0, 0]
  let length = 0
  let afterCr = false
  for await (const bytes of bytesOf(source)) {
    let start = 0
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at] as number
      if (byte !== 10 && byte !== 13) continue
      length += at - start
      start = at + 1
      if (byte === 10 && afterCr && length === 0) {
        crlf += 1
        cr -= 1
        afterCr = false
        continue
      }
      if (byte === 10) lf += 1
      else cr += 1
      afterCr = byte === 13
      if (length === 0) blank += 1
      if (length > longest) longest = length
      length = 0
    }
    length += bytes.length - start
  }
  const count = lf + cr + crlf + (length > 0 ? 1 : 0)
  return { count, blank, mixed: [lf, cr, crlf].filter((ends) => ends > 0).length > 1, longest: Math.max(longest, length) }
}

/**
 * What `use` makes of a copy of a file in UTF-8, with lines that all end in `\n`; those inside quotes stay as they are. The copy lies in
 * the system's temporary folder and goes when `use` is done.
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
