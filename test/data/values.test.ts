// What values in memory stand for and how they are kept, those of other realms too.

import { runInNewContext } from 'node:vm'

import { describe, expect, it } from 'vitest'

import { type Column, type ListColumn, type NumberColumn, rowValue, valueTypeOf } from '../../lib/core/columns.js'
import { ColumnBuilder } from '../../lib/data/builder.js'
import { Dataset } from '../../lib/data/dataset.js'
import { refusal } from '../support/refusal.js'

const values = (data: Dataset, name: string): unknown[] =>
  Array.from({ length: data.rows }, (_, row) => rowValue(data.column(name), row))
const itemsOf = (column: Column): NumberColumn => (column as ListColumn).items as NumberColumn

describe('what values stand for', () => {
  const of = (column: Column): string => valueTypeOf(column.kind === 'list' ? column.items : column)

  it('booleans and dates are known from numbers and texts', async () => {
    const columns = {
      flag: [true, null, false],
      mixed: [true, 0, 1],
      day: [new Date('2024-01-02'), null, new Date('2024-01-02T03:04:05.6Z')],
      text: ['2024-01-02', null, 'true'],
      flags: [[true], [], [false, null]],
      days: [[new Date(0)], null, []],
      nothing: [null, undefined, NaN],
    }
    const rows = [0, 1, 2].map((row) => Object.fromEntries(Object.entries(columns).map(([name, list]) => [name, list[row]])))
    for (const data of [Dataset.fromColumns(columns), await Dataset.fromRows(rows as never)]) {
      const found = data.columnNames.map((name) => of(data.column(name)))
      expect(found).toEqual(['boolean', 'number', 'date', 'string', 'boolean', 'date', 'number'])
      expect(values(data, 'flag')).toEqual([1, null, 0])
      expect(values(data, 'mixed')).toEqual([1, 0, 1])
      expect(values(data, 'day')).toEqual(['2024-01-02', null, '2024-01-02 03:04:05.6'])
      expect(values(data, 'flags')).toEqual([[1], [], [0, null]])
      expect(values(data, 'days')).toEqual([['1970-01-01'], [], []])
      for (const part of [data.slice(1), data.select([2, 0]), data.split({ rowMod: 3, test: [1] }).train]) {
        expect(part.columnNames.map((name) => of(part.column(name)))).toEqual(found)
      }
    }
  })

  it('dates of any year that has a text', () => {
    const data = Dataset.fromColumns({ day: [new Date('0001-02-03'), new Date('+012345-01-01T00:00:00.001Z')] })
    expect(values(data, 'day')).toEqual(['0001-02-03', '12345-01-01 00:00:00.001'])
  })
})

describe('how numbers are kept', () => {
  it.each<[string, readonly unknown[], NumberColumn['values']]>([
    ['Float32Arrays', [Float32Array.of(1, 2), Float32Array.of(), Float32Array.of(0.1)], Float32Array.of(1, 2, 0.1)],
    ['Float32Arrays and numbers that they hold', [Float32Array.of(1.5), [2, null]], Float32Array.of(1.5, 2, NaN)],
    ['Float32Arrays and others', [Float32Array.of(1.5), [0.1]], Float64Array.of(1.5, 0.1)],
    ['Int32Arrays', [Int32Array.of(2 ** 31 - 1), Uint8Array.of(3)], Int32Array.of(2 ** 31 - 1, 3)],
    [
      'Int32Arrays and Float32Arrays',
      [Int32Array.of(2 ** 24 + 1), Float32Array.of(0.1)],
      Float64Array.of(2 ** 24 + 1, Math.fround(0.1)),
    ],
    ['integers and more', [Uint32Array.of(7, 2 ** 32 - 1), Float64Array.of(-0.5)], Float64Array.of(7, 2 ** 32 - 1, -0.5)],
    ['64-bit integers', [BigInt64Array.of(-7n), BigUint64Array.of(9n)], Int32Array.of(-7, 9)],
    ['booleans and typed arrays', [[true], Int8Array.of(1)], Int32Array.of(1, 1)],
  ])('lists of %s', (_, lists, all) => {
    const items = itemsOf(Dataset.fromColumns({ a: lists as never }).column('a'))
    expect(items).toEqual({ kind: 'number', values: all })
  })

  it('a 64-bit integer beyond 2^53 names its row', () => {
    const big = BigInt64Array.of(2n ** 53n - 1n, 2n ** 53n)
    expect(() => Dataset.fromColumns({ id: big })).toThrow(
      expect.objectContaining({ code: 'ERR_MULTIGATE_DATA', column: 'id', row: 1, value: 2n ** 53n }),
    )
    expect(values(Dataset.fromColumns({ id: big.subarray(0, 1) }), 'id')).toEqual([2 ** 53 - 1])
  })

  it('many values are the same as few', async () => {
    const count = 2 ** 19 + 3
    const row = (index: number) => ({ n: index / 2, s: `t${index % 90_001}`, l: [index] })
    const data = await Dataset.fromRows(
      (function* () {
        for (let index = 0; index < count; index += 1) yield row(index)
      })(),
    )
    expect(data.rows).toBe(count)
    for (const index of [0, 15, 16, 17, 65_536, 90_001, 2 ** 18 - 1, 2 ** 18, count - 1]) {
      const found = ['n', 's', 'l'].map((name) => rowValue(data.columnPart(name, index, index + 1), 0))
      expect(found).toEqual(Object.values(row(index)))
    }
  })
})

