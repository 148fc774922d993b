// Sorts rows by a number: a stable radix sort of 11 bits at a time, about ten times faster than a comparator. It yields inside its
// passes, which are long for many rows.

import { isTypedArray } from '../core/arrays.js'
import type { NumberValues } from '../core/columns.js'
import { inBlocks, type Sliced } from '../core/slices.js'

const digitBits = 11
const buckets = 1 << digitBits

/** `rows` in ascending order of value. Equal values keep their order, also 0 and -0. Values must not be NaN. */
export function* orderBy(rows: Int32Array, values: NumberValues): Sliced<Int32Array> {
  const { words, step } = yield* sortableWords(rows, values)
  let order = new Int32Array(rows.length)
  yield* inBlocks(0, rows.length, (from, to) => {
    for (let index = from; index < to; index += 1) order[index] = index
  })
  let spare = new Int32Array(rows.length)
  for (let word = 0; word < step; word += 1) {
    for (let shift = 0; shift < 32; shift += digitBits) {
      if (!(yield* pass({ words, step, word, shift }, order, spare))) continue
      const swapped = order
      order = spare
      spare = swapped
    }
  }
  yield* inBlocks(0, rows.length, (from, to) => {
    for (let index = from; index < to; index += 1) order[index] = rows[order[index] ?? 0] ?? 0
  })
  return order
}

/** The rows' values as unsigned integers of `step` words that sort as the values do. The last word counts most. */
function* sortableWords(rows: Int32Array, values: NumberValues): Sliced<{ words: Uint32Array; step: number }> {
  if (isTypedArray(values, 'Int32Array')) {
    const words = new Uint32Array(rows.length)
    yield* inBlocks(0, rows.length, (from, to) => {
      for (let index = from; index < to; index += 1) words[index] = (values[rows[index] ?? 0] ?? 0) ^ 0x80000000
    })
    return { words, step: 1 }
  }
  const floats = isTypedArray(values, 'Float32Array') ? new Float32Array(rows.length) : new Float64Array(rows.length)
  const words = new Uint32Array(floats.buffer)
  const step = words.length === floats.length ? 1 : 2
  yield* inBlocks(0, rows.length, (from, to) => {
    // Adding 0 turns -0 into 0.
    for (let index = from; index < to; index += 1) floats[index] = (values[rows[index] ?? 0] ?? 0) + 0
    makeSortable(words, step, from * step, to * step)
  })
  return { words, step }
}

/** Makes the bits of floats sortable. The last word of each holds the sign. */
function makeSortable(words: Uint32Array, step: number, from: number, to: number): void {
  for (let at = from; at < to; at += step) {
    const last = at + step - 1
    if ((words[last] ?? 0) >>> 31 === 0) words[last] = (words[last] ?? 0) ^ 0x80000000
    else for (let word = at; word <= last; word += 1) words[word] = ~(words[word] ?? 0)
  }
}

/** The bits that a pass sorts by. */
interface Digit {
  readonly words: Uint32Array
  readonly step: number
  readonly word: number
  readonly shift: number
}

/** One stable counting pass from `order` into `into`. If all digits are equal, it does nothing and returns false. */
function* pass({ words, step, word, shift }: Digit, order: Int32Array, into: Int32Array): Sliced<boolean> {
  const starts = new Int32Array(buckets)
  const mask = buckets - 1
  yield* inBlocks(0, order.length, (from, to) => {
    for (let index = from; index < to; index += 1) {
      const digit = ((words[index * step + word] ?? 0) >>> shift) & mask
      starts[digit] = (starts[digit] ?? 0) + 1
    }
  })
  if (starts.includes(order.length)) return false
  let next = 0
  for (let digit = 0; digit < buckets; digit += 1) {
    const count = starts[digit] ?? 0
    starts[digit] = next
    next += count
  }
  yield* inBlocks(0, order.length, (from, to) => {
    for (let index = from; index < to; index += 1) {
      const item = order[index] ?? 0
      const digit = ((words[item * step + word] ?? 0) >>> shift) & mask
      const place = starts[digit] ?? 0
      into[place] = item
      starts[digit] = place + 1
    }
  })
  return true
}
