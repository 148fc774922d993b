// Splits by values, by time, by hash and stratified: the parts of any order of the rows, those that a plain program finds, hashes of
// another program, and errors.

import { describe, expect, it } from 'vitest'

import { type NumberColumn, rowValue } from '../../lib/core/columns.js'
import { atOnce } from '../../lib/core/slices.js'
import { Dataset, type DatasetSplit } from '../../lib/data/dataset.js'
import type { SplitOptions } from '../../lib/data/split.js'
import { hashesOf } from '../../lib/data/split-shares.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'

const random = randomOf(11)
const below = (count: number): number => Math.floor(count * random())
const values = (data: Dataset, name: string): unknown[] =>
  Array.from({ length: data.rows }, (_, row) => rowValue(data.column(name), row))
const ids = (split: DatasetSplit): Record<string, unknown[]> =>
  Object.fromEntries((['train', 'validation', 'test'] as const).map((part) => [part, values(split[part], 'id')]))

/** Rows with repeated keys, equal times and missing values. */
function drawn(rows: number): Dataset {
  const column = <T>(make: (row: number) => T): T[] => Array.from({ length: rows }, (_, row) => make(row))
  const days = column(() => 1 + below(15))
  return Dataset.fromColumns({
    id: column((row) => row),
    day: days.map((day) => (below(40) === 0 ? null : day)),
    date: days.map((day) => (below(40) === 0 ? null : new Date(Date.UTC(2021, 4, day, below(3))))),
    iso: days.map((day) =>
      below(40) === 0 ? null : `2021-05-${String(day).padStart(2, '0')}${below(2) === 0 ? '' : 'T00:00:00Z'}`,
    ),
    moment: column(() => 1.6e9 + below(1e6) / 8),
    user: column(() => (below(40) === 0 ? null : below(200))),
    name: column(() => (below(40) === 0 ? null : `u${below(200)}`)),
    price: column(() => below(50) / 8 - 2),
    like: column(() => [0, 0, 0, 0, 0, 0, 0, 1, null][below(9)] as number | null),
    share: column(() => below(20) === 0),
  })
}

function shuffledRows(rows: number): number[] {
  const order = Array.from({ length: rows }, (_, row) => row)
  for (let at = rows - 1; at > 0; at -= 1) {
    const other = below(at + 1)
    ;[order[at], order[other]] = [order[other] as number, order[at] as number]
  }
  return order
}

const splits: [string, SplitOptions][] = [
  ['values', { column: 'day', train: [1, 13], validation: 14, test: 15 }],
  ['lists of values', { column: 'day', train: { values: [1, 3, null] }, validation: { values: [2] }, test: { from: 9 } }],
  ['the rest', { column: 'day', test: 15 }],
  ['fractions', { column: 'price', validation: [-2, -1.5], test: { from: 3.125, to: 3.5 } }],
  ['texts', { column: 'name', validation: { values: ['u7', 'u9', 'u11'] }, test: { from: 'u5', to: 'u6' } }],
  ['truth values', { column: 'share', train: false, test: true }],
  ['dates', { column: 'date', validation: '2021-05-14', test: { from: '2021-05-15' } }],
  ['dates in texts', { column: 'iso', train: ['2021-05-01', '2021-05-10'], test: '2021-05-15' }],
  ['cuts in dates', { time: 'date', validation: { from: '2021-05-12' }, test: { from: '2021-05-14T01:00:00Z' } }],
  ['cuts in texts', { time: 'iso', validation: { from: '2021-05-12', to: '2021-05-12' }, test: { from: '2021-05-14' } }],
  ['cuts in numbers', { time: 'moment', train: { from: 1.6e9 + 10 }, test: { from: 1.6e9 + 1e5 } }],
  ['shares in time', { time: 'moment', validation: 0.1, test: 0.2 }],
  ['shares in days', { time: 'day', validation: 0.1, test: 0.1 }],
  ['shares in dates', { time: 'date', validation: 0.1 }],
  ['shares in texts of dates', { time: 'iso', test: 0.2 }],
  ['a hash', { hash: ['user'], validation: 0.1, test: 0.1, seed: 1 }],
  ['a hash of many', { hash: ['name', 'user', 'price', 'share', 'date'], validation: 0.25, test: 0.25 }],
  ['strata', { stratify: 'like', by: ['user', 'moment'], validation: 0.1, test: 0.1, seed: 1 }],
  ['strata of two columns, of repeated keys', { stratify: ['like', 'share'], by: 'name', validation: 0.2, test: 0.2 }],
]

