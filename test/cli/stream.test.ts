// `train --stream` and `evaluate --stream`: the same as with all rows in memory, where they fit.

import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

import { randomOf } from '../../lib/verify/numbers.js'
import { runIn } from '../support/command-line.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-stream-'))
const config = {
  model: 'SharedBottom',
  features: [
    { kind: 'sparse', name: 'city', dim: 4 },
    { kind: 'dense', name: 'price', transform: 'standardize' },
  ],
  tasks: [{ kind: 'binary', name: 'click' }],
  bottomHiddenUnits: [8],
  towerHiddenUnits: [4],
  fit: { batchSize: 128, epochs: 2 },
}

const run = (...args: string[]) => runIn(folder, ...args)

async function train(options: object, ...flags: string[]): Promise<Record<string, unknown>> {
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...options }))
  const { code, out, err } = await run('train', 'config.json', '--data', 'log.csv', '--json', '--quiet', ...flags)
  expect(code, err).toBe(0)
  const { seconds, rowsPerSecond, saved, ...rest } = JSON.parse(out.trim().split('\n').at(-1) ?? '') as Record<string, unknown>
  return rest
}

it('trains, measures and saves as without it', { timeout: 180_000 }, async () => {
  const random = randomOf(4)
  const lines = Array.from({ length: 900 }, (_, row) => {
    const city = Math.floor(5 * random())
    return [row, Math.floor(40 * random()), `c${city}`, (100 * random()).toFixed(2), random() < 0.2 + 0.1 * city ? 1 : 0].join()
  })
  writeFileSync(join(folder, 'log.csv'), `id,user,city,price,click\n${lines.join('\n')}\n`)
  for (const split of [{ hash: 'user', validation: 0.2, test: 0.2 }, undefined]) {
    const whole = await train({ split }, '--save', 'whole.safetensors')
    const stream = await train({ split }, '--stream', '--save', 'stream.safetensors')
    const { unknownValues, rows, ...others } = whole
    expect(stream).toEqual({
      ...others,
      unknownValues,
      rows: { ...(rows as object), leftOut: split === undefined ? 0 : null },
    })
    const scores: string[] = []
    for (const name of ['whole', 'stream']) {
      expect((await run('predict', `${name}.safetensors`, '--data', 'log.csv', '--out', `${name}.csv`)).code).toBe(0)
      scores.push((await run('evaluate', `${name}.safetensors`, '--data', 'log.csv', '--json')).out)
    }
    expect(scores[1]).toBe(scores[0])
    const part = split === undefined ? [] : ['--config', 'config.json', '--part', 'test']
    const evaluate = ['evaluate', 'whole.safetensors', '--data', 'log.csv', '--json', '--groups', 'user', ...part]
    const { code, out, err } = await run(...evaluate, '--stream')
    expect(code, err).toBe(0)
    expect(out).toBe((await run(...evaluate)).out)
  }
})

it('takes the options of the configuration, and refuses splits that need all rows', { timeout: 180_000 }, async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'multigate-scratch-'))
  const few = await train({ fit: { ...config.fit, stream: { memory: 8192, scratch } } }, '--stream', '--no-save')
  expect(few).toMatchObject({ rows: { train: 900 }, epochs: 2 })
  writeFileSync(join(folder, 'next.csv'), 'city,price,click\nc1,5,0\nc9,6,1\nc9,7,0\n')
  const grown: unknown[] = []
  for (const stream of [[], ['--stream']]) {
    const options = ['--data', 'next.csv', '--from', 'whole.safetensors', '--grow', '--no-save', '--quiet', '--json', ...stream]
    const { code, out, err } = await run('train', 'config.json', ...options)
    expect(code, err).toBe(0)
    const { seconds, rowsPerSecond, ...rest } = JSON.parse(out.trim().split('\n').at(-1) ?? '') as Record<string, unknown>
    grown.push(rest)
  }
  expect(grown[1]).toEqual(grown[0])
  // The key of the sample is no column of the model.
  const tasks = [{ kind: 'binary', name: 'click', negativeRate: 0.1 }]
  const sampled = await train({ tasks, fit: { ...config.fit, sampleNegatives: { by: 'id' } } }, '--stream', '--no-save')
  expect((sampled['rows'] as { train: number }).train).toBeLessThan(600)
  expect(readdirSync(scratch)).toEqual([])
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({ ...config, split: { stratify: 'click', by: 'id', test: 0.1 } }, null, 2),
  )
  const { code, err } = await run('train', 'config.json', '--data', 'log.csv', '--stream')
  expect(code).not.toBe(0)
  expect(err).toMatch(/stratify/)
})
