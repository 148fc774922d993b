import { describe, expect, expectTypeOf, it } from 'vitest'

import type { Column } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import type { Encoder } from '../../lib/features/encode/encoder.js'
import { encodeColumn, encoderFromJSON, encoderToJSON, fitEncoder } from '../../lib/features/encode/encoders.js'
import { hashedId, hashText } from '../../lib/features/encode/hash.js'
import { type DenseOptions, dense } from '../../lib/features/spec/dense.js'
import { type Feature, type IdOptions, parseFeature } from '../../lib/features/spec/feature.js'
import { type SequenceOptions, sequence } from '../../lib/features/spec/sequence.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { refusal } from '../support/refusal.js'

const column = (values: ColumnValues): Column => Dataset.fromColumns({ x: values }).column('x')
const encoded = (encoder: Encoder, values: ColumnValues): number[] => [...encodeColumn(encoder, column(values)).data]
const ids = (options: Partial<IdOptions>, train: ColumnValues, values: ColumnValues = train): number[] =>
  encoded(fitEncoder(sparse('f', { dim: 4, ...options }), column(train)), values)
/** What a file would give back: its JSON, and its vocabulary. */
const savedAndRead = (encoder: Encoder): Promise<Encoder> =>
  encoderFromJSON(JSON.parse(JSON.stringify(encoderToJSON(encoder))), 'encoder', async () => {
    if (encoder.kind === 'dense' || encoder.vocabulary === undefined) throw new Error('there is no vocabulary')
    return encoder.vocabulary
  })

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

describe('encoders', () => {
  const features: readonly [Feature, ColumnValues, ColumnValues][] = [
    [sparse('f', { dim: 2 }), ['b', 'a', 'b', ' a'], ['a', ' a', 'b', 'c']],
    [sparse('f', { dim: 2, minCount: 2 }), [0.1, 3, 3, 0.1, 7], [3, 0.1, 7, 8]],
    [sparse('f', { dim: 2 }), [null, null], [null, 'x']],
    [sparse('f', { dim: 2, vocabulary: 9, outOfRange: 'oov', column: 'x' }), [1], [8, 9]],
    [sparse('f', { dim: 2, hash: 7 }), ['a'], ['b', 'c', null]],
    [sequence('f', { dim: 2, maxLength: 2, combiner: 'sum', separator: ' ' }), ['a b', 'b'], ['b a b', 'c']],
    [dense('f'), [1, 2, 4], [3, NaN]],
    [dense('f', { transform: 'minmax', missing: 'error' }), [1, 2, 4], [3, 9]],
    [
      dense('f', { width: 2 }),
      [
        [1, 2],
        [4, 5],
      ],
      [[3, NaN], null],
    ],
  ]

  it.each(features)('come back from JSON: %j', async (feature, train, values) => {
    const encoder = fitEncoder(feature, column(train))
    const again = await savedAndRead(encoder)
    expect(again.feature).toEqual(feature)
    expect(encodeColumn(again, column(values))).toEqual(encodeColumn(encoder, column(values)))
    expect(encoderToJSON(again)).toEqual(encoderToJSON(encoder))
  })

  it.each<[string, object, Error]>([
    ['a value twice', { feature: sparse('f', { dim: 2 }), values: ['a', 'a'] }, refusal('FORMAT', { field: 'encoder.values' })],
    ['no values', { feature: sparse('f', { dim: 2 }) }, refusal('FORMAT', { field: 'encoder.values' })],
    ['two kinds', { feature: sparse('f', { dim: 2 }), values: ['a', 1] }, refusal('FORMAT', { field: 'encoder.values[1]' })],
    [
      'values too many',
      { feature: sparse('f', { dim: 2, hash: 3 }), values: ['a'] },
      refusal('FORMAT', { field: 'encoder.values' }),
    ],
    [
      'a scale of 0',
      { feature: dense('f'), offset: 0, scale: 0, fill: 0 },
      refusal('FORMAT', { field: 'encoder.scale', says: '0' }),
    ],
    [
      'a wrong feature',
      { feature: { kind: 'sparse', name: 'f' } },
      refusal('FORMAT', { field: 'encoder.feature', says: 'encoder.feature.dim' }),
    ],
    ['no feature', {}, refusal('FORMAT', { field: 'encoder.feature' })],
  ])('refuse %s in a saved file', async (_, json, message) => {
    await expect(encoderFromJSON(json, 'encoder', () => Promise.reject(new Error('none')))).rejects.toThrow(message)
  })

  it('check what is encoded already and give the same array', () => {
    const encoder = fitEncoder(sequence('f', { dim: 2, maxLength: 2, combiner: 'mean', vocabulary: 5 }), column([[1]]))
    const data = Int32Array.of(1, 0, 4, 2)
    expect(encoder.check(data).data).toBe(data)
    expect(() => encoder.check(Int32Array.of(1, 0, 5, 2))).toThrow(
      refusal('DATA', { column: 'f', row: 1, value: 5, says: '[0, 5)' }),
    )
    expect(() => encoder.check(Int32Array.of(1, 0, 1))).toThrow(refusal('DATA', { column: 'f', says: ['2', '3'] }))
    expect(() => encoder.check(new Float32Array(2) as never)).toThrow(
      refusal('DATA', { column: 'f', says: ['Int32Array', 'Float32Array(2)'] }),
    )
    const number = fitEncoder(dense('f'), column([1, 2]))
    expect(() => number.check(Float32Array.of(1, NaN))).toThrow(refusal('DATA', { column: 'f', row: 1, says: 'NaN' }))
  })

  it('are fast on texts: per dictionary entry, not per row', () => {
    const codes = Int32Array.from({ length: 1_000_000 }, (_, row) => row % 1000)
    const texts: Column = { kind: 'string', dictionary: Array.from({ length: 1000 }, (_, code) => `value ${code}`), codes }
    const started = performance.now()
    const { data } = encodeColumn(fitEncoder(sparse('f', { dim: 1 }), texts), texts)
    const spent = performance.now() - started
    // All come equally often, so ids go by value.
    expect(data[2234]).toBe(1 + [...texts.dictionary].sort().indexOf('value 234'))
    console.info(`fit and encode of 1,000,000 texts: ${Math.round(spent)} ms`)
    expect(spent).toBeLessThan(3000)
  })
})

