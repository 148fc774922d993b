// Trains every model of this folder with some seeds and compares the medians of its test AUC with those of Keras.
//   npm run quality -- --data census-income.csv.gz [--seeds 3] [--model mmoe]
// Exit code 1 if a median is outside the tolerance of expected.json.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const { sha256, tolerance, models } = JSON.parse(readFileSync(here('expected.json'), 'utf8'))
const { values: options } = parseArgs({
  options: { data: { type: 'string' }, seeds: { type: 'string', default: '3' }, model: { type: 'string', multiple: true } },
})
if (options.data === undefined) {
  console.error('--data: expected the path of census-income.csv.gz; examples/census/README.md says where to get it')
  process.exit(2)
}

const sum = createHash('sha256').update(contents(options.data)).digest('hex')
if (sum !== sha256) {
  console.error(
    `--data: expected a file whose content has the SHA-256 ${sha256}, found ${sum}; examples/census/README.md says how it is made`,
  )
  process.exit(2)
}

const seeds = Array.from({ length: Number(options.seeds) }, (_, index) => index + 1)
let outside = 0
console.log('model                task           expected   median   seeds')
for (const [name, expected] of Object.entries(models)) {
  if (options.model !== undefined && !options.model.includes(name)) continue
  const runs = seeds.map((seed) => train(name, seed))
  for (const [task, allowed] of Object.entries({ ...tolerance, ...expected.tolerance })) {
    if (expected[task] === undefined) continue
    const found = runs.map((run) => run[task].auc)
    const middle = median(found)
    const missed = Math.abs(middle - expected[task]) > allowed
    if (missed) outside += 1
    const cells = [name.padEnd(19), task.padEnd(13), expected[task].toFixed(4), middle.toFixed(4)]
    console.log(
      `${cells.join('  ')}   ${found.map((auc) => auc.toFixed(4)).join(' ')}${missed ? `   more than ${allowed} away` : ''}`,
    )
  }
}
process.exit(outside > 0 ? 1 : 0)

function train(name, seed) {
  const cli = here('../../dist/cli/main.js')
  const args = ['train', here(`${name}.json`), '--data', options.data, '--seed', String(seed), '--json', '--quiet', '--no-save']
  if (process.stderr.isTTY) process.stderr.write(`${name}, seed ${seed} ...\r`)
  const out = execFileSync(process.execPath, [cli, ...args], { encoding: 'utf8' })
  return JSON.parse(out.trim().split('\n').at(-1)).test
}

function contents(path) {
  const bytes = readFileSync(path)
  return /\.gz$/.test(path) ? gunzipSync(bytes) : bytes
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}