describe.each(splits)('%s', (_, options) => {
  it('gives disjoint parts in order, and counts what is left out', () => {
    const data = drawn(12_000)
    const split = data.split(options)
    const parts = ids(split)
    const all = Object.values(parts).flat() as number[]
    for (const part of Object.values(parts)) expect(part).toEqual([...(part as number[])].sort((one, other) => one - other))
    expect(new Set(all).size).toBe(all.length)
    expect(all.length + split.leftOut).toBe(data.rows)
  })

  it('gives the same parts in any order of rows, and of other rows', () => {
    for (const rows of [500, 12_000]) {
      const data = drawn(rows)
      const found = ids(data.split(options))
      for (const order of [shuffledRows(rows), shuffledRows(rows).reverse()]) {
        const other = ids(data.select(order).split(options))
        for (const part of ['train', 'validation', 'test']) {
          expect([...(other[part] as number[])].sort((one, two) => one - two)).toEqual(found[part])
        }
      }
    }
  })

  it('splits parts of a dataset as a dataset of their rows', () => {
    const data = drawn(3000)
    const odd = data.split({ rowMod: 2, test: [0] }).train
    for (const part of [data.slice(100, 2900), odd, odd.slice(3)]) {
      const copy = Dataset.fromColumns(
        Object.fromEntries(
          data.columnNames.map((name) => {
            const found = values(part, name)
            if (name === 'date')
              return [
                name,
                found.map(
                  (text) => text && new Date(`${String(text).replace(' ', 'T')}${String(text).includes(' ') ? 'Z' : ''}`),
                ),
              ]
            return [name, (name === 'share' ? found.map(Boolean) : found) as ColumnValues]
          }),
        ) as Record<string, ColumnValues>,
      )
      expect(ids(part.split(options))).toEqual(ids(copy.split(options)))
      const whole = values(data, 'id')
      const { test } = part.split(options)
      expect(Array.from({ length: test.rows }, (_, row) => whole[test.sourceRow(row)])).toEqual(values(test, 'id'))
    }
  })

  it('lets other work run with splitAsync, and gives the same', async () => {
    const data = drawn(2000)
    expect(ids(await data.splitAsync(options))).toEqual(ids(data.split(options)))
  })
})

