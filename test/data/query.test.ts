// Datasets from queries and Parquet files, whole and part by part.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { rowValue } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'
import { refusal } from '../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-query-'))
const parquet = join(folder, 'rows.parquet')
const database = join(folder, 'rows.duckdb')
afterAll(() => rmSync(folder, { recursive: true }))

beforeAll(async () => {
  const instance = await DuckDBInstance.create(database)
  const connection = await instance.connect()
  await connection.run(`CREATE TABLE rows AS SELECT i::BIGINT AS id, 'c' || (i % 3) AS city, DATE '2024-01-02' AS day, i % 2 = 0 AS even,
    (i / 4)::DECIMAL(10, 2) AS price, CASE WHEN i = 1 THEN NULL ELSE [i, i + 1] END AS items, ['t' || i, NULL] AS tags,
    9007199254740993 + i AS huge, [9007199254740993 + i] AS huges, NULL::VARCHAR AS nothing, CASE WHEN i <> 2 THEN i::FLOAT END AS some
    FROM range(5000) t(i)`)
  await connection.run(`COPY rows TO '${parquet}'`)
  connection.closeSync()
  instance.closeSync()
})

const row = (data: Dataset, index: number): unknown =>
  Object.fromEntries(data.columnNames.map((name) => [name, rowValue(data.column(name), index)]))

it('gives the types of the source', async () => {
  for (const data of [
    await Dataset.fromParquet(parquet),
    await Dataset.fromQuery('SELECT * FROM rows ORDER BY id;', { database }),
  ]) {
    expect(data.rows).toBe(5000)
    expect(row(data, 4999)).toEqual({
      id: 4999,
      city: 'c1',
      day: '2024-01-02',
      even: 0,
      price: 1249.75,
      items: [4999, 5000],
      tags: ['t4999', null],
      huge: '9007199254745992',
      huges: ['9007199254745992'],
      nothing: null,
      some: 4999,
    })
    expect(row(data, 1)).toMatchObject({ items: [], even: 0, price: 0.25 })
    expect(row(data, 2)).toMatchObject({ some: null, even: 1 })
    expect(data.column('city')).toMatchObject({ dictionary: ['c0', 'c1', 'c2'] })
  }
})

it('reads of a Parquet file the columns that are named alone, in its order, and no others whatever they are', async () => {
  const path = join(folder, 'odd.parquet')
  const instance = await DuckDBInstance.create()
  const connection = await instance.connect()
  await connection.run(`COPY (SELECT i AS "a ""b""", {'x': i} AS s, 'c' || i AS c, i / 2 AS d FROM range(30) t(i)) TO '${path}'`)
  connection.closeSync()
  instance.closeSync()
  await expect(Dataset.fromParquet(path)).rejects.toThrow(refusal('DATA', { column: 's', says: 'STRUCT' }))
  const data = await Dataset.fromParquet(path, { columns: ['d', 'a "b"'] })
  expect(data.columnNames).toEqual(['a "b"', 'd'])
  expect(row(data, 3)).toEqual({ 'a "b"': 3, d: 1.5 })
  const parts: Dataset[] = []
  for await (const part of Dataset.streamParquet(path, { chunkRows: 20, columns: ['c'] })) parts.push(part)
  expect(parts.map(({ rows, columnNames }) => [rows, columnNames])).toEqual([
    [20, ['c']],
    [10, ['c']],
  ])
  await expect(Dataset.fromParquet(path, { columns: ['d', 'C'] })).rejects.toThrow(refusal('DATA', { column: 'C', says: '4' }))
  await expect(Dataset.fromParquet(path, { columns: [] })).rejects.toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT' })
  await expect(Dataset.fromParquet(path, { column: 'd' } as never)).rejects.toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT' })
})

it('keeps the order of a query, and takes one that ends in a comment', async () => {
  const data = await Dataset.fromQuery(`SELECT i FROM range(10000) t(i) ORDER BY (i * 7919) % 10007 -- shuffled`)
  const want = Array.from({ length: 10_000 }, (_, i) => i).sort((a, b) => ((a * 7919) % 10007) - ((b * 7919) % 10007))
  expect(Array.from({ length: data.rows }, (_, index) => rowValue(data.column('i'), index))).toEqual(want)
})

