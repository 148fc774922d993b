#!/usr/bin/env node
// Times this library and its peers in the same run on the same machine, and compares them.
//   npm run bench                                          beside TensorFlow.js and onnxruntime-node
//   npm run bench -- --peers --json FILE --chart FILE.svg  beside PyTorch and TensorFlow too
//   npm run bench -- --alone                               the table of `multigate bench`
//   npm run bench -- gaps --rows 10000000                  only how long calls block the thread, see gaps.mjs
// The programs peers.mjs and peers.py of a folder time the peers. They print one JSON line per measurement. Default folder:
// ../shared/peers. Missing peers are reported as skipped.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { bench, workloadNames } from '../dist/bench/bench.js'
import { servedRows } from '../dist/bench/serve.js'
import { benchTable } from '../dist/cli/commands/bench.js'
import { loadNative } from '../dist/native/loader.js'
import { chart } from './chart.mjs'
import { gapsCommand, printGaps } from './gaps.mjs'
import { bestPeers, ratioTable } from './ratios.mjs'

if (process.argv[2] === 'gaps') {
  await gapsCommand().parseAsync(process.argv.slice(3), { from: 'user' })
  process.exit()
}

const root = fileURLToPath(new URL('..', import.meta.url))
const native = loadNative()
const options = new Command('bench')
  .option('--only <names>', `workloads, of ${workloadNames.join(',')}`, workloadNames.join(','))
  .option('--isa <name>', 'force an instruction set', native.isas()[0])
  .option('--precision <name>', 'float32 or bfloat16', 'float32')
  .option('--threads <n>', 'most threads to use', Number, Math.min(2, native.processors()))
  .option('--seconds <s>', 'about how many seconds to spend on each measurement', Number, 2)
  .option('--peers', 'time the Python peers too')
  .option('--alone', 'time no peers')
  .option('--folder <folder>', 'where the programs that time the peers are', join(root, '../shared/peers'))
  .option('--json <file>', 'also write the results to this file')
  .option('--chart <file>', 'draw rows per second beside the peers, as SVG')
  .parse()
  .opts()
const only = options.only.split(',')
const unknown = only.filter((name) => !workloadNames.includes(name))
if (unknown.length > 0) {
  console.error(`--only: expected names of ${workloadNames.join(', ')}, found ${unknown.join(', ')}`)
  process.exit(2)
}

const results = []
for await (const result of bench({ ...options, only })) results.push(result)
console.log(
  `${options.isa}, ${options.threads} threads, ${options.precision}, ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.version}`,
)
console.log(benchTable(results))
const isWhole = only.length === workloadNames.length
if (isWhole) console.log('\nthe longest gap of a timer of 5 ms while each call runs')
const gaps = isWhole ? await printGaps() : []

const peers = options.alone ? [] : await timePeers(resolve(options.folder))
// Measure again after the peers, because the machine's speed may have changed.
const after = []
if (peers.length > 0) {
  for await (const result of bench({ ...options, only, seconds: 1 })) after.push(result)
  console.log(`\nbeside the best variant of each peer, in milliseconds; "x" is how many times as fast as the best of them`)
  console.log(ratioTable(results, after, peers))
}
const record = {
  date: new Date().toISOString().slice(0, 10),
  node: process.version,
  cpu: cpus()[0]?.model,
  results,
  gaps,
  after,
  peers: bestPeers(peers),
}
if (options.json) write(options.json, `${JSON.stringify(record, null, 2)}\n`)
if (options.chart) write(options.chart, await chart(results, peers))

function write(path, text) {
  mkdirSync(dirname(resolve(path)), { recursive: true })
  writeFileSync(path, text)
}

/** Every line that the peers print. */
async function timePeers(folder) {
  if (!existsSync(join(folder, 'peers.mjs'))) {
    console.error(`no peers.mjs in ${folder}: the peers are left out`)
    return []
  }
  const layers = only.filter((name) => /^L\d$/.test(name)).join(',')
  const training = [...new Set(only.filter((name) => /^(mmoe|ple)/.test(name)).map((name) => name.split('-')[0]))].join(',')
  const common = [
    '--threads',
    String(options.threads),
    '--seconds',
    String(Math.min(1, options.seconds)),
    '--isa',
    options.isa === 'avx2' && native.isas()[0] !== 'avx2' ? 'avx2' : 'native',
  ]
  const jobs = [
    ...(options.peers ? ['torch', 'tf'] : []).map((peer) => ['python3', 'peers.py', peer]),
    ...['tfjs-node', 'ort', 'tfjs-wasm'].map((peer) => [process.execPath, 'peers.mjs', peer]),
  ].flatMap(([program, file, peer]) => {
    const call = (what, names, ...more) => ({
      peer,
      what,
      program,
      args: [join(folder, file), '--peer', peer, '--what', what, '--only', names, ...common, ...more],
    })
    // Its backward passes take minutes.
    const modes = peer === 'tfjs-wasm' ? ['--modes', 'forward'] : []
    return [
      ...(layers === '' ? [] : [call('layers', layers, ...modes)]),
      ...(only.includes('serve') ? [call('serve', servedRows.join(','))] : []),
      ...(training === '' || peer === 'ort' || peer === 'tfjs-wasm' ? [] : [call('train', training)]),
    ]
  })
  const lines = []
  for (const job of jobs) {
    console.error(`${job.peer} ${job.what} ...`)
    lines.push(...(await run(job)))
  }
  return lines
}

function run({ peer, what, program, args }) {
  return new Promise((done) => {
    const env = { ...process.env, PEERS_HOME: process.env.PEERS_HOME ?? join(root, '.peers') }
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env, timeout: 300_000 })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk) => (out += chunk))
    child.stderr.on('data', (chunk) => (err += chunk))
    child.on('error', (error) => console.error(`skip ${peer} ${what}: ${error.message}`))
    child.on('close', (code) => {
      for (const line of err.split('\n')) if (line.startsWith('skip')) console.error(line)
      const lines = out.split('\n').filter((line) => line.startsWith('{'))
      if (code !== 0 && lines.length === 0) console.error(`skip ${peer} ${what}: exit code ${code}`)
      done(lines.map((line) => JSON.parse(line)))
    })
  })
}