describe('by the values of a column', () => {
  const data = Dataset.fromColumns({
    id: [0, 1, 2, 3, 4, 5, 6, 7],
    day: [1, 13, 7, 14, 15, 16, null, 2.5],
    text: ['a', 'b', '10', '9', null, 'ab', 'é', ''],
    day_text: [
      '2021-05-14',
      '2021-05-14 10:00:00',
      '2021-05-15T00:00:00Z',
      '2021-05-15 00:00:01',
      'none',
      null,
      '2021-05-16',
      '2021-05-16',
    ],
    flag: [true, false, null, true, false, true, false, true],
    date: [14, 14.5, 15, 15.5, 16, 16, 17, null].map((day) => day && new Date(Date.UTC(2021, 4, 1) + (day - 1) * 864e5)),
  })
  it.each<[SplitOptions, Record<string, number[]>, number]>([
    [{ column: 'day', train: [1, 13], validation: 14, test: 15 }, { train: [0, 1, 2, 7], validation: [3], test: [4] }, 2],
    [
      { column: 'day', train: { values: [1, 13] }, validation: 14, test: { from: 15 } },
      { train: [0, 1], validation: [3], test: [4, 5] },
      3,
    ],
    [{ column: 'day', train: { to: 2.5 }, test: null }, { train: [0, 7], validation: [], test: [6] }, 5],
    [{ column: 'day', test: { values: [14, null] } }, { train: [0, 1, 2, 4, 5, 7], validation: [], test: [3, 6] }, 0],
    [{ column: 'text', train: ['a', 'b'], validation: '9', test: '' }, { train: [0, 1, 5], validation: [3], test: [7] }, 3],
    [{ column: 'flag', train: true, test: false }, { train: [0, 3, 5, 7], validation: [], test: [1, 4, 6] }, 1],
    // A day has all its moments, in a column of dates and in one of texts.
    [
      { column: 'date', train: '2021-05-14', test: ['2021-05-15', '2021-05-16'] },
      { train: [0, 1], validation: [], test: [2, 3, 4, 5] },
      2,
    ],
    [
      { column: 'day_text', train: '2021-05-14', test: ['2021-05-15', '2021-05-16'] },
      { train: [0, 1], validation: [], test: [2, 3, 6, 7] },
      2,
    ],
    [
      { column: 'day_text', train: '2021-05-15T00:00:00', test: { from: '2021-05-15T00:00:00.5' } },
      { train: [2], validation: [], test: [3, 6, 7] },
      4,
    ],
    // Not all of the given values are dates: texts.
    [{ column: 'day_text', train: '2021-05-14', test: 'none' }, { train: [0], validation: [], test: [4] }, 6],
  ])('%j', (options, expected, leftOut) => {
    const split = data.split(options)
    expect(ids(split)).toEqual(expected)
    expect(split.leftOut).toBe(leftOut)
  })

  it('keeps no list of rows that follow each other', () => {
    const { train, test } = Dataset.fromColumns({ day: [1, 1, 2, 3, 3] }).split({ column: 'day', train: [1, 2], test: 3 })
    expect((train.column('day') as NumberColumn).values.buffer).toBe((test.column('day') as NumberColumn).values.buffer)
  })

  it.each<[string, unknown, Error]>([
    [
      'a value in two parts',
      { column: 'day', train: [1, 14], validation: 14 },
      refusal('ARGUMENT', { field: 'split.validation', says: ['14', 'train'] }),
    ],
    [
      'two ranges that meet',
      { column: 'day', test: [1, 5], train: [5, 9] },
      refusal('ARGUMENT', { field: 'split.test', says: ['5', 'train'] }),
    ],
    [
      'missing values in two parts',
      { column: 'day', train: null, test: { values: [null, 1] } },
      refusal('ARGUMENT', { field: 'split.test', says: 'missing' }),
    ],
    [
      'a day and a moment of it',
      { column: 'date', train: '2021-05-14', test: '2021-05-14 12:00:00' },
      refusal('ARGUMENT', { field: 'split.test', says: '"2021-05-14 12:00:00"' }),
    ],
    [
      'a value that is not there',
      { column: 'day', train: [1, 13], test: 15.5 },
      refusal('ARGUMENT', { field: 'split.test', says: ['15.5', '15 and 16'] }),
    ],
    [
      'a range without rows',
      { column: 'day', train: [1, 13], test: { from: 100 } },
      refusal('ARGUMENT', { field: 'split.test', says: ['100', '16'] }),
    ],
    [
      'a text that is not there',
      { column: 'text', train: ['a', 'b'], test: '99' },
      refusal('ARGUMENT', { field: 'split.test', says: ['"99"', '"9"'] }),
    ],
    [
      'a date that is not there',
      { column: 'date', train: '2021-05-14', test: '2021-05-18' },
      refusal('ARGUMENT', { field: 'split.test', says: '"2021-05-17"' }),
    ],
    [
      'nothing left to train on',
      { column: 'flag', validation: true, test: { values: [false, null] } },
      refusal('ARGUMENT', { field: 'split.train', says: '"flag"' }),
    ],
    [
      'texts of a column of numbers',
      { column: 'day', test: '14' },
      refusal('ARGUMENT', { field: 'split.test', says: ['a number', '"day"', '"14"'] }),
    ],
    [
      'numbers of a column of texts',
      { column: 'text', test: { from: 'a', to: 9 } },
      refusal('ARGUMENT', { field: 'split.test.to', says: ['a text', '9'] }),
    ],
    [
      'numbers of truth values',
      { column: 'flag', test: 1 },
      refusal('ARGUMENT', { field: 'split.test', says: ['true or false', '1'] }),
    ],
    [
      'what is no date',
      { column: 'date', test: { values: ['2021-05-14', 'May'] } },
      refusal('ARGUMENT', { field: 'split.test.values[1]', says: '"May"' }),
    ],
    [
      'a list that is no range',
      { column: 'day', test: [14, 15, 16] },
      refusal('ARGUMENT', { field: 'split.test', says: ['[from, to]', '3', '"values"'] }),
    ],
    [
      'a range that falls',
      { column: 'day', test: [15, 14] },
      refusal('ARGUMENT', { field: 'split.test[1]', says: ['15', '14'] }),
    ],
    ['a range of nothing', { column: 'day', test: {} }, refusal('ARGUMENT', { field: 'split.test', says: 'from' })],
    ['no part', { column: 'day' }, refusal('ARGUMENT', { field: 'split', says: ['train', 'validation', 'test'] })],
    ['a misspelt part', { column: 'day', tests: 3 }, refusal('ARGUMENT', { field: 'split.tests', says: "'test'" })],
    ['a misspelt end', { column: 'day', test: { form: 3 } }, refusal('ARGUMENT', { field: 'split.test.form' })],
    ['a column that is not there', { column: 'dya', test: 3 }, refusal('DATA', { column: 'dya', says: '"day"' })],
    ['two forms at once', { column: 'day', test: 3, hash: ['id'] }, refusal('ARGUMENT', { field: 'split.hash' })],
    ['no form', { test: 3 }, refusal('ARGUMENT', { field: 'split', says: ['rowMod', 'column', 'time', 'hash', 'stratify'] })],
    ['no object', 'hash', refusal('ARGUMENT', { field: 'split', says: '"hash"' })],
  ])('refuses %s', (_, options, message) => {
    expect(() => data.split(options as never)).toThrow(message)
  })

  it('refuses lists, and rows of no value', () => {
    expect(() => Dataset.fromColumns({ tags: [[1]] }).split({ column: 'tags', test: 1 })).toThrow(
      refusal('DATA', { column: 'tags', says: 'lists' }),
    )
    expect(() => Dataset.fromColumns({ day: [null, null] }).split({ column: 'day', test: 1 })).toThrow(
      refusal('ARGUMENT', { field: 'split.test', says: 'no values' }),
    )
  })
})

