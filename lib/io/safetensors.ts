// Reads and writes safetensors files: named tensors and text metadata, no code. Big tensors pass in chunks, never as a buffer of the
// whole file. Tensors with the widest elements are written first, so that each is aligned in the file.

import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'

import { describeValue, quote } from '../core/check.js'
import { ArgumentError, DisposedError, FormatError } from '../core/errors.js'
import { elementsOf } from '../core/layout.js'
import { allocate } from '../core/memory.js'
import { type FilePath, pathOf } from '../core/path.js'
import { inSlices } from '../core/slices.js'
import { type FileSink, writeAtomically } from './atomic.js'
import { type Header, headerLength, largestHeader, parseHeader, type TensorEntry } from './safetensors-header.js'
import { arrayTypes, bytesOf, type DType, dtypeOf, dtypes, elementBytes, type Tensor, type TensorArray } from './tensors.js'

export type { TensorEntry } from './safetensors-header.js'
export type { DType, Tensor, TensorArray } from './tensors.js'

/** Bytes read or written at once. */
const chunkBytes = 16 * 2 ** 20

/** A tensor to write: whole, or in consecutive chunks (for a table that is too big for one array). */
export type TensorSource =
  | { readonly name: string; readonly shape: readonly number[]; readonly data: TensorArray }
  | {
      readonly name: string
      readonly shape: readonly number[]
      readonly dtype: DType
      /** Called once, when its turn comes. */
      readonly chunks: () => Iterable<TensorArray> | AsyncIterable<TensorArray>
    }

/** An open file. The whole header has been checked; data are read on demand. */
export class SafetensorsFile {
  readonly metadata: Readonly<Record<string, string>>
  /** In the order of the data. */
  readonly tensors: ReadonlyMap<string, TensorEntry>
  readonly path: string
  #handle: FileHandle | undefined

  private constructor(path: string, handle: FileHandle, { metadata, tensors }: Header) {
    this.path = path
    this.#handle = handle
    this.metadata = metadata
    this.tensors = tensors
  }

