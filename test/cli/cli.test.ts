// The command line: train, predict, evaluate, inspect and the others, what they print and how they end.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import { beforeAll, describe, expect, it } from 'vitest'

import { writeScores } from '../../lib/cli/scores.js'
import { rowValue } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'
import { loadModel } from '../../lib/model/load.js'
import { loadNative } from '../../lib/native/loader.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { runIn } from '../support/command-line.js'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'multigate-cli-'))

const config = {
  model: 'MMoE',
  features: [
    { kind: 'sparse', names: ['user', 'city'], dim: 4 },
    { kind: 'dense', name: 'price', transform: 'standardize' },
  ],
  tasks: [
    { kind: 'binary', name: 'click' },
    { kind: 'binary', name: 'bought', label: 'buy', positive: 'yes' },
  ],
  numExperts: 3,
  expertHiddenUnits: [8],
  towerHiddenUnits: [4],
  split: { rowMod: 10, validation: [8], test: [9] },
  fit: {
    batchSize: 128,
    epochs: 4,
    optimizer: { name: 'adam', learningRate: 0.01 },
    callbacks: [{ kind: 'earlyStopping', monitor: 'val_auc', patience: 3 }],
  },
}

beforeAll(() => {
  const random = randomOf(3)
  const cities = ['Oslo', 'Rome', '"Lima, Peru"']
  const lines = Array.from({ length: 3000 }, () => {
    const [user, city, price] = [Math.floor(20 * random()), Math.floor(3 * random()), 100 * random()]
    const click = random() < 1 / (1 + Math.exp(2 - user / 5)) ? 1 : 0
    const buy = random() < 1 / (1 + Math.exp(1 + price / 40 - city)) ? 'yes' : 'no'
    return [user, cities[city], price.toFixed(2), click, buy].join(',')
  })
  write('log.csv', ['user,city,price,click,buy', ...lines].join('\n'))
  write('config.json', JSON.stringify(config, null, 2))
})

