// Datasets from Arrow tables and bytes: every type of a column, and those that are refused.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  Binary,
  Bool,
  type DataType,
  DateDay,
  DateMillisecond,
  Decimal,
  Dictionary,
  Field,
  FixedSizeList,
  Float16,
  Float32,
  Float64,
  Int8,
  Int32,
  Int64,
  LargeList,
  LargeUtf8,
  List,
  makeData,
  makeVector,
  Null,
  Table,
  TimeMicrosecond,
  TimeSecond,
  TimestampMicrosecond,
  TimestampMillisecond,
  TimestampNanosecond,
  TimestampSecond,
  tableFromArrays,
  tableToIPC,
  Uint64,
  Utf8,
  Utf8View,
  type Vector,
  vectorFromArray,
} from 'apache-arrow'
import { afterAll, describe, expect, it } from 'vitest'

import { type Column, rowValue, valueTypeOf } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'
import { usingDuckDB } from '../../lib/data/duckdb.js'
import { refusal } from '../support/refusal.js'

const values = (data: Dataset, name: string): unknown[] =>
  Array.from({ length: data.rows }, (_, row) => rowValue(data.column(name), row))

const table = tableFromArrays({
  f64: Float64Array.of(1.5, 2, 3),
  i32: Int32Array.of(1, -2, 3),
  i64: BigInt64Array.of(1n, 2n, 3n),
  text: ['a', 'b', 'a'],
})
const more = table.assign(
  tableFromArrays({
    holes: vectorFromArray([1, null, 3]) as never,
    flag: vectorFromArray([true, false, null]) as never,
    tags: vectorFromArray([['x', 'y'], [], ['z']], new List(new Field('item', new Utf8()))) as never,
    ids: vectorFromArray([[1, 2], [3], []], new List(new Field('item', new Float64()))) as never,
  }),
)

it.each([
  ['a table', () => more],
  ['a stream', () => tableToIPC(more, 'stream')],
  ['a file', () => tableToIPC(more, 'file')],
])('fromArrow reads %s', async (_, make) => {
  const data = await Dataset.fromArrow(make() as Uint8Array)
  expect(data.columnNames).toEqual(['f64', 'i32', 'i64', 'text', 'holes', 'flag', 'tags', 'ids'])
  expect(values(data, 'f64')).toEqual([1.5, 2, 3])
  expect(values(data, 'i32')).toEqual([1, -2, 3])
  expect(values(data, 'i64')).toEqual([1, 2, 3])
  expect(values(data, 'text')).toEqual(['a', 'b', 'a'])
  expect(values(data, 'holes')).toEqual([1, null, 3])
  expect(values(data, 'flag')).toEqual([1, 0, null])
  expect(values(data, 'tags')).toEqual([['x', 'y'], [], ['z']])
  expect(values(data, 'ids')).toEqual([[1, 2], [3], []])
})

it('names a column that is none of these, and bytes that are no Arrow', async () => {
  const bytes = tableFromArrays({ b: vectorFromArray([Uint8Array.of(1)], new Binary()) as never })
  const message = refusal('DATA', { column: 'b' })
  await expect(Dataset.fromArrow(bytes as never)).rejects.toThrow(message)
  await expect(Dataset.fromArrow(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))).rejects.toMatchObject({ code: 'ERR_MULTIGATE_DATA' })
})

it('refuses two columns of one name', async () => {
  const [one, two] = [tableFromArrays({ a: Int32Array.of(1) }), tableFromArrays({ a: Int32Array.of(2) })]
  const both = { schema: { fields: [...one.schema.fields, ...two.schema.fields] }, numRows: 1, getChild: () => one.getChild('a') }
  await expect(Dataset.fromArrow(both as never)).rejects.toThrow(refusal('DATA', { column: 'a' }))
})