describe('by time', () => {
  const times = (list: ColumnValues): Dataset =>
    Dataset.fromColumns({ id: Array.from({ length: (list as unknown[]).length }, (_, row) => row), ts: list })

  it('never divides equal times, and cuts as near to the shares as it can', () => {
    const data = times([5, 1, 3, 3, 2, 4, 3, null, 1, 5, 5])
    const cut = (options: object) => ids(data.split({ time: 'ts', ...options }))
    // Sorted: 1 1 2 3 3 3 4 5 5 5.
    expect(cut({ test: 0.3 })).toEqual({ train: [1, 2, 3, 4, 5, 6, 8], validation: [], test: [0, 9, 10] })
    expect(cut({ test: 0.2 })).toEqual(cut({ test: 0.3 }))
    expect(cut({ test: 0.5 })).toEqual({ train: [1, 2, 3, 4, 6, 8], validation: [], test: [0, 5, 9, 10] })
    expect(cut({ test: 0.6 })).toEqual({ train: [1, 4, 8], validation: [], test: [0, 2, 3, 5, 6, 9, 10] })
    expect(cut({ test: 0.3, validation: 0.2 })).toEqual({ train: [1, 2, 3, 4, 6, 8], validation: [5], test: [0, 9, 10] })
    expect(data.split({ time: 'ts', test: 0.3 }).leftOut).toBe(1)
  })

  it('knows the order of years of any length, and that forms of one date are one', () => {
    const data = times(['10000-01-01', '9999-12-31', '2021-05-14T00:00:00Z', '2021-05-14', '2021-05-14 00:00:00.001'])
    expect(ids(data.split({ time: 'ts', test: 0.2 }))).toEqual({ train: [1, 2, 3, 4], validation: [], test: [0] })
    expect(ids(data.split({ time: 'ts', validation: 0.4, test: 0.2 }))).toEqual({ train: [2, 3], validation: [1, 4], test: [0] })
    expect(ids(data.split({ time: 'ts', test: { from: '9999-12-31' } }))).toEqual({
      train: [2, 3, 4],
      validation: [],
      test: [0, 1],
    })
  })

  it('cuts with gaps', () => {
    const data = times([1, 2, 3, 4, 5, 6, 7])
    const split = data.split({ time: 'ts', train: { from: 2, to: 3 }, validation: { from: 5 }, test: { from: 6, to: 6 } })
    expect(ids(split)).toEqual({ train: [1, 2], validation: [4], test: [5] })
    expect(split.leftOut).toBe(3)
  })

  const dates = times(['2021-05-14', 'May', '2021-05-15'])
  const numbers = times([1, 1, 1, 2])
  it.each<[string, Dataset, unknown, Error]>([
    ['what is no time', dates, { time: 'ts', test: 0.5 }, refusal('DATA', { column: 'ts', row: 1, value: 'May' })],
    [
      'what is no time, with cuts',
      dates,
      { time: 'ts', test: { from: '2021-05-15' } },
      refusal('DATA', { column: 'ts', row: 1, value: 'May' }),
    ],
    [
      'shares of too few times',
      numbers,
      { time: 'ts', validation: 0.25, test: 0.25 },
      refusal('ARGUMENT', { field: 'split.validation', says: ['0.25', '2 times'] }),
    ],
    [
      'shares that leave nothing',
      numbers,
      { time: 'ts', validation: 0.5, test: 0.5 },
      refusal('ARGUMENT', { field: 'split.test', says: ['0.5', '1'] }),
    ],
    [
      'cuts and shares',
      numbers,
      { time: 'ts', validation: 0.5, test: { from: 2 } },
      refusal('ARGUMENT', { field: 'split.validation', says: '0.5' }),
    ],
    [
      'parts out of order',
      numbers,
      { time: 'ts', validation: { from: 2 }, test: { from: 1 } },
      refusal('ARGUMENT', { field: 'split.test.from', says: ['validation', '1'] }),
    ],
    [
      'parts that meet',
      numbers,
      { time: 'ts', train: { to: 2 }, test: { from: 2 } },
      refusal('ARGUMENT', { field: 'split.test.from', says: ['train', '2'] }),
    ],
    ['a part without a beginning', numbers, { time: 'ts', test: { to: 2 } }, refusal('ARGUMENT', { field: 'split.test.from' })],
    [
      'a part without rows',
      numbers,
      { time: 'ts', test: { from: 3 } },
      refusal('ARGUMENT', { field: 'split.test', says: ['3', '2'] }),
    ],
    [
      'a date among numbers',
      numbers,
      { time: 'ts', test: { from: '2021-05-14' } },
      refusal('ARGUMENT', { field: 'split.test.from', says: 'a number' }),
    ],
    ['no part', numbers, { time: 'ts' }, refusal('ARGUMENT', { field: 'split', says: 'test' })],
    ['a share that is none', numbers, { time: 'ts', test: 1 }, refusal('ARGUMENT', { field: 'split.test', says: '1' })],
    ['no rows', numbers.slice(0, 0), { time: 'ts', test: 0.5 }, refusal('ARGUMENT', { field: 'split.train', says: '0 rows' })],
  ])('refuses %s', (_, data, options, message) => {
    expect(() => data.split(options as never)).toThrow(message)
  })
})

