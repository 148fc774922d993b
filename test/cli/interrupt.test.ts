// What the signals that end a process leave behind: the model that was trained so far, and no part of any other file.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { DuckDBInstance } from '@duckdb/node-api'
import { beforeAll, describe, expect, it } from 'vitest'

import { loadModel } from '../../lib/model/load.js'
import type { Model } from '../../lib/model/model.js'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'multigate-signals-'))
const signals: [NodeJS.Signals, number][] = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
]

const config = {
  model: 'MMoE',
  features: [{ kind: 'sparse', name: 'user', dim: 4 }],
  tasks: [{ kind: 'binary', name: 'click' }],
  numExperts: 2,
  expertHiddenUnits: [8],
  fit: { batchSize: 64 },
}

beforeAll(async () => {
  const lines = Array.from({ length: 200_000 }, (_, row) => `u${(row * 7) % 50},${(row * row) % 3 === 0 ? 1 : 0}`)
  // Lines that end in two ways are written anew before they are read.
  const large = ['user,click', ...lines].join('\n').replace('\n', '\r\n')
  writeFileSync(join(folder, 'large.csv.gz'), gzipSync(large, { level: 1 }))
  writeFileSync(join(folder, 'small.csv'), `user,click\n${lines.slice(0, 2000).join('\n')}\n`)
  writeFileSync(join(folder, 'train.json'), JSON.stringify(config))
  // One row in a thousand trains; what is left is measured.
  const split = { rowMod: 1000, validation: Array.from({ length: 999 }, (_, index) => index + 1) }
  writeFileSync(join(folder, 'validate.json'), JSON.stringify({ ...config, split }))
  const connection = await (await DuckDBInstance.create()).connect()
  const select = "SELECT 'u' || (i % 50) AS user, (i % 3 = 0)::INT AS click FROM range(20000000) t(i)"
  await connection.run(`COPY (${select}) TO '${join(folder, 'large.parquet').replaceAll("'", "''")}' (FORMAT parquet)`)
  connection.closeSync()
}, 60_000)

/** A user that a trained model knows has another score than one that it does not. */
async function isTrained(model: Model): Promise<void> {
  const { click = [] } = await model.predict({ user: ['u0', 'u0', 'nobody'] })
  expect(new Set(click).size).toBe(2)
  for (const score of click) expect(score > 0 && score < 1).toBe(true)
}

/** Runs a command and sends it a signal once what it has said matches. */
async function ended(signal: NodeJS.Signals, when: RegExp, args: readonly string[]) {
  // What is written for a while lies here.
  const temporary = mkdtempSync(join(folder, 'tmp-'))
  const child = spawn(process.execPath, [main, ...args], { cwd: folder, env: { ...process.env, TMPDIR: temporary } })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
    if (child.killed || !when.test(err)) return
    child.kill(signal)
  })
  const [code, by] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.on('close', (...ending) => resolve(ending))
  })
  return { code, by, out, err, left: readdirSync(temporary) }
}

describe.each(signals)('%s', (signal, exitCode) => {
  it('during training saves a model that can be loaded', { timeout: 60_000 }, async () => {
    const save = `${signal}.safetensors`
    const run = await ended(signal, /epoch 2\//, [
      ...['train', 'train.json', '--data', 'small.csv', '--epochs', '1000000', '--save', save, '--json'],
    ])
    expect(run).toMatchObject({ code: exitCode, left: [] })
    expect(run.err).toMatch(/interrupted after epoch \d+: the weights of the last whole step are saved to SIG/)
    expect(JSON.parse(run.out)).toMatchObject({ interrupted: true, saved: save })
    using model = await loadModel(join(folder, save))
    await isTrained(model)
  })

  it('during validation gives that up, and saves', { timeout: 60_000 }, async () => {
    const save = `${signal}-validation.safetensors`
    const run = await ended(signal, /epoch 2\//, [
      ...['train', 'validate.json', '--data', 'large.csv.gz', '--epochs', '1000000', '--save', save],
    ])
    expect(run).toMatchObject({ code: exitCode, left: [] })
    expect(run.err).toContain(`the weights of the last whole step are saved to ${save}`)
    using model = await loadModel(join(folder, save))
    await isTrained(model)
  })

  it.each(['large.csv.gz', 'large.parquet'])(
    'while %s is read ends with nothing saved or left behind',
    { timeout: 60_000 },
    async (data) => {
      const save = `${signal}-never.safetensors`
      const run = await ended(signal, /reading/, ['train', 'train.json', '--data', data, '--save', save, '--epochs', '1000000'])
      expect(run).toEqual({
        code: exitCode,
        by: null,
        out: '',
        err: `reading ${data}\ninterrupted before an epoch was done: nothing was saved\n`,
        left: [],
      })
      expect(existsSync(join(folder, save))).toBe(false)
    },
  )

  it('while rows are scored leaves the old file as it was', { timeout: 60_000 }, async () => {
    const own = join(folder, `scores-${signal}`)
    mkdirSync(own)
    writeFileSync(join(own, 'scores.csv'), 'scores of yesterday')
    const args = ['predict', `${signal}.safetensors`, '--data', 'large.parquet', '--out', join(own, 'scores.csv')]
    const child = spawn(process.execPath, [main, ...args], { cwd: folder })
    const watch = setInterval(() => !child.killed && readdirSync(own).length > 1 && child.kill(signal), 1)
    let err = ''
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    const code = await new Promise((resolve) => child.on('close', resolve))
    clearInterval(watch)
    expect({ code, err }).toEqual({ code: exitCode, err: `interrupted: ${join(own, 'scores.csv')} is unchanged\n` })
    expect(readdirSync(own)).toEqual(['scores.csv'])
    expect(readFileSync(join(own, 'scores.csv'), 'utf8')).toBe('scores of yesterday')
  })
})

it('a second signal ends the process', { timeout: 60_000 }, async () => {
  // Work that takes no notice of its signal.
  const source = `
    import { untilInterrupted } from ${JSON.stringify(new URL('../../dist/cli/interrupt.js', import.meta.url).href)}
    await untilInterrupted((signal) => new Promise((resolve) => {
      process.stderr.write('at work')
      signal.addEventListener('abort', () => process.stderr.write(' first'))
      setTimeout(() => resolve(0), 60_000)
    }), () => undefined)
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', source])
  let err = ''
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
    child.kill(err.includes('first') ? 'SIGTERM' : 'SIGHUP')
  })
  const by = await new Promise((resolve) => child.on('close', (_, signal) => resolve(signal)))
  expect({ by, err }).toEqual({ by: 'SIGTERM', err: 'at work first' })
})
