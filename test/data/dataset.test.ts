// Datasets from columns and rows, their parts, and arguments that are none.

import { describe, expect, it } from 'vitest'

import { type NumberColumn, rowsOf, rowValue, type StringColumn } from '../../lib/core/columns.js'
import { checkDataset, Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { refusal } from '../support/refusal.js'

const values = (data: Dataset, name: string): unknown[] =>
  Array.from({ length: data.rows }, (_, row) => rowValue(data.column(name), row))

const detached = new Float32Array(2)
structuredClone(detached.buffer, { transfer: [detached.buffer] })

describe('fromColumns', () => {
  it('keeps numbers, texts and lists, and what is missing', () => {
    const data = Dataset.fromColumns({
      id: Int32Array.of(3, 1, 2),
      big: BigInt64Array.of(1n, -2n, 3n),
      price: [null, 1.5, NaN],
      flag: [true, undefined, false],
      city: ['b', null, ' b'],
      none: [null, null, null],
      tags: [['x', 'y'], null, ['y', null]],
      vectors: [Float32Array.of(1, 2), [], [3]],
    })
    expect(data.rows).toBe(3)
    expect(data.columnNames).toEqual(['id', 'big', 'price', 'flag', 'city', 'none', 'tags', 'vectors'])
    expect(values(data, 'id')).toEqual([3, 1, 2])
    expect(values(data, 'big')).toEqual([1, -2, 3])
    expect(values(data, 'price')).toEqual([null, 1.5, null])
    expect(values(data, 'flag')).toEqual([1, null, 0])
    expect(values(data, 'city')).toEqual(['b', null, ' b'])
    expect(data.column('none')).toEqual({ kind: 'number', values: new Float64Array(3).fill(NaN) })
    expect(values(data, 'tags')).toEqual([['x', 'y'], [], ['y', null]])
    expect(values(data, 'vectors')).toEqual([[1, 2], [], [3]])
  })

  it('copies what it takes', () => {
    const source = Float64Array.of(1, 2)
    const data = Dataset.fromColumns({ x: source })
    source[0] = 9
    expect(values(data, 'x')).toEqual([1, 2])
  })

  it('keeps numbers in as few bytes as hold them', () => {
    const data = Dataset.fromColumns({
      ints: Int32Array.of(3, -1, 2 ** 31 - 1),
      floats: Float32Array.of(1.5, NaN, 0.1),
      whole: [3, -1, 2],
      bytes: Uint8Array.of(1, 2, 255),
      large: Float64Array.of(1, 2, 2 ** 31),
      missing: [1, null, 2],
    })
    const kinds = data.columnNames.map((name) => (data.column(name) as NumberColumn).values.constructor.name)
    expect(kinds).toEqual(['Int32Array', 'Float32Array', 'Int32Array', 'Int32Array', 'Float64Array', 'Float64Array'])
    expect(values(data, 'floats')).toEqual([1.5, null, Math.fround(0.1)])
    expect(values(data.select([2, 0]), 'large')).toEqual([2 ** 31, 1])
  })

  it('takes lists laid flat', () => {
    const items = Int32Array.of(7, 9, 4)
    const data = Dataset.fromColumns({
      ids: { items, offsets: Int32Array.of(0, 2, 2, 3) },
      texts: { items: ['b', null, 'a'], offsets: [0, 0, 1, 3] },
    })
    items[0] = 8
    expect(values(data, 'ids')).toEqual([[7, 9], [], [4]])
    expect(values(data, 'texts')).toEqual([[], ['b'], [null, 'a']])
    expect(data.column('ids')).toEqual(Dataset.fromColumns({ ids: [[7, 9], [], [4]] }).column('ids'))
  })

  it.each<[string, ColumnValues, Error]>([
    ['no offsets', { items: [1], offsets: [] }, refusal('DATA', { column: 'a', says: ['offsets[0]', '0'] })],
    ['a first offset', { items: [1], offsets: [1, 1] }, refusal('DATA', { column: 'a', says: ['offsets[0]', '0', '1'] })],
    ['a fall', { items: [1, 2], offsets: [0, 2, 1, 2] }, refusal('DATA', { column: 'a', says: ['offsets[2]', '2'] })],
    [
      'one beyond the items',
      { items: [1, 2], offsets: [0, 3] },
      refusal('DATA', { column: 'a', says: ['offsets[1]', '0', '2'] }),
    ],
    ['no integer', { items: [1, 2], offsets: [0, 1.5, 2] }, refusal('DATA', { column: 'a', says: '1.5' })],
    [
      'no number',
      { items: [1], offsets: ['0', 1] as unknown as number[] },
      refusal('DATA', { column: 'a', says: ['offsets[0]', '0', '"0"'] }),
    ],
    ['items left over', { items: [1, 2], offsets: [0, 1] }, refusal('DATA', { column: 'a', says: ['offsets[1]', '2', '1'] })],
    ['lists of lists', { items: [[1]] as unknown as number[], offsets: [0, 1] }, refusal('DATA', { column: 'a' })],
    ['no items', { offsets: [0] } as unknown as ColumnValues, refusal('DATA', { column: 'a' })],
  ])('names %s', (_, column, message) => {
    expect(() => Dataset.fromColumns({ a: column })).toThrow(refusal('DATA', { column: 'a' }))
    expect(() => Dataset.fromColumns({ a: column })).toThrow(message)
  })

  it.each<[string, Record<string, ColumnValues>, Error]>([
    ['two kinds', { a: [null, 1, 'x'] as ColumnValues }, refusal('DATA', { column: 'a', row: 2, value: 'x' })],
    ['a list among numbers', { a: [1, [2]] }, refusal('DATA', { column: 'a', row: 1 })],
    ['two kinds in a list', { a: [['x'], ['y', 2]] as ColumnValues }, refusal('DATA', { column: 'a', row: 1 })],
    ['a list in a list', { a: [[['x']]] as unknown as ColumnValues }, refusal('DATA', { column: 'a', row: 0 })],
    ['a date that is none', { a: [new Date(0), new Date(NaN)] }, refusal('DATA', { column: 'a', row: 1, says: '0' })],
    ['a date before Christ', { a: [new Date(-1e14)] }, refusal('DATA', { column: 'a', row: 0, says: ['Date', '-1199'] })],
    ['dates among texts', { a: ['2024-01-02', new Date(0)] }, refusal('DATA', { column: 'a', row: 1 })],
    ['texts among dates', { a: [new Date(0), '2024-01-02'] }, refusal('DATA', { column: 'a', row: 1, value: '2024-01-02' })],
    [
      'a wrapped number',
      { a: [new Number(5)] as unknown as ColumnValues },
      refusal('DATA', { column: 'a', row: 0, says: 'Number' }),
    ],
    ['a bigint that no float holds', { a: [2n ** 60n] }, refusal('DATA', { column: 'a', row: 0 })],
    ['lengths', { a: [1, 2], b: [1] }, refusal('DATA', { column: 'b', says: ['2', '"a"', '1'] })],
    ['no array', { a: 'abc' as unknown as ColumnValues }, refusal('DATA', { column: 'a', says: '"abc"' })],
    ['nothing', {}, refusal('DATA')],
    ["memory that is another thread's now", { a: detached }, refusal('DATA', { column: 'a' })],
  ])('names %s', (_, columns, message) => {
    expect(() => Dataset.fromColumns(columns)).toThrow(message)
  })
})

describe('fromRows', () => {
  it('takes any iterable; a key that comes late or goes is missing', async () => {
    async function* rows(): AsyncGenerator<Record<string, number | string>> {
      yield { a: 1 }
      yield { a: 2, b: 'x' }
      yield { b: 'y' }
    }
    for (const data of [await Dataset.fromRows(rows()), await Dataset.fromRows([{ a: 1 }, { a: 2, b: 'x' }, { b: 'y' }])]) {
      expect(values(data, 'a')).toEqual([1, 2, null])
      expect(values(data, 'b')).toEqual([null, 'x', 'y'])
    }
  })

  it('names the row and column of a wrong value', async () => {
    await expect(Dataset.fromRows([{ a: 1 }, { a: 'x' }])).rejects.toMatchObject({
      code: 'ERR_MULTIGATE_DATA',
      row: 1,
      column: 'a',
      value: 'x',
    })
    await expect(Dataset.fromRows([{ a: 1 }, 7 as never])).rejects.toThrow(refusal('DATA', { row: 1 }))
  })
})

it.each<[string, () => Promise<unknown>, Error]>([
  ['fromColumns', async () => Dataset.fromColumns(null as never), refusal('ARGUMENT', { field: 'columns' })],
  [
    'fromColumns, of rows,',
    async () => Dataset.fromColumns([{ a: 1 }] as never),
    refusal('ARGUMENT', { field: 'columns', says: 'Dataset.fromRows' }),
  ],
  ['fromRows', () => Dataset.fromRows(undefined as never), refusal('ARGUMENT', { field: 'rows' })],
  ['fromArrow', () => Dataset.fromArrow({} as never), refusal('ARGUMENT', { field: 'source', says: 'IPC' })],
  ['fromCsv', () => Dataset.fromCsv(undefined as never), refusal('ARGUMENT', { field: 'path', says: 'URL' })],
  [
    'fromCsv, a symbol,',
    () => Dataset.fromCsv(Symbol('a.csv') as never),
    refusal('ARGUMENT', { field: 'path', says: ['URL', 'Symbol(a.csv)'] }),
  ],
  ['fromParquet', () => Dataset.fromParquet(''), refusal('ARGUMENT', { field: 'path', says: ['URL', '""'] })],
  ['fromQuery', () => Dataset.fromQuery(undefined as never), refusal('ARGUMENT', { field: 'sql', says: 'SELECT' })],
  [
    'the constructor',
    async () => new (Dataset as unknown as new (columns: unknown) => Dataset)({ a: [1] }),
    refusal('ARGUMENT', { field: 'columns', says: 'Dataset.fromColumns' }),
  ],
])('%s names an argument that is none', async (_, make, message) => {
  await expect(make()).rejects.toThrow(message)
})

it('values that are no data are errors, never missing', async () => {
  const wrong = { code: 'ERR_MULTIGATE_DATA', row: 1, column: 'a' }
  await expect(Dataset.fromRows([{ a: 1 }, { a: (() => 2) as never }])).rejects.toMatchObject(wrong)
  await expect(Dataset.fromRows([{ a: 1 }, { a: Symbol('a') as never }])).rejects.toMatchObject(wrong)
  expect(() => Dataset.fromColumns({ a: new DataView(new ArrayBuffer(8)) as never })).toThrow(refusal('DATA', { column: 'a' }))
})

describe('parts of a dataset', () => {
  const data = Dataset.fromColumns({
    n: Array.from({ length: 25 }, (_, row) => row),
    s: Array.from({ length: 25 }, (_, row) => `t${row % 3}`),
    l: Array.from({ length: 25 }, (_, row) => Array.from({ length: row % 4 }, (_, item) => row * 10 + item)),
  })
  const rowsOfPart = (part: Dataset): unknown[] =>
    values(part, 'n').map((n, row) => [n, rowValue(part.column('s'), row), rowValue(part.column('l'), row)])
  const whole = rowsOfPart(data)

  it('slice and select keep rows together', () => {
    expect(rowsOfPart(data.slice(5, 9))).toEqual(whole.slice(5, 9))
    expect(rowsOfPart(data.slice(5, 20).slice(3, 7))).toEqual(whole.slice(8, 12))
    expect(rowsOfPart(data.slice(23, 99))).toEqual(whole.slice(23))
    expect(data.slice(7, 7).rows).toBe(0)
    const picked = [24, 3, 3, 0, 7]
    expect(rowsOfPart(data.select(picked))).toEqual(picked.map((row) => whole[row]))
    expect(rowsOfPart(data.slice(2).select([1, 5]))).toEqual([whole[3], whole[7]])
  })

  it('know which rows of all theirs are', () => {
    const { train, test } = data.split({ rowMod: 10, validation: [8], test: [9] })
    const picked = data.slice(3).select([5, 1, 5])
    for (const part of [data, train, test, train.slice(2, 9), picked, picked.slice(1)]) {
      const rows = Array.from({ length: part.rows }, (_, row) => part.sourceRow(row))
      expect(rows).toEqual(values(part, 'n'))
    }
  })

  it('splits by row number', () => {
    const { train, validation, test } = data.split({ rowMod: 10, validation: [8], test: [9] })
    expect(values(validation, 'n')).toEqual([8, 18])
    expect(values(test, 'n')).toEqual([9, 19])
    expect(rowsOfPart(train)).toEqual(whole.filter((_, row) => row % 10 < 8))
    expect(data.split({ rowMod: 2, test: [1] }).validation.rows).toBe(0)
  })

  it('reads some rows of a column alone, as the whole part has them', () => {
    const { train } = data.split({ rowMod: 10, validation: [8], test: [9] })
    for (const part of [data, data.slice(3, 20), train, train.slice(2), data.select([24, 3, 3, 0, 7])]) {
      for (const name of ['n', 's', 'l']) {
        const column = part.columnPart(name, 1, 4)
        const rows = Array.from({ length: rowsOf(column) }, (_, row) => rowValue(column, row))
        expect(rows).toEqual(values(part, name).slice(1, 4))
        if (column.kind === 'string') expect(column.dictionary).toBe((data.column('s') as StringColumn).dictionary)
      }
      expect(rowsOf(part.columnPart('l', part.rows, part.rows))).toBe(0)
      expect(() => part.columnPart('n', 0, part.rows + 1)).toThrow(refusal('ARGUMENT', { field: 'to', says: String(part.rows) }))
      expect(() => part.columnPart('n', -1, 0)).toThrow(refusal('ARGUMENT', { field: 'from', says: '0' }))
    }
  })

  it('copies no column before it is asked for, and the same one while it is in use', () => {
    const { train } = data.split({ rowMod: 10, test: [9] })
    expect(train.column('n')).toBe(train.column('n'))
    expect(data.slice(0).column('l')).toBe(data.column('l'))
    const [whole, part] = [data.column('n'), data.slice(5, 9).column('n')] as NumberColumn[]
    expect(part?.values.buffer).toBe(whole?.values.buffer)
  })

  it.each([
    [
      'a remainder that never comes',
      { rowMod: 10, validation: [10] },
      refusal('ARGUMENT', { field: 'split.validation[0]', says: ['rowMod', '10'] }),
    ],
    [
      'one listed twice',
      { rowMod: 10, validation: [8], test: [9, 8] },
      refusal('ARGUMENT', { field: 'split.test[1]', says: '8' }),
    ],
    ['nothing to train on', { rowMod: 2, validation: [0], test: [1] }, refusal('ARGUMENT', { field: 'split', says: 'training' })],
    ['a wrong word', { rowMod: 2, valid: [0] }, refusal('ARGUMENT', { field: 'split.valid', says: "'validation'" })],
    ['a negative one', { rowMod: 2, test: [-1] }, refusal('ARGUMENT', { field: 'split.test[0]', says: ['0', '-1'] })],
  ])('refuses %s', (_, options, message) => {
    expect(() => data.split(options as never)).toThrow(message)
  })

  it('names what is not there', () => {
    expect(() => data.column('N')).toThrow(refusal('DATA', { column: 'N', says: ['3', '"n"'] }))
    expect(() => data.select([0, 25])).toThrow(refusal('ARGUMENT', { field: 'rowIndices[1]', says: ['[0, 25)', '25'] }))
    expect(() => data.select([0.5])).toThrow(refusal('ARGUMENT', { field: 'rowIndices[0]' }))
    expect(() => data.select([Symbol('row') as never])).toThrow(
      refusal('ARGUMENT', { field: 'rowIndices[0]', says: ['[0, 25)', 'Symbol(row)'] }),
    )
    expect(() => data.select(3 as never)).toThrow(refusal('ARGUMENT', { field: 'rowIndices', says: '3' }))
    expect(() => data.column(3 as never)).toThrow(refusal('ARGUMENT', { field: 'name', says: '3' }))
    expect(() => data.select({ length: -1 })).toThrow(
      refusal('ARGUMENT', { field: 'rowIndices.length', says: ['[0, 2147483647]', '-1'] }),
    )
    expect(() => data.select({ length: 1e15 })).toThrow(refusal('ARGUMENT', { field: 'rowIndices.length' }))
    expect(() => data.select({ length: 2 })).toThrow(refusal('ARGUMENT', { field: 'rowIndices[0]', says: '[0, 25)' }))
    expect(() => data.sourceRow(25)).toThrow(refusal('ARGUMENT', { field: 'row', says: ['[0, 24]', '25'] }))
    expect(() => data.slice(3, 3).sourceRow(0)).toThrow(refusal('ARGUMENT', { field: 'row' }))
    expect(() => data.slice(-1)).toThrow(refusal('ARGUMENT', { field: 'start', says: ['0', '-1'] }))
    expect(data.has('n')).toBe(true)
    expect(data.has('N')).toBe(false)
  })
})

describe('what was a dataset', () => {
  const data = Dataset.fromColumns({ a: [1, 2] })

  it('cannot be cloned, and the error says why', () => {
    for (const part of [data, data.slice(1)]) expect(() => structuredClone(part)).toThrow('aDatasetCannotBeCloned')
  })

  it('is refused by name where a copy arrives nevertheless, or one of another copy of the package', () => {
    const brand = Symbol.for('multigate.Dataset')
    expect(brand in data).toBe(true)
    const shell = JSON.parse(JSON.stringify(data)) as never
    const foreign = { [brand]: true } as never
    for (const take of [(value: never) => checkDataset('train', value), (value: never) => Dataset.fromColumns(value)]) {
      expect(() => take(shell)).toThrow(refusal('ARGUMENT'))
      expect(() => take(foreign)).toThrow(refusal('ARGUMENT', { says: '`npm ls multigate`' }))
    }
    expect(() => checkDataset('train', { a: [1] })).toThrow(refusal('ARGUMENT', { field: 'train' }))
    expect(() => Dataset.fromColumns(data as never)).toThrow(refusal('ARGUMENT', { field: 'columns', says: 'Dataset' }))
    expect(checkDataset('train', data)).toBe(data)
  })
})
