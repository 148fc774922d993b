// Which values are the same value, however they come: by the type that a feature's values have.

import { describe, expect, it } from 'vitest'

import { type Column, dateText } from '../../lib/core/columns.js'
import { hashedId, hashedNumber } from '../../lib/core/hash.js'
import { atOnce } from '../../lib/core/slices.js'
import { sortedBy } from '../../lib/core/sort.js'
import { Texts } from '../../lib/core/texts.js'
import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { encodeColumn, fitEncoder } from '../../lib/features/encode/encoders.js'
import { NumberIndex } from '../../lib/features/encode/key-index.js'
import { dense } from '../../lib/features/spec/dense.js'
import type { IdOptions } from '../../lib/features/spec/id-options.js'
import { sequence } from '../../lib/features/spec/sequence.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { refusal } from '../support/refusal.js'

const column = (values: ColumnValues): Column => Dataset.fromColumns({ x: values }).column('x')
const days: Column = { kind: 'string', type: 'date', dictionary: ['2024-01-02', '2024-01-03'], codes: Int32Array.of(0, 1, 1) }
const encoded = (options: Partial<IdOptions>, train: Column, values: Column): number[] => [
  ...encodeColumn(fitEncoder(sparse('f', { dim: 2, ...options }), train), values).data,
]

describe.each<[string, Partial<IdOptions>]>([
  ['fitted', {}],
  ['hashed', { hash: 1000 }],
])('%s ids', (_, options) => {
  it.each<[string, Column, Column, Column]>([
    ['numbers and texts of them', column([12, 7, 7]), column([12, 7]), column(['12.0', ' 7'])],
    ['FLOAT and DOUBLE', column(Float32Array.of(0.1, 0.7)), column([0.1, 0.7]), column([Math.fround(0.1), Math.fround(0.7)])],
    ['numbers and booleans', column([1, 0, 0]), column([1, 0]), column([true, false])],
    ['booleans and texts', column([true, false, false]), column([true, false]), column(['True', 'false'])],
    ['booleans and numbers', column([true, false, false]), column([true, false]), column([1, 0])],
    ['dates and texts', days, column(['2024-01-02', '2024-01-03']), column(['2024-01-02T00:00:00Z', '2024-01-03 00:00:00'])],
    ['texts and numbers as written', column(['12', 'x', 'x']), column(['12']), { ...column([12]), asWritten: true } as Column],
  ])('are the same of %s', (_name, train, one, other) => {
    const ids = encoded(options, train, one)
    expect(ids).not.toContain(0)
    expect(encoded(options, train, other)).toEqual(ids)
  })

  it.each<[string, Column, Column, Error]>([
    ['numbers for texts', column(['07', 'x']), column([7]), refusal('DATA', { column: 'f', row: 0, value: 7 })],
    ['booleans for texts', column(['True', 'x']), column([true]), refusal('DATA', { column: 'f' })],
    ['dates for texts', column(['2024-1-2', 'x']), days, refusal('DATA', { column: 'f', row: 0, value: '2024-01-02' })],
    ['words for numbers', column([1, 2]), column(['1', 'one']), refusal('DATA', { column: 'f', row: 1, value: 'one' })],
    ['what overflows for numbers', column([1, 2]), column(['12e45678']), refusal('DATA', { column: 'f' })],
    ['dates for numbers', column([1, 2]), days, refusal('DATA', { column: 'f' })],
    ['two for a boolean', column([true, false]), column([2]), refusal('DATA', { column: 'f', row: 0, value: 2 })],
    ['words for dates', days, column(['yesterday']), refusal('DATA', { column: 'f', row: 0, value: 'yesterday' })],
  ])('refuse %s', (_name, train, values, message) => {
    expect(() => encoded(options, train, values)).toThrow(message)
  })

  it('are of the type that the feature says', () => {
    expect(() => encoded({ ...options, type: 'string' }, column([7, 8]), column([7]))).toThrow(refusal('DATA', { column: 'f' }))
    expect(encoded({ ...options, type: 'number' }, column(['7', '8']), column([7]))).toEqual(
      encoded({ ...options, type: 'number' }, column(['7', '8']), column(['07'])),
    )
  })
})

it('a listed vocabulary has a type, and takes no other', () => {
  expect(encoded({ vocabulary: [0.1, 12] }, column([1]), column(['12.0', '0.1']))).toEqual([2, 1])
  expect(() => encoded({ vocabulary: ['7'] }, column(['7']), column([7]))).toThrow(
    refusal('DATA', { column: 'f', row: 0, value: 7 }),
  )
  expect(() => sparse('f', { dim: 1, vocabulary: ['7'], type: 'number' })).toThrow(
    refusal('ARGUMENT', { field: 'feature "f".type', says: "'string'" }),
  )
  expect(() => sparse('f', { dim: 1, vocabulary: 9, type: 'date' })).toThrow(
    refusal('ARGUMENT', { field: 'feature "f".type', says: "'number'" }),
  )
})

