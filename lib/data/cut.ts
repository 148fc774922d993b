// Where a list of numbers would be cut if it were sorted, so that equal numbers stay together. Sorting ten million numbers would block the
// thread for a second. Instead, the bits of the number at the cut are found 16 at a time, from counts.

import type { NumberValues } from '../core/columns.js'
import { inBlocks, type Sliced } from '../core/slices.js'

/** Numbers below `value` lie before the cut, and `value` itself if `after`. */
export interface Cut {
  readonly value: number
  readonly after: boolean
}

/** Up to this many numbers are sorted. */
const few = 2 ** 13

const float = new Float64Array(1)
const words = new Uint32Array(float.buffer)
/** Which word of a float has the sign: the machine's byte order says. */
const high = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 1 : 0
const low = 1 - high

/**
 * The cut nearest to `position` in the sorted numbers; of two equally near, the earlier. NaN is not among the numbers.
 * @param position in [0, number of numbers].
 */
export function* cutAt(values: NumberValues | Uint32Array, position: number): Sliced<Cut> {
  if (values.length <= few) return cutOfFew(values, position)
  const counts = new Float64Array(2 ** 16)
  let [before, equal, highBits, lowBits] = [0, 0, 0, 0]
  for (let step = 0; step < 4; step += 1) {
    counts.fill(0)
    yield* inBlocks(0, values.length, (start, end) => {
      countDigits(values, start, end, step, highBits, lowBits, counts)
    })
    let digit = -1
    for (let at = 0; at < counts.length; at += 1) {
      equal = counts[at] as number
      if (equal === 0) continue
      // At the end of the list, the last number.
      if (digit >= 0) before += counts[digit] as number
      digit = at
      if (position < before + equal) break
    }
    if (digit < 0) return nowhere
    equal = counts[digit] as number
    if (step < 2) highBits += digit * (step === 0 ? 2 ** 16 : 1)
    else lowBits += digit * (step === 2 ? 2 ** 16 : 1)
  }
  return nearer(numberOf(highBits, lowBits), before, equal, position)
}

const nowhere: Cut = { value: Infinity, after: true }

function cutOfFew(values: NumberValues | Uint32Array, position: number): Cut {
  const sorted = Float64Array.from(values)
    .filter((value) => !Number.isNaN(value))
    .sort()
  const value = sorted[Math.min(position, sorted.length - 1)]
  if (value === undefined) return nowhere
  let before = 0
  while ((sorted[before] as number) < value) before += 1
  let end = before
  while (sorted[end] === value) end += 1
  return nearer(value, before, end - before, position)
}

function nearer(value: number, before: number, equal: number, position: number): Cut {
  return { value, after: before + equal - position < position - before }
}

/** Counts the next 16 bits of the numbers that begin with the given ones. Bits are changed so that they have the order of the numbers. */
function countDigits(
  values: NumberValues | Uint32Array,
  start: number,
  end: number,
  step: number,
  highBits: number,
  lowBits: number,
  counts: Float64Array,
): void {
  for (let index = start; index < end; index += 1) {
    const value = values[index] as number
    if (Number.isNaN(value)) continue
    // -0 becomes 0.
    float[0] = value + 0
    let [upper, lower] = [words[high] as number, words[low] as number]
    if (upper >= 2 ** 31) {
      upper = ~upper >>> 0
      lower = ~lower >>> 0
    } else upper += 2 ** 31
    let digit: number
    if (step === 0) digit = upper >>> 16
    else if (step === 1) {
      if (upper >>> 16 !== highBits >>> 16) continue
      digit = upper & 0xffff
    } else {
      if (upper !== highBits) continue
      if (step === 2) digit = lower >>> 16
      else {
        if (lower >>> 16 !== lowBits >>> 16) continue
        digit = lower & 0xffff
      }
    }
    counts[digit] = (counts[digit] as number) + 1
  }
}

function numberOf(highBits: number, lowBits: number): number {
  const negative = highBits < 2 ** 31
  words[high] = negative ? ~highBits : highBits - 2 ** 31
  words[low] = negative ? ~lowBits : lowBits
  return float[0] as number
}
