// The same query gives the same bits each time. The files have many row groups, so that DuckDB would read them with many threads; on
// these all forms but those of the first group came in another order, or with other sums, from one run to the next.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { Column } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'
import type { QueryOptions } from '../../lib/data/query.js'
import { refusal } from '../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-repeatable-'))
const log = join(folder, 'log.parquet')
const item = join(folder, 'item.parquet')
const csv = join(folder, 'item.csv')
const database = join(folder, 'log.duckdb')
afterAll(() => rmSync(folder, { recursive: true }))

const rows = 30_000

beforeAll(async () => {
  const instance = await DuckDBInstance.create(database)
  const connection = await instance.connect()
  const run = async (...statements: string[]): Promise<void> => {
    for (const statement of statements) await connection.run(statement)
  }
  await run(
    `CREATE TABLE log AS SELECT i AS n, (i * 7919) % 5000 AS item, sin(i) * 1e6 AS x FROM range(${rows}) t(i)`,
    'CREATE TABLE item AS SELECT i AS item, i % 7 AS cat FROM range(5000) t(i)',
    `COPY log TO '${log}' (FORMAT parquet, ROW_GROUP_SIZE 2048)`,
    `COPY item TO '${item}' (FORMAT parquet, ROW_GROUP_SIZE 2048)`,
    `COPY item TO '${csv}'`,
    ...[0, 1, 2].map((part) => `COPY (FROM log WHERE n % 3 = ${part}) TO '${join(folder, `part-${part}.parquet`)}'`),
    'CREATE VIEW joined AS SELECT n, cat, x FROM log JOIN item USING (item)',
    'CREATE VIEW moments AS SELECT *, now() AS moment FROM log',
    'CREATE VIEW drawn AS FROM log USING SAMPLE 100',
    'CREATE VIEW lots AS FROM range((random() * 100)::INTEGER)',
    'CREATE MACRO lot() AS random()',
    'CREATE MACRO sums(k) AS TABLE SELECT item % k AS g, sum(x) AS s FROM log GROUP BY g',
    'CREATE MACRO share_of(share) AS TABLE FROM log WHERE random() < share',
  )
  connection.closeSync()
  instance.closeSync()
})

async function columnsOf(sql: string, options?: QueryOptions): Promise<readonly (readonly [string, Column])[]> {
  const data = await Dataset.fromQuery(sql, options)
  return data.columnNames.map((name) => [name, data.column(name)])
}

async function expectTheSame(sql: string, options?: QueryOptions): Promise<void> {
  const first = await columnsOf(sql, options)
  // At the same time, so that threads take turns.
  const others = await Promise.all(Array.from({ length: 4 }, () => columnsOf(sql, options)))
  // Numbers by their bits.
  expect(others.map((other) => isDeepStrictEqual(other, first))).toEqual([true, true, true, true])
}

