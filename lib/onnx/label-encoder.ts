// Vocabularies as nodes of ai.onnx.ml: LabelEncoder maps a value to its id, and any other value to a default.

import { sameNumber } from '../core/columns.js'
import { inBlocks, type Sliced } from '../core/slices.js'
import type { Key } from '../features/encode/cast.js'
import { type GraphBuilder, tensor, type Value } from './graph.js'

/** The values that have an id, by their position. */
export interface Keys<K extends Key = Key> {
  readonly size: number
  keyAt(at: number): K
}

interface Ids<K extends Key> {
  /** The id of the key at a position. */
  idOf(at: number, key: K): number
  /** The id of all other values. */
  readonly other: number
}

const utf8 = new TextEncoder()
const domain = 'ai.onnx.ml'
/** Keys between two yields. */
const blockKeys = 2 ** 13

/** Texts that UTF-8 cannot hold are left out: no input can have them. */
export function* textsToIds(
  graph: GraphBuilder,
  values: Value,
  texts: Keys<string>,
  { idOf, other }: Ids<string>,
): Sliced<Value> {
  const [keys, ids]: [Uint8Array[], bigint[]] = [[], []]
  yield* eachKey(texts, (text, at) => {
    if (/\p{Surrogate}/u.test(text)) return
    keys.push(utf8.encode(text))
    ids.push(BigInt(idOf(at, text)))
  })
  // A node needs one key at least.
  if (keys.length === 0) {
    keys.push(new Uint8Array())
    ids.push(BigInt(other))
  }
  return graph.node('LabelEncoder', [values], { keys_strings: keys, values_int64s: ids, default_int64: BigInt(other) }, domain)
}

export function* integersToIds(
  graph: GraphBuilder,
  values: Value,
  integers: Keys<number>,
  { idOf, other }: Ids<number>,
): Sliced<Value> {
  const [keys, ids]: [bigint[], bigint[]] = [[], []]
  yield* eachKey(integers, (integer, at) => {
    keys.push(BigInt(integer))
    ids.push(BigInt(idOf(at, integer)))
  })
  if (keys.length === 0) {
    keys.push(0n)
    ids.push(BigInt(other))
  }
  return graph.node('LabelEncoder', [values], { keys_int64s: keys, values_int64s: ids, default_int64: BigInt(other) }, domain)
}

/** A key that float32 rounds is there in both forms, as both are the same value. */
export function* doublesToIds(
  graph: GraphBuilder,
  values: Value,
  numbers: Keys<number>,
  { idOf, other }: Ids<number>,
): Sliced<Value> {
  const [keys, ids]: [number[], number[]] = [[], []]
  const add = (key: number, id: number): void => {
    keys.push(key)
    ids.push(id)
  }
  yield* eachKey(numbers, (number, at) => {
    const rounded = Math.fround(number)
    add(number, idOf(at, number))
    if (rounded !== number && sameNumber(rounded) === number) add(rounded, idOf(at, number))
  })
  const attributes = {
    keys_tensor: tensor('double', keys, [keys.length], 'keys'),
    values_tensor: tensor('int64', ids, [ids.length], 'values'),
    default_tensor: tensor('int64', [other], [1], 'default'),
  }
  return graph.node('LabelEncoder', [values], attributes, domain)
}

function* eachKey<K extends Key>(keys: Keys<K>, work: (key: K, at: number) => void): Sliced<void> {
  const block = (from: number, to: number): void => {
    for (let at = from; at < to; at += 1) work(keys.keyAt(at), at)
  }
  yield* inBlocks(0, keys.size, block, blockKeys)
}

/** Whether all keys are integers that float64 tells apart. */
export function* areIntegers(keys: Keys<number>): Sliced<boolean> {
  for (let at = 0; at < keys.size; at += 1) {
    if (!Number.isSafeInteger(keys.keyAt(at))) return false
    if (at % blockKeys === 0) yield
  }
  return true
}
