// `fill`: rows, columns and shared values become the ids and numbers of a dataset, or its errors, for every kind of feature and value.

import { describe, expect, it } from 'vitest'

import { Dataset, dense, type Feature, sequence, sparse } from '../../lib/index.js'
import { DataEncoder } from '../../lib/runtime/encode.js'
import type { Candidates } from '../../lib/runtime/request.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'
import { columns, model as small } from '../support/small-data.js'

const numbers = [0, 1, -0, 2, 3, 7, 12, 0.1, Math.fround(0.1), -4, 1e9, 2 ** 31, 2 ** 53]
const texts = ['a', 'b', 'é', '', ' 7', '7', '07', '1e3', 'NaN', 'null', '__proto__', 'toString', '\ud800', 'x'.repeat(300)]
const missing = [null, undefined, NaN]
const times = [new Date(0), new Date('2024-01-02T03:04:05.600Z'), '2024-01-02', '2024-01-02 00:00:00', '1970-01-01T00:00:00Z']
const hostile = [
  Infinity,
  -Infinity,
  5n,
  2n ** 60n,
  true,
  false,
  new Date(NaN),
  {},
  [],
  [1],
  Symbol('s'),
  () => 1,
  new Float32Array(2),
]
const lists = [[], [1, 2], [3, null, 7, 12], Float32Array.of(0.1, 3), BigInt64Array.of(7n), [1n, 2], [NaN], [true]]
const textLists = [['a'], ['b', 'zz', null], [], ['a', 'b', 'é', 'a', 'b'], 'a|b', ' b | a |', '|', 'a']

/** A feature, the column that it is fitted on, and values that it may meet. */
type Case = readonly [feature: Feature, fitted: readonly unknown[], pool: readonly unknown[]]

const some = { dim: 2 } as const
const cases: Readonly<Record<string, Case>> = {
  'fitted numbers': [sparse('x', some), [1, 7, 0.1, 3], numbers],
  'fitted texts': [sparse('x', some), ['a', 'b', '7', 'x'.repeat(300)], texts],
  'fitted booleans': [sparse('x', some), [true, false], [true, false, 0, 1, 2, 'true', '0']],
  'fitted dates': [sparse('x', some), [new Date(0), new Date('2024-01-02')], times],
  'numbers as texts': [sparse('x', { ...some, type: 'number' }), [1, 7], texts],
  'ids as they are': [sparse('x', { ...some, vocabulary: 8 }), [1], [...numbers, '3', '1.0']],
  'ids out of range': [sparse('x', { ...some, vocabulary: 8, outOfRange: 'oov' }), [1], [...numbers, '3', 'a']],
  'listed numbers': [sparse('x', { ...some, vocabulary: [3, 7, 0.1] }), [3], numbers],
  'listed texts': [sparse('x', { ...some, vocabulary: ['b', '', '\ud800'] }), ['b'], texts],
  'hashed numbers': [sparse('x', { ...some, hash: 50 }), [1], numbers],
  'hashed texts': [sparse('x', { ...some, hash: 50 }), ['a'], texts],
  buckets: [sparse('x', { ...some, buckets: [0, 1, 2.5] }), [1], numbers],
  'without a value': [sparse('x', some), [null], [...numbers, 'a']],
  'a list of numbers': [sequence('x', { ...some, maxLength: 3, combiner: 'mean' }), [[1, 2, 7]], lists],
  'a list of ids': [sequence('x', { ...some, vocabulary: 13, maxLength: 2, combiner: 'sum' }), [[1]], lists],
  'a list of texts': [sequence('x', { ...some, maxLength: 3, combiner: 'mean' }), [['a', 'b']], textLists],
  'a text of items': [
    sequence('x', { ...some, maxLength: 3, combiner: 'mean', separator: '|', padding: 'é' }),
    ['a|b', 'b'],
    [...textLists, 7],
  ],
  'a number': [dense('x'), [1, 2, 4], [...numbers, '7', ' 7', '1e3', true]],
  'a number, or an error': [dense('x', { missing: 'error', transform: 'none' }), [1, 2], [...numbers, 1e39]],
  'a number, as a logarithm': [dense('x', { transform: 'log1pStandardize', missing: 3 }), [1, 2], [0, 3, -0, 1e300, -1, -0.5]],
  'some numbers': [
    dense('x', { width: 2 }),
    [[1, 2]],
    [[1, 2], [], [3], ['7', '8'], [null, 1], [Infinity, 1], Float32Array.of(1, 2)],
  ],
}