describe('by hash', () => {
  /** Made by split-hashes.py. */
  const known: [ColumnValues[], number[]][] = [
    [[[17]], [3570654926, 2511921310, 3297028414]],
    [[['17']], [3570654926, 2511921310, 3297028414]],
    [[[' 017.0']], [3570654926, 2511921310, 3297028414]],
    [[[-0]], [3327694643, 992407389, 1587723951]],
    [[[-3]], [1284396843, 2637852790, 816509089]],
    [[[0.5]], [3441394832, 3626779645, 3666521692]],
    [[['.50']], [3441394832, 3626779645, 3666521692]],
    [[['u17']], [3822435508, 3019810706, 2537235217]],
    [[['é']], [724923624, 2163185790, 1170808137]],
    [[[true]], [221548023, 1095724014, 2815453911]],
    [[['True']], [221548023, 1095724014, 2815453911]],
    [[['2021-05-14T00:00:00Z']], [3188592451, 172302493, 3788635067]],
    [[[new Date('2021-05-14T08:30:00Z')]], [1577501464, 3999635977, 2383757968]],
    [[['09007199254740993']], [3866147065, 56887418, 2865689720]],
    [
      [[17], ['u17']],
      [3972078715, 792992652, 1195646781],
    ],
    [
      [['u17'], ['17']],
      [2357153244, 3019963300, 3342080858],
    ],
    [
      [[17], [null]],
      [2603881296, 310194626, 828701849],
    ],
    [
      [[17], ['']],
      [2603881296, 310194626, 828701849],
    ],
    [
      [[17], ['u17'], ['2021-05-14']],
      [2004248865, 3924871982, 3692583405],
    ],
  ]
  it.each(known)('%j has the hash that another program finds', (columns, expected) => {
    const data = Dataset.fromColumns(Object.fromEntries(columns.map((column, index) => [`c${index}`, column])))
    const keys = data.columnNames.map((name) => [name, data.column(name)] as never)
    const seeds = [0, 1, 42]
    expect(seeds.map((seed) => atOnce(hashesOf(1, keys, seed)).hashes[0])).toEqual(expected)
  })

  it('gives the part that the hash says: the smallest test, the next ones validate', () => {
    const data = Dataset.fromColumns({ id: Int32Array.from({ length: 300 }, (_, row) => row) })
    // Of 17 with the seed 1, as above.
    const share = 2511921310 / 2 ** 32
    const partOf = (options: object): string | undefined =>
      Object.entries(ids(data.split({ hash: 'id', seed: 1, ...options }))).find(([, rows]) => rows.includes(17))?.[0]
    expect(partOf({ test: share })).toBe('train')
    expect(partOf({ test: share + 2 ** -32 })).toBe('test')
    expect(partOf({ test: share, validation: 2 ** -32 + 0.1 })).toBe('validation')
    expect(partOf({ test: share - 0.1, validation: 0.1 })).toBe('train')
    expect(partOf({ test: share - 0.1, validation: 0.1 + 2 ** -31 })).toBe('validation')
  })

  it('keeps equal keys together, whatever the format and the other rows', () => {
    const rows = 3000
    const users = Array.from({ length: rows }, () => below(400))
    const partOf = (user: ColumnValues, more = {}): Map<string, string> => {
      const split = Dataset.fromColumns({ user, ...more }).split({ hash: ['user'], validation: 0.2, test: 0.2, seed: 3 })
      const found = new Map<string, string>()
      for (const part of ['train', 'validation', 'test'] as const) {
        for (const value of values(split[part], 'user')) {
          expect(found.get(String(Number(value))) ?? part).toBe(part)
          found.set(String(Number(value)), part)
        }
      }
      return found
    }
    const numbers = partOf(users)
    expect(partOf(users.map(String))).toEqual(numbers)
    expect(partOf(users.map((user) => (user % 2 === 0 ? `${user}` : `0${user}.0`)))).toEqual(numbers)
    const few = partOf(users.slice(0, 500))
    for (const [user, part] of few) expect(numbers.get(user)).toBe(part)
  })

  it('gives about the shares, and a larger validation part takes no row of the test part', () => {
    const data = Dataset.fromColumns({ id: Array.from({ length: 100_000 }, (_, row) => row) })
    const { validation, test } = data.split({ hash: 'id', validation: 0.1, test: 0.2 })
    // Four standard deviations.
    expect(Math.abs(validation.rows - 10_000)).toBeLessThan(380)
    expect(Math.abs(test.rows - 20_000)).toBeLessThan(510)
    expect(values(data.split({ hash: 'id', validation: 0.3, test: 0.2 }).test, 'id')).toEqual(values(test, 'id'))
    expect(values(data.split({ hash: 'id', test: 0.2, seed: 1 }).test, 'id')).not.toEqual(values(test, 'id'))
  })

  it('trains on rows without a key', () => {
    const data = Dataset.fromColumns({ id: [0, 1, 2, 3], a: [null, null, '', 'x'], b: [null, 3, null, 4] })
    const { train } = data.split({ hash: ['a', 'b'], test: 1 - 2 ** -20 })
    expect(values(train, 'id')).toEqual([0, 2])
  })

  it('refuses shares that no key falls into', () => {
    const data = Dataset.fromColumns({ user: [1, 1, 1, 2, null] })
    expect(() => data.split({ hash: 'user', test: 0.001 })).toThrow(
      refusal('ARGUMENT', { field: 'split.test', says: ['0.001', '5 rows', 'seed'] }),
    )
    expect(() => data.split({ hash: [] } as never)).toThrow(refusal('ARGUMENT', { field: 'split.hash' }))
    expect(() => data.split({ hash: 'user', test: 0.5, seed: -1 })).toThrow(
      refusal('ARGUMENT', { field: 'split.seed', says: '-1' }),
    )
    expect(() => data.split({ hash: 'user' })).toThrow(refusal('ARGUMENT', { field: 'split', says: 'test' }))
    expect(() => data.split({ hash: 'usr', test: 0.5 })).toThrow(refusal('DATA', { column: 'usr', says: '"user"' }))
  })
})

