import { describe, expect, it } from 'vitest'

import { type NumberColumn, rowsOf, rowValue, type StringColumn } from '../../lib/core/columns.js'
import { checkDataset, Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'

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

  it.each<[string, ColumnValues, string]>([
    ['no offsets', { items: [1], offsets: [] }, 'expected offsets[0] to be 0, found nothing'],
    ['a first offset', { items: [1], offsets: [1, 1] }, 'expected offsets[0] to be 0, found 1'],
    ['a fall', { items: [1, 2], offsets: [0, 2, 1, 2] }, 'expected offsets[2] to be an integer from 2, the one before, to 2'],
    [
      'one beyond the items',
      { items: [1, 2], offsets: [0, 3] },
      'expected offsets[1] to be an integer from 0, the one before, to 2',
    ],
    ['no integer', { items: [1, 2], offsets: [0, 1.5, 2] }, 'found 1.5'],
    ['no number', { items: [1], offsets: ['0', 1] as unknown as number[] }, 'expected offsets[0] to be 0, found "0"'],
    ['items left over', { items: [1, 2], offsets: [0, 1] }, 'expected offsets[1] to be 2, the number of items, found 1'],
    ['lists of lists', { items: [[1]] as unknown as number[], offsets: [0, 1] }, 'expected items that are numbers or texts'],
    ['no items', { offsets: [0] } as unknown as ColumnValues, 'expected an array, a typed array or { items, offsets }'],
  ])('names %s', (_, column, message) => {
    expect(() => Dataset.fromColumns({ a: column })).toThrow(
      expect.objectContaining({ code: 'ERR_MULTIGATE_DATA', message: expect.stringContaining(`column "a": `) }),
    )
    expect(() => Dataset.fromColumns({ a: column })).toThrow(message)
  })

  it.each<[string, Record<string, ColumnValues>, string]>([
    [
      'two kinds',
      { a: [null, 1, 'x'] as ColumnValues },
      'column "a", row 2: expected a number, as in the rows before, found "x"',
    ],
    ['a list among numbers', { a: [1, [2]] }, 'column "a", row 1: expected a number'],
    ['two kinds in a list', { a: [['x'], ['y', 2]] as ColumnValues }, 'column "a", row 1: expected a string'],
    [
      'a list in a list',
      { a: [[['x']]] as unknown as ColumnValues },
      'column "a", row 0: expected a number, a string, a date or null',
    ],
    [
      'a date that is none',
      { a: [new Date(0), new Date(NaN)] },
      'column "a", row 1: expected a date from the year 0 on, found an',
    ],
    [
      'a date before Christ',
      { a: [new Date(-1e14)] },
      'row 0: expected a date from the year 0 on, found a Date in the year -1199',
    ],
    [
      'dates among texts',
      { a: ['2024-01-02', new Date(0)] },
      'column "a", row 1: expected a string, as in the rows before, found',
    ],
    [
      'texts among dates',
      { a: [new Date(0), '2024-01-02'] },
      'row 1: expected a date, as in the rows before, found "2024-01-02"',
    ],
    [
      'a wrapped number',
      { a: [new Number(5)] as unknown as ColumnValues },
      'expected a number, a string, a date or null, found a N',
    ],
    ['a bigint that no float holds', { a: [2n ** 60n] }, 'pass ids beyond that as strings'],
    ['lengths', { a: [1, 2], b: [1] }, 'column "b": expected 2 rows, as "a" has, found 1'],
    ['no array', { a: 'abc' as unknown as ColumnValues }, 'expected an array, a typed array or { items, offsets }, found "abc"'],
    ['nothing', {}, 'at least one column'],
    ["memory that is another thread's now", { a: detached }, 'column "a": expected an array, found one whose memory was'],
  ])('names %s', (_, columns, message) => {
    expect(() => Dataset.fromColumns(columns)).toThrow(
      expect.objectContaining({ code: 'ERR_MULTIGATE_DATA', message: expect.stringContaining(message) }),
    )
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
    await expect(Dataset.fromRows([{ a: 1 }, 7 as never])).rejects.toThrow('row 1: expected an object')
  })
})

