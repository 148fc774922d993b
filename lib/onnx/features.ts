// What becomes of a feature's values in ONNX: one input per feature, [rows, width], and nodes that do what its encoder does. The input has
// one type, that of the feature's values. docs/onnx.md has the table.

import { sameNumber } from '../core/columns.js'
import type { Sliced } from '../core/slices.js'
import { TextIndex } from '../core/text-index.js'
import { isNumeric, type Key } from '../features/encode/cast.js'
import type { DenseEncoder, Encoder, SequenceEncoder, SparseEncoder } from '../features/encode/encoder.js'
import type { KeyIndex } from '../features/encode/key-index.js'
import { DataType, type GraphBuilder, type Value } from './graph.js'
import { areIntegers, doublesToIds, integersToIds, type Keys, textsToIds } from './label-encoder.js'

type IdEncoder = SparseEncoder | SequenceEncoder

/** A feature's input, as the metadata of the file describe it. */
export interface OnnxInput {
  readonly name: string
  readonly kind: 'sparse' | 'sequence' | 'dense'
  readonly type: 'int32' | 'int64' | 'float32' | 'float64' | 'string'
  /** Values per row. */
  readonly width: number
  /** The value that stands for a missing one and pads a sequence, as text; null if a missing value is an error. */
  readonly missing: string | null
}

/** The number that stands for a missing integer. No key of a vocabulary is as small. */
const missingInteger = -(2n ** 63n)

const dataTypes: Readonly<Record<OnnxInput['type'], DataType>> = {
  int32: DataType.INT32,
  int64: DataType.INT64,
  float32: DataType.FLOAT,
  float64: DataType.DOUBLE,
  string: DataType.STRING,
}

/**
 * Adds a feature's input and what turns it into the network's.
 * @param encoded whether the input is what an encoder gives: ids, or numbers after their transform.
 */
export function* addFeature(graph: GraphBuilder, encoder: Encoder, { encoded }: { readonly encoded: boolean }): Sliced<Taken> {
  const { kind, width } = encoder
  const { name } = encoder.feature
  graph.scope = `feature.${name}`
  const take = (type: OnnxInput['type'], missing: string | null): Taken => {
    return { input: { name, kind, type, width, missing }, value: graph.input({ name, type: dataTypes[type], width }) }
  }
  if (encoder.kind === 'dense') return encoded ? take('float32', null) : addNumbers(graph, encoder, take)
  if (encoded) {
    const { input, value } = take('int32', encoder.kind === 'sequence' ? '0' : null)
    return { input, value: checkedIds(graph, graph.node('Cast', [value], { to: BigInt(DataType.INT64) }), encoder.tableRows) }
  }
  return yield* addIds(graph, encoder, take)
}

/** The bytes of the vocabularies that a file with raw inputs holds, by feature. It is a bound for texts that are not fitted. */
export function vocabularyBytes(encoders: readonly Encoder[]): Map<string, number> {
  return new Map(
    encoders.flatMap((encoder) => {
      if (encoder.kind === 'dense') return []
      const { name, vocabulary: listed } = encoder.feature
      const { vocabulary } = encoder
      const count = vocabulary?.size ?? (typeof listed === 'object' ? listed.length : 0)
      const idBytes = count * bytesPerId
      if (vocabulary instanceof TextIndex) return [[name, idBytes + textBytes(vocabulary)]] as const
      const given = typeof listed === 'object' ? listed.reduce<number>((sum, key) => sum + 3 * String(key).length, 0) : 0
      return [[name, idBytes + Math.max(given, 8 * count)]] as const
    }),
  )
}

/** An id, and what frames a key. */
const bytesPerId = 8

function textBytes(texts: TextIndex): number {
  let bytes = 0
  for (let first = 0; first < texts.size; first += 2 ** 16)
    for (const length of texts.lengths(first, Math.min(2 ** 16, texts.size - first))) bytes += length
  return bytes
}

/** A feature's input, and the tensor that the network reads. */
export interface Taken {
  readonly input: OnnxInput
  readonly value: Value
}

type Take = (type: OnnxInput['type'], missing: string | null) => Taken

/** Computes in float64, as the encoder does. */
function addNumbers(graph: GraphBuilder, { feature, state }: DenseEncoder, take: Take): Taken {
  const { offset, scale, fill } = state
  const taken = take('float64', fill === null ? null : 'NaN')
  const number = (value: number): Value => graph.constant('double', [value])
  let value = taken.value
  if (feature.transform === 'log1p' || feature.transform === 'log1pStandardize')
    value = graph.node('Log', [graph.node('Add', [value, number(1)])])
  if (offset !== 0) value = graph.node('Sub', [value, number(offset)])
  if (scale !== 1) value = graph.node('Div', [value, number(scale)])
  if (fill !== null) value = graph.node('Where', [graph.node('IsNaN', [taken.value]), number(fill), value])
  return { ...taken, value: graph.node('Cast', [value], { to: BigInt(DataType.FLOAT) }) }
}

function* addIds(graph: GraphBuilder, encoder: IdEncoder, take: Take): Sliced<Taken> {
  const { buckets, vocabulary, hash } = encoder.feature
  if (buckets !== undefined) return addBuckets(graph, buckets, take)
  if (typeof vocabulary === 'number') return addOwnIds(graph, encoder, take)
  return yield* hash === undefined ? addVocabulary(graph, encoder, take) : addHashed(graph, encoder, hash, take)
}

