// Numbers of dense features: transforms, missing values and vectors.

import { describe, expect, it } from 'vitest'
import type { ColumnValues } from '../../lib/data/values.js'
import { fitEncoder } from '../../lib/features/encode/encoders.js'
import { type DenseOptions, dense } from '../../lib/features/spec/dense.js'
import { refusal } from '../support/refusal.js'
import { column, encoded } from './encoding.js'

describe('dense', () => {
  const numbers = (options: DenseOptions, train: ColumnValues, values: ColumnValues = train): number[] =>
    encoded(fitEncoder(dense('f', options), column(train)), values)

  it('standardizes with the population deviation of the training rows; missing is the mean', () => {
    const deviation = Math.sqrt(1.25)
    const want = [-1.5 / deviation, -0.5 / deviation, 0, 0.5 / deviation, 1.5 / deviation]
    numbers({}, [1, 2, NaN, 3, 4]).forEach((value, row) => expect(value).toBeCloseTo(want[row] ?? NaN, 6))
    expect(numbers({}, [1, 2, 3, 4], [2.5, NaN])).toEqual([0, 0])
    expect(numbers({}, [0.1, 0.1, 0.1], [0.1, 1.1])).toEqual([0, 1])
    expect(numbers({}, [1e9 + 1, 1e9 + 2, 1e9 + 3])[2]).toBeCloseTo(Math.sqrt(1.5), 6)
  })

  it('counts the numbers of a text of another width', () => {
    expect(() => numbers({ width: 3, separator: ' ' }, ['0 1'])).toThrow(
      refusal('DATA', { column: 'f', row: 0, value: '0 1', says: ['3 numbers', 'found "0 1"', 'has 2', 'separator', 'width'] }),
    )
    expect(() => numbers({ width: 2 }, ['0 1'])).toThrow(refusal('DATA', { column: 'f', says: ['text', 'separator'] }))
  })

  it('has three other transforms', () => {
    expect(numbers({ transform: 'none' }, [1, NaN, 3])).toEqual([1, 2, 3])
    expect(numbers({ transform: 'minmax' }, [2, 4, NaN, 3], [2, 4, 6, NaN])).toEqual([0, 1, 2, 0.5])
    expect(numbers({ transform: 'minmax' }, [5, 5], [5])).toEqual([0])
    expect(numbers({ transform: 'log1p' }, [0, Math.E - 1, NaN])).toEqual([0, 1, 0.5])
  })

  it('gives missing values what is asked for', () => {
    expect(numbers({ missing: 2 }, [1, 3], [NaN])).toEqual([0])
    expect(numbers({ transform: 'none', missing: -1 }, [NaN, 7])).toEqual([-1, 7])
    expect(numbers({ transform: 'log1p', missing: 0 }, [NaN, 0])).toEqual([0, 0])
    expect(() => numbers({ missing: 'error' }, [1, 2], [1, NaN])).toThrow(refusal('DATA', { column: 'f', row: 1, value: null }))
  })

  it.each<[string, DenseOptions, ColumnValues, Error]>([
    ['infinity', {}, [1, -Infinity], refusal('DATA', { column: 'f', row: 1, says: 'Infinity' })],
    ['text', {}, ['1', null, ' ?'], refusal('DATA', { column: 'f', row: 2, value: ' ?' })],
    ['lists', {}, [[1]], refusal('DATA', { column: 'f' })],
    ['nothing', {}, [null, null], refusal('DATA', { column: 'f' })],
    ['log1p of -1', { transform: 'log1p' }, [0, -1], refusal('DATA', { column: 'f', row: 1, value: -1 })],
    ['beyond float32', { transform: 'none' }, [1e39], refusal('DATA', { column: 'f', row: 0, value: 1e39 })],
  ])('names %s', (_, options, values, message) => {
    expect(() => numbers(options, values)).toThrow(message)
  })

  it('takes vectors, whose numbers share their statistics', () => {
    const deviation = Math.sqrt(1.25)
    expect(numbers({ width: 2, transform: 'none', missing: 7 }, [[1, 2]], [null, null])).toEqual([7, 7, 7, 7])
    const found = numbers({ width: 2 }, [[1, 2], null, [], [3, 4]])
    const want = [-1.5, -0.5, 0, 0, 0, 0, 0.5, 1.5].map((value) => value / deviation)
    want.forEach((value, position) => expect(found[position]).toBeCloseTo(value, 6))
    expect(found).toHaveLength(8)
    expect(
      numbers({ width: 2, transform: 'none', missing: -1 }, [
        [1, null],
        [3, 4],
      ]),
    ).toEqual([1, -1, 3, 4])
    expect(numbers({ width: 3, transform: 'minmax' }, [[0, 5, 10]], [[10, NaN, 5]])).toEqual([1, 0.5, 0.5])
  })

  it.each<[string, DenseOptions, ColumnValues, Error]>([
    [
      'another length',
      {},
      [
        [1, 2],
        [1, 2, 3],
      ],
      refusal('DATA', { column: 'f', row: 1, value: 3, says: '2' }),
    ],
    ['single numbers', {}, [1, 2], refusal('DATA', { column: 'f', says: '2' })],
    [
      'an infinite one',
      {},
      [
        [1, 2],
        [3, Infinity],
      ],
      refusal('DATA', { column: 'f', row: 1, says: 'Infinity' }),
    ],
    [
      'text',
      {},
      [
        ['1', '2'],
        ['3', 'x'],
      ],
      refusal('DATA', { column: 'f', row: 1, value: 'x' }),
    ],
    [
      'a gap that may not be',
      { missing: 'error' },
      [
        [1, 2],
        [3, NaN],
      ],
      refusal('DATA', { column: 'f', row: 1, value: null }),
    ],
  ])('names %s in vectors', (_, options, values, message) => {
    expect(() => numbers({ ...options, width: 2 }, values)).toThrow(message)
  })

  it('reads text that spells numbers', () => {
    expect(numbers({ transform: 'none' }, [' 1', '2.5e1', null])).toEqual([1, 25, 13])
  })
})
