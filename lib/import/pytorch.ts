// Files of `torch.save(model.state_dict(), path)`: a zip archive with a pickle of the dictionary and an entry per storage.

import { quote } from '../core/check.js'
import { messageOf } from '../core/errors.js'
import { elementsOf } from '../core/layout.js'
import type { FloatArray } from '../native/binding.js'
import { Persistent, PickleError, parsePickle } from './pickle.js'
import { formatError, type Source, type SourceTensor } from './source.js'
import type { Archive } from './zip.js'

/** A thousand times what the names of a large model take. */
const mostPickleBytes = 2 ** 26

/** Elements of a part. */
const partElements = 2 ** 20

const advice = 'save model.state_dict() alone, with torch.save'

/** The number types that have a reader, by the name of their storage. */
const storages: Readonly<Record<string, { readonly bytes: number; readonly read: (from: DataView, to: FloatArray) => void }>> = {
  FloatStorage: { bytes: 4, read: (from, to) => each(to, (i) => from.getFloat32(4 * i, true)) },
  DoubleStorage: { bytes: 8, read: (from, to) => each(to, (i) => from.getFloat64(8 * i, true)) },
  HalfStorage: { bytes: 2, read: (from, to) => each(to, (i) => half(from.getUint16(2 * i, true))) },
  BFloat16Storage: { bytes: 2, read: bfloat16 },
  LongStorage: { bytes: 8, read: (from, to) => each(to, (i) => Number(from.getBigInt64(8 * i, true))) },
  IntStorage: { bytes: 4, read: (from, to) => each(to, (i) => from.getInt32(4 * i, true)) },
  BoolStorage: { bytes: 1, read: (from, to) => each(to, (i) => from.getUint8(i)) },
}

interface Storage {
  readonly kind: string
  readonly key: string
}

