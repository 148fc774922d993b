// Fitted vocabularies as tensors of a file. Numbers are `vocabulary.<feature>.values` [n]. Texts are `vocabulary.<feature>.bytes`, UTF-8
// without separators, and `vocabulary.<feature>.offsets` [n + 1], the start of each text and the end of the last. Id 1 comes first. In a model
// that counts days `vocabulary.<feature>.seen` [n] has the day on which each value was last seen.

import { isTypedArray } from '../core/arrays.js'
import { quote } from '../core/check.js'
import { FormatError } from '../core/errors.js'
import { inSlices, type Sliced, sliceValues } from '../core/slices.js'
import { TextIndex } from '../core/text-index.js'
import type { Encoder } from '../features/encode/encoder.js'
import { indexOfKeys, type KeyIndex } from '../features/encode/key-index.js'
import type { SafetensorsFile, TensorSource } from '../io/safetensors.js'

/** Prefix of all these tensors. */
const prefix = 'vocabulary.'

const nameOf = (feature: string, part: 'values' | 'bytes' | 'offsets' | 'seen'): string => `${prefix}${feature}.${part}`

/** Names of the tensors that hold the vocabularies of these encoders. */
export function vocabularyNames(encoders: readonly Encoder[]): string[] {
  return encoders.flatMap((encoder) => {
    if (encoder.kind === 'dense' || encoder.vocabulary === undefined) return []
    const parts = encoder.vocabulary instanceof TextIndex ? (['bytes', 'offsets'] as const) : (['values'] as const)
    const seen = encoder.lastSeen === undefined ? [] : (['seen'] as const)
    return [...parts, ...seen].map((part) => nameOf(encoder.feature.name, part))
  })
}

/** Texts, or numbers, of one vocabulary. */
const chunkKeys = 2 ** 14

/** The vocabularies of encoders as tensors to write. */
export async function vocabularyTensors(encoders: readonly Encoder[]): Promise<TensorSource[]> {
  const tensors: TensorSource[] = []
  for (const encoder of encoders) {
    if (encoder.kind === 'dense' || encoder.vocabulary === undefined) continue
    const { vocabulary, feature, lastSeen } = encoder
    tensors.push(...(await keyTensors(feature.name, vocabulary)))
    if (lastSeen !== undefined) tensors.push(seenTensor(feature.name, lastSeen))
  }
  return tensors
}

/** The days on which values were last seen, as a tensor. */
export function seenTensor(feature: string, lastSeen: Int32Array): TensorSource {
  return { name: nameOf(feature, 'seen'), shape: [lastSeen.length], data: lastSeen }
}

/** The values of a vocabulary, from number `from` on, as tensors. */
export async function keyTensors(feature: string, vocabulary: KeyIndex, from = 0): Promise<TensorSource[]> {
  if (vocabulary instanceof TextIndex) return await textTensors(feature, vocabulary, from)
  const keys = { size: vocabulary.size - from, keyAt: (at: number) => vocabulary.keyAt(from + at) }
  return [{ name: nameOf(feature, 'values'), shape: [keys.size], dtype: 'F64', chunks: () => numbersOf(keys) }]
}

function* numbersOf(vocabulary: Pick<KeyIndex, 'size' | 'keyAt'>): Generator<Float64Array> {
  for (let start = 0; start < vocabulary.size; start += chunkKeys) {
    const length = Math.min(chunkKeys, vocabulary.size - start)
    yield Float64Array.from({ length }, (_, index) => Number(vocabulary.keyAt(start + index)))
  }
}

async function textTensors(feature: string, vocabulary: TextIndex, from: number): Promise<TensorSource[]> {
  const ends = await inSlices(endsOf(vocabulary, from))
  return [
    { name: nameOf(feature, 'bytes'), shape: [ends.at(-1) ?? 0], dtype: 'U8', chunks: () => bytesOf(vocabulary, from, ends) },
    { name: nameOf(feature, 'offsets'), shape: [ends.length], dtype: 'I64', chunks: () => offsetsOf(ends) },
  ]
}

/** The ends of the texts from number `from` on, [n + 1], starting at 0. */
function* endsOf(vocabulary: TextIndex, from: number): Sliced<Float64Array> {
  const ends = new Float64Array(vocabulary.size - from + 1)
  for (let start = 0; start < ends.length - 1; start += chunkKeys) {
    const lengths = vocabulary.lengths(from + start, Math.min(chunkKeys, ends.length - 1 - start))
    for (const [at, length] of lengths.entries()) ends[start + at + 1] = (ends[start + at] ?? 0) + length
    yield
  }
  return ends
}

