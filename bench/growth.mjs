#!/usr/bin/env node
// How speed changes as work grows: rows per second of one MMoE layer, forward and backward, with one size varied at a time, and of
// training steps over an embedding table of ten thousand to a hundred million rows.
//   npm run bench:growth -- [--peers] [--json FILE] [--chart FILE.svg] [--only n,d,...]
// --peers: also times PyTorch, the faster of its two variants, compiled for each shape (8 minutes on two cores). The largest table
// takes 1.6 GB.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { parse, View } from 'vega'
import { compile } from 'vega-lite'
import { flopsOf, layerRuns } from '../dist/bench/layers.js'
import { binary, Dataset, MMoE, sgd, sparse } from '../dist/index.js'
import { loadNative } from '../dist/native/loader.js'
import { table } from '../dist/report/text.js'
import { randomOf } from '../dist/verify/numbers.js'

const native = loadNative()
const most = Math.min(2, native.processors())
const middle = { n: 10_240, d: 128, e: 8, h: 32, t: 4, threads: most }
const sizes = {
  n: [1, 7, 32, 100, 1024, 10_239, 10_240, 102_400, 1_048_576],
  d: [1, 8, 32, 64, 113, 128, 256, 512, 1024],
  e: [1, 2, 4, 8, 16, 32, 64],
  h: [1, 5, 8, 16, 32, 33, 64, 128, 256],
  t: [1, 2, 4, 8, 16],
  threads: Array.from({ length: native.processors() }, (_, index) => index + 1),
  'table rows': [1e4, 1e5, 1e6, 1e7, 1e8],
}
const batch = 10_240
const steps = 20

const options = new Command('growth')
  .option('--only <names>', `sizes to vary, of ${Object.keys(sizes).join(',')}`, Object.keys(sizes).join(','))
  .option('--isa <name>', 'force an instruction set', native.isas()[0])
  .option('--seconds <s>', 'about how many seconds to spend on each measurement', Number, 0.3)
  .option('--peers', 'time PyTorch too')
  .option(
    '--folder <folder>',
    'where the programs that time the peers are',
    fileURLToPath(new URL('../../shared/peers', import.meta.url)),
  )
  .option('--json <file>', 'also write the results to this file')
  .option('--chart <file>', 'draw them, as SVG')
  .parse()
  .opts()
const only = options.only.split(',')
const unknown = only.filter((name) => !(name in sizes))
if (unknown.length > 0) {
  console.error(`--only: expected names of ${Object.keys(sizes).join(', ')}, found ${unknown.join(', ')}`)
  process.exit(2)
}

if (options.peers && !existsSync(join(options.folder, 'peers.py'))) {
  console.error(`no peers.py in ${options.folder}: PyTorch is left out`)
  options.peers = false
}

const results = []
for (const varied of only) {
  for (const size of sizes[varied]) {
    results.push({ varied, size, ...(varied === 'table rows' ? await tableSteps(size) : layer({ ...middle, [varied]: size })) })
  }
  if (options.peers && varied !== 'table rows') timePeer(varied)
}
console.log(
  `${options.isa}, ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.version}; in the middle ${JSON.stringify(middle)}`,
)
console.log(
  table(
    ['varied', 'size', 'median ms', 'rows/s', 'GFLOP/s', ...(options.peers ? ['PyTorch ms', ''] : [])],
    results.map(({ varied, size, median_ms, rows_per_s, gflops, peer }) => [
      varied,
      size.toLocaleString('en'),
      median_ms.toFixed(3),
      Math.round(rows_per_s).toLocaleString('en'),
      gflops?.toFixed(0) ?? '',
      ...(options.peers ? [peer?.median_ms.toFixed(3) ?? '', peer ? `${(peer.median_ms / median_ms).toFixed(1)}x` : ''] : []),
    ]),
  ),
)
const record = {
  date: new Date().toISOString().slice(0, 10),
  node: process.version,
  cpu: cpus()[0]?.model,
  isa: options.isa,
  middle,
  results,
}
if (options.json) write(options.json, `${JSON.stringify(record, null, 2)}\n`)
if (options.chart) write(options.chart, await chart())

function layer({ threads, ...shape }) {
  const runs = layerRuns(shape, { native, device: 'cpu', isa: options.isa, precision: 'float32' }, threads)
  const run = runs['forward+backward']
  run()
  const times = []
  for (const end = performance.now() + 1000 * options.seconds; performance.now() < end || times.length < 5; ) {
    const start = performance.now()
    run()
    times.push(performance.now() - start)
  }
  runs.dispose()
  const ms = median(times)
  return { median_ms: ms, rows_per_s: (1000 * shape.n) / ms, gflops: (3 * flopsOf(shape)) / (1e6 * ms) }
}