const forms: Readonly<Record<string, string>> = {
  'a filter': `SELECT n, item + 1 AS m FROM '${log}' WHERE item % 3 = 0`,
  'several files': `SELECT n, x FROM '${join(folder, 'part-*.parquet')}'`,
  'a CSV file': `SELECT item, cat * 2 AS c FROM '${csv}'`,
  LIMIT: `SELECT n FROM '${log}' WHERE item % 3 = 1 LIMIT 20000 OFFSET 100`,
  'UNION ALL': `SELECT n FROM '${log}' UNION ALL SELECT item FROM '${item}'`,
  'USING SAMPLE': `SELECT n FROM '${log}' USING SAMPLE 10% (bernoulli, 3)`,
  TABLESAMPLE: `SELECT n FROM '${log}' TABLESAMPLE reservoir(5000 ROWS) REPEATABLE (3)`,
  'a sample of a CSV file': `SELECT item FROM '${csv}' USING SAMPLE 10% (bernoulli, 3)`,

  JOIN: `SELECT l.n, i.cat FROM '${log}' l JOIN '${item}' i USING (item)`,
  'LEFT JOIN': `SELECT l.n, i.cat FROM '${log}' l LEFT JOIN '${item}' i USING (item)`,
  'RIGHT JOIN': `SELECT l.n, i.cat FROM '${log}' l RIGHT JOIN '${item}' i USING (item)`,
  'FULL JOIN': `SELECT l.n, i.cat FROM '${log}' l FULL JOIN '${item}' i USING (item)`,
  'ASOF JOIN': `SELECT l.n, i.cat FROM '${log}' l ASOF JOIN '${item}' i ON l.item >= i.item`,
  'ANTI JOIN': `SELECT n FROM '${log}' ANTI JOIN (FROM '${item}' WHERE cat = 1) USING (item)`,
  LATERAL: `SELECT l.n, x.c FROM '${log}' l, LATERAL (SELECT count(*) AS c FROM '${item}' i WHERE i.cat = l.item % 9) x`,
  IN: `SELECT n FROM '${log}' WHERE item IN (SELECT item FROM '${item}' WHERE cat < 4)`,
  EXISTS: `SELECT n FROM '${log}' l WHERE EXISTS (FROM '${item}' i WHERE i.item = l.item AND i.cat < 4)`,
  DISTINCT: `SELECT DISTINCT item FROM '${log}'`,
  'DISTINCT ON': `SELECT DISTINCT ON (item) item, n FROM '${log}'`,
  'GROUP BY': `SELECT item, count(*) AS c FROM '${log}' GROUP BY item`,
  'GROUP BY a text': `SELECT 'i' || item AS k, count(*) AS c FROM '${log}' GROUP BY 1`,
  'sums of floats': `SELECT sum(x) AS s, avg(x) AS a, stddev(x) AS d FROM '${log}'`,
  'sums of floats by group': `SELECT item % 10 AS k, sum(x) AS s FROM '${log}' GROUP BY k`,
  any_value: `SELECT item, any_value(n) AS a, mode(n % 10) AS m, arg_max(n, n % 10) AS b FROM '${log}' GROUP BY item`,
  'approximate aggregates': `SELECT approx_quantile(x, 0.3) AS q, reservoir_quantile(x, 0.3) AS r FROM '${log}'`,
  list: `SELECT item, list(n) AS l, string_agg(n % 10, ' ') AS s FROM '${log}' GROUP BY item`,
  'a window with ties': `SELECT n, row_number() OVER (ORDER BY item) AS r, sum(x) OVER (PARTITION BY item) AS s FROM '${log}'`,
  QUALIFY: `SELECT n, item FROM '${log}' QUALIFY row_number() OVER (PARTITION BY item ORDER BY n % 10) = 1`,
  'ORDER BY with ties': `SELECT n, item FROM '${log}' ORDER BY item % 10`,
  'ORDER BY with ties and LIMIT': `SELECT n, item FROM '${log}' ORDER BY item % 10 LIMIT 30000`,
  UNION: `SELECT item FROM '${log}' UNION SELECT item + 3 FROM '${item}'`,
  INTERSECT: `SELECT item FROM '${log}' INTERSECT SELECT item + 3 FROM '${item}'`,
  'a CTE': `WITH a AS MATERIALIZED (SELECT item, sum(x) AS s FROM '${log}' GROUP BY item)
    SELECT a.item, a.s, b.s AS t FROM a JOIN a b ON a.item = b.item + 1`,
  'a recursive CTE': `WITH RECURSIVE r AS (SELECT item, 0 AS d FROM '${item}' UNION SELECT (item * 2) % 5000, d + 1 FROM r WHERE d < 4) FROM r`,
  PIVOT: `PIVOT (SELECT item % 50 AS k, cat, x FROM '${log}' JOIN '${item}' USING (item)) ON cat USING sum(x) GROUP BY k`,
}

describe('the same bits in five runs', () => {
  it.each(Object.keys(forms))('of %s', (name) => expectTheSame(forms[name] ?? ''))

  it.each(['FROM joined', 'FROM sums(20)', 'SELECT DISTINCT item FROM log', 'FROM log ORDER BY item % 3'])(
    'of a database: %s',
    (sql) => expectTheSame(sql, { database }),
  )
})

it('runs on all threads what orderBy puts in order, and on one what varies all the same', async () => {
  const sql = `SELECT l.n, i.cat FROM '${log}' l JOIN '${item}' i USING (item)`
  await expectTheSame(sql, { orderBy: 'n' })
  const [[, n] = []] = await columnsOf(sql, { orderBy: 'n' })
  expect(n).toEqual({ kind: 'number', values: Int32Array.from({ length: rows }, (_, row) => row) })
  await expectTheSame(`SELECT item % 10 AS k, n % 2 AS m, sum(x) AS s FROM '${log}' GROUP BY ALL`, { orderBy: ['m', 'k'] })
  await expectTheSame(`SELECT item, any_value(n) AS a FROM '${log}' GROUP BY item`, { orderBy: ['item'] })
  await expectTheSame(`SELECT item, count(*) AS c, max(n) AS m FROM '${log}' GROUP BY item`, { orderBy: ['item'] })
  await expectTheSame(`SELECT DISTINCT 0 * x + 0 * n AS zero FROM '${log}'`, { orderBy: ['zero'] })
})

