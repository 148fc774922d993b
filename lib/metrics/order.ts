// Sorts rows by a number: a stable radix sort of 11 bits at a time, which carries the keys along, so that every pass reads memory in
// order. It yields inside its passes, which are long for many rows.

import { isTypedArray } from '../core/arrays.js'
import type { NumberValues } from '../core/columns.js'
import { inBlocks, type Sliced } from '../core/slices.js'

const digitBits = 11
const buckets = 1 << digitBits
const mask = buckets - 1
const sign = 0x80000000

/** Rows in ascending order of value. */
export interface Ranked {
  readonly order: Int32Array
  /** The rank of each row in `order`, from 0. Equal values have equal ranks. */
  readonly ranks: Int32Array
}

/** `rows` in ascending order of value. Equal values keep their order, also 0 and -0. Values must not be NaN. */
export function* orderBy(rows: Int32Array, values: NumberValues): Sliced<Int32Array> {
  return (yield* sorted(rows, values)).order
}

/** The same, and which rows are equal. */
export function* rankBy(rows: Int32Array, values: NumberValues): Sliced<Ranked> {
  const { order, low, high } = yield* sorted(rows, values)
  const ranks = new Int32Array(order.length)
  let rank = 0
  yield* inBlocks(1, order.length, (from, to) => {
    for (let index = from; index < to; index += 1) {
      if (high[index] !== high[index - 1] || low?.[index] !== low?.[index - 1]) rank += 1
      ranks[index] = rank
    }
  })
  return { order, ranks }
}

/** What a pass moves: rows, and their values as unsigned integers that sort as the values do, in words of 32 bits. */
interface Keyed {
  readonly order: Int32Array
  readonly low: Uint32Array | undefined
  /** The word that counts more. */
  readonly high: Uint32Array
}

function* sorted(rows: Int32Array, values: NumberValues): Sliced<Keyed> {
  const { length } = rows
  let from = yield* keyed(rows, values)
  let into: Keyed = { order: new Int32Array(length), low: from.low && new Uint32Array(length), high: new Uint32Array(length) }
  for (const word of ['low', 'high'] as const) {
    const counts = yield* digitCounts(from[word])
    for (const [digit, count] of counts.entries()) {
      // All rows have the same digit.
      if (count.includes(length)) continue
      yield* pass(from, into, { word, shift: digit * digitBits, places: placesOf(count) })
      const moved = into
      into = from
      from = moved
    }
  }
  return from
}

function* copied(rows: Int32Array): Sliced<Int32Array> {
  const copy = new Int32Array(rows.length)
  yield* inBlocks(0, rows.length, (from, to) => copy.set(rows.subarray(from, to), from))
  return copy
}

function* keyed(rows: Int32Array, values: NumberValues): Sliced<Keyed> {
  const order = yield* copied(rows)
  const high = new Uint32Array(rows.length)
  if (isTypedArray(values, 'Int32Array')) {
    yield* inBlocks(0, rows.length, (from, to) => {
      for (let index = from; index < to; index += 1) high[index] = (values[rows[index] ?? 0] ?? 0) ^ sign
    })
    return { order, low: undefined, high }
  }
  if (isTypedArray(values, 'Float32Array')) {
    const floats = new Float32Array(high.buffer)
    yield* inBlocks(0, rows.length, (from, to) => {
      // Adding 0 turns -0 into 0.
      for (let index = from; index < to; index += 1) floats[index] = (values[rows[index] ?? 0] ?? 0) + 0
      for (let index = from; index < to; index += 1) {
        const bits = high[index] ?? 0
        high[index] = bits < sign ? bits ^ sign : ~bits
      }
    })
    return { order, low: undefined, high }
  }
  const low = new Uint32Array(rows.length)
  const float = new Float64Array(1)
  const bits = new Uint32Array(float.buffer)
  yield* inBlocks(0, rows.length, (from, to) => {
    for (let index = from; index < to; index += 1) {
      float[0] = (values[rows[index] ?? 0] ?? 0) + 0
      const lower = bits[0] ?? 0
      const upper = bits[1] ?? 0
      low[index] = upper < sign ? lower : ~lower
      high[index] = upper < sign ? upper ^ sign : ~upper
    }
  })
  return { order, low, high }
}

/** How often each value of each digit of the keys occurs, the lowest digit first. */
function* digitCounts(keys: Uint32Array | undefined): Sliced<Int32Array[]> {
  if (keys === undefined) return []
  const [first, second, third] = [new Int32Array(buckets), new Int32Array(buckets), new Int32Array(buckets)]
  const count = (counts: Int32Array, digit: number): void => {
    counts[digit] = (counts[digit] ?? 0) + 1
  }
  yield* inBlocks(0, keys.length, (from, to) => {
    for (let index = from; index < to; index += 1) {
      const key = keys[index] ?? 0
      count(first, key & mask)
      count(second, (key >>> digitBits) & mask)
      count(third, key >>> (2 * digitBits))
    }
  })
  return [first, second, third]
}

/** Where the keys of each digit go: turns counts into first places. */
function placesOf(counts: Int32Array): Int32Array {
  let next = 0
  return counts.map((count) => {
    next += count
    return next - count
  })
}

/** The bits that a pass sorts by, and where the rows of each digit go. */
interface Digit {
  readonly word: 'low' | 'high'
  readonly shift: number
  readonly places: Int32Array
}

/** One stable counting pass. */
function* pass(from: Keyed, into: Keyed, { word, shift, places }: Digit): Sliced<void> {
  const { order, low, high } = from
  const keys = word === 'low' && low !== undefined ? low : high
  yield* inBlocks(0, keys.length, (start, end) => {
    for (let index = start; index < end; index += 1) {
      const digit = ((keys[index] ?? 0) >>> shift) & mask
      const place = places[digit] ?? 0
      places[digit] = place + 1
      into.order[place] = order[index] ?? 0
      into.high[place] = high[index] ?? 0
      if (low !== undefined && into.low !== undefined) into.low[place] = low[index] ?? 0
    }
  })
}