function write(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const run = (...args: string[]) => runIn(folder, ...args)

function lastJson(out: string): Record<string, unknown> {
  return JSON.parse(out.trim().split('\n').at(-1) ?? '') as Record<string, unknown>
}

describe('the commands, one after another', () => {
  it('train, evaluate, predict and inspect one model', async () => {
    const trained = await run('train', 'config.json', '--data', 'log.csv', '--json')
    expect(trained.err).toContain('epoch 1/4')
    expect(trained).toMatchObject({ code: 0 })
    const summary = lastJson(trained.out)
    expect(summary).toMatchObject({
      model: 'MMoE',
      rows: { train: 2400, validation: 300, test: 300 },
      saved: 'config.safetensors',
      report: 'report.html',
      test: { click: { rows: 300 }, bought: { rows: 300 } },
    })

    const evaluated = await run(
      'evaluate',
      'config.safetensors',
      '--data',
      'log.csv',
      '--config',
      'config.json',
      '--part',
      'test',
      '--json',
    )
    expect(evaluated).toMatchObject({ code: 0 })
    expect(lastJson(evaluated.out).test).toEqual(summary.test)

    const predicted = await run('predict', 'config.safetensors', '--data', 'log.csv', '--out', 'scores.csv')
    expect(predicted).toMatchObject({ code: 0, out: '' })
    const scores = readFileSync(join(folder, 'scores.csv'), 'utf8').trim().split('\n')
    expect(scores).toHaveLength(3001)
    expect(scores[0]).toBe('click,bought')
    const values = scores.slice(1).flatMap((line) => line.split(',').map(Number))
    expect(values.every((value) => value > 0 && value < 1)).toBe(true)
    expect((await run('predict', 'config.safetensors', '--data', 'log.csv')).out).toBe(
      readFileSync(join(folder, 'scores.csv'), 'utf8'),
    )

    const inspected = await run('inspect', 'config.safetensors', '--json')
    expect(inspected).toMatchObject({ code: 0 })
    expect(lastJson(inspected.out)).toMatchObject({ model: 'MMoE', tasks: [{ name: 'click' }, { name: 'bought' }] })
    expect((await run('inspect', 'config.safetensors')).out).toContain('expert.kernel')
  })

  it('train writes a report beside the model; a flag goes before the configuration', async () => {
    const page = readFileSync(join(folder, 'report.html'), 'utf8')
    expect(page).toContain('Tasks, test rows')
    expect(page).toContain('<h2>Gates</h2>')
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object
    write('quiet.json', JSON.stringify({ ...config, report: false }))
    write('own.json', JSON.stringify({ ...config, report: 'own.html' }))
    const train = async (name: string, ...args: string[]) =>
      lastJson((await run('train', name, '--data', 'log.csv', '--quiet', '--json', '--epochs', '1', '--no-save', ...args)).out)[
        'report'
      ]
    expect(await train('config.json')).toBe(null)
    expect(await train('quiet.json')).toBe(null)
    expect(await train('quiet.json', '--report', 'flag.html')).toBe('flag.html')
    expect(await train('own.json')).toBe('own.html')
    expect(await train('own.json', '--no-report')).toBe(null)
    expect(['flag.html', 'own.html'].map((name) => existsSync(join(folder, name)))).toEqual([true, true])
  })

  it('the same seed gives the same file; another seed, and --no-save, do not', async () => {
    const train = (...args: string[]) => run('train', 'config.json', '--data', 'log.csv', '--quiet', '--epochs', '1', ...args)
    await train('--save', 'a.safetensors', '--threads', '1')
    await train('--save', 'b.safetensors', '--threads', '2')
    await train('--save', 'c.safetensors', '--seed', '5')
    const bytes = (name: string): Buffer => readFileSync(join(folder, name))
    expect(bytes('b.safetensors').equals(bytes('a.safetensors'))).toBe(true)
    expect(bytes('c.safetensors').equals(bytes('a.safetensors'))).toBe(false)
    const config = write('unsaved.json', readFileSync(join(folder, 'config.json'), 'utf8'))
    expect(await run('train', config, '--data', 'log.csv', '--quiet', '--epochs', '1', '--no-save')).toMatchObject({
      code: 0,
      err: '',
    })
    expect(existsSync(join(folder, 'unsaved.safetensors'))).toBe(false)
  })

  it('predict writes CSV, JSON lines and Parquet alike', async () => {
    const read = async (name: string): Promise<number[][]> => {
      expect(await run('predict', 'config.safetensors', '--data', 'log.csv', '--out', name)).toMatchObject({
        code: 0,
        out: '',
        err: '',
      })
      const path = join(folder, name)
      if (name.endsWith('.jsonl')) {
        const rows = readFileSync(path, 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as Record<string, number>)
        return ['click', 'bought'].map((task) => rows.map((row) => Math.fround(row[task] ?? Number.NaN)))
      }
      const data = name.endsWith('.parquet') ? await Dataset.fromParquet(path) : await Dataset.fromCsv(path)
      expect(data.columnNames).toEqual(['click', 'bought'])
      return data.columnNames.map((task) => [...(data.column(task) as { values: Float64Array }).values].map(Math.fround))
    }
    const [csv, jsonl, parquet] = [await read('s.csv'), await read('s.jsonl'), await read('s.parquet')]
    expect(csv[0]).toHaveLength(3000)
    expect(jsonl).toEqual(csv)
    expect(parquet).toEqual(csv)
    const wrong = await run('predict', 'config.safetensors', '--data', 'log.csv', '--out', 's.txt')
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('--out: expected a file that ends in .csv') as string })
  })

  describe('--keep writes columns of the data before the scores', () => {
    const keys = [
      '007',
      '7',
      '7.00',
      '',
      ' x ',
      '"a, b"',
      '"say ""hi"""',
      'NA',
      '1e5',
      '9007199254740993',
      'é\u2028',
      '"two\nlines"',
    ]
    const kept = keys.map((key) => key.replace(/^"|"$/g, '').replaceAll('""', '"'))
    const score = (...args: string[]) => run('predict', 'config.safetensors', '--data', 'keyed.csv', ...args)
    beforeAll(() => {
      const rows = keys.map((key, row) => `${row % 5},Oslo,${row}.50,${key},0${row}`)
      write('keyed.csv', ['user,city,price,key,day', ...rows].join('\n'))
      write('trimmed.json', JSON.stringify({ ...config, csv: { trim: true, nullValues: ['NA', '7'] } }))
    })

    it('in CSV, byte for byte, in the order of rows', async () => {
      const { code, out, err } = await score('--keep', 'key,user', '--keep', 'day', '--keep', 'user')
      expect({ code, err }).toEqual({ code: 0, err: '' })
      write('kept.csv', out)
      const types = { key: 'string', day: 'string', user: 'string' } as const
      const read = await Dataset.fromCsv(join(folder, 'kept.csv'), { types })
      expect(read.columnNames).toEqual(['key', 'user', 'day', 'click', 'bought'])
      const texts = (name: string) => kept.map((_, row) => rowValue(read.column(name), row) ?? '')
      expect(texts('key')).toEqual(kept)
      expect(texts('day')).toEqual(keys.map((_, row) => `0${row}`))
      expect(texts('user')).toEqual(keys.map((_, row) => `${row % 5}`))
      // The scores are those without it.
      expect((await score('--out', 'plain.csv')).code).toBe(0)
      const scores = readFileSync(join(folder, 'plain.csv'), 'utf8').trim().split('\n').slice(1)
      expect(scores.map((line) => line.split(',').map(Number))).toEqual(
        keys.map((_, row) => ['click', 'bought'].map((task) => rowValue(read.column(task), row))),
      )
    })

    it('whatever trim and nullValues say of features', async () => {
      expect(await score('--config', 'trimmed.json', '--keep', 'key', '--out', 'kept.jsonl')).toMatchObject({ code: 0, err: '' })
      const lines = readFileSync(join(folder, 'kept.jsonl'), 'utf8').trim().split('\n')
      expect(lines.map((line) => (JSON.parse(line) as { key: string | null }).key ?? '')).toEqual(kept)
    })

    it('of a part of a split', async () => {
      const { code, out } = await score('--config', 'config.json', '--part', 'test', '--keep', 'day,price')
      expect(code).toBe(0)
      expect(out).toMatch(/^day,price,click,bought\n09,9\.50,[^\n]*\n$/)
    })

    it('in Parquet, as texts of a CSV file and as they are of a Parquet file', async () => {
      expect(await score('--keep', 'key', '--out', 'kept.parquet')).toMatchObject({ code: 0, err: '' })
      const read = await Dataset.fromParquet(join(folder, 'kept.parquet'))
      expect(kept.map((_, row) => rowValue(read.column('key'), row) ?? '')).toEqual(kept)

      const instance = await DuckDBInstance.create()
      const connection = await instance.connect()
      const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJS()
      const [from, to] = [join(folder, 'keyed.parquet'), join(folder, 'kept.parquet')]
      const columns = `n % 5 AS user, 'Oslo' AS city, n * 1.5::DOUBLE AS price, n + 9007199254740993::BIGINT AS id, DATE '2024-01-02' + n::INTEGER AS day,
        CASE WHEN n % 2 = 0 THEN 0.1::FLOAT END AS share, (n / 8)::DECIMAL(9, 3) AS exact, [n] AS list, TIMESTAMPTZ '2024-01-02 03:04:05+01' AS moment`
      await connection.run(`COPY (SELECT ${columns} FROM range(30000) r(n)) TO '${from}'`)
      const names = ['id', 'day', 'share', 'exact', 'moment'].join()
      const keep = (...args: string[]) => run('predict', 'config.safetensors', '--data', 'keyed.parquet', '--keep', ...args)
      expect(await keep(names, '--out', 'kept.parquet')).toMatchObject({ code: 0, err: '' })
      const both = `(SELECT ${names} FROM '${from}') a POSITIONAL JOIN (SELECT ${names} FROM '${to}') b`
      expect(await rows(`SELECT count(*)::INTEGER, count(*) FILTER (WHERE a IS DISTINCT FROM b)::INTEGER FROM ${both}`)).toEqual([
        [30000, 0],
      ])
      const types = (path: string) => rows(`DESCRIBE SELECT ${names} FROM '${path}'`)
      expect(await types(to)).toEqual(await types(from))
      connection.closeSync()
      instance.closeSync()

      expect(await keep(names, '--out', 'kept.jsonl')).toMatchObject({ code: 0, err: '' })
      const [first, second] = readFileSync(join(folder, 'kept.jsonl'), 'utf8').split('\n')
      expect(first).toMatch(
        /^\{"id":9007199254740993,"day":"2024-01-02","share":0.1,"exact":0.000,"moment":"2024-01-02 02:04:05\+00","click":/,
      )
      expect(second).toMatch(/^\{"id":9007199254740994,"day":"2024-01-03","share":null,"exact":0.125,/)
      const list = 'column "list" of keyed.parquet: expected numbers, texts, dates or similar, found BIGINT[]'
      expect(await keep('list')).toMatchObject({ code: 1, out: '', err: expect.stringContaining(list) as string })
    })

    it('but not what is not there, nor under the name of scores', async () => {
      const unknown = /^multigate: --keep: no column "kye" among the 5 of keyed.csv; the nearest are "key"/
      expect(await score('--keep', 'user,kye')).toMatchObject({ code: 1, out: '', err: expect.stringMatching(unknown) as string })
      const collides = { code: 2, out: '', err: expect.stringContaining('found "click" beside "click"') as string }
      expect(await run('predict', 'config.safetensors', '--data', 'log.csv', '--keep', 'click')).toMatchObject(collides)
      write('case.csv', 'user,city,price,Click\n1,Oslo,2,3\n')
      const other = (...args: string[]) => run('predict', 'config.safetensors', '--data', 'case.csv', '--keep', 'Click', ...args)
      expect(await other()).toMatchObject({ code: 0, out: expect.stringMatching(/^Click,click,bought\n3,/) as string })
      const beside = expect.stringContaining('found "Click" beside "click"') as string
      expect(await other('--out', 'case.parquet')).toMatchObject({ code: 2, err: beside })
      expect(existsSync(join(folder, 'case.parquet'))).toBe(false)
    })
  })

  it('read no other columns of a file than the model does', async () => {
    const instance = await DuckDBInstance.create()
    const connection = await instance.connect()
    const path = join(folder, 'wide.parquet')
    const rows = `read_csv('${join(folder, 'log.csv')}', header = true, types = {'buy': 'VARCHAR'})`
    await connection.run(`COPY (SELECT *, {'x': 1} AS s FROM ${rows}) TO '${path}'`)
    await connection.run(
      `COPY (SELECT 'one' AS label, * EXCLUDE (click, buy), {'x': 1} AS s FROM ${rows}) TO '${join(folder, 'unlabelled.parquet')}'`,
    )
    connection.closeSync()
    instance.closeSync()
    expect(await run('train', 'config.json', '--data', 'wide.parquet', '--epochs', '1', '--no-save')).toMatchObject({
      code: 0,
      err: expect.stringContaining('reading wide.parquet\n') as string,
    })
    expect(await run('evaluate', 'config.safetensors', '--data', 'wide.parquet')).toMatchObject({ code: 0, err: '' })
    const scores = await run('predict', 'config.safetensors', '--data', 'unlabelled.parquet')
    expect(scores).toMatchObject({ code: 0, err: '', out: (await run('predict', 'config.safetensors', '--data', 'log.csv')).out })
    expect(await run('evaluate', 'config.safetensors', '--data', 'unlabelled.parquet')).toMatchObject({
      code: 1,
      err: expect.stringContaining('no column "click" among the 5 of unlabelled.parquet; the nearest are') as string,
    })
  })

  it('measure groups, further metrics and a score, as the configuration or the flags say', async () => {
    const [header, ...lines] = readFileSync(join(folder, 'log.csv'), 'utf8').split('\n')
    write('sessions.csv', [`${header},session`, ...lines.map((line, row) => `${line},s${row % 37}`)].join('\n'))
    const monitor = { val_click_uauc: 2, val_bought_uauc: 1 }
    const measured = { groups: 'session', metrics: ['prauc', 'ndcg@10'], score: { click_uauc: 2, bought_uauc: 1 } }
    const fit = { ...config.fit, epochs: 2, ...measured, callbacks: [{ kind: 'earlyStopping', monitor }] }
    const path = write('sessions.json', JSON.stringify({ ...config, fit }, null, 2))
    const trained = await run('train', path, '--data', 'sessions.csv', '--quiet', '--json')
    expect(trained).toMatchObject({ code: 0, err: '' })
    const { test, score } = lastJson(trained.out) as {
      test: Record<string, Record<string, unknown>>
      score: Record<string, number>
    }
    expect(test['click']).toMatchObject({
      uauc: expect.any(Number) as number,
      'ndcg@10': expect.any(Number) as number,
      groups: { total: 37, missingRows: 0 },
    })
    const mean = (2 * Number(test['click']?.['uauc']) + Number(test['bought']?.['uauc'])) / 3
    expect(score['test']).toBeCloseTo(mean, 12)
    expect(trained.out).toMatch(/ val_score .*uauc +gauc +prauc +ndcg@10 .*\ntest: score 0\.\d{4}\n/s)
    expect(trained.out).toMatch(/^test bought: \d+ of 37 groups have both classes/m)

    const evaluate = (...args: string[]) => run('evaluate', 'sessions.safetensors', '--data', 'sessions.csv', '--json', ...args)
    const again = await evaluate('--config', path, '--part', 'test')
    expect(again).toMatchObject({ code: 0, err: '' })
    expect(lastJson(again.out)).toMatchObject({ test, score: score['test'] })
    const flags = lastJson((await evaluate('--groups', 'session', '--metrics', 'mrr,ece@20')).out) as {
      data: Record<string, object>
    }
    expect(Object.keys(flags.data['click'] ?? {})).toEqual(expect.arrayContaining(['uauc', 'gauc', 'mrr', 'ece@20', 'groups']))
    expect(await evaluate('--metrics', 'mrr')).toMatchObject({ code: 2, err: expect.stringContaining("set 'groups'") as string })

    const wrong = write('wrong-metric.json', JSON.stringify({ ...config, fit: { ...config.fit, metrics: ['prauk'] } }, null, 2))
    expect(await run('train', wrong, '--data', 'log.csv')).toMatchObject({
      code: 2,
      err: expect.stringMatching(
        /wrong-metric.json, line \d+: config.fit.metrics\[0\]: .*found "prauk"; the nearest is "prauc"/,
      ) as string,
    })
  })

  it('a configuration says where and how to compute, unless a flag does', async () => {
    const path = write('reference.json', JSON.stringify({ ...config, device: 'reference', precision: 'bfloat16', threads: 1 }))
    const train = (...args: string[]) => run('train', path, '--data', 'log.csv', '--quiet', '--no-save', '--epochs', '1', ...args)
    expect(lastJson((await train('--json')).out).device).toMatchObject({ name: 'reference', threads: 1 })
    expect(lastJson((await train('--device', 'cpu', '--json')).out).device).toMatchObject({ name: 'cpu', threads: 1 })
    expect((await train('--precision', 'tf32')).err).toContain(
      "precision: expected 'float32' or 'bfloat16' on device 'reference', found 'tf32'",
    )
  })

  it('a configuration extends another, and not itself', async () => {
    write('base.json', JSON.stringify({ ...config, extends: undefined }))
    write('child.json', JSON.stringify({ extends: 'base.json', fit: { epochs: 1 } }))
    const child = await run('train', 'child.json', '--data', 'log.csv', '--quiet', '--json')
    expect(child).toMatchObject({ code: 0, err: '' })
    expect(lastJson(child.out)).toMatchObject({ model: 'MMoE', saved: 'child.safetensors' })

    write('a.json', '{ "extends": "b.json" }')
    write('b.json', '{ "extends": "a.json" }')
    expect((await run('train', 'a.json', '--data', 'log.csv')).err).toContain('b.json extends "a.json", which extends it')
    write('c.json', '{ "extends": 3 }')
    expect((await run('train', 'c.json', '--data', 'log.csv')).err).toContain('c.json: extends: expected a string, found 3')
    write('d.json', '{ "extends": "nowhere.json" }')
    expect((await run('train', 'd.json', '--data', 'log.csv')).err).toMatch(/cannot read .*nowhere\.json/)
  })

  it('a resumed run ends with the same file', async () => {
    const train = async (save: string, ...args: string[]) => {
      return await run('train', 'config.json', '--data', 'log.csv', '--quiet', '--save', save, ...args)
    }
    await train('whole.safetensors', '--epochs', '4')
    await train('part.safetensors', '--epochs', '2', '--checkpoint', 'last.safetensors')
    expect(await train('resumed.safetensors', '--epochs', '4', '--resume', 'last.safetensors')).toMatchObject({
      code: 0,
      err: '',
    })
    const bytes = (name: string): Buffer => readFileSync(join(folder, name))
    expect(bytes('resumed.safetensors').equals(bytes('whole.safetensors'))).toBe(true)
    const refused = await train('never.safetensors', '--seed', '9', '--resume', 'last.safetensors')
    expect(refused.err).toMatch(/expected seed .*last\.safetensors/)
    expect(await run('evaluate', 'last.safetensors', '--data', 'log.csv')).toMatchObject({ code: 0 })
  })

  it('a day after another grows the model', async () => {
    const lines = readFileSync(join(folder, 'log.csv'), 'utf8').split('\n')
    const write2 = (name: string, rows: string[]): string => write(name, [lines[0], ...rows].join('\n'))
    write2('day1.csv', lines.slice(1, 1500))
    // Users of this day have other numbers.
    write2(
      'day2.csv',
      lines.slice(1500).map((line) => `10${line}`),
    )
    const path = write('daily.json', JSON.stringify({ ...config, fit: { ...config.fit, epochs: 1, grow: { evictAfter: 2 } } }))
    const train = (day: string, ...args: string[]) =>
      run('train', path, '--data', `${day}.csv`, '--save', `${day}.safetensors`, ...args)
    expect(await train('day1', '--day', '2026-11-28')).toMatchObject({ code: 0 })
    const { code, err } = await train('day2', '--from', 'day1.safetensors', '--day', '2026-12-01')
    expect(err).toMatch(/goes on from .*day1.safetensors: the optimizer starts anew, because the file is no checkpoint/)
    expect(err).toMatch(/vocabularies: user: 20 new, 20 evicted, 20 now; city: 0 new, 0 evicted, 3 now/)
    expect(code).toBe(0)
    using net = await loadModel(join(folder, 'day2.safetensors'))
    expect(net.describe().tables.map(({ rows }) => rows)).toEqual([21, 4])
    // A delta between the two files leads from one to the other.
    expect((await run('delta', 'day1.safetensors', 'day2.safetensors', 'day2.delta')).out).toMatch(
      /^saved to day2.delta, .* in place of /,
    )
    expect(await run('apply', 'day1.safetensors', 'day2.delta', '--save', 'applied.safetensors')).toMatchObject({
      code: 0,
      err: '',
    })
    const [applied, full] = ['applied', 'day2'].map((name) => readFileSync(join(folder, `${name}.safetensors`)))
    expect(applied).toEqual(full)
    const refused = await run('apply', 'day2.safetensors', 'day2.delta', '--save', 'never.safetensors')
    expect(refused).toMatchObject({ code: 2 })
    expect(refused.err).toContain('which has it already')
    expect((await train('day1', '--from', 'day2.safetensors', '--day', '2026-11-30')).err).toMatch(
      /fit.grow.day: expected 2026-12-01 or later/,
    )
  })

  it('a model is saved although its test rows cannot be measured', async () => {
    const log = readFileSync(join(folder, 'log.csv'), 'utf8').split('\n')
    const wrong = log.map((line, row) => (row === 10 ? line.replace(/^\d+/, '777') : line))
    write('wrong.csv', wrong.join('\n'))
    const features = [{ kind: 'sparse', name: 'user', vocabulary: 20, dim: 4 }]
    const path = write('narrow.json', JSON.stringify({ ...config, features }))
    const { code, err } = await run('train', path, '--data', 'wrong.csv', '--quiet')
    expect(err).toMatch(
      /trained and saved to narrow.safetensors, but not measured:\n.*row 0: .*found 777.*; it is row 9 of the data/,
    )
    expect(code).toBe(1)
    expect(existsSync(join(folder, 'narrow.safetensors'))).toBe(true)
  })

  it.each(['--save', '--checkpoint'])('%s is looked at before training', async (option) => {
    const { code, err } = await run('train', 'config.json', '--data', 'log.csv', option, 'none/x.safetensors')
    expect(err).toMatch(/^multigate: none.x.safetensors: cannot write it: there is no folder .*none; make it first\n$/)
    expect(code).toBe(1)
  })

  it('Ctrl-C saves a model that can be loaded, and says where', async () => {
    const child = spawn(
      process.execPath,
      [main, 'train', 'config.json', '--data', 'log.csv', '--epochs', '100000', '--save', 'cut.safetensors'],
      {
        cwd: folder,
      },
    )
    let err = ''
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString()
      if (!child.killed && err.includes('epoch 2/')) child.kill('SIGINT')
    })
    const code = await new Promise((resolve) => child.on('exit', resolve))
    expect(err).toMatch(/interrupted after epoch \d+: the weights of the last whole step are saved to cut.safetensors/)
    expect(code).toBe(130)
    using model = await loadModel(join(folder, 'cut.safetensors'))
    const { click = [] } = await model.predict({ user: [1, 19], city: ['Oslo', 'Rome'], price: [10, 10] })
    expect(click[0]).toBeLessThan(click[1] ?? NaN)
  })

  it('Ctrl-C while scoring leaves no file, and the old one as it was', async () => {
    write('old.csv', 'scores of yesterday')
    const child = spawn(process.execPath, [main, 'predict', 'cut.safetensors', '--data', 'log.csv', '--out', 'old.csv'], {
      cwd: folder,
    })
    const unfinished = () => readdirSync(folder).filter((name) => name.startsWith('.old.csv.'))
    const watch = setInterval(() => !child.killed && unfinished().length > 0 && child.kill('SIGINT'), 1)
    let err = ''
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    const code = await new Promise((resolve) => child.on('close', resolve))
    clearInterval(watch)
    expect({ code, err }).toEqual({ code: 130, err: 'interrupted: old.csv is unchanged\n' })
    expect(unfinished()).toEqual([])
    expect(readFileSync(join(folder, 'old.csv'), 'utf8')).toBe('scores of yesterday')
  })

  it('a file without rows has scores without rows', async () => {
    write('header.csv', `${readFileSync(join(folder, 'log.csv'), 'utf8').split('\n')[0]}\n`)
    expect(await run('predict', 'cut.safetensors', '--data', 'header.csv')).toMatchObject({
      code: 0,
      out: 'click,bought\n',
      err: '',
    })
  })
})

