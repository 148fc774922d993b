// Vocabularies as nodes of ai.onnx.ml: LabelEncoder maps a value to its id, and any other value to a default.

import { sameNumber } from '../core/columns.js'
import { type GraphBuilder, tensor, type Value } from './graph.js'

interface Ids {
  /** The id of the key at a position. */
  idOf(at: number): number
  /** The id of all other values. */
  readonly other: number
}

const utf8 = new TextEncoder()
const domain = 'ai.onnx.ml'

/** Texts that UTF-8 cannot hold are left out: no input can have them. */
export function textsToIds(graph: GraphBuilder, values: Value, texts: readonly string[], { idOf, other }: Ids): Value {
  const kept = texts.flatMap((text, at) => (/\p{Surrogate}/u.test(text) ? [] : [{ text, id: idOf(at) }]))
  // A node needs one key at least.
  const pairs = kept.length > 0 ? kept : [{ text: '', id: other }]
  const keys = pairs.map(({ text }) => utf8.encode(text))
  const ids = pairs.map(({ id }) => BigInt(id))
  return graph.node('LabelEncoder', [values], { keys_strings: keys, values_int64s: ids, default_int64: BigInt(other) }, domain)
}

export function integersToIds(graph: GraphBuilder, values: Value, integers: readonly number[], { idOf, other }: Ids): Value {
  const keys = integers.length > 0 ? integers.map(BigInt) : [0n]
  const ids = integers.length > 0 ? integers.map((_, at) => BigInt(idOf(at))) : [BigInt(other)]
  return graph.node('LabelEncoder', [values], { keys_int64s: keys, values_int64s: ids, default_int64: BigInt(other) }, domain)
}

/** A key that float32 rounds is there in both forms, as both are the same value. */
export function doublesToIds(graph: GraphBuilder, values: Value, numbers: readonly number[], { idOf, other }: Ids): Value {
  const pairs = numbers.flatMap((number, at) => {
    const rounded = Math.fround(number)
    const forms = rounded !== number && sameNumber(rounded) === number ? [number, rounded] : [number]
    return forms.map((key) => ({ key, id: idOf(at) }))
  })
  const keys = tensor(
    'double',
    pairs.map(({ key }) => key),
    [pairs.length],
    'keys',
  )
  const ids = tensor(
    'int64',
    pairs.map(({ id }) => id),
    [pairs.length],
    'values',
  )
  const fallback = tensor('int64', [other], [1], 'default')
  return graph.node('LabelEncoder', [values], { keys_tensor: keys, values_tensor: ids, default_tensor: fallback }, domain)
}