it('half of a surrogate pair is refused, as no file has a form for it', () => {
  expect(() => encoded({}, column(['a', '\ud800']), column(['a']))).toThrow(
    refusal('DATA', { column: 'f', row: 1, value: '\ud800' }),
  )
})

it('parts of a column are fitted and encoded as the whole', () => {
  const whole = Dataset.fromColumns({ x: Array.from({ length: 500 }, (_, row) => `v${(row * row) % 37}`) })
  const feature = sparse('x', { dim: 1 })
  const want = encodeColumn(fitEncoder(feature, whole.column('x')), whole.column('x'))
  const encoding = fitEncoder(feature, whole.column('x')).begin()
  const ids: number[] = []
  for (let from = 0; from < 500; from += 77) {
    const rows = Math.min(77, 500 - from)
    const data = new Int32Array(rows)
    encoding.encode(whole.columnPart('x', from, from + rows), data)
    ids.push(...data)
  }
  expect(ids).toEqual([...want.data])
  expect(encoding.counts()).toMatchObject(want.counts ?? {})
})

it('items of a text are trimmed, and what fills lists up is left out where it is said', () => {
  const ids = (options: object): number[] => {
    const texts = column(['1; 2;0', '2;1;0'])
    const feature = sequence('f', { dim: 1, maxLength: 3, combiner: 'mean', separator: ';', ...options })
    return [...encodeColumn(fitEncoder(feature, texts), texts).data]
  }
  expect(ids({ padding: '0' })).toEqual([1, 2, 0, 2, 1, 0])
  expect(ids({ vocabulary: 5 })).toEqual([1, 2, 0, 2, 1, 0])
})

it('dense vectors are read out of texts; log1p may be standardised', () => {
  const feature = dense('e', { width: 2, separator: ' ', transform: 'none' })
  const texts = column(['0.5 0.25 ', '1 2'])
  expect([...encodeColumn(fitEncoder(feature, texts), texts).data]).toEqual([0.5, 0.25, 1, 2])
  expect(() => fitEncoder(feature, column(['1 2 3']))).toThrow(
    refusal('DATA', { column: 'e', row: 0, value: '1 2 3', says: ['2', '3'] }),
  )
  expect(() => fitEncoder(feature, column(['1 x']))).toThrow(refusal('DATA', { column: 'e', row: 0, value: '1 x', says: '2' }))
  const both = encodeColumn(
    fitEncoder(dense('x', { transform: 'log1pStandardize' }), column([0, Math.E - 1])),
    column([0, Math.E - 1]),
  )
  expect([...both.data]).toEqual([-1, 1])
})

it('dates have one text', () => {
  expect(
    ['2024-01-02', '2024-01-02T00:00:00Z', '2024-01-02 03:04:05.600', '2024-1-2', '2024-01-02 03:04:05+02'].map(dateText),
  ).toEqual(['2024-01-02', '2024-01-02', '2024-01-02 03:04:05.6', undefined, undefined])
})

it('a number is hashed as its text', () => {
  for (const value of [0, 7, 10, 99, 100, 123456789, 2 ** 53 - 1, -5, 0.1, 1e21])
    expect(hashedNumber(value, 1e6)).toBe(hashedId(String(value), 1e6))
})

it('indexes number distinct keys in the order in which they come', () => {
  const numbers = new NumberIndex('x')
  const texts = new Texts('x')
  // Beyond 2^16 texts are spread over many maps.
  const size = 70_000
  for (let key = 0; key < size; key += 1) {
    if (key % 1000 === 0) atOnce(numbers.reserve(1000))
    expect(numbers.add(key * 1.5)).toBe(key)
    expect(texts.add(`k${key}`)).toBe(key)
  }
  expect([numbers.size, texts.size]).toEqual([size, size])
  for (const key of [0, 1, 65_535, 65_536, 65_537, size - 1]) {
    expect([numbers.indexOf(key * 1.5), numbers.keyAt(key), numbers.add(key * 1.5)]).toEqual([key, key * 1.5, key])
    expect([texts.indexOf(`k${key}`), texts.keyAt(key), texts.add(`k${key}`)]).toEqual([key, `k${key}`, key])
  }
  expect([numbers.indexOf(0.7), texts.indexOf('x')]).toEqual([-1, -1])
})

it.each([0, 1, 15, 16, 17, 33, 1000, 70_001])('sorts %i positions, stably', (length) => {
  const keys = Array.from({ length }, (_, at) => (at * 7919) % 101)
  const want = [...keys.keys()].sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0))
  const got = atOnce(sortedBy(Int32Array.from(keys.keys()), (a, b) => (keys[a] ?? 0) - (keys[b] ?? 0)))
  expect([...got]).toEqual(want)
})
