// Splits of a configuration on the command line: what train reports, and the same parts for evaluate and predict, whatever the order of the
// rows in the file.

import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'

import { randomOf } from '../../lib/verify/numbers.js'
import { runIn } from '../support/command-line.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-splits-'))
const rows = 600
const config = {
  model: 'SharedBottom',
  features: [{ kind: 'sparse', name: 'city', dim: 4 }],
  tasks: [{ kind: 'binary', name: 'click' }],
  bottomHiddenUnits: [8],
  towerHiddenUnits: [4],
  fit: { batchSize: 128, epochs: 1 },
}

beforeAll(() => {
  const random = randomOf(4)
  // The columns of the splits are not those of the model.
  const lines = Array.from({ length: rows }, (_, row) => {
    const day = 1 + (row % 16)
    return [
      row,
      Math.floor(40 * random()),
      `2021-05-${String(day).padStart(2, '0')}`,
      day,
      `c${row % 5}`,
      row % 3 === 0 ? 1 : 0,
    ].join()
  })
  const header = 'id,user,date,day,city,click'
  writeFileSync(join(folder, 'log.csv'), [header, ...lines].join('\n'))
  writeFileSync(join(folder, 'reversed.csv'), [header, ...lines.reverse()].join('\n'))
})

const run = (...args: string[]) => runIn(folder, ...args)

function lastJson(out: string): Record<string, unknown> {
  return JSON.parse(out.trim().split('\n').at(-1) ?? '') as Record<string, unknown>
}

function write(split: unknown): void {
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, split }, null, 2))
}

const [each, left] = [Math.floor(rows / 16), rows % 16]

it.each<[string, object, object?]>([
  [
    'column',
    { column: 'day', train: [1, 13], validation: 14, test: 15 },
    { train: 13 * each + Math.min(left, 13), validation: each, test: each, leftOut: each },
  ],
  [
    'time',
    { time: 'date', validation: { from: '2021-05-14' }, test: { from: '2021-05-15' } },
    { train: 13 * each + Math.min(left, 13), validation: each, test: 2 * each, leftOut: 0 },
  ],
  ['hash', { hash: ['user'], validation: 0.2, test: 0.2 }],
  [
    'stratify',
    { stratify: 'click', by: ['id'], validation: 0.1, test: 0.1 },
    { train: 480, validation: 60, test: 60, leftOut: 0 },
  ],
])('%s: train and evaluate agree on the parts, in any order of rows', { timeout: 60_000 }, async (_, split, expected = {}) => {
  write(split)
  const trained = await run('train', 'config.json', '--data', 'log.csv', '--json')
  expect(trained, trained.err).toMatchObject({ code: 0 })
  const { rows: parts, test } = lastJson(trained.out) as { rows: Record<string, number>; test: { click: { rows: number } } }
  expect(parts).toMatchObject(expected)
  expect(Object.values(parts).reduce((sum, count) => sum + count, 0)).toBe(rows)
  expect(test.click.rows).toBe(parts['test'])
  const leftOut = parts['leftOut'] === 0 ? '' : `, ${parts['leftOut']} left out`
  expect(trained.err).toContain(
    `rows: ${parts['train']} train, ${parts['validation']} validation, ${parts['test']} test${leftOut}\n`,
  )
  for (const file of ['log.csv', 'reversed.csv']) {
    const part = ['--data', file, '--config', 'config.json', '--part', 'test']
    const { test: found } = lastJson((await run('evaluate', 'config.safetensors', ...part, '--json')).out) as {
      test: { click: object }
    }
    // Sums of other orders differ in the last bits.
    const { auc, ...exact } = test.click as Record<string, number>
    expect(found.click).toMatchObject({
      rows: exact['rows'],
      positives: exact['positives'],
      auc: expect.closeTo(auc ?? 0, 9) as number,
    })
  }
  const kept = await run(
    'predict',
    'config.safetensors',
    '--data',
    'reversed.csv',
    '--config',
    'config.json',
    '--part',
    'test',
    '--keep',
    'id',
  )
  expect(kept.code, kept.err).toBe(0)
  expect(kept.out.trim().split('\n')).toHaveLength(1 + (parts['test'] ?? 0))
})

it('errors name the line of the configuration, or the part and what was found', async () => {
  const train = () => run('train', 'config.json', '--data', 'log.csv', '--no-save')
  write({ column: 'day', train: [1, 13], validation: 14, tset: 15 })
  const unknown = await train()
  expect(unknown).toMatchObject({ code: 2 })
  expect(unknown.err).toMatch(/config\.json, line \d+: config\.split\.tset: unknown option; did you mean 'test'/)
  write({ column: 'day', train: [1, 14], validation: 14 })
  expect(await train()).toMatchObject({
    code: 2,
    err: expect.stringMatching(/split\.validation: .*found 14 in train too/) as string,
  })
  write({ column: 'day', test: 17 })
  expect(await train()).toMatchObject({ code: 2, err: expect.stringMatching(/split\.test: .*17.*nearest are 16/) as string })
  write({ column: 'dya', test: 15 })
  expect(await train()).toMatchObject({ code: 1, err: expect.stringMatching(/no column "dya" .*"day"/) as string })
})