it('refuses what is neither number, text nor list, what does not parse, and writes', async () => {
  await expect(Dataset.fromQuery(`SELECT {'x': 1} AS s`)).rejects.toThrow(refusal('DATA', { column: 's', says: 'STRUCT' }))
  await expect(Dataset.fromQuery('SELEC 1')).rejects.toThrow(refusal('DATA', { says: 'syntax error' }))
  await expect(Dataset.fromQuery('DELETE FROM rows', { database })).rejects.toMatchObject({ code: 'ERR_MULTIGATE_DATA' })
  await expect(Dataset.fromParquet(join(folder, 'no.parquet'))).rejects.toThrow(
    refusal('DATA', { file: join(folder, 'no.parquet') }),
  )
  await expect(Dataset.fromParquet(database)).rejects.toMatchObject({ code: 'ERR_MULTIGATE_DATA' })
  await expect(Dataset.fromQuery('SELECT 1', { database: join(folder, 'no.duckdb') })).rejects.toThrow(
    refusal('DATA', { file: join(folder, 'no.duckdb') }),
  )
})

it('keeps booleans, dates and 32-bit floats what they are', async () => {
  const data = await Dataset.fromQuery(`SELECT b, d, t, s, ms, ns, tz, f, bs, ds, ts, fs, pair FROM (VALUES
    (true, DATE '2024-01-02', TIMESTAMP '2024-01-02 03:04:05.600', TIMESTAMP_S '2024-01-02 00:00:00', TIMESTAMP_MS '2024-01-02 03:04:05.120',
      TIMESTAMP_NS '2024-01-02 03:04:05.123456789', TIMESTAMPTZ '2024-01-02 01:00:00+02', 0.1::FLOAT, [true, NULL, false],
      [DATE '2024-01-02', NULL], [TIMESTAMP '2024-01-02 00:00:00'], [0.1::FLOAT, NULL], [1.5::FLOAT, 2]::FLOAT[2]),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)) v(b, d, t, s, ms, ns, tz, f, bs, ds, ts, fs, pair)`)
  const numbers = (type: object, values: unknown) => ({ kind: 'number', ...type, values })
  const dates = (dictionary: string[], ...codes: number[]) => ({
    kind: 'string',
    type: 'date',
    dictionary,
    codes: Int32Array.from(codes),
  })
  const expected = {
    b: numbers({ type: 'boolean' }, Float64Array.of(1, NaN)),
    d: dates(['2024-01-02'], 0, -1),
    t: dates(['2024-01-02 03:04:05.6'], 0, -1),
    s: dates(['2024-01-02'], 0, -1),
    ms: dates(['2024-01-02 03:04:05.12'], 0, -1),
    ns: dates(['2024-01-02 03:04:05.123456789'], 0, -1),
    tz: dates(['2024-01-01 23:00:00'], 0, -1),
    f: numbers({}, Float32Array.of(0.1, NaN)),
    bs: { kind: 'list', offsets: Int32Array.of(0, 3, 3), items: numbers({ type: 'boolean' }, Float64Array.of(1, NaN, 0)) },
    ds: { kind: 'list', offsets: Int32Array.of(0, 2, 2), items: dates(['2024-01-02'], 0, -1) },
    ts: { kind: 'list', offsets: Int32Array.of(0, 1, 1), items: dates(['2024-01-02'], 0) },
    fs: { kind: 'list', offsets: Int32Array.of(0, 2, 2), items: numbers({}, Float32Array.of(0.1, NaN)) },
    pair: { kind: 'list', offsets: Int32Array.of(0, 2, 2), items: numbers({}, Float32Array.of(1.5, 2)) },
  }
  expect(Object.fromEntries(data.columnNames.map((name) => [name, data.column(name)]))).toEqual(expected)
})

it('keeps the text of days that have no other form, and of times', async () => {
  const data =
    await Dataset.fromQuery(`SELECT * FROM (VALUES ('infinity'::DATE, TIME '00:00:00'), ('0044-03-15 (BC)'::DATE, TIME '01:02:03.5'),
    ('12024-01-02'::DATE, NULL), ('5000000-01-01'::DATE, NULL)) v(d, t)`)
  expect(Array.from({ length: 4 }, (_, index) => rowValue(data.column('d'), index))).toEqual([
    'infinity',
    '0044-03-15 (BC)',
    '12024-01-02',
    '5000000-01-01',
  ])
  expect(data.column('t')).toEqual({
    kind: 'string',
    dictionary: ['00:00:00', '01:02:03.5'],
    codes: Int32Array.of(0, 1, -1, -1),
  })
})