describe('an output that nobody reads', () => {
  const shell = (command: string): { out: string; err: string } => {
    const { stdout, stderr } = spawnSync('bash', ['-c', command], { cwd: folder, encoding: 'utf8' })
    return { out: stdout, err: stderr }
  }
  const multigate = `"${process.execPath}" "${main}"`

  it.each(['predict config.safetensors --data log.csv', 'evaluate config.safetensors --data log.csv --json', 'doctor', '--help'])(
    '%s ends quietly',
    (command) => {
      const { out, err } = shell(`${multigate} ${command} | true; echo "code \${PIPESTATUS[0]}"`)
      expect({ out, err }).toEqual({ out: 'code 141\n', err: '' })
    },
  )

  it('is no reason to lose a model', () => {
    const train = `${multigate} train config.json --data log.csv --save unread.safetensors`
    const { out } = shell(`${train} 2>&1 >/dev/null | true; echo "code \${PIPESTATUS[0]}"; ls unread.safetensors`)
    expect(out).toBe('code 0\nunread.safetensors\n')
  })

  it.skipIf(!existsSync('/dev/full'))('a full disk is one line', () => {
    const { err } = shell(`${multigate} predict config.safetensors --data log.csv >/dev/full`)
    expect(err).toMatch(/^multigate: stdout: cannot write it: .*no space left.*\n$/)
  })
})