interface Stored {
  readonly storage: Storage
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

/** Whether an archive is of PyTorch: the name of its pickle. */
export function pickleOf(archive: Archive): string | undefined {
  return archive.names().find((name) => /^[^/]*\/data\.pkl$/.test(name))
}

/** @throws ERR_MULTIGATE_FORMAT naming what is wrong. */
export async function openPyTorch(archive: Archive, pickle: string): Promise<Source> {
  const root = pickle.slice(0, -'data.pkl'.length)
  const { path } = archive
  const order = archive.size(`${root}byteorder`) === undefined ? 'little' : await text(archive, `${root}byteorder`)
  if (order !== 'little') throw formatError(path, `expected numbers of little-endian bytes, found ${quote(order)}`)
  let value: unknown
  try {
    value = parsePickle(await archive.read(pickle, mostPickleBytes), call)
  } catch (error) {
    if (error instanceof PickleError || error instanceof TypeError)
      throw formatError(path, `data.pkl: ${messageOf(error)}; ${advice}`, error)
    throw error
  }
  const tensors = new Map<string, SourceTensor>()
  for (const [name, stored] of tensorsOf(path, value)) {
    const { shape } = stored
    tensors.set(name, { name, shape, parts: () => parts(archive, `${root}data/${stored.storage.key}`, name, stored) })
  }
  return { path, format: 'pytorch', tensors, close: async () => archive.close() }
}

async function text(archive: Archive, name: string): Promise<string> {
  return new TextDecoder().decode(await archive.read(name, 64)).trim()
}

/** The functions of PyTorch that build a tensor. */
function call(name: string, args: readonly unknown[]): unknown {
  switch (name) {
    case 'collections.OrderedDict':
      return new Map()
    case 'torch._utils._rebuild_parameter':
      return args[0]
    case 'torch._utils._rebuild_tensor_v2':
      return stored(args)
    default:
      throw new PickleError(`found ${quote(name)}, expected only tensors; no code of a file is run`)
  }
}

function stored([storage, offset, shape, strides]: readonly unknown[]): Stored {
  const lists = [shape, strides]
  const numbers = lists.every((list): list is number[] => Array.isArray(list) && list.every(isCount))
  if (!(storage instanceof Persistent) || !isCount(offset) || !numbers || lists[0]?.length !== lists[1]?.length)
    throw new PickleError('found a tensor without a storage, a shape or strides')
  return { storage: storageOf(storage.id), offset, shape: lists[0] ?? [], strides: lists[1] ?? [] }
}

function storageOf(id: unknown): Storage {
  const [tag, kind, key] = Array.isArray(id) ? id : []
  const name = kind !== null && typeof kind === 'object' && 'name' in kind ? String(kind.name) : ''
  if (tag !== 'storage' || !name.startsWith('torch.') || typeof key !== 'string' || !/^\w+$/.test(key))
    throw new PickleError('found a storage that PyTorch does not write')
  return { kind: name.slice('torch.'.length), key }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** The tensors of a dictionary. A dictionary within it counts, if it is the only one with tensors. */
function tensorsOf(path: string, value: unknown): [string, Stored][] {
  const own = entriesOf(value).flatMap(([key, item]): [string, Stored][] => (isStored(item) ? [[key, item]] : []))
  if (own.length > 0) return withoutPrefix(own)
  const inner = entriesOf(value).filter(([, item]) => entriesOf(item).some(([, part]) => isStored(part)))
  const [only] = inner
  if (only !== undefined && inner.length === 1) return tensorsOf(path, only[1])
  const found = inner.length > 1 ? `several: ${inner.map(([key]) => quote(key)).join(', ')}` : 'none'
  throw formatError(path, `expected a dictionary of tensors, found ${found}; ${advice}`)
}

/** Without what data-parallel training puts before every name. */
function withoutPrefix(tensors: [string, Stored][]): [string, Stored][] {
  const prefix = 'module.'
  return tensors.every(([name]) => name.startsWith(prefix))
    ? tensors.map(([name, item]) => [name.slice(prefix.length), item])
    : tensors
}

function entriesOf(value: unknown): [string, unknown][] {
  return value instanceof Map ? [...value].filter((pair): pair is [string, unknown] => typeof pair[0] === 'string') : []
}

function isStored(value: unknown): value is Stored {
  return value !== null && typeof value === 'object' && 'storage' in value && 'strides' in value
}

async function* parts(
  archive: Archive,
  entry: string,
  name: string,
  { storage, offset, shape, strides }: Stored,
): AsyncGenerator<FloatArray> {
  const { path } = archive
  const kind = storages[storage.kind]
  if (kind === undefined) throw formatError(path, `tensor ${quote(name)}: expected numbers, found a ${storage.kind}`)
  const elements = elementsOf(shape)
  if (elements === 0) return
  // One past the last element that it reads.
  const end = offset + shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] ?? 0), 0) + 1
  const range = { start: offset * kind.bytes, end: end * kind.bytes }
  const size = archive.size(entry)
  if (!Number.isSafeInteger(range.end) || size === undefined || range.end > size) {
    const what = `tensor ${quote(name)}: expected ${range.end} bytes of its storage, found ${size ?? 'none'}`
    throw formatError(path, what)
  }
  if (isContiguous(shape, strides)) {
    yield* inParts(archive.parts(entry, await archive.stream(entry, size, range)), kind)
    return
  }
  if (end - offset > 4 * elements)
    throw formatError(path, `tensor ${quote(name)}: expected elements close to each other; save a contiguous copy`)
  const whole = new Float64Array(end - offset)
  let at = 0
  for await (const part of inParts(archive.parts(entry, await archive.stream(entry, size, range)), kind)) {
    whole.set(part, at)
    at += part.length
  }
  yield Float64Array.from({ length: elements }, (_, element) => whole[placeOf(element, shape, strides)] ?? Number.NaN)
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let stride = 1
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    if (shape[axis] !== 1 && strides[axis] !== stride) return false
    stride *= shape[axis] ?? 1
  }
  return true
}

function placeOf(element: number, shape: readonly number[], strides: readonly number[]): number {
  let place = 0
  let rest = element
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    const size = shape[axis] ?? 1
    place += (rest % size) * (strides[axis] ?? 0)
    rest = Math.floor(rest / size)
  }
  return place
}

/** Numbers of a stream of bytes, in parts of equal length but for the last. */
async function* inParts(
  stream: AsyncIterable<Uint8Array>,
  { bytes, read }: { readonly bytes: number; readonly read: (from: DataView, to: FloatArray) => void },
): AsyncGenerator<FloatArray> {
  const held = new Uint8Array(partElements * bytes)
  let filled = 0
  const take = (): FloatArray => {
    const to = bytes === 8 ? new Float64Array(filled / bytes) : new Float32Array(filled / bytes)
    read(new DataView(held.buffer, 0, filled), to)
    filled = 0
    return to
  }
  for await (const chunk of stream) {
    for (let from = 0; from < chunk.length; ) {
      const count = Math.min(chunk.length - from, held.length - filled)
      held.set(chunk.subarray(from, from + count), filled)
      filled += count
      from += count
      if (filled === held.length) yield take()
    }
  }
  if (filled > 0) yield take()
}

function each(to: FloatArray, value: (index: number) => number): void {
  for (let i = 0; i < to.length; i += 1) to[i] = value(i)
}

function bfloat16(from: DataView, to: FloatArray): void {
  const bits = new DataView(new ArrayBuffer(4))
  each(to, (i) => {
    bits.setUint16(2, from.getUint16(2 * i, true), true)
    return bits.getFloat32(0, true)
  })
}

/** The number of a half-precision pattern. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}
