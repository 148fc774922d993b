// Sequences: how long they are, how texts are split, and ids that are none.

import { describe, expect, it } from 'vitest'
import type { Column } from '../../lib/core/columns.js'
import { hashedId } from '../../lib/core/hash.js'
import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { encodeColumn, fitEncoder } from '../../lib/features/encode/encoders.js'
import { type SequenceOptions, sequence } from '../../lib/features/spec/sequence.js'
import { refusal } from '../support/refusal.js'
import { column, encoded } from './encoding.js'

describe('sequence', () => {
  const bags = (options: Partial<SequenceOptions>, train: ColumnValues, values: ColumnValues = train): number[] =>
    encoded(fitEncoder(sequence('f', { dim: 2, maxLength: 3, combiner: 'mean', ...options }), column(train)), values)

  it('pads with 0 and keeps the last items', () => {
    const lists = [['b', 'a'], [], ['a', 'c', 'a', 'b'], null, ['z', null]]
    // a 3, b 2, then c and z, once each.
    expect(bags({}, lists)).toEqual([2, 1, 0, 0, 0, 0, 3, 1, 2, 0, 0, 0, 4, 0, 0])
    expect(bags({ minCount: 2 }, lists)).toEqual([2, 1, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0])
    expect(
      bags({ vocabulary: 9 }, [
        [1, 2],
        [0, 8, 3, 4],
      ]),
    ).toEqual([1, 2, 0, 8, 3, 4])
    expect(bags({ hash: 9 }, [['x']])).toEqual([hashedId('x', 9), 0, 0])
  })

  it('splits text, each distinct one once', () => {
    const texts = ['a|b', 'c', '', null, 'a|b', '|a||', ' a']
    expect(bags({ separator: '|' }, texts)).toEqual([1, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 0, 0, 1, 0, 0])
    expect(bags({ separator: ',', vocabulary: 10 }, ['1,2', '9'])).toEqual([1, 2, 0, 9, 0, 0])
    // A file in which every row has one item reads as numbers.
    const numbers: Column = { kind: 'number', values: Float64Array.of(8, 7, NaN), asWritten: true }
    const encoder = fitEncoder(sequence('f', { dim: 2, maxLength: 3, combiner: 'mean', separator: '|' }), column(['7|8', '8']))
    expect([...encodeColumn(encoder, numbers).data]).toEqual([1, 0, 0, 2, 0, 0, 0, 0, 0])
    expect(() => bags({ separator: '|' }, ['7|8', '8'], [8])).toThrow(refusal('DATA', { column: 'f', row: 0 }))
  })

  it('gives integers, fractions and texts of them the same ids, in a part of the rows too', () => {
    const lists = [[4, 1, -0, 3], [], null, [2, NaN, 7], [1e9, -1, 0.5]]
    const texts = lists.map((list) => list?.map((value) => (Number.isNaN(value) ? null : String(value))) ?? null)
    const encoder = fitEncoder(
      sequence('f', { dim: 2, maxLength: 3, combiner: 'sum', vocabulary: 5, outOfRange: 'oov' }),
      column([[0]]),
    )
    const expected = [1, 0, 3, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0]
    for (const values of [lists, texts]) {
      expect(encoded(encoder, values)).toEqual(expected)
      expect(encodeColumn(encoder, column(values)).counts).toMatchObject({ unknown: 5 })
      const part = Dataset.fromColumns({ x: values }).slice(1, 4).column('x')
      expect([...encodeColumn(encoder, part).data]).toEqual(expected.slice(3, 12))
      expect(encodeColumn(encoder, part).counts).toMatchObject({ unknown: 1 })
    }
  })

  it('names the row of a wrong item, and a separator that is missing', () => {
    for (const wrong of [7, -1, 0.5]) {
      // Checked although it is cut off.
      expect(() => bags({ vocabulary: 5, maxLength: 1 }, [[1], [wrong, 2]])).toThrow(
        refusal('DATA', { column: 'f', row: 1, says: '[0, 5)' }),
      )
    }
    for (const outOfRange of ['error', 'oov'] as const) {
      expect(() => bags({ vocabulary: 5, outOfRange }, [[1, 2], [-Infinity]])).toThrow(
        refusal('DATA', { column: 'f', row: 1, says: 'Infinity' }),
      )
    }
    expect(() => bags({ vocabulary: 5 }, [[1], [], [2, 7]])).toThrow(
      refusal('DATA', { column: 'f', row: 2, value: 7, says: '[0, 5)' }),
    )
    expect(() => bags({}, ['a|b'])).toThrow(refusal('DATA', { column: 'f' }))
  })
})