/** The line of a file that a message points to. */
function lineNamed(message: string, path: string): string | undefined {
  const [, named, line] = /multigate: (.*), line (\d+): /.exec(message) ?? []
  expect(named).toBe(path)
  return readFileSync(path, 'utf8').split('\n')[Number(line) - 1]
}

it('scores that are no numbers are null in JSON lines', async () => {
  async function* parts() {
    yield [{ name: 'like', values: Float32Array.of(0.5, NaN, Infinity) }]
  }
  const path = join(folder, 'nan.jsonl')
  await writeScores(path, parts())
  expect(readFileSync(path, 'utf8')).toBe('{"like":0.5}\n{"like":null}\n{"like":null}\n')
})

it('help says where a model goes, and nothing of a default that is none', async () => {
  const { out } = await run('train', '--help')
  expect(out).toContain('(default: <config>.safetensors')
  expect(out).not.toContain('(default: true)')
})

describe('mistakes', () => {
  const wrong = (change: object): string => write('wrong.json', JSON.stringify({ ...config, ...change }, null, 2))

  it.each<[string, object, string, string]>([
    ['an unknown key', { numExpert: 3 }, 'numExpert', '"numExpert": 3'],
    ['a wrong value', { numExperts: 0 }, 'numExperts', '"numExperts": 0'],
    ['a wrong key below', { fit: { ...config.fit, epoch: 4 } }, 'config.fit', '"epoch": 4'],
    ['an unknown optimizer', { fit: { ...config.fit, optimizer: { name: 'adamm' } } }, 'config.fit.optimizer', '"adamm"'],
    ['an unknown model', { model: 'MMOE' }, 'config.model', '"MMOE"'],
    ['an unknown kind of task', { tasks: [{ kind: 'binery', name: 'click' }] }, 'config.tasks[0]', '"binery"'],
  ])('%s in the configuration is named, with its line, and nothing is done', async (_, change, key, there) => {
    const path = wrong(change)
    const { code, out, err } = await run('train', path, '--data', 'log.csv')
    expect(err).toContain(key)
    expect(lineNamed(err, path)).toContain(there)
    expect({ code, out }).toEqual({ code: 2, out: '' })
  })

  it.each<[string, string[], number, string]>([
    ['no command', [], 2, 'Usage'],
    ['an unknown command', ['trian'], 2, 'trian'],
    ['an unknown option', ['train', 'config.json', '--data', 'log.csv', '--epoch', '3'], 2, '--epoch'],
    ['no data', ['train', 'config.json'], 2, '--data'],
    ['a wrong number', ['train', 'config.json', '--data', 'log.csv', '--epochs', 'three'], 2, 'integer'],
    ['a configuration that is missing', ['train', 'none.json', '--data', 'log.csv'], 2, 'none.json'],
    ['data that are missing', ['train', 'config.json', '--data', 'none.csv'], 1, 'none.csv'],
    ['data of an unknown kind', ['train', 'config.json', '--data', 'log.txt'], 2, '.csv'],
    ['a model that is none', ['inspect', 'log.csv'], 1, 'log.csv'],
    [
      'a part of no split',
      ['evaluate', 'config.safetensors', '--data', 'none.csv', '--part', 'test'],
      2,
      '--part: expected --config',
    ],
    ['an ISA that is none', ['train', 'config.json', '--data', 'none.csv', '--isa', 'mmx'], 2, 'isa: expected one of'],
    [
      'a device that is none',
      ['train', 'config.json', '--data', 'none.csv', '--device', 'gpu'],
      2,
      "device: expected one of 'auto'",
    ],
    [
      'a precision of others',
      ['train', 'config.json', '--data', 'none.csv', '--device', 'cpu', '--precision', 'tf32'],
      2,
      'tf32',
    ],
    [
      'an ISA that is none, to score',
      ['predict', 'config.safetensors', '--data', 'log.csv', '--isa', 'mmx'],
      2,
      'isa: expected one of',
    ],
    ['an ISA that is none, to time', ['bench', '--isa', 'mmx'], 2, 'isa: expected one of'],
  ])('%s', async (_, args, code, text) => {
    const result = await run(...args)
    expect(result.err).toContain(text)
    expect(result.code).toBe(code)
  })

  it('a label column that is missing names the columns there are', async () => {
    const { code, err } = await run('train', wrong({ tasks: [{ kind: 'binary', name: 'clik' }] }), '--data', 'log.csv', '--quiet')
    expect(err).toContain('clik')
    expect(err).toContain('click')
    expect(code).toBe(1)
  })

  it('JSON that is none says so', async () => {
    const { code, err } = await run('train', write('broken.json', '{\n"model": "MMoE",\n}'), '--data', 'log.csv')
    expect(err).toContain('broken.json is not JSON: line 3, column 1: property name expected')
    expect(code).toBe(2)
  })
})

