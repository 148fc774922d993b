// HDF5 files of Keras, read in a thread of their own.

import { Worker } from 'node:worker_threads'

import { quote } from '../core/check.js'
import { MissingPackageError, messageOf } from '../core/errors.js'
import type { FloatArray } from '../native/binding.js'
import { formatError, type Source, type SourceTensor } from './source.js'

/** What the thread is asked: rows of a tensor, by its number. */
export interface Request {
  readonly tensor: number
  readonly from: number
  readonly to: number
}

export type Reply =
  | { readonly kind: 'missing'; readonly cause: unknown }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'opened'; readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[] }
  /** Undefined if they are no numbers. */
  | { readonly kind: 'rows'; readonly values: FloatArray | undefined }

/** Milliseconds. A part takes far less, even from a slow disk; a damaged file may take for ever. */
const mostWait = 60_000

/** Elements of a part. */
const partElements = 2 ** 20

/** A thread needs compiled code, also if tests run the sources. */
const script = new URL(import.meta.url.endsWith('.ts') ? '../../dist/import/hdf5-worker.js' : './hdf5-worker.js', import.meta.url)

/**
 * Opens an HDF5 file.
 * @param path its name in errors.
 * @throws ERR_MULTIGATE_FORMAT; ERR_MULTIGATE_MISSING_PACKAGE.
 */
export async function openHdf5(file: string, path = file): Promise<Source> {
  const reader = new Reader(file, path)
  try {
    const reply = await reader.next()
    if (reply.kind !== 'opened') throw reader.unexpected()
    const tensors = new Map<string, SourceTensor>()
    for (const [number, { name, shape }] of reply.tensors.entries()) {
      if (tensors.has(name)) throw formatError(path, `it has two tensors ${quote(name)}`)
      tensors.set(name, { name, shape, parts: () => parts(reader, number, { name, shape }) })
    }
    return { path, format: 'keras', tensors, close: () => reader.close() }
  } catch (error) {
    await reader.close()
    throw error
  }
}

async function* parts(
  reader: Reader,
  tensor: number,
  { name, shape }: Pick<SourceTensor, 'name' | 'shape'>,
): AsyncGenerator<FloatArray> {
  const [rows = 1, ...rest] = shape
  const width = rest.reduce((product, size) => product * size, 1)
  const step = Math.max(1, Math.floor(partElements / Math.max(1, width)))
  for (let from = 0; from < rows; from += step) {
    const reply = await reader.ask({ tensor, from, to: Math.min(rows, from + step) })
    if (reply.kind !== 'rows') throw reader.unexpected()
    if (reply.values === undefined)
      throw formatError(reader.path, `tensor ${quote(name)}: expected numbers, found something else`)
    yield reply.values
  }
}

class Reader {
  readonly path: string
  readonly #worker: Worker

  constructor(file: string, path: string) {
    this.path = path
    // What the package prints when it gives up is in the error.
    this.#worker = new Worker(script, { workerData: file, stdout: true, stderr: true })
    // A second error while nobody waits would end the process.
    this.#worker.on('error', () => {})
  }

  ask(request: Request): Promise<Reply> {
    this.#worker.postMessage(request)
    return this.next()
  }

  /** The next reply that is no error. @throws ERR_MULTIGATE_FORMAT; ERR_MULTIGATE_MISSING_PACKAGE. */
  async next(): Promise<Reply> {
    const reply = await this.#reply()
    if (reply.kind === 'missing') throw new MissingPackageError('h5wasm', 'reading .keras and .h5 files', { cause: reply.cause })
    if (reply.kind === 'failed') throw this.#damaged(reply.message)
    return reply
  }

  unexpected(): Error {
    return this.#damaged('its reader gave another answer')
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #damaged(what: string): Error {
    return formatError(this.path, `expected an HDF5 file of Keras, found a damaged one: ${what}`)
  }

  async #reply(): Promise<Reply> {
    const worker = this.#worker
    let stop = () => {}
    try {
      return await new Promise<Reply>((resolve, reject) => {
        const fail = (error: unknown) => reject(this.#damaged(messageOf(error)))
        const ended = () => fail('its reader ended')
        const timer = setTimeout(() => fail(`it cannot be read within ${mostWait / 1000} seconds`), mostWait)
        stop = () => {
          clearTimeout(timer)
          worker.off('message', resolve).off('error', fail).off('exit', ended)
        }
        worker.once('message', resolve).once('error', fail).once('exit', ended)
      })
    } finally {
      stop()
    }
  }
}