interface Outcome {
  readonly data?: readonly number[]
  readonly counts?: unknown
  readonly error?: unknown
}

function outcomeOf(work: () => Outcome): Outcome {
  try {
    return work()
  } catch (error) {
    const { code, message, row, column, value } = error as {
      code: string
      message: string
      row: number
      column: string
      value: unknown
    }
    return { error: { code, message: message.replace(/^shared: /, ''), row, column, value } }
  }
}

describe.each(Object.keys(cases))('%s', (name) => {
  const [feature, fitted, pool] = cases[name] as Case
  const all = [...pool, ...missing]

  it('is encoded as a dataset is, or refused with its error', async () => {
    const encoder = await DataEncoder.fit(Dataset.fromColumns({ x: fitted as number[] }), [feature], [])
    const request = (candidates: unknown, shared?: unknown): Outcome =>
      outcomeOf(() => {
        const { features, counts } = encoder.request.encode(candidates as Candidates, shared as never, 100, 'fill')
        return { data: Array.from(features[0]?.[1] ?? []), counts: counts.get('x') }
      })
    const expected = (values: readonly unknown[]): Outcome =>
      outcomeOf(() => {
        const data = Dataset.fromColumns({ x: values as number[] })
        const encoding = encoder.encoders[0]?.begin()
        const into = encoder.encodeFeatures(data).get('x')
        encoding?.encode(data.column('x'), into?.slice().fill(0) as never)
        const { values: met, unknown } = encoding?.counts() ?? {}
        return { data: Array.from(into ?? []), counts: met === undefined ? undefined : { values: met, unknown } }
      })
    const random = randomOf(7)
    const draw = (from: readonly unknown[]): unknown => from[Math.floor(from.length * random())]
    for (let trial = 0; trial < 150; trial += 1) {
      // Mostly values of one type, for else nearly every column would be refused.
      const kind = typeof draw(pool)
      const own = all.filter((value) => typeof value === kind || (missing as unknown[]).includes(value))
      const values = Array.from({ length: 1 + (trial % 6) }, () => draw(trial % 3 === 0 ? all : own))
      if (trial % 10 === 9) values[0] = draw(hostile)
      const said = `${trial}: ${values.map((value) => Object.prototype.toString.call(value) + String(value))}`
      const right = expected(values)
      expect(request({ x: values }), said).toEqual(right)
      expect(request(values.map((x) => ({ other: 1, x }))), said).toEqual(right)
      const [one] = values
      const repeated = expected(values.map(() => one))
      expect(
        request(
          values.map((_, y) => ({ y })),
          { x: one },
        ),
        said,
      ).toEqual(repeated)
      expect(request({ y: values.map((_, y) => y) }, { x: one }), said).toEqual(repeated)
    }
    for (const typed of [Int32Array, Float32Array, Float64Array, Uint8Array, BigInt64Array]) {
      const x = typed === BigInt64Array ? BigInt64Array.of(7n, 3n) : (typed as Int32ArrayConstructor).of(7, 3, 0)
      expect(request({ x }), typed.name).toEqual(expected(x as never))
    }
  })
})