it.each<[string, () => Promise<unknown>, string]>([
  ['fromColumns', async () => Dataset.fromColumns(null as never), 'columns: expected an object of columns by name, found null'],
  [
    'fromColumns, of rows,',
    async () => Dataset.fromColumns([{ a: 1 }] as never),
    'columns: expected an object of columns by name, found [{ a }]; rows are for Dataset.fromRows',
  ],
  [
    'fromRows',
    () => Dataset.fromRows(undefined as never),
    'rows: expected an array of objects, or another iterable of them, found nothing',
  ],
  ['fromArrow', () => Dataset.fromArrow({} as never), "source: expected a table of apache-arrow, or Arrow's IPC bytes, found"],
  ['fromCsv', () => Dataset.fromCsv(undefined as never), 'path: expected the path of a file, or a file: URL, found nothing'],
  [
    'fromCsv, a symbol,',
    () => Dataset.fromCsv(Symbol('a.csv') as never),
    'path: expected the path of a file, or a file: URL, found Symbol(a.csv)',
  ],
  ['fromParquet', () => Dataset.fromParquet(''), 'path: expected the path of a file, or a file: URL, found ""'],
  ['fromQuery', () => Dataset.fromQuery(undefined as never), 'sql: expected a SELECT, found nothing'],
  [
    'the constructor',
    async () => new (Dataset as unknown as new (columns: unknown) => Dataset)({ a: [1] }),
    'columns: expected those that the library makes, found { a }; make a Dataset with Dataset.fromColumns',
  ],
])('%s names an argument that is none', async (_, make, message) => {
  await expect(make()).rejects.toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT', message: expect.stringContaining(message) })
})

it('values that are no data are errors, never missing', async () => {
  const wrong = { code: 'ERR_MULTIGATE_DATA', row: 1, column: 'a' }
  await expect(Dataset.fromRows([{ a: 1 }, { a: (() => 2) as never }])).rejects.toMatchObject(wrong)
  await expect(Dataset.fromRows([{ a: 1 }, { a: Symbol('a') as never }])).rejects.toMatchObject(wrong)
  expect(() => Dataset.fromColumns({ a: new DataView(new ArrayBuffer(8)) as never })).toThrow('column "a": expected an array')
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
      expect(() => part.columnPart('n', 0, part.rows + 1)).toThrow(`to: expected an integer in [0, ${part.rows}]`)
      expect(() => part.columnPart('n', -1, 0)).toThrow('from: expected an integer in [0')
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
      'split.validation[0]: expected a number below rowMod 10, found 10',
    ],
    [
      'one listed twice',
      { rowMod: 10, validation: [8], test: [9, 8] },
      'split.test[1]: expected each remainder once, found 8 already in validation',
    ],
    ['nothing to train on', { rowMod: 2, validation: [0], test: [1] }, 'left for training'],
    ['a wrong word', { rowMod: 2, valid: [0] }, "split.valid: unknown option; did you mean 'validation'"],
    ['a negative one', { rowMod: 2, test: [-1] }, 'split.test[0]: expected a number >= 0, found -1'],
  ])('refuses %s', (_, options, message) => {
    expect(() => data.split(options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_MULTIGATE_ARGUMENT', message: expect.stringContaining(message) }),
    )
  })

  it('names what is not there', () => {
    expect(() => data.column('N')).toThrow('no column "N" among the 3; the nearest are "n"')
    expect(() => data.select([0, 25])).toThrow('rowIndices[1]: expected a row in [0, 25), found 25')
    expect(() => data.select([0.5])).toThrow('rowIndices[0]')
    expect(() => data.select([Symbol('row') as never])).toThrow('rowIndices[0]: expected a row in [0, 25), found Symbol(row)')
    expect(() => data.select(3 as never)).toThrow('rowIndices: expected a list of row numbers, found 3')
    expect(() => data.column(3 as never)).toThrow('name: expected the name of a column, found 3')
    expect(() => data.select({ length: -1 })).toThrow('rowIndices.length: expected an integer in [0, 2147483647], found -1')
    expect(() => data.select({ length: 1e15 })).toThrow('rowIndices.length: expected')
    expect(() => data.select({ length: 2 })).toThrow('rowIndices[0]: expected a row in [0, 25), found nothing')
    expect(() => data.sourceRow(25)).toThrow('row: expected an integer in [0, 24], found 25')
    expect(() => data.slice(3, 3).sourceRow(0)).toThrow('row: expected')
    expect(() => data.slice(-1)).toThrow('start: expected an integer >= 0, found -1')
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
      expect(() => take(shell)).toThrow('expected a Dataset, found what copying leaves of one, without its columns')
      expect(() => take(foreign)).toThrow('expected a Dataset, found one of another copy of multigate; `npm ls multigate`')
    }
    expect(() => checkDataset('train', { a: [1] })).toThrow('train: expected a Dataset, found { a }; make a Dataset with')
    expect(() => Dataset.fromColumns(data as never)).toThrow('columns: expected an object of columns by name, found a Dataset')
    expect(checkDataset('train', data)).toBe(data)
  })
})
