// Archives, read by the optional package yauzl, which checks that an entry has the size that the archive declares. Nothing is unpacked
// beyond what the caller allows.

import type { Readable } from 'node:stream'

import type { Entry, ZipFile } from 'yauzl'

import { quote } from '../core/check.js'
import { MissingPackageError, messageOf } from '../core/errors.js'
import { allocate, bytesText } from '../core/memory.js'
import { formatError } from './source.js'

/** More than any model has. */
const mostEntries = 2 ** 20

type Package = typeof import('yauzl')

/**
 * Loads the package. @throws ERR_MULTIGATE_MISSING_PACKAGE.
 * @param importPackage imports it; tests replace it.
 */
export async function loadYauzl(importPackage?: () => Promise<Package>): Promise<Package> {
  try {
    if (importPackage) return await importPackage()
    return await import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ 'yauzl')
  } catch (cause) {
    throw new MissingPackageError('yauzl', 'reading .pt and .keras files', { cause })
  }
}

export class Archive {
  readonly path: string
  readonly #zip: ZipFile
  readonly #entries: ReadonlyMap<string, Entry>

  private constructor(path: string, zip: ZipFile, entries: ReadonlyMap<string, Entry>) {
    this.path = path
    this.#zip = zip
    this.#entries = entries
  }

  /** @throws ERR_MULTIGATE_FORMAT. */
  static async open(path: string): Promise<Archive> {
    const { openPromise } = await loadYauzl()
    let zip: ZipFile | undefined
    try {
      zip = await openPromise(path, { autoClose: false, lazyEntries: true })
      if (zip.entryCount > mostEntries) throw new Error(`it has ${zip.entryCount} entries, more than ${mostEntries}`)
      const entries = new Map<string, Entry>()
      for await (const entry of zip.eachEntry()) {
        if (entries.has(entry.fileName)) throw new Error(`it has two entries ${quote(entry.fileName)}`)
        entries.set(entry.fileName, entry)
      }
      return new Archive(path, zip, entries)
    } catch (error) {
      zip?.close()
      throw formatError(path, `expected a zip archive, found a damaged one: ${messageOf(error)}`, error)
    }
  }

  names(): readonly string[] {
    return [...this.#entries.keys()]
  }

  /** Bytes of an entry, unpacked. Undefined if there is none. */
  size(name: string): number | undefined {
    return this.#entries.get(name)?.uncompressedSize
  }

  /** The bytes of an entry, or those in `[start, end)` of one that is stored as it is. @throws ERR_MULTIGATE_FORMAT if it is larger than `most`. */
  async stream(name: string, most: number, range?: { readonly start: number; readonly end: number }): Promise<Readable> {
    const entry = this.#entries.get(name)
    if (entry === undefined) throw formatError(this.path, `expected an entry ${quote(name)}, found none`)
    const { uncompressedSize: size } = entry
    if (size > most) {
      const what = `expected at most ${bytesText(most)} in the entry ${quote(name)}, found ${bytesText(size)}`
      throw formatError(this.path, what)
    }
    if (range !== undefined && (entry.compressionMethod !== 0 || range.end > size))
      throw formatError(
        this.path,
        `expected ${range.end} bytes, not compressed, in the entry ${quote(name)}, found other contents`,
      )
    try {
      return await this.#zip.openReadStreamPromise(entry, range ?? {})
    } catch (error) {
      throw this.#damaged(name, error)
    }
  }

  /** A whole entry. @throws ERR_MULTIGATE_FORMAT if it is larger than `most`, or damaged. */
  async read(name: string, most: number): Promise<Uint8Array> {
    const stream = await this.stream(name, most)
    const bytes = allocate(`${this.path}: ${quote(name)}`, Uint8Array, this.size(name) ?? 0)
    let at = 0
    for await (const part of this.parts(name, stream)) {
      bytes.set(part, at)
      at += part.length
    }
    return bytes.subarray(0, at)
  }

  /** What a stream of an entry gives. @throws ERR_MULTIGATE_FORMAT if the entry is damaged. */
  async *parts(name: string, stream: Readable): AsyncGenerator<Uint8Array> {
    try {
      for await (const part of stream) yield part as Uint8Array
    } catch (error) {
      throw this.#damaged(name, error)
    }
  }

  close(): void {
    this.#zip.close()
  }

  #damaged(name: string, error: unknown): Error {
    return formatError(this.path, `the entry ${quote(name)} is damaged: ${messageOf(error)}`, error)
  }
}