it('reads lists of many rows in their order, whole and in parts', async () => {
  const path = join(folder, 'lists.parquet')
  const instance = await DuckDBInstance.create()
  const connection = await instance.connect()
  await connection.run(`COPY (SELECT i AS n, range(i, i + i % 4) AS numbers, [x / 8.0 FOR x IN range(i, i + i % 3)] AS halves,
    CASE WHEN i % 5 > 0 THEN ['t' || (i % 1000), NULL] END AS texts FROM range(300000) t(i)) TO '${path}' (ROW_GROUP_SIZE 4096)`)
  connection.closeSync()
  instance.closeSync()
  const parts: Dataset[] = [await Dataset.fromParquet(path)]
  for await (const part of Dataset.streamParquet(path, { chunkRows: 100_000 })) parts.push(part)
  expect(parts.map(({ rows }) => rows)).toEqual([300_000, 100_000, 100_000, 100_000])
  for (const [index, data] of parts.entries()) {
    const wrong: number[] = []
    for (let at = 0; at < data.rows; at += 1) {
      const i = Math.max(0, index - 1) * 100_000 + at
      const { n, numbers, halves, texts } = row(data, at) as Record<string, unknown>
      const items = Array.from({ length: i % 4 }, (_, item) => i + item)
      const same =
        n === i &&
        JSON.stringify(numbers) === JSON.stringify(items) &&
        JSON.stringify(halves) === JSON.stringify(Array.from({ length: i % 3 }, (_, item) => (i + item) / 8)) &&
        JSON.stringify(texts) === JSON.stringify(i % 5 > 0 ? [`t${i % 1000}`, null] : [])
      if (!same) wrong.push(i)
    }
    expect(wrong).toEqual([])
  }
  expect(parts[0]?.column('numbers')).toMatchObject({ items: { values: expect.any(Int32Array) as Int32Array } })
})

it('ends a query, and the reading of a file, when its signal is aborted', async () => {
  const aborted = expect.objectContaining({ code: 'ERR_MULTIGATE_ABORTED' })
  const before = AbortSignal.abort(new Error('enough'))
  const path = join(folder, 'ended.parquet')
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  await connection.run(`COPY (SELECT i FROM range(10) t(i)) TO '${path}' (FORMAT parquet)`)
  await expect(Dataset.fromQuery('SELECT 1 AS x', { signal: before })).rejects.toThrow(aborted)
  await expect(Dataset.fromParquet(path, { signal: before })).rejects.toThrow(aborted)
  expect((await Dataset.fromParquet(pathToFileURL(path))).rows).toBe(10)
  const controller = new AbortController()
  setTimeout(() => controller.abort(), 50)
  // Minutes of work for one thread.
  const long = 'SELECT count(*) AS n FROM range(300000) a(i), range(300000) b(j) WHERE (a.i * b.j) % 7 = 3'
  await expect(Dataset.fromQuery(long, { signal: controller.signal })).rejects.toThrow(aborted)
  connection.closeSync()
})

describe('tables in parts', () => {
  const numbersOf = (data: Dataset, name: string): unknown[] =>
    Array.from({ length: data.rows }, (_, index) => rowValue(data.column(name), index))
  const partsOf = async (stream: AsyncIterable<Dataset>): Promise<Dataset[]> => {
    const parts: Dataset[] = []
    for await (const part of stream) parts.push(part)
    return parts
  }

  it('are read anew by every loop, and a loop may end early', async () => {
    const path = join(folder, 'again.parquet')
    const instance = await DuckDBInstance.create()
    const connection = await instance.connect()
    // The second file has a column with DuckDB's own name of row numbers.
    await connection.run(
      `COPY (SELECT i::BIGINT AS n, 'c' || i % 3 AS c FROM range(7000) t(i)) TO '${path}' (ROW_GROUP_SIZE 2048)`,
    )
    const named = join(folder, 'named.parquet')
    await connection.run(`COPY (SELECT 10 - i AS file_row_number FROM range(10) t(i)) TO '${named}'`)
    connection.closeSync()
    instance.closeSync()
    for (const stream of [
      Dataset.streamParquet(path, { chunkRows: 3000 }),
      Dataset.streamQuery(`FROM '${path}'`, { chunkRows: 3000 }),
    ]) {
      for await (const part of stream) {
        expect(part.rows).toBe(3000)
        break
      }
      for (let time = 0; time < 2; time += 1) {
        const parts = await partsOf(stream)
        expect(parts.map(({ rows }) => rows)).toEqual([3000, 3000, 1000])
        expect(parts.map((part) => part.sourceRow(3))).toEqual([3, 3003, 6003])
        expect(parts.flatMap((part) => numbersOf(part, 'n'))).toEqual(Array.from({ length: 7000 }, (_, i) => i))
        expect(parts[2] && row(parts[2], 4)).toEqual({ n: 6004, c: 'c1' })
      }
    }
    const [first, second] = await partsOf(Dataset.streamParquet(named, { chunkRows: 6 }))
    expect([first, second].flatMap((part) => part && numbersOf(part, 'file_row_number'))).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
  })
})
