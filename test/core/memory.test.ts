// Arrays are given where there is memory for them, and refused by name where there is not.

import { totalmem } from 'node:os'

import { expect, it } from 'vitest'

import { allocate, availableBytes, checkMemory } from '../../lib/core/memory.js'
import { refusal } from '../support/refusal.js'

it('says of the machine what is there', () => {
  expect(availableBytes()).toBeGreaterThan(2 ** 20)
  expect(availableBytes()).toBeLessThanOrEqual(totalmem())
})

it('gives an array where there is room, and refuses it by name where there is not', () => {
  expect(allocate('column "a"', Float32Array, 3)).toEqual(new Float32Array(3))
  expect(allocate('column "a"', Float32Array, 2 ** 18, () => 2 ** 20)).toHaveLength(2 ** 18)
  expect(() => allocate('column "a", 9 rows', Float64Array, 2 ** 18, () => 1.5 * 2 ** 20)).toThrow(
    refusal('OUT_OF_MEMORY', { says: ['"a"', '9', '2 MiB', '1.5 MiB'] }),
  )
})

it.each([2 ** 53, 2 ** 40, Infinity, NaN, -1])('%s items are a named error, even where memory were endless', (length) => {
  expect(() => allocate('column "a"', Float64Array, length, () => Infinity)).toThrow(refusal('OUT_OF_MEMORY', { says: '"a"' }))
})

it('checks bytes alone', () => {
  expect(() => checkMemory('the rows', 2 ** 30, () => 2 ** 30)).not.toThrow()
  expect(() => checkMemory('the rows', 3 * 2 ** 30, () => 2 ** 30)).toThrow(
    refusal('OUT_OF_MEMORY', { says: ['the rows', '3 GiB', '1 GiB'] }),
  )
})