describe('stratified', () => {
  it('shares out the rows of each value, those with the smallest hashes to test', () => {
    const data = drawn(30_000)
    const options = { stratify: 'like', by: ['id'], validation: 0.1, test: 0.2, seed: 9 }
    const split = ids(data.split(options))
    const { hashes } = atOnce(hashesOf(data.rows, [['id', data.column('id') as never]], 9))
    const likes = values(data, 'like')
    const expected: Record<string, number[]> = { train: [], validation: [], test: [] }
    for (const like of [0, 1, null]) {
      const rows = likes.flatMap((value, row) => (value === like ? [row] : []))
      rows.sort((one, other) => (hashes[one] as number) - (hashes[other] as number))
      const [testEnd, validationEnd] = [Math.round(0.2 * rows.length), Math.round((0.1 + 0.2) * rows.length)]
      expected['test']?.push(...rows.slice(0, testEnd))
      expected['validation']?.push(...rows.slice(testEnd, validationEnd))
      expected['train']?.push(...rows.slice(validationEnd))
    }
    for (const rows of Object.values(expected)) rows.sort((one, other) => one - other)
    expect(new Set(hashes).size).toBe(data.rows)
    expect(split).toEqual(expected)
  })

  it('keeps rows of one value with equal keys together', () => {
    const data = drawn(5000)
    const split = data.split({ stratify: 'share', by: ['user', 'name'], validation: 0.2, test: 0.2 })
    const partOf = new Map<string, string>()
    for (const part of ['train', 'validation', 'test'] as const) {
      const [share, user, name] = ['share', 'user', 'name'].map((column) => values(split[part], column))
      share?.forEach((value, row) => {
        const key = JSON.stringify([value, user?.[row], name?.[row]])
        expect(partOf.get(key) ?? part).toBe(part)
        partOf.set(key, part)
      })
    }
    expect(split.leftOut).toBe(0)
  })

  it.each<[string, unknown, Error]>([
    ['no key', { stratify: 'like', test: 0.1 }, refusal('ARGUMENT', { field: 'split.by' })],
    [
      'too many values',
      { stratify: 'id', by: 'id', test: 0.1 },
      refusal('DATA', { column: 'id', says: ['65536', 'few values'] }),
    ],
    [
      'keys that are all equal',
      { stratify: 'like', by: 'one', test: 0.1 },
      refusal('ARGUMENT', { field: 'split.test', says: ['1 keys', 'by'] }),
    ],
    ['a column that is not there', { stratify: 'lik', by: 'id', test: 0.1 }, refusal('DATA', { column: 'lik', says: '"like"' })],
  ])('refuses %s', (_, options, message) => {
    const rows = 70_000
    const data = Dataset.fromColumns({
      id: Int32Array.from({ length: rows }, (_, row) => row),
      like: Int32Array.from({ length: rows }, (_, row) => row % 2),
      one: new Int32Array(rows).fill(1),
    })
    expect(() => data.split(options as never)).toThrow(message)
  })
})

it('splitAsync ends when its signal is aborted', async () => {
  const data = drawn(10)
  await expect(data.splitAsync({ hash: 'id', test: 0.5 }, { signal: AbortSignal.abort() })).rejects.toThrow(refusal('ABORTED'))
  await expect(data.splitAsync({ hash: 'id', test: 0.5 }, { sginal: 1 } as never)).rejects.toThrow(
    refusal('ARGUMENT', { field: 'splitAsync.sginal' }),
  )
})
