// How fast `fit` trains on rows in parts, beside the same rows in memory: both from one Parquet file, each in a process of its own.
//
//   node bench/stream.mjs [--rows N] [--repeats N] [--model small|mmoe] [--batch N]

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { adam, binary, Dataset, dense, MMoE, SharedBottom, sparse } from '../dist/index.js'

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '5000000' },
    repeats: { type: 'string', default: '3' },
    model: { type: 'string', default: 'small' },
    batch: { type: 'string', default: '4096' },
    epochs: { type: 'string', default: '3' },
    file: { type: 'string' },
    source: { type: 'string' },
  },
})

const ids = ['user', 'item', 'author', 'city', 'device', 'hour']
const numbers = ['price', 'length', 'age', 'score']
const tasks = ['click', 'like']
const bounds = { user: 100_000, item: 50_000, author: 5000, city: 300, device: 40, hour: 24 }

if (values.source === undefined) await compare()
else await measure(values.source)

async function compare() {
  const folder = mkdtempSync(join(tmpdir(), 'multigate-stream-'))
  try {
    const file = values.file ?? join(folder, 'rows.parquet')
    if (!existsSync(file)) await write(file)
    const runs = { memory: [], stream: [] }
    for (let repeat = 0; repeat < Number(values.repeats); repeat += 1) {
      for (const source of Object.keys(runs)) {
        const given = ['rows', 'model', 'batch', 'epochs'].flatMap((name) => [`--${name}`, values[name]])
        const args = [fileURLToPath(import.meta.url), ...given, '--file', file, '--source', source]
        const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' })
        if (status !== 0) throw new Error(stderr)
        runs[source].push(JSON.parse(stdout))
        console.log(source, stdout.trim())
      }
    }
    for (const name of ['prepare', 'firstEpoch', 'laterRate', 'firstProcessor', 'laterProcessor', 'megabytes']) {
      for (const [source, results] of Object.entries(runs)) {
        const sorted = results.map((result) => result[name]).sort((a, b) => a - b)
        console.log(`${name} ${source}: median ${sorted[sorted.length >> 1]}, from ${sorted[0]} to ${sorted.at(-1)}`)
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function write(file) {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const connection = await (await DuckDBInstance.create(':memory:')).connect()
  const drawn = (salt) => `(hash(i + ${salt * 1_000_003}) % 1000000) / 1000000.0`
  const columns = [
    ...ids.map((name, at) => `floor(${bounds[name]} * pow(${drawn(at)}, 2))::INTEGER AS ${name}`),
    ...numbers.map((name, at) => `(100 * ${drawn(at + 10)})::FLOAT AS ${name}`),
    ...tasks.map((name, at) => `(${drawn(at + 20)} < 0.1 + 0.2 * ${drawn(0)})::INTEGER AS ${name}`),
  ]
  await connection.run(`COPY (SELECT ${columns.join(', ')} FROM range(${values.rows}) t(i)) TO '${file}' (FORMAT parquet)`)
}

async function measure(source) {
  const features = [
    ...ids.map((name) => sparse(name, { dim: values.model === 'small' ? 8 : 16 })),
    ...numbers.map((name) => dense(name, { transform: 'standardize' })),
  ]
  const common = { features, tasks: tasks.map((name) => binary(name)), seed: 1 }
  const model =
    values.model === 'small'
      ? new SharedBottom({ ...common, bottomHiddenUnits: [32], towerHiddenUnits: [16] })
      : new MMoE({ ...common, numExperts: 8, expertHiddenUnits: [64], towerHiddenUnits: [32] })
  const start = performance.now()
  const since = () => Math.round(performance.now() - start) / 1000
  let began = 0
  let firstEpoch = 0
  const used = []
  const onEpochEnd = ({ epoch }) => {
    if (epoch === 1) firstEpoch = since()
    const { user, system } = process.cpuUsage()
    used.push((user + system) / 1e6)
  }
  const callbacks = [{ onStart: () => void (began = since()), onEpochEnd }]
  const train = source === 'stream' ? Dataset.streamParquet(values.file) : await Dataset.fromParquet(values.file)
  const { epochs } = await model.fit(train, {
    batchSize: Number(values.batch),
    epochs: Number(values.epochs),
    optimizer: adam(),
    callbacks,
  })
  const rates = epochs.slice(1).map(({ rowsPerSecond }) => rowsPerSecond)
  const laterRate = Math.round(rates.reduce((sum, rate) => sum + rate, 0) / rates.length)
  // Processor seconds: on a machine that others use, they say more than time.
  const laterProcessor = (used.at(-1) - used[0]) / (epochs.length - 1)
  const megabytes = Math.round(process.resourceUsage().maxRSS / 1024)
  console.log(
    JSON.stringify({
      prepare: began,
      firstEpoch,
      trained: epochs[0].seconds,
      laterRate,
      firstProcessor: used[0],
      laterProcessor,
      loss: epochs.at(-1).loss,
      megabytes,
    }),
  )
}