it('verify passes every instruction set of this machine, in both precisions', async () => {
  const { code, out } = await run('verify', '--levels', '10', '--json')
  expect(code).toBe(0)
  const { places } = lastJson(out) as { places: { isa: string; precision: string; passed: boolean; checks: number }[] }
  const isas = loadNative().isas()
  expect(places.map(({ isa, precision }) => `${isa} ${precision}`)).toEqual(
    isas.flatMap((isa) => [`${isa} float32`, `${isa} bfloat16`]),
  )
  expect(places.every(({ passed, checks }) => passed && checks === 12)).toBe(true)
  expect(out.split('\n')[0]).toMatch(/^where +precision +outputs and gradients/)
})

it('doctor says what the machine offers', async () => {
  const { code, out } = await run('doctor', '--json')
  expect(code).toBe(0)
  const found = lastJson(out) as {
    processors: { ofMachine: number; usable: number; quota: number | null; threads: number }
    memory: { ofMachine: number; limit: number | null; available: number }
  }
  expect(found).toMatchObject({
    native: { loaded: true },
    devices: expect.arrayContaining([expect.objectContaining({ name: 'cpu' })]),
    duckdb: { loaded: true, version: expect.stringMatching(/^v\d/) as string },
  })
  const { processors, memory } = found
  expect(processors.threads).toBe(Math.max(1, Math.min(processors.usable, Math.floor(processors.quota ?? Infinity))))
  expect(processors.ofMachine).toBeGreaterThanOrEqual(processors.usable)
  expect(memory.available).toBeLessThanOrEqual(Math.min(memory.ofMachine, memory.limit ?? Infinity))
  const words = (await run('doctor')).out
  expect(words).toMatch(/^processors +\d+, of which this process may use \d+, .*quota.*: \d+ threads?$/m)
  expect(words).toMatch(/^memory +[\d.]+ GiB.*; [\d.,]+ [GM]iB available$/m)
  expect(words).toMatch(/^DuckDB +v\d/m)
})