  /**
   * Opens a file and checks its header.
   * @throws ERR_MULTIGATE_FORMAT naming the wrong field, or if the file cannot be opened; ERR_MULTIGATE_ARGUMENT for an invalid path.
   */
  static async open(given: FilePath): Promise<SafetensorsFile> {
    const path = pathOf('path', given)
    const handle = await openFile(path)
    try {
      const stat = await handle.stat()
      const first = new Uint8Array(Math.min(8, stat.size))
      await readFully(path, handle, first, 0)
      const header = new Uint8Array(headerLength(path, first, stat.size))
      await readFully(path, handle, header, 8)
      return new SafetensorsFile(path, handle, await inSlices(parseHeader(path, header, stat.size)))
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Where a tensor lies. @throws ERR_MULTIGATE_FORMAT if there is no tensor of this name. */
  entry(name: string): TensorEntry {
    const entry = this.tensors.get(name)
    if (entry === undefined)
      throw new FormatError(`${this.path}: expected a tensor ${quote(name)}, found none`, { file: this.path, field: name })
    return entry
  }

  /** Reads a whole tensor. @throws ERR_MULTIGATE_FORMAT if it does not exist, or if the file was cut after it was opened. */
  async read(name: string): Promise<Tensor> {
    const { dtype, shape, start, bytes } = this.entry(name)
    const whole = allocate(`${this.path}: tensor ${quote(name)}`, Uint8Array, bytes)
    await readFully(this.path, this.#open(), whole, start)
    return { dtype, shape, data: new arrayTypes[dtype](whole.buffer) }
  }

  /**
   * Reads a tensor in consecutive parts of at most `elements` elements (default: 16 MiB). Each part is a new array; with `passing`,
   * it reuses the memory of the part before.
   * @throws as `read`.
   */
  async *chunks(name: string, elements = 0, { passing = false } = {}): AsyncGenerator<TensorArray> {
    const { dtype, start, bytes } = this.entry(name)
    const step = (elements > 0 ? elements : chunkBytes / elementBytes(dtype)) * elementBytes(dtype)
    let buffer: ArrayBuffer | undefined
    for (let at = 0; at < bytes; at += step) {
      const size = Math.min(step, bytes - at)
      if (!passing || buffer?.byteLength !== size) buffer = new ArrayBuffer(size)
      await readFully(this.path, this.#open(), new Uint8Array(buffer), start + at)
      yield new arrayTypes[dtype](buffer)
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close()
  }

  #open(): FileHandle {
    if (this.#handle === undefined) throw new DisposedError(`the file ${this.path}`)
    return this.#handle
  }
}

/** Reads a whole file. @throws ERR_MULTIGATE_FORMAT as `SafetensorsFile.open`; ERR_MULTIGATE_OUT_OF_MEMORY if it is too large. */
export async function readSafetensors(
  path: FilePath,
): Promise<{ metadata: Readonly<Record<string, string>>; tensors: Map<string, Tensor> }> {
  const file = await SafetensorsFile.open(path)
  try {
    const tensors = new Map<string, Tensor>()
    for (const name of file.tensors.keys()) tensors.set(name, await file.read(name))
    return { metadata: file.metadata, tensors }
  } finally {
    await file.close()
  }
}

/**
 * Writes a file. An old file is replaced whole or not at all.
 * @throws ERR_MULTIGATE_ARGUMENT naming the tensor whose data do not fit its shape, or a duplicate name.
 */
export async function writeSafetensors(
  path: FilePath,
  { tensors, metadata = {} }: { readonly tensors: Iterable<TensorSource>; readonly metadata?: Readonly<Record<string, string>> },
): Promise<void> {
  const planned = [...tensors].map(checkSource).sort((a, b) => elementBytes(b.dtype) - elementBytes(a.dtype))
  const header = headerOf(planned, metadata)
  await writeAtomically(path, async (sink) => {
    await sink.write(header)
    for (const tensor of planned) await writeTensor(sink, tensor)
  })
}

interface PlannedTensor {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly bytes: number
  readonly chunks: () => Iterable<TensorArray> | AsyncIterable<TensorArray>
}

function checkSource(source: TensorSource): PlannedTensor {
  const { name, shape } = source
  const dtype = 'data' in source ? dtypeOf(source.data) : dtypes.find((known) => known === source.dtype)
  if (dtype === undefined) {
    const found = 'data' in source ? source.data : source.dtype
    throw new ArgumentError(`tensor ${quote(name)}: expected ${dtypes.join(', ')}, found ${describeValue(found)}`, {
      field: name,
    })
  }
  const elements = elementsOf(shape)
  const bytes = elements * elementBytes(dtype)
  if (!shape.every((size) => Number.isInteger(size) && size >= 0) || !Number.isSafeInteger(bytes)) {
    throw new ArgumentError(`tensor ${quote(name)}: expected a shape of integers >= 0, found [${shape.join(', ')}]`, {
      field: name,
    })
  }
  if (!('data' in source)) return { name, dtype, shape, bytes, chunks: source.chunks }
  if (source.data.length !== elements) throw lengthError(name, shape, source.data.length)
  return { name, dtype, shape, bytes, chunks: () => [source.data] }
}

function headerOf(tensors: readonly PlannedTensor[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const names = new Set<string>(['__metadata__'])
  let offset = 0
  const entries = tensors.map(({ name, dtype, shape, bytes }) => {
    if (names.has(name))
      throw new ArgumentError(`tensor ${quote(name)}: expected each name once, and not __metadata__; choose another name`, {
        field: name,
      })
    names.add(name)
    const start = offset
    offset += bytes
    return [name, { dtype, shape, data_offsets: [start, offset] }] as const
  })
  const text = JSON.stringify(Object.fromEntries([['__metadata__', metadata], ...entries]))
  const json = new TextEncoder().encode(text)
  // Blanks up to a multiple of 8 align the data.
  const length = Math.ceil(json.length / 8) * 8
  if (length > largestHeader)
    throw new ArgumentError(`metadata: expected a header of at most ${largestHeader} bytes, found ${length}`)
  const bytes = new Uint8Array(8 + length).fill(0x20)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true)
  bytes.set(json, 8)
  return bytes
}

async function writeTensor(sink: FileSink, { name, dtype, shape, bytes, chunks }: PlannedTensor): Promise<void> {
  let written = 0
  for await (const chunk of chunks()) {
    if (dtypeOf(chunk) !== dtype)
      throw new ArgumentError(`tensor ${quote(name)}: expected chunks of ${dtype}, found ${describeValue(chunk)}`, {
        field: name,
      })
    written += chunk.byteLength
    if (written > bytes) break
    await sink.write(bytesOf(chunk))
  }
  if (written !== bytes) throw lengthError(name, shape, written / elementBytes(dtype))
}

function lengthError(name: string, shape: readonly number[], found: number): ArgumentError {
  const expected = `${shape.join(' x ') || '1'} = ${elementsOf(shape)} elements`
  return new ArgumentError(`tensor ${quote(name)}: expected ${expected}, found ${found}`, { field: name })
}

/** Opens only plain files: a pipe would wait for a writer, and opening a device may have side effects. */
async function openFile(path: string): Promise<FileHandle> {
  try {
    const found = await stat(path)
    if (!found.isFile()) {
      const what = found.isDirectory() ? 'a directory' : 'a device or a pipe'
      throw new FormatError(`${path}: expected a file, found ${what}`, { file: path })
    }
    // If it became a pipe meanwhile, this does not block.
    return await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (cause) {
    if (cause instanceof FormatError) throw cause
    throw new FormatError(`${path}: cannot open it: ${(cause as Error).message}`, { file: path, cause })
  }
}

/** Fills `into`, starting at byte `position` of the file. One read call gives at most 2 GiB. */
async function readFully(path: string, handle: FileHandle, into: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < into.length; ) {
    const { bytesRead } = await handle.read(into, at, Math.min(into.length - at, chunkBytes), position + at)
    if (bytesRead === 0)
      throw new FormatError(
        `${path}: expected ${into.length - at} more bytes at ${position + at}, found the end; copy the file again`,
        { file: path },
      )
    at += bytesRead
  }
}