describe('specs', () => {
  it('keep the name as a type and are valid configuration', () => {
    const feature = sparse('userid', { vocabulary: 20_001, dim: 16 })
    expectTypeOf(feature.name).toEqualTypeOf<'userid'>()
    for (const spec of [
      feature,
      sequence('tags', { dim: 16, maxLength: 11, combiner: 'mean' }),
      dense('seconds', { transform: 'log1p' }),
    ]) {
      expect(parseFeature(JSON.parse(JSON.stringify(spec)))).toEqual(spec)
      expect(Object.isFrozen(spec)).toBe(true)
    }
    expect(dense('x')).toEqual({ kind: 'dense', name: 'x', transform: 'standardize', missing: 'mean' })
  })

  it.each<[() => unknown, Error]>([
    [() => sparse('a', {} as never), refusal('ARGUMENT', { field: 'feature "a".dim' })],
    [() => sparse('a', { dim: 0 }), refusal('ARGUMENT', { field: 'feature "a".dim', says: ['1', '0'] })],
    [() => sparse('a', { dim: 2, vocab: 3 } as never), refusal('ARGUMENT', { field: 'feature "a".vocab', says: "'vocabulary'" })],
    [() => sparse('a', { dim: 2, vocabulary: [5, 'a'] as never }), refusal('ARGUMENT', { field: 'feature "a".vocabulary' })],
    [() => sparse('a', { dim: 2, vocabulary: 3, hash: 4 }), refusal('ARGUMENT', { field: 'feature "a".hash' })],
    [() => sparse('a', { dim: 2, vocabulary: 3, minCount: 4 }), refusal('ARGUMENT', { field: 'feature "a".minCount' })],
    [() => sparse('a', { dim: 2, outOfRange: 'oov' }), refusal('ARGUMENT', { field: 'feature "a".outOfRange' })],
    [
      () => sequence('a', { dim: 2, maxLength: 2, combiner: 'max' as 'sum' }),
      refusal('ARGUMENT', { field: 'feature "a".combiner', says: ['"mean"', '"sum"', '"max"'] }),
    ],
    [
      () => dense('a', { missing: 'zero' as 'mean' }),
      refusal('ARGUMENT', { field: 'feature "a".missing', says: ['"mean"', '"error"', '"zero"'] }),
    ],
    [
      () => parseFeature({ kind: 'image', name: 'a' }, 'model.features[3]'),
      refusal('ARGUMENT', { field: 'model.features[3].kind', says: ['"sparse"', '"sequence"', '"dense"', '"image"'] }),
    ],
  ])('name a wrong option %#', (make, message) => {
    expect(make).toThrow(message)
  })
})