describe('explain', () => {
  it('shows why a row of a file has its scores, as text and as JSON', async () => {
    expect(
      (await run('train', 'config.json', '--data', 'log.csv', '--save', 'explained.safetensors', '--epochs', '1')).code,
    ).toBe(0)
    const { code, out, err } = await run('explain', 'explained.safetensors', '--data', 'log.csv', '--row', '4', '--json')
    expect(code, err).toBe(0)
    expect(out).toMatch(/^feature +value +seen as +click +bought$/m)
    expect(out).toMatch(/^gate +expert 1/m)
    const { predictions, features } = lastJson(out) as { predictions: Record<string, number>; features: Record<string, object> }
    const scores =
      (await run('predict', 'explained.safetensors', '--data', 'log.csv')).out.split('\n')[5]?.split(',').map(Number) ?? []
    expect(predictions['click']).toBeCloseTo(scores[0] ?? NaN, 7)
    expect(predictions['bought']).toBeCloseTo(scores[1] ?? NaN, 7)
    expect(features['city']).toMatchObject({ state: 'known' })

    const compared = await run(
      'explain',
      'explained.safetensors',
      '--data',
      'log.csv',
      '--row',
      '4',
      '--background',
      'log.csv',
      '--json',
    )
    expect(lastJson(compared.out)).toMatchObject({ predictions })
    expect(lastJson(compared.out)['tasks']).not.toEqual(lastJson(out)['tasks'])
  })

  it('names a row that the file lacks', async () => {
    const { code, err } = await run('explain', 'explained.safetensors', '--data', 'log.csv', '--row', '3000')
    expect(code).toBe(1)
    expect(err).toContain('[0, 3,000)')
    expect((await run('explain', 'explained.safetensors', '--data', 'log.csv')).err).toContain('--row')
  })
})
