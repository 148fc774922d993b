// Ids of a sparse feature: vocabularies that are fitted, given or hashed, and values that are none of theirs.

import { describe, expect, it } from 'vitest'
import { hashedId, hashText } from '../../lib/core/hash.js'
import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { encodeColumn, fitEncoder } from '../../lib/features/encode/encoders.js'
import type { IdOptions } from '../../lib/features/spec/feature.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { refusal } from '../support/refusal.js'
import { column, encoded, ids, savedAndRead } from './encoding.js'

describe('sparse', () => {
  it('fits ids by count, then value; unknown, rare and missing are 0', () => {
    const train = ['b', 'c', 'a', 'c', null, 'b', 'c', 'd']
    expect(ids({}, train)).toEqual([2, 1, 3, 1, 0, 2, 1, 4])
    expect(ids({}, train, ['z', 'a', null, 'c'])).toEqual([0, 3, 0, 1])
    expect(ids({ minCount: 2 }, train)).toEqual([2, 1, 0, 1, 0, 2, 1, 0])
    const encoder = fitEncoder(sparse('f', { dim: 4, minCount: 2 }), column(train))
    expect([encoder.tableRows, encoder.dim, encoder.width]).toEqual([3, 4, 1])
  })

  it('fits numbers as numbers, integers and fractions, and reads text that spells them', () => {
    for (const scale of [1, 0.5, 1e12]) {
      const train = [10, 9, -3, 10, 9, 10, NaN, 100].map((value) => value * scale)
      expect(ids({}, train)).toEqual([1, 2, 3, 1, 2, 1, 0, 4])
    }
    expect(ids({}, [10, 9, 10], [' 9', '10', '11', null])).toEqual([2, 1, 0, 0])
    expect(ids({}, [0, -0, 1, 1, 1])).toEqual([2, 2, 1, 1, 1])
  })

  it('takes a vocabulary that is given, in its order', async () => {
    const options = { vocabulary: ['Rome', 'Oslo'] }
    expect(ids(options, ['x'], ['Oslo', 'Rome', 'Lima', null])).toEqual([2, 1, 0, 0])
    expect(ids({ vocabulary: [30, 10] }, [1], [10, 20, 30, NaN])).toEqual([2, 0, 1, 0])
    const encoder = fitEncoder(sparse('f', { dim: 2, ...options }), column(['x']))
    expect(encoder.tableRows).toBe(3)
    expect(encoded(await savedAndRead(encoder), ['Oslo', 'x'])).toEqual([2, 0])
    expect(() => sparse('f', { dim: 2, vocabulary: ['a', 'a'] })).toThrow(
      refusal('ARGUMENT', { field: 'feature "f".vocabulary' }),
    )
    expect(() => sparse('f', { dim: 2, vocabulary: ['a'], outOfRange: 'oov' })).toThrow(
      refusal('ARGUMENT', { field: 'feature "f".outOfRange' }),
    )
  })

  it('says between which boundaries a number lies', async () => {
    const options = { buckets: [0, 10, 100] }
    expect(ids(options, [1], [-5, 0, 9.99, 10, 99, 100, 1e9, NaN])).toEqual([1, 2, 2, 3, 3, 4, 4, 0])
    expect(ids(options, [1], ['-5', ' 10', null])).toEqual([1, 3, 0])
    const encoder = fitEncoder(sparse('f', { dim: 2, ...options }), column([1]))
    expect(encoder.tableRows).toBe(5)
    expect(encoded(await savedAndRead(encoder), [50])).toEqual([3])
    expect(() => ids(options, ['many'])).toThrow(refusal('DATA', { column: 'f', row: 0, value: 'many' }))
    expect(() => sparse('f', { dim: 2, buckets: [2, 1] })).toThrow(refusal('ARGUMENT', { field: 'feature "f".buckets' }))
    expect(() => sparse('f', { dim: 2, buckets: [1], hash: 9 })).toThrow(refusal('ARGUMENT', { field: 'feature "f".buckets' }))
  })

  it('counts what a vocabulary does not know', () => {
    const unknown = (options: Partial<IdOptions>, values: ColumnValues): number | undefined =>
      encodeColumn(fitEncoder(sparse('f', { dim: 2, ...options }), column(['a', 'b'])), column(values)).counts?.unknown
    expect(unknown({}, ['a', 'z', null, 'z'])).toBe(2)
    expect(unknown({ vocabulary: ['z'] }, ['a', 'z', null])).toBe(1)
    expect(unknown({ vocabulary: 3, outOfRange: 'oov' }, [0, 1, 7])).toBe(2)
    expect(unknown({ vocabulary: 3 }, [0, 1, 2])).toBe(0)
    expect(unknown({ hash: 5 }, ['a', null])).toBe(0)
  })

  it('counts training rows only, whatever else the dictionary holds', () => {
    const whole = Dataset.fromColumns({ x: ['a', 'b', 'b', 'c', 'c', 'c'] })
    const encoder = fitEncoder(sparse('x', { dim: 1 }), whole.slice(0, 3).column('x'))
    expect([...encodeColumn(encoder, whole.column('x')).data]).toEqual([2, 1, 1, 0, 0, 0])
    expect(encoder.tableRows).toBe(3)
  })

  it('does not guess that a number is a text of the vocabulary', () => {
    expect(() => ids({}, [' 07', '?'], [7])).toThrow(refusal('DATA', { column: 'f', row: 0, value: 7 }))
  })

  it('takes integers of a vocabulary as they are', () => {
    expect(ids({ vocabulary: 5 }, [0, 4, 2])).toEqual([0, 4, 2])
    expect(ids({ vocabulary: 5 }, ['0', ' 4'])).toEqual([0, 4])
    for (const wrong of [5, -1, 1.5, NaN, 1e12]) {
      expect(() => ids({ vocabulary: 5 }, [1, 2, wrong])).toThrow(
        refusal('DATA', { column: 'f', row: 2, value: Number.isNaN(wrong) ? null : wrong, says: ['[0, 5)', 'vocabulary'] }),
      )
      expect(ids({ vocabulary: 5, outOfRange: 'oov' }, [1, 2, wrong])).toEqual([1, 2, 0])
    }
    expect(() => ids({ vocabulary: 5 }, ['1', 'x'])).toThrow(refusal('DATA', { column: 'f', row: 1, value: 'x', says: '[0, 5)' }))
    expect(() => ids({}, [1, Infinity])).toThrow(refusal('DATA', { column: 'f', row: 1, says: 'Infinity' }))
  })

  it('hashes into [1, N), numbers as their text, missing 0', () => {
    const got = ids({ hash: 10 }, ['a', 'b', null, 'a', '12'])
    expect(got).toEqual(['a', 'b', '', 'a', '12'].map((text) => (text === '' ? 0 : hashedId(text, 10))))
    expect(ids({ hash: 10 }, [12, NaN])).toEqual([hashedId('12', 10), 0])
    const many = ids(
      { hash: 50 },
      Array.from({ length: 5000 }, (_, row) => `v${row}`),
    )
    expect(new Set(many)).toEqual(new Set(Array.from({ length: 49 }, (_, id) => id + 1)))
    // Published vectors of MurmurHash3_x86_32, seed 0.
    expect([
      hashText(''),
      hashText('test'),
      hashText('Hello, world!'),
      hashText('The quick brown fox jumps over the lazy dog'),
    ]).toEqual([0, 0xba6bd213, 0xc0363e43, 0x2e4ff723])
  })

  it('refuses lists and says what to declare', () => {
    expect(() => ids({}, [[1], [2]])).toThrow(refusal('DATA', { column: 'f', says: "'f'" }))
  })
})