/** Adds the faster of PyTorch's variants to each result of one varied size. Its programs time the shapes that lie beside them. */
function timePeer(varied) {
  const folder = mkdtempSync(join(tmpdir(), 'growth-'))
  cpSync(options.folder, folder, { recursive: true })
  const workloads = JSON.parse(readFileSync(join(folder, 'workloads.json'), 'utf8'))
  const threads = (size) => (varied === 'threads' ? size : middle.threads)
  workloads.layers = Object.fromEntries(
    sizes[varied].map((size) => {
      const { threads: _, ...shape } = { ...middle, [varied]: size }
      return [`${varied}-${size}`, { kind: 'mmoe', ...shape, flop_per_row: flopsOf(shape) / shape.n }]
    }),
  )
  writeFileSync(join(folder, 'workloads.json'), JSON.stringify(workloads))
  for (const count of new Set(sizes[varied].map(threads))) {
    const names = sizes[varied].filter((size) => threads(size) === count).map((size) => `${varied}-${size}`)
    const { stdout = '' } = spawnSync(
      'python3',
      [
        ...[join(folder, 'peers.py'), '--peer', 'torch', '--what', 'layers', '--variants', 'batched,compiled'],
        ...['--only', names.join(','), '--threads', count, '--seconds', options.seconds],
        ...['--isa', options.isa === 'avx2' && native.isas()[0] !== 'avx2' ? 'avx2' : 'native'],
      ].map(String),
      { encoding: 'utf8', maxBuffer: 2 ** 24, stdio: ['ignore', 'pipe', 'inherit'] },
    )
    for (const line of stdout
      .split('\n')
      .filter((text) => text.startsWith('{'))
      .map((text) => JSON.parse(text))) {
      const result = results.find(({ varied: name, size }) => `${name}-${size}` === line.workload)
      const faster = line.mode === 'forward+backward' && !(result.peer?.median_ms <= line.median_ms)
      if (faster) result.peer = { name: 'torch', variant: line.variant, median_ms: line.median_ms, rows_per_s: line.rows_per_s }
    }
  }
  rmSync(folder, { recursive: true })
}

/** Steps of a small model on one id feature of dimension 4. Only the rows that a batch touches are updated. */
async function tableSteps(vocabulary) {
  const random = randomOf(5)
  const rows = batch * steps
  const model = new MMoE({
    features: [sparse('id', { vocabulary, dim: 4 })],
    tasks: [binary('label')],
    numExperts: 2,
    expertHiddenUnits: [8],
    threads: most,
    isa: options.isa,
    device: 'cpu',
  })
  const data = Dataset.fromColumns({
    id: Int32Array.from({ length: rows }, () => Math.floor(vocabulary * random())),
    label: Float32Array.from({ length: rows }, () => (random() < 0.1 ? 1 : 0)),
  })
  const times = []
  let last = performance.now()
  const onStep = ({ epoch, step }) => {
    const now = performance.now()
    if (epoch > 1 && step > 1) times.push(now - last)
    last = now
  }
  try {
    await model.fit(data, { batchSize: batch, epochs: 3, optimizer: sgd({ learningRate: 0.01 }), callbacks: [{ onStep }] })
  } finally {
    model.dispose()
  }
  const ms = median(times)
  return { median_ms: ms, rows_per_s: (1000 * batch) / ms, gflops: null }
}

function median(times) {
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)]
}

function write(path, text) {
  mkdirSync(dirname(resolve(path)), { recursive: true })
  writeFileSync(path, text)
}

function chart() {
  const panel = (varied) => ({
    title: varied === 'table rows' ? 'table rows (training steps)' : varied,
    width: 230,
    height: 170,
    data: {
      values: results
        .filter((result) => result.varied === varied)
        .flatMap(({ size, rows_per_s, peer }) => [
          { size, rows_per_s, by: 'multigate' },
          ...(peer ? [{ size, rows_per_s: peer.rows_per_s, by: 'PyTorch' }] : []),
        ]),
    },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'size', type: 'quantitative', scale: { type: varied === 'threads' ? 'linear' : 'log' }, title: null },
      y: { field: 'rows_per_s', type: 'quantitative', scale: { type: 'log' }, title: 'rows/s' },
      color: {
        field: 'by',
        type: 'nominal',
        title: null,
        scale: { domain: ['multigate', 'PyTorch'], range: ['#1f77b4', '#aaaaaa'] },
      },
    },
  })
  const { spec } = compile({
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    title: `Rows per second as one size grows (forward + backward; in the middle ${Object.entries(middle)
      .map(([name, size]) => `${name} ${size.toLocaleString('en')}`)
      .join(', ')})`,
    columns: 4,
    config: { axis: { grid: false } },
    concat: only.map(panel),
  })
  return new View(parse(spec), { renderer: 'none' }).toSVG()
}
