// The log of epochs: its columns and lines, in new and in resumed runs.

import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { type EpochLogOptions, epochLog } from '../../lib/training/epoch-log.js'
import type { EpochRecord } from '../../lib/training/history.js'
import type { FitOptions } from '../../lib/training/options.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 600 })
const validation = data({ rows: 200, seed: 2 })
const pathOf = (name: string): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), name)

async function epochsOf(options: FitOptions): Promise<readonly EpochRecord[]> {
  using net = model()
  return (await net.fit(train, { validation, batchSize: 100, ...options })).epochs
}

/** The numbers of a log, as another reader finds them. */
async function rowsOf(path: string): Promise<Record<string, number>[]> {
  if (path.endsWith('.jsonl'))
    return readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  const [header = '', ...lines] = readFileSync(path, 'utf8').trim().split('\n')
  const table = await Dataset.fromCsv(path)
  expect(table.rows).toBe(lines.length)
  return lines.map((line) => Object.fromEntries(line.split(',').map((value, at) => [header.split(',')[at], Number(value)])))
}

const expected = ({ epoch, steps, seconds, rowsPerSecond, learningRate, metrics }: EpochRecord) => {
  return { epoch, steps, seconds, rowsPerSecond, learningRate, ...metrics }
}

describe.each(['epochs.csv', 'epochs.jsonl'])('%s', (name) => {
  it('has every number of every epoch', async () => {
    const path = pathOf(name)
    writeFileSync(path, 'of an earlier run')
    const epochs = await epochsOf({ epochs: 3, callbacks: [epochLog({ path })] })
    expect(await rowsOf(path)).toEqual(epochs.map(expected))
    expect(epochs[2]?.metrics).toHaveProperty('val_click_auc')
    expect(readdirSync(dirname(path))).toEqual([name])
  })

  it('is continued by a resumed run, whatever has become of the file', async () => {
    const [path, last] = [pathOf(name), pathOf('last.safetensors')]
    const callbacks = [epochLog({ path }), checkpoint({ path: last })]
    await epochsOf({ epochs: 2, callbacks })
    writeFileSync(path, 'half a li')
    const epochs = await epochsOf({ epochs: 4, callbacks, resume: last })
    expect(await rowsOf(path)).toEqual(epochs.map(expected))
    expect(epochs).toHaveLength(4)
  })
})

it('has the weights of balanced tasks', async () => {
  const path = pathOf('epochs.csv')
  const [epoch] = await epochsOf({ balance: 'rlw', callbacks: [epochLog({ path })] })
  const { click, buy } = epoch?.balance?.weights ?? {}
  expect(await rowsOf(path)).toMatchObject([{ click_weight: click, buy_weight: buy }])
})

it('takes a format that the name of the file does not tell', async () => {
  const path = pathOf('log')
  await epochsOf({ callbacks: [epochLog({ path, format: 'jsonl' })] })
  expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ epoch: 1 })
})

it.each([
  [{}, 'epochLog.path'],
  [{ path: 'a', format: 'tsv' }, 'epochLog.format'],
  [{ path: 'a', every: 2 }, 'epochLog.every'],
])('%o is refused', (options, field) => {
  expect(() => epochLog(options as EpochLogOptions)).toThrow(refusal('ARGUMENT', { field }))
})

it('fails before the first step if the file cannot be written', async () => {
  const steps: number[] = []
  const callbacks = [epochLog({ path: '/nowhere/at/all.csv' }), { onStep: () => void steps.push(1) }]
  await expect(epochsOf({ callbacks })).rejects.toThrow(refusal('WRITE'))
  expect(steps).toEqual([])
})