/** 1 + how many boundaries are at most the value. */
function addBuckets(graph: GraphBuilder, boundaries: readonly number[], take: Take): Taken {
  const taken = take('float64', 'NaN')
  const last = graph.constant('int64', [-1], [1])
  const column = graph.node('Unsqueeze', [taken.value, last])
  const above = graph.node('GreaterOrEqual', [column, graph.constant('double', boundaries, [boundaries.length])])
  const ones = graph.node('Cast', [above], { to: BigInt(DataType.INT64) })
  const count = graph.node('ReduceSum', [ones, last], { keepdims: 0n })
  const ids = graph.node('Add', [count, graph.constant('int64', [1])])
  return { ...taken, value: graph.node('Where', [graph.node('IsNaN', [taken.value]), graph.constant('int64', [0]), ids]) }
}

/** Values that are ids themselves. */
function addOwnIds(graph: GraphBuilder, { kind, feature, tableRows }: IdEncoder, take: Take): Taken {
  const zero = graph.constant('int64', [0])
  const refuses = feature.outOfRange !== 'oov'
  const taken = take('int64', refuses && kind === 'sparse' ? null : String(missingInteger))
  const { value } = taken
  if (!refuses) {
    const low = graph.node('GreaterOrEqual', [value, zero])
    const high = graph.node('Less', [value, graph.constant('int64', [tableRows])])
    return { ...taken, value: graph.node('Where', [graph.node('And', [low, high]), value, zero]) }
  }
  if (kind === 'sparse') return { ...taken, value: checkedIds(graph, value, tableRows) }
  const missing = graph.node('Equal', [value, graph.constant('int64', [missingInteger])])
  return { ...taken, value: checkedIds(graph, graph.node('Where', [missing, zero, value]), tableRows) }
}

/** Ids below 0 become one that no table has, for which Gather fails. Unchanged, they would count from the end of the table. */
function checkedIds(graph: GraphBuilder, ids: Value, tableRows: number): Value {
  const negative = graph.node('Less', [ids, graph.constant('int64', [0])])
  return graph.node('Where', [negative, graph.constant('int64', [tableRows]), ids])
}

/** MurmurHash3 of the values' texts. */
function* addHashed(graph: GraphBuilder, encoder: IdEncoder, size: number, take: Take): Sliced<Taken> {
  const { feature, type } = encoder
  const numeric = type !== undefined && isNumeric(type)
  const taken = take(numeric ? 'int64' : 'string', numeric ? String(missingInteger) : '')
  const text = numeric ? graph.node('Cast', [taken.value], { to: BigInt(DataType.STRING) }) : taken.value
  const hash = graph.node('MurmurHash3', [text], { seed: 0n, positive: 1n }, 'com.microsoft')
  const wide = graph.node('Cast', [hash], { to: BigInt(DataType.INT64) })
  const place = graph.node('Mod', [wide, graph.constant('int64', [size - 1])])
  const id = graph.node('Add', [place, graph.constant('int64', [1])])
  const padding = feature.kind === 'sequence' && !numeric && feature.padding !== undefined ? [feature.padding] : []
  const known = numeric
    ? graph.node('Cast', [graph.node('Not', [graph.node('Equal', [taken.value, graph.constant('int64', [missingInteger])])])], {
        to: BigInt(DataType.INT64),
      })
    : yield* textsToIds(graph, taken.value, keysIn(['', ...padding]), { idOf: () => 0, other: 1 })
  return { ...taken, value: graph.node('Mul', [id, known]) }
}

/** Values that a vocabulary numbers from 1 on. All others get id 0. */
function* addVocabulary(graph: GraphBuilder, encoder: IdEncoder, take: Take): Sliced<Taken> {
  const keys = keysOf(encoder)
  const other = 0
  const idOf = (at: number): number => at + 1
  // A vocabulary without any value may have no type either.
  const numeric = keys.size > 0 ? typeof keys.keyAt(0) === 'number' : encoder.type !== undefined && isNumeric(encoder.type)
  if (numeric) {
    const numbers = keys as Keys<number>
    const whole = yield* areIntegers(numbers)
    const taken = whole ? take('int64', String(missingInteger)) : take('float64', 'NaN')
    const value = yield* (whole ? integersToIds : doublesToIds)(graph, taken.value, numbers, { idOf, other })
    return { ...taken, value }
  }
  const texts = keys as Texts
  const taken = take('string', unusedText(texts))
  const padding = encoder.kind === 'sequence' ? encoder.feature.padding : undefined
  const ids = { idOf: (at: number, text: string) => (text === padding ? other : idOf(at)), other }
  return { ...taken, value: yield* textsToIds(graph, taken.value, texts, ids) }
}

interface Texts extends Keys<string> {
  indexOf(text: string): number
}

/** The values with ids 1, 2, ... */
function keysOf({ feature, vocabulary }: IdEncoder): Keys<number> | Texts {
  if (vocabulary !== undefined) return vocabulary as KeyIndex<never>
  return keysIn((feature.vocabulary as readonly Key[]).map((key) => (typeof key === 'number' ? sameNumber(key) : key)))
}

function keysIn(values: readonly Key[]): Keys<never> & { indexOf(key: Key): number } {
  const keys = [...new Set(values)]
  return { size: keys.length, keyAt: (at) => keys[at] as never, indexOf: (key) => keys.indexOf(key) }
}

/** A text that a vocabulary does not have: the empty one, or one without a zero character, at which some callers of onnxruntime cut texts. */
function unusedText(texts: Texts): string {
  let text = ''
  while (texts.indexOf(text) >= 0) text = text === '' ? '<missing>' : `<${text}>`
  return text
}