function* bytesOf(vocabulary: TextIndex, from: number, ends: Float64Array): Generator<Uint8Array> {
  for (let start = 0; start < ends.length - 1; start += chunkKeys) {
    const end = Math.min(start + chunkKeys, ends.length - 1)
    yield vocabulary.bytes(from + start, end - start, (ends[end] ?? 0) - (ends[start] ?? 0))
  }
}

function* offsetsOf(ends: Float64Array): Generator<BigInt64Array> {
  for (let start = 0; start < ends.length; start += chunkKeys) {
    yield BigInt64Array.from(ends.subarray(start, start + chunkKeys), BigInt)
  }
}

/** Reads the vocabulary of a feature that `vocabularyTensors` wrote. @throws ERR_MULTIGATE_FORMAT naming the wrong tensor. */
export async function readVocabulary(path: string, file: SafetensorsFile, feature: string): Promise<KeyIndex> {
  const what = `feature ${quote(feature)}`
  const wrong = (name: string, problem: string): FormatError =>
    new FormatError(`${path}: tensor ${quote(name)}: ${problem}`, { file: path, field: name })
  const [values, bytes, offsets] = (['values', 'bytes', 'offsets'] as const).map((part) => nameOf(feature, part)) as [
    string,
    string,
    string,
  ]
  const twice = (index: KeyIndex, size: number): KeyIndex => {
    if (index.size === size) return index
    throw wrong(file.tensors.has(bytes) ? bytes : values, `expected ${size} different values, found ${index.size}`)
  }
  if (!file.tensors.has(bytes)) {
    const { data } = await file.read(values)
    if (!isTypedArray(data, 'Float64Array')) throw wrong(values, `expected F64, found ${file.entry(values).dtype}`)
    const odd = data.findIndex((value) => !Number.isFinite(value))
    if (odd >= 0) throw wrong(values, `expected finite numbers, found ${data[odd]} at ${odd}`)
    return twice(await inSlices(indexOfKeys(what, 'number', data.length, (at) => data[at] ?? 0)), data.length)
  }
  const [{ data: text }, { data: ends }] = [await file.read(bytes), await file.read(offsets)]
  if (!isTypedArray(text, 'Uint8Array')) throw wrong(bytes, `expected U8, found ${file.entry(bytes).dtype}`)
  if (!isTypedArray(ends, 'BigInt64Array')) throw wrong(offsets, `expected I64, found ${file.entry(offsets).dtype}`)
  const problem = await inSlices(problemOf(ends, text.length))
  if (problem !== undefined) throw wrong(offsets, problem)
  const wrongAt = (at: number): FormatError => wrong(bytes, `expected UTF-8, found other bytes in value ${at}`)
  return twice((await inSlices(indexOfBytes(text, ends, wrongAt))) as KeyIndex, ends.length - 1)
}

function* indexOfBytes(text: Uint8Array, ends: BigInt64Array, wrongAt: (at: number) => FormatError): Sliced<TextIndex> {
  const index = new TextIndex()
  for (let start = 0; start < ends.length - 1; start += chunkKeys) {
    const [first, ...rest] = Array.from(ends.subarray(start, start + chunkKeys + 1), Number) as [number, ...number[]]
    const own = Float64Array.from(rest, (end) => end - first)
    const added = index.addBytes(text.subarray(first, first + (own.at(-1) ?? 0)), own)
    if (added < own.length) throw wrongAt(start + added)
    yield
  }
  return index
}

/**
 * Reads the days on which the values of a feature were last seen; undefined if the file has none.
 * @throws ERR_MULTIGATE_FORMAT naming the wrong tensor.
 */
export async function readLastSeen(
  path: string,
  file: SafetensorsFile,
  feature: string,
  size: number,
): Promise<Int32Array | undefined> {
  const name = nameOf(feature, 'seen')
  if (!file.tensors.has(name)) return undefined
  const { data, shape } = await file.read(name)
  if (isTypedArray(data, 'Int32Array') && shape.length === 1 && data.length === size) return data
  const found = `${file.entry(name).dtype} of shape [${shape.join(', ')}]`
  const message = `${path}: tensor ${quote(name)}: expected I32 of shape [${size}], found ${found}`
  throw new FormatError(message, { file: path, field: name })
}

/** What is wrong with these offsets into `bytes` bytes; undefined if nothing is. */
function* problemOf(ends: BigInt64Array, bytes: number): Sliced<string | undefined> {
  let last = 0n
  for (let at = 0; at < ends.length; at += 1) {
    const end = ends[at] ?? 0n
    if (end < last || (at === 0 && end !== 0n)) return `expected ${at === 0 ? 0 : `${last} or more`} at ${at}, found ${end}`
    last = end
    if (at % sliceValues === 0) yield
  }
  return ends.length > 0 && Number(last) === bytes ? undefined : `expected offsets that end at ${bytes}, found ${last}`
}