it('names the row where a column has more values than can be numbered', () => {
  const limited = new ColumnBuilder('a', { rows: 3, items: 4 })
  for (const list of [[1, 2], Float32Array.of(3)]) limited.append(list)
  const error = (message: string) => expect.objectContaining({ code: 'ERR_MULTIGATE_DATA', column: 'a', row: 2, message })
  const items = 'column "a", row 2: expected at most 4 items in all lists together, found more'
  expect(() => limited.append(Float32Array.of(4, 5))).toThrow(error(items))
  expect(() => limited.append([4, 5])).toThrow(error(items))
  const rows = new ColumnBuilder('a', { rows: 2, items: 4 })
  for (const value of [1, null]) rows.append(value)
  expect(() => rows.append(2)).toThrow(error('column "a", row 2: expected at most 2 rows, found more'))
  expect(() => Dataset.fromColumns({ a: new Array(2 ** 32 - 1) as never })).toThrow(
    'expected at most 2147483647 rows, found 4294967295',
  )
})

describe('other realms', () => {
  const foreign = (code: string): never => runInNewContext(code) as never

  it('arrays, typed arrays and dates of another realm are as ours', async () => {
    const columns = {
      f32: foreign('Float32Array.of(0.1, 2)'),
      i32: foreign('Int32Array.of(1, 2)'),
      f64: foreign('Float64Array.of(0.5, 2)'),
      big: foreign('BigInt64Array.of(1n, 2n)'),
      ubig: foreign('BigUint64Array.of(1n, 2n)'),
      list: foreign('["a", null]'),
      flat: foreign('({ items: Uint8Array.of(1, 2, 3), offsets: Int32Array.of(0, 1, 3) })'),
      lists: foreign('[Float32Array.of(1.5), BigInt64Array.of(2n)]'),
      days: foreign('[new Date(0), new Date(86400000)]'),
    }
    const data = Dataset.fromColumns(columns)
    expect(data.column('f32')).toEqual({ kind: 'number', values: Float32Array.of(0.1, 2) })
    expect(data.columnNames.map((name) => values(data, name))).toEqual([
      [Math.fround(0.1), 2],
      [1, 2],
      [0.5, 2],
      [1, 2],
      [1, 2],
      ['a', null],
      [[1], [2, 3]],
      [[1.5], [2]],
      ['1970-01-01', '1970-01-02'],
    ])
    expect(data.select(foreign('Int32Array.of(1)')).rows).toBe(1)
    expect(Dataset.fromColumns(foreign('({ a: [1] })')).rows).toBe(1)
    expect((await Dataset.fromRows(foreign('[{ a: 1 }]'))).rows).toBe(1)
    expect((await Dataset.fromRows(foreign('new Set([{ a: 1 }])'))).rows).toBe(1)
  })

  it.each([
    ['new Map([["a", 1]])', 'Map'],
    ['new ArrayBuffer(8)', 'ArrayBuffer'],
    ['new DataView(new ArrayBuffer(8))', 'DataView'],
  ])('%s is refused by name', (code, says) => {
    const message = refusal('DATA', { column: 'a', says })
    expect(() => Dataset.fromColumns({ a: foreign(code) })).toThrow(message)
    expect(() => Dataset.fromColumns({ a: [foreign(code)] })).toThrow(message)
  })
})

it('columns may have any name', async () => {
  const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf']
  const rows = JSON.parse(`[${[1, 2].map((n) => `{${names.map((name) => `"${name}":${n}`).join(',')}}`)}]`)
  const columns = JSON.parse(`{${names.map((name) => `"${name}":[1,2]`).join(',')}}`)
  for (const data of [await Dataset.fromRows(rows), Dataset.fromColumns(columns)]) {
    expect(data.columnNames).toEqual(names)
    for (const name of names) expect(values(data, name)).toEqual([1, 2])
  }
  const plain = Dataset.fromColumns({ a: [1] })
  for (const name of names) expect(plain.has(name)).toBe(false)
  expect((await Dataset.fromRows([Object.assign(Object.create({ inherited: 1 }), { a: 1 })])).columnNames).toEqual(['a'])
})