describe('fill', () => {
  const rows = 40
  const raw = columns({ rows })
  const { user, city, price } = raw as unknown as { user: Int32Array; city: string[]; price: Float64Array }

  it('gives the scores of predict, for rows, columns and a dataset with shared values', async () => {
    using model = small()
    await model.build(Dataset.fromColumns(raw))
    const batch = model.createBatch(rows)
    const expected = await model.predict({ user: Array(rows).fill(user[3]), city, price })
    const shared = { user: user[3] }
    const asRows = city.map((name, row) => ({ city: name, price: price[row] }))
    for (const candidates of [asRows, { city, price }, Dataset.fromColumns({ city, price })]) {
      batch.user.fill(0)
      expect(model.fill(batch, candidates, { shared })).toBe(rows)
      expect(model.predictSync(batch)).toEqual(expected)
      expect(model.valueCounts(batch)).toEqual({ user: { values: rows, unknown: 0 }, city: { values: rows, unknown: 0 } })
    }
    expect(model.fill(batch, [], { shared })).toBe(0)
    expect(model.fill(batch, [{ city: 'Atlantis', price: 1 }, { price: 2 }], { shared })).toBe(2)
    expect(model.valueCounts(batch)).toEqual({ user: { values: 2, unknown: 0 }, city: { values: 1, unknown: 1 } })
  })

  it('refuses what it cannot read, and writes nothing then', async () => {
    using model = small()
    await model.build(Dataset.fromColumns(raw))
    const batch = model.createBatch(4)
    const good = { user: 3, city: 'Oslo', price: 120 }
    model.fill(batch, [good, good])
    const before = [...batch.user, ...batch.city, ...batch.price]
    const { price: _, ...unpriced } = good
    const throwing = {
      ...good,
      get price(): number {
        throw new TypeError('no')
      },
    }
    const refused: [candidates: unknown, shared: unknown, error: Error][] = [
      [[{ ...unpriced, prcie: 1 }], undefined, refusal('DATA', { column: 'price', says: ['"price"', '"prcie"', "'column'"] })],
      [[unpriced], { prices: 1 }, refusal('DATA', { column: 'price', says: ['"price"', '"prices"'] })],
      [[good], { user: 3 }, refusal('DATA', { column: 'user', says: ['"user"', 'both'] })],
      [[unpriced, good], { price: 3 }, refusal('DATA', { column: 'price', says: 'both' })],
      [[unpriced], { price: 'dear' }, refusal('DATA', { column: 'price', value: 'dear', says: ['shared', '"dear"'] })],
      [[good, { ...good, user: 'Ann' }], undefined, refusal('DATA', { column: 'user', row: 1, value: 'Ann' })],
      [[good, { ...good, user: 30 }], undefined, refusal('DATA', { column: 'user', row: 1, value: 30 })],
      [Array(5).fill(good), undefined, refusal('DATA', { says: ['4', '5'] })],
      [[good, null], undefined, refusal('DATA', { row: 1, says: 'object' })],
      [[good, throwing], undefined, refusal('DATA', { row: 1, says: 'no' })],
      [
        { user: [1, 2], city: ['Oslo'], price: [1, 2] },
        undefined,
        refusal('DATA', { column: 'city', says: ['"city"', '2', '1'] }),
      ],
      [{}, undefined, refusal('DATA', { says: 'none' })],
      [new Set([good]), undefined, refusal('ARGUMENT', { says: 'fromRows' })],
      [3, undefined, refusal('ARGUMENT')],
      [[good], [3], refusal('ARGUMENT', { field: 'fill.shared' })],
      [[good], 'user', refusal('ARGUMENT', { field: 'fill.shared' })],
    ]
    for (const [candidates, shared, error] of refused)
      expect(() => model.fill(batch, candidates as never, { shared } as never), String(candidates)).toThrow(error)
    expect(() => model.fill(batch, [good], { sharde: {} } as never)).toThrow(refusal('ARGUMENT', { says: 'shared' }))
    expect([...batch.user, ...batch.city, ...batch.price]).toEqual(before)
  })

  it('reads own values only, and may be called while it reads', async () => {
    using model = small()
    await model.build(Dataset.fromColumns(raw))
    const [batch, other] = [model.createBatch(4), model.createBatch(4)]
    const row = { city: 'Oslo', price: 120 }
    expect(() => model.fill(batch, [Object.assign(Object.create({ user: 3 }) as object, row)] as never)).toThrow(
      refusal('DATA', { column: 'user' }),
    )
    const nested = {
      ...row,
      get user(): number {
        return model.fill(other, [{ ...row, user: 5 }])
      },
    }
    model.fill(batch, [
      { ...row, user: 2 },
      JSON.parse('{ "__proto__": { "user": 9 }, "user": 4, "city": "Rome", "price": 1 }'),
      nested,
    ])
    expect([...batch.user]).toEqual([2, 4, 1, 0])
    expect(other.user[0]).toBe(5)
  })
})