const of = (list: readonly unknown[], type: DataType): Vector => vectorFromArray(list as never, type as never) as never
const listOf = (type: DataType) => new List(new Field('item', type))
const raw = (type: DataType, data: unknown, length: number): Vector => makeVector({ type, length, data } as never) as never
const typeOf = (column: Column): string => valueTypeOf(column.kind === 'list' ? column.items : column)
const long = 'a text of more than twelve bytes'
const views = (): Vector => {
  const bytes = new Uint8Array(48)
  const view = new DataView(bytes.buffer)
  view.setInt32(0, 2, true)
  bytes.set([0x62, 0xff], 4)
  bytes.set(new TextEncoder().encode('é'), 4)
  view.setInt32(32, long.length, true)
  view.setInt32(44, 3, true)
  const variadicBuffers = [new TextEncoder().encode(`xyz${long}`)]
  const nullBitmap = Uint8Array.of(0b101)
  return makeVector(makeData({ type: new Utf8View(), length: 3, views: bytes, variadicBuffers, nullBitmap } as never)) as never
}
const day = 86_400_000
const moment = Date.UTC(2024, 0, 2, 3, 4, 5)
const micros = BigInt(moment) * 1000n
const words = (...values: bigint[]): Uint32Array =>
  Uint32Array.from(values.flatMap((value) => [0n, 32n, 64n, 96n].map((shift) => Number((value >> shift) & 0xffff_ffffn))))

