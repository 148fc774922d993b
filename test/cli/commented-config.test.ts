// A configuration with comments, the one of the working folder, and the data that it names.

import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'

import { readConfig } from '../../lib/cli/config.js'
import { runIn } from '../support/command-line.js'
import { refusal } from '../support/refusal.js'

let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'multigate-commented-'))
  mkdirSync(join(folder, 'logs'))
  const lines = Array.from({ length: 64 }, (_, row) => `${row % 5},${row % 3 === 0 ? 1 : 0}`)
  writeFileSync(join(folder, 'logs', 'log.csv'), ['city,click', ...lines].join('\n'))
})

const commented = `{
  // The kind with one bottom for all tasks.
  "model": "SharedBottom",
  "data": "logs/log.csv", /* beside this file */
  "features": [{ "kind": "sparse", "name": "city", "dim": 2 }],
  "tasks": [{ "kind": "binary", "name": "click" }],
  "bottomHiddenUnits": [4],
  "fit": { "batchSize": 32, "epochs": 1 },
}
`

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)

it('trains what the configuration of the working folder says, on the data that it names', async () => {
  write('multigate.jsonc', commented)
  const { code, err, out } = await runIn(folder, 'train', '--quiet')
  expect(code, err).toBe(0)
  expect(out).toContain('saved to model.safetensors')
  expect(existsSync(join(folder, 'model.safetensors'))).toBe(true)
})

it('finds the data beside the configuration, from any folder, and names the model by it', async () => {
  write('first.jsonc', commented)
  const { code, err } = await runIn(join(folder, 'logs'), 'train', '../first.jsonc', '--quiet')
  expect(code, err).toBe(0)
  expect(existsSync(join(folder, 'logs', 'first.safetensors'))).toBe(true)
})

it('takes the file of --data rather than that of the configuration', async () => {
  write('multigate.jsonc', commented.replace('logs/log.csv', 'gone.csv'))
  const { code, err } = await runIn(folder, 'train', '--data', 'logs/log.csv', '--no-save', '--quiet')
  expect(code, err).toBe(0)
})

it('says what to give where there is no configuration, and where nothing names the data', async () => {
  const none = await runIn(folder, 'train')
  expect(none.code).toBe(2)
  expect(none.err).toContain('no multigate.jsonc or multigate.json')
  write('multigate.jsonc', commented.replace(/"data".*$/m, ''))
  const dataless = await runIn(folder, 'train')
  expect(dataless.code).toBe(2)
  expect(dataless.err).toContain('--data: expected a file, found neither')
})

it.each([
  ['broken.jsonc', '{\n  // a comment\n  "model" "MMoE"\n}', 'line 3, column 11: colon expected'],
  ['strict.json', commented, 'line 2, column 3: invalid comment'],
  ['wrong.jsonc', commented.replace('"epochs": 1', '"epochs": -1'), /wrong\.jsonc, line 8: config\.fit\.epochs/],
])('names the place of a mistake in %s', async (name, text, says) => {
  write(name, text)
  await expect(readConfig(join(folder, name))).rejects.toThrow(refusal('ARGUMENT', { says }))
})