it('refuses columns to order by that do not name each row', async () => {
  const of = (sql: string, orderBy: string | string[]): Promise<Dataset> => Dataset.fromQuery(sql, { orderBy })
  await expect(of(`SELECT n, item FROM '${log}'`, ['item'])).rejects.toThrow(refusal('DATA', { says: ['"item"', '"0"'] }))
  await expect(of(`SELECT nullif(n, 7) AS k, item FROM '${log}' WHERE n < 9`, ['item', 'k'])).rejects.toThrow(
    refusal('DATA', { says: ['"item"', '"433"', '"k"'] }),
  )
  await expect(of(`SELECT n FROM '${log}'`, 'N')).rejects.toThrow(refusal('DATA', { column: 'N', says: '"n"' }))
  await expect(of(`SELECT n FROM '${log}'`, [])).rejects.toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT', field: 'query.orderBy' })
  expect((await of(`SELECT i, -i AS j FROM range(3) t(i)`, 'j')).column('i')).toMatchObject({ values: Int32Array.of(2, 1, 0) })
})

describe('refuses', () => {
  const lots: Readonly<Record<string, string>> = {
    [`SELECT n FROM log WHERE random() < 0.1`]: 'random()',
    'FROM log ORDER BY RANDOM()': 'hash(id)',
    'SELECT system.main.random() AS r': 'random()',
    [`SELECT n, uuid() AS u FROM log`]: 'uuid()',
    'SELECT gen_random_uuid() AS u': 'row_number()',
    'SELECT list_transform([1, 2], lambda v: v + random()) AS l': 'random()',
    'FROM range((random() * 10)::INTEGER)': 'random()',
    "FROM query('SELECT random()')": 'random()',
    'SELECT lot() AS r FROM log': 'random()',
    'FROM share_of(0.5)': 'random()',
    'FROM lots': 'random()',
    'PIVOT log ON n % 2 USING sum(random())': 'random()',
    [`SELECT item FROM '${csv}' WHERE random() < 0.5`]: 'random()',
    'SELECT now() AS t': "'2024-01-31'",
    'SELECT current_timestamp AS t': 'get_current_timestamp()',
    "SELECT current_date - DATE '2024-01-01' AS d": 'current_date()',
    'SELECT today() AS t': 'today()',
    'SELECT localtimestamp AS t': 'current_localtimestamp()',
    "SELECT age(TIMESTAMP '2024-01-01') AS a": 'age()',
    'FROM moments': 'now()',
    "FROM query_table('moments')": 'now()',
    'SELECT txid_current() AS t': 'txid_current()',
    'FROM log USING SAMPLE 100': 'seed',
    'FROM log TABLESAMPLE bernoulli(10%)': 'USING SAMPLE',
    'FROM log USING SAMPLE 10% (system)': 'seed',
    'SELECT n FROM log WHERE item IN (SELECT item FROM item USING SAMPLE 10)': 'seed',
    'FROM drawn': 'seed',
    [`FROM '${csv}' USING SAMPLE 10`]: 'seed',
    [`SELECT * FROM '${csv}' JOIN drawn USING (item)`]: 'seed',
  }
  it.each(Object.keys(lots))('%s', async (sql) => {
    await expect(Dataset.fromQuery(sql, { database })).rejects.toThrow(refusal('DATA', { says: lots[sql] ?? '' }))
  })

  it('a statement behind the query', async () => {
    const path = join(folder, 'written.csv')
    writeFileSync(path, 'old')
    const sql = `SELECT 1 AS a); COPY (SELECT 2) TO '${path}'; SELECT (3`
    await expect(Dataset.fromQuery(sql)).rejects.toThrow(refusal('DATA', { says: 'syntax error' }))
  })
})

it('takes columns, texts and seeds that only look like what is refused, and moments that are written out', async () => {
  const sql = `WITH random AS (SELECT n, 'now()' AS today FROM log WHERE n < 3)
    SELECT random.today, age(DATE '2024-01-02', DATE '2024-01-01')::VARCHAR AS a, hash(n) % 10 AS h, current_schema() AS s
    FROM random USING SAMPLE 100% (bernoulli, 1)`
  expect((await Dataset.fromQuery(sql, { database })).rows).toBe(3)
})