/** Column, how Arrow has it, the same in SQL, what the values stand for, the values. Three rows. */
const cases: [string, Vector, string, string, unknown[]][] = [
  ['flag', of([true, null, false], new Bool()), 'BOOLEAN: true, NULL, false', 'boolean', [1, null, 0]],
  ['no_flag', of([null, null, null], new Bool()), 'BOOLEAN: NULL, NULL, NULL', 'boolean', [null, null, null]],
  ['i8', of([1, null, -3], new Int8()), 'TINYINT: 1, NULL, -3', 'number', [1, null, -3]],
  ['f32', of([0.1, null, 2], new Float32()), 'FLOAT: 0.1, NULL, 2', 'number', [Math.fround(0.1), null, 2]],
  ['f64', of([0.1, null, 2], new Float64()), 'DOUBLE: 0.1, NULL, 2', 'number', [0.1, null, 2]],
  ['i64', of([2n ** 53n - 1n, null, -1n], new Int64()), 'BIGINT: 9007199254740991, NULL, -1', 'number', [2 ** 53 - 1, null, -1]],
  [
    'big',
    of([2n ** 53n + 1n, null, 7n], new Int64()),
    'BIGINT: 9007199254740993, NULL, 7',
    'string',
    ['9007199254740993', null, '7'],
  ],
  [
    'unsigned',
    of([2n ** 64n - 1n, null, 7n], new Uint64()),
    'UBIGINT: 18446744073709551615, NULL, 7',
    'string',
    ['18446744073709551615', null, '7'],
  ],
  ['price', raw(new Decimal(2, 10), words(150n, -1n, 0n), 3), 'DECIMAL(10,2): 1.50, -0.01, 0', 'number', [1.5, -0.01, 0]],
  ['exact', raw(new Decimal(2, 30), words(150n, -1n, 0n), 3), 'DECIMAL(30,2): 1.50, -0.01, 0', 'number', [1.5, -0.01, 0]],
  [
    'wide',
    raw(new Decimal(1, 38), words(-(10n ** 20n), 5n, 12n), 3),
    'DECIMAL(38,1): -10000000000000000000.0, 0.5, 1.2',
    'string',
    ['-10000000000000000000.0', '0.5', '1.2'],
  ],
  ['text', of(['b', null, ' \ufeffa'], new Utf8()), "VARCHAR: 'b', NULL, ' \ufeffa'", 'string', ['b', null, ' \ufeffa']],
  ['large', of(['b', null, ''], new LargeUtf8()), "VARCHAR: 'b', NULL, ''", 'string', ['b', null, '']],
  ['view', views(), `VARCHAR: 'é', NULL, '${long}'`, 'string', ['é', null, long]],
  ['no_text', of([null, null, null], new Utf8()), 'VARCHAR: NULL, NULL, NULL', 'string', [null, null, null]],
  ['coded', of(['b', null, 'b'], new Dictionary(new Utf8(), new Int32())), "VARCHAR: 'b', NULL, 'b'", 'string', ['b', null, 'b']],
  [
    'day',
    of([new Date(0), null, new Date(-day)], new DateDay()),
    "DATE: '1970-01-01', NULL, '1969-12-31'",
    'date',
    ['1970-01-01', null, '1969-12-31'],
  ],
  [
    'date64',
    of([new Date(day), null, new Date(0)], new DateMillisecond()),
    "DATE: '1970-01-02', NULL, '1970-01-01'",
    'date',
    ['1970-01-02', null, '1970-01-01'],
  ],
  [
    'seconds',
    of([moment, null, 0], new TimestampSecond()),
    "TIMESTAMP_S: '2024-01-02 03:04:05', NULL, '1970-01-01'",
    'date',
    ['2024-01-02 03:04:05', null, '1970-01-01'],
  ],
  [
    'milliseconds',
    of([moment + 60, null, -1], new TimestampMillisecond('UTC')),
    "TIMESTAMPTZ: '2024-01-02 03:04:05.06Z', NULL, '1969-12-31 23:59:59.999Z'",
    'date',
    ['2024-01-02 03:04:05.06', null, '1969-12-31 23:59:59.999'],
  ],
  [
    'microseconds',
    raw(new TimestampMicrosecond(), BigInt64Array.of(micros + 123_456n, -1n, 0n), 3),
    "TIMESTAMP: '2024-01-02 03:04:05.123456', '1969-12-31 23:59:59.999999', '1970-01-01'",
    'date',
    ['2024-01-02 03:04:05.123456', '1969-12-31 23:59:59.999999', '1970-01-01'],
  ],
  [
    'nanoseconds',
    raw(new TimestampNanosecond(), BigInt64Array.of(micros * 1000n + 123_456_789n, 0n, 1n), 3),
    "TIMESTAMP_NS: '2024-01-02 03:04:05.123456789', '1970-01-01', '1970-01-01 00:00:00.000000001'",
    'date',
    ['2024-01-02 03:04:05.123456789', '1970-01-01', '1970-01-01 00:00:00.000000001'],
  ],
  [
    'time',
    raw(new TimeMicrosecond(), BigInt64Array.of(11_045_500_000n, 0n, 86_399_999_999n), 3),
    "TIME: '03:04:05.5', '00:00:00', '23:59:59.999999'",
    'string',
    ['03:04:05.5', '00:00:00', '23:59:59.999999'],
  ],
  [
    'time_s',
    raw(new TimeSecond(), Int32Array.of(1, 60, 3600), 3),
    "TIME: '00:00:01', '00:01:00', '01:00:00'",
    'string',
    ['00:00:01', '00:01:00', '01:00:00'],
  ],
  [
    'floats',
    of([[0.1, null], null, []], listOf(new Float32())),
    'FLOAT[]: [0.1, NULL], NULL, []',
    'number',
    [[Math.fround(0.1), null], [], []],
  ],
  [
    'fixed',
    of(
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      new FixedSizeList(2, new Field('item', new Int32())),
    ),
    'INTEGER[2]: [1, 2], [3, 4], [5, 6]',
    'number',
    [
      [1, 2],
      [3, 4],
      [5, 6],
    ],
  ],
  [
    'large_list',
    of([['b'], [], ['a', null]], new LargeList(new Field('item', new Utf8()))),
    "VARCHAR[]: ['b'], [], ['a', NULL]",
    'string',
    [['b'], [], ['a', null]],
  ],
  [
    'bigs',
    of([[2n ** 60n], [], [7n]], listOf(new Int64())),
    'BIGINT[]: [1152921504606846976], [], [7]',
    'string',
    [['1152921504606846976'], [], ['7']],
  ],
  [
    'days',
    of([[new Date(day)], [], null], listOf(new DateDay())),
    "DATE[]: ['1970-01-02'], [], NULL",
    'date',
    [['1970-01-02'], [], []],
  ],
  ['no_lists', of([null, null, null], listOf(new Int32())), 'INTEGER[]: NULL, NULL, NULL', 'number', [[], [], []]],
]

