// Cuts of lists that are not sorted, compared with the sorted list.

import { expect, it } from 'vitest'

import type { NumberValues } from '../../lib/core/columns.js'
import { atOnce } from '../../lib/core/slices.js'
import { cutAt } from '../../lib/data/cut.js'
import { randomOf } from '../../lib/verify/numbers.js'

const random = randomOf(5)
const many = 20_000

/** How many numbers lie before the cut. */
function before(values: NumberValues | Uint32Array, position: number): number {
  const { value, after } = atOnce(cutAt(values, position))
  return values.filter((one: number) => one < value || (after && one === value)).length
}

/** The same of the sorted list: the nearest place between two different numbers. */
function expected(values: NumberValues | Uint32Array, position: number): number {
  const sorted = [...values].filter((value) => !Number.isNaN(value)).sort((one, other) => one - other)
  let best = 0
  for (let at = 0; at <= sorted.length; at += 1) {
    const isPlace = at === 0 || at === sorted.length || (sorted[at - 1] as number) < (sorted[at] as number)
    if (isPlace && Math.abs(at - position) < Math.abs(best - position)) best = at
  }
  return best
}

it.each<[string, (length: number) => NumberValues | Uint32Array]>([
  ['floats', (length) => Float64Array.from({ length }, () => (random() - 0.5) * 10 ** Math.floor(40 * random() - 20))],
  ['times of a year', (length) => Float64Array.from({ length }, () => 1.6e9 + Math.floor(3e7 * random()) / 1000)],
  [
    'few values',
    (length) => Float64Array.from({ length }, () => [-Infinity, -1, -0, 0, 0.5, NaN, Infinity][Math.floor(7 * random())] ?? 0),
  ],
  ['one value', (length) => new Float64Array(length).fill(-2.5)],
  ['no value', (length) => new Float64Array(length).fill(NaN)],
  ['integers', (length) => Int32Array.from({ length }, () => (random() - 0.5) * 2 ** 32)],
  ['days', (length) => Int32Array.from({ length }, () => 1 + 15 * random())],
  ['32-bit floats', (length) => Float32Array.from({ length }, () => random() - 0.5)],
  ['hashes', (length) => Uint32Array.from({ length }, () => random() * 2 ** 32)],
])('%s', (_, draw) => {
  for (const length of [0, 1, 2, 100, many]) {
    const values = draw(length)
    const numbers = values.filter((value: number) => !Number.isNaN(value)).length
    for (const share of [0, 0.1, 0.5, 0.9, random(), 1]) {
      const position = Math.round(share * numbers)
      expect(before(values, position), `${length} numbers at ${position}`).toBe(expected(values, position))
    }
  }
})
