// Reads the header of an untrusted safetensors file. Sizes are checked before allocation, and every offset against shape, element
// type, neighbours and file size. A valid header describes each byte of the data exactly once.

import { describeValue, quote } from '../core/check.js'
import { FormatError } from '../core/errors.js'
import type { Sliced } from '../core/slices.js'
import { JsonError, parseJson } from './json.js'
import { type DType, dtypes, elementBytes } from './tensors.js'

/** Bytes; the limit of the format's reference reader. */
export const largestHeader = 100_000_000

/** Entries checked between two yields: about a millisecond. */
const entriesAtOnce = 1024

/** Where a tensor lies. */
export interface TensorEntry {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  /** In bytes from the start of the file. */
  readonly start: number
  readonly bytes: number
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>
  /** In the order of the data. */
  readonly tensors: ReadonlyMap<string, TensorEntry>
}

/** The header length, from the first 8 bytes of a file of `size` bytes. @throws ERR_MULTIGATE_FORMAT if the file is too short. */
export function headerLength(file: string, first: Uint8Array, size: number): number {
  if (first.length < 8) throw wrong(file, 'header length', `8 bytes, found a file of ${size}`)
  const length = new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true)
  if (length > largestHeader)
    throw wrong(file, 'header length', `at most ${largestHeader}, found ${length}; is this a safetensors file?`)
  if (8 + Number(length) > size)
    throw wrong(
      file,
      'header length',
      `at most ${size - 8}, the bytes that follow, found ${length}; the file is cut short: copy it again`,
    )
  return Number(length)
}

/** Reads the header in slices. `size` is the size of the whole file. @throws ERR_MULTIGATE_FORMAT naming the wrong field. */
export function* parseHeader(file: string, bytes: Uint8Array, size: number): Sliced<Header> {
  const header = yield* parseObject(file, bytes)
  const dataStart = 8 + bytes.length
  const tensors: TensorEntry[] = []
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue
    if (tensors.length % entriesAtOnce === 0) yield
    tensors.push(parseEntry(file, name, entry, dataStart, size))
  }
  tensors.sort((a, b) => a.start - b.start || a.bytes - b.bytes)
  let end = dataStart
  for (const { name, start, bytes: length } of tensors) {
    const field = `${quote(name)}.data_offsets`
    if (start < end)
      throw wrong(
        file,
        field,
        `a start >= ${end - dataStart}, the end of the tensor before, found ${start - dataStart}: the tensors overlap`,
      )
    if (start > end)
      throw wrong(file, field, `a start of ${end - dataStart}, the end of the tensor before, found ${start - dataStart}: a gap`)
    end = start + length
  }
  if (end !== size) throw wrong(file, 'data', `${end - dataStart} bytes, as the header says, found ${size - dataStart}`)
  return {
    metadata: checkMetadata(file, header.__metadata__ ?? {}),
    tensors: new Map(tensors.map((entry) => [entry.name, entry])),
  }
}

function* parseObject(file: string, bytes: Uint8Array): Sliced<Record<string, unknown>> {
  let value: unknown
  try {
    value = yield* parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch (cause) {
    if (cause instanceof JsonError && cause.key !== undefined)
      throw wrong(file, quote(cause.key), 'each name once, found it twice')
    throw new FormatError(`${file}: header: expected JSON in UTF-8, found other content (${(cause as Error).message})`, {
      file,
      field: 'header',
      cause,
    })
  }
  if (!isObject(value)) throw wrong(file, 'header', `an object, found ${describeValue(value)}`)
  return value
}

function parseEntry(file: string, name: string, entry: unknown, dataStart: number, size: number): TensorEntry {
  const at = quote(name)
  if (!isObject(entry)) throw wrong(file, at, `an object, found ${describeValue(entry)}`)
  const unknown = Object.keys(entry).find((key) => !['dtype', 'shape', 'data_offsets'].includes(key))
  if (unknown !== undefined) throw wrong(file, `${at}.${unknown}`, 'only dtype, shape and data_offsets, found another field')
  const { dtype, shape, data_offsets: offsets } = entry
  const known = dtypes.find((candidate) => candidate === dtype)
  if (known === undefined) throw wrong(file, `${at}.dtype`, `one of ${dtypes.join(', ')}, found ${describeValue(dtype)}`)
  if (!isSizes(shape)) throw wrong(file, `${at}.shape`, `an array of integers >= 0, found ${describeValue(shape)}`)
  if (!isSizes(offsets) || offsets.length !== 2)
    throw wrong(file, `${at}.data_offsets`, `[start, end], found ${describeValue(offsets)}`)
  const [start = 0, end = 0] = offsets
  const room = size - dataStart
  if (start > end || end > room) {
    throw wrong(file, `${at}.data_offsets`, `start <= end <= ${room}, the bytes of data, found [${start}, ${end}]`)
  }
  // In BigInt: a hostile shape overflows a float64.
  const bytes = shape.reduce((product, length) => product * BigInt(length), BigInt(elementBytes(known)))
  if (bytes !== BigInt(end - start)) {
    throw wrong(
      file,
      `${at}.data_offsets`,
      `${bytes} bytes, as ${known} of shape [${shape.join(', ')}] has, found ${end - start}`,
    )
  }
  return { name, dtype: known, shape, start: dataStart + start, bytes: end - start }
}

function checkMetadata(file: string, metadata: unknown): Readonly<Record<string, string>> {
  if (!isObject(metadata)) throw wrong(file, '__metadata__', `an object of strings, found ${describeValue(metadata)}`)
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') throw wrong(file, `__metadata__.${key}`, `a string, found ${describeValue(value)}`)
  }
  return metadata as Record<string, string>
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0)
}

function wrong(file: string, field: string, expected: string): FormatError {
  return new FormatError(`${file}: ${field}: expected ${expected}`, { file, field })
}