describe('types', () => {
  const table = new Table(Object.fromEntries(cases.map(([name, vector]) => [name, vector])) as never)
  const folder = mkdtempSync(join(tmpdir(), 'multigate-arrow-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each([
    ['a table', () => table],
    ['a stream', () => tableToIPC(table, 'stream')],
  ])('of %s are read to the last digit', async (_, make) => {
    const data = await Dataset.fromArrow(make() as Uint8Array)
    for (const [name, , , type, expected] of cases) {
      expect([name, typeOf(data.column(name)), values(data, name)]).toEqual([name, type, expected])
    }
  })

  it('of a slice of a table are read from where it begins', async () => {
    const part = await Dataset.fromArrow(table.slice(1, 3) as never)
    // A column whose large numbers are not in the slice is numbers.
    const text = (list: unknown[]): string[] => list.map((value) => JSON.stringify(value)?.replaceAll('"', ''))
    for (const [name, , , , expected] of cases) {
      expect([name, text(values(part, name))]).toEqual([name, text(expected.slice(1))])
    }
  })

  it('are as Parquet has them', async () => {
    const path = join(folder, 'a.parquet')
    const sql = cases.map(([name, , written]) => {
      const [type, list] = [written.slice(0, written.indexOf(':')), written.slice(written.indexOf(':') + 1)]
      return `unnest([${list}]::${type}[]) AS ${name}`
    })
    const session = usingDuckDB('writing', {}, async function* ({ connection }) {
      yield await connection.run(`COPY (SELECT ${sql.join(', ')}) TO '${path}'`)
    })
    for await (const _ of session);
    const [arrow, parquet] = [await Dataset.fromArrow(table as never), await Dataset.fromParquet(path)]
    // Midnight and UTC may be written out.
    for (const [name] of cases) {
      const seen = (data: Dataset): unknown[] =>
        values(data, name).map((value) => JSON.stringify(value).replace(/ 00:00:00|\+00/g, ''))
      expect([name, seen(arrow)]).toEqual([name, seen(parquet)])
    }
  })
})

it('reads half floats and what has no type', async () => {
  const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00, 0x7e00, 0x8000, 0x3555)
  const table = new Table({ h: raw(new Float16(), halves, 7), n: of(new Array(7).fill(null), new Null()) } as never)
  const data = await Dataset.fromArrow(table as never)
  expect(values(data, 'h')).toEqual([1, -2, 2 ** -24, Infinity, null, -0, 0.333251953125])
  expect(values(data, 'n')).toEqual(new Array(7).fill(null))
})

it('reads many chunks as one', async () => {
  const count = 200_003
  const numbers = Float64Array.from({ length: count }, (_, row) => row / 2)
  const part = (from: number, to: number) =>
    tableFromArrays({ x: numbers.slice(from, to), s: Array.from(numbers.slice(from, to), (x) => `t${x % 7}`) })
  const data = await Dataset.fromArrow(part(0, 70_001).concat(part(70_001, count)) as never)
  expect(data.column('x')).toEqual({ kind: 'number', values: numbers })
  expect(values(data.slice(70_000, 70_003), 's')).toEqual(['t0', 't0.5', 't1'].map((_, at) => `t${((70_000 + at) / 2) % 7}`))
})

it('names moments that have no text, and buffers that are cut short', async () => {
  const reject = (vector: Vector) => expect(Dataset.fromArrow(new Table({ a: vector } as never) as never)).rejects
  await reject(raw(new TimestampSecond(), BigInt64Array.of(-(2n ** 40n)), 1)).toThrow(
    refusal('DATA', { column: 'a', says: '-32873' }),
  )
  await reject(raw(new TimestampSecond(), BigInt64Array.of(2n ** 62n), 1)).toMatchObject({ code: 'ERR_MULTIGATE_DATA' })
  await reject(raw(new Int32(), Int32Array.of(1), 1000)).toThrow(refusal('DATA', { column: 'a' }))
})
