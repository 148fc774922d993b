#!/usr/bin/env node
// Times the fused layers and prints, for each, its share of what the processor can do: 0.78 x the FMA peak measured in the
// same run, which is about what the best libraries' plain matrix product reaches. Times on shared machines drift: compare
// within one run, and mind the spread.
//   npm run bench -- --only L1,L2 --isa avx2 --threads 1 --json results.json

import { writeFileSync } from 'node:fs'
import { Command } from 'commander'
import { mixtureForward, mixtureGrad, topology } from 'multigate/ops'
import { loadNative } from '../dist/native/loader.js'

const gemmShare = 0.78

const layers = {
  L1: { n: 10_240, d: 128, e: 20, h: 32, t: 4 },
  L2: { n: 10_240, d: 64, e: 4, h: 32, t: 4 },
  L3: { n: 4_096, d: 512, e: 8, h: 256, t: 2 },
}

/** Forward FLOPs of a layer, two per multiply-add: experts, gates and mix. Forward + backward counts three times as many. */
const flops = ({ n, d, e, h, t }) => n * (2 * d * (e * h + t * e) + 2 * t * e * h)

/** Numbers in [-0.5, 0.5) that do not repeat: a fixed linear congruential sequence. */
function numbers(count) {
  const values = new Float32Array(count)
  let state = 1
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    values[i] = state / 2 ** 32 - 0.5
  }
  return values
}

function workload({ n, d, e, h, t }, options) {
  const topo = topology.mmoe({ inputDim: d, numExperts: e, units: h, numTasks: t, activation: 'relu', gateBias: true })
  const params = {
    expertKernel: numbers(e * d * h).map((value) => value / Math.sqrt(d)),
    expertBias: numbers(e * h),
    gateKernel: Array.from({ length: t }, () => numbers(d * e)),
    gateBias: Array.from({ length: t }, () => numbers(e)),
  }
  const x = numbers(n * d)
  const dOutputs = Array.from({ length: t }, () => numbers(n * h))
  return {
    forward: () => mixtureForward(topo, params, x, options),
    'forward+backward': () => mixtureGrad(topo, params, x, dOutputs, options),
  }
}

/** Sorted milliseconds of at least `seconds` of calls, after two that are not counted. */
function time(call, seconds) {
  call()
  call()
  const times = []
  const end = performance.now() + seconds * 1000
  while (performance.now() < end || times.length < 5) {
    const start = performance.now()
    call()
    times.push(performance.now() - start)
  }
  return times.sort((a, b) => a - b)
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]

const program = new Command('bench')
  .option('--only <names>', `layers to time, of ${Object.keys(layers)}`, Object.keys(layers).join(','))
  .option('--isa <name>', 'force an instruction set', loadNative().isas()[0])
  .option('--threads <count>', 'threads', String(Math.min(2, loadNative().processors())))
  .option('--seconds <s>', 'time spent on each measurement', '2')
  .option('--json <file>', 'write the results there too')
  .parse()
const { only, isa, json } = program.opts()
const threads = Number(program.opts().threads)
const seconds = Number(program.opts().seconds)
const unknown = only.split(',').filter((name) => !(name in layers))
if (unknown.length > 0) program.error(`--only: expected names of ${Object.keys(layers)}, found ${unknown}`)

const results = []
const row = (...cells) =>
  console.log(cells.map((cell, i) => (i < 2 ? String(cell).padEnd(18) : String(cell).padStart(11))).join(''))
console.log(
  `${isa}, ${threads} thread${threads > 1 ? 's' : ''}, float32; share of ${gemmShare} x the FMA peak measured beside each row`,
)
row('layer', 'mode', 'median ms', 'fastest', 'slowest 5%', 'GFLOP/s', 'FMA peak', 'share')
for (const name of only.split(',')) {
  for (const [mode, call] of Object.entries(workload(layers[name], { device: 'cpu', isa, threads }))) {
    const times = time(call, seconds)
    const peak = loadNative().peak(isa, threads)
    const median = quantile(times, 0.5)
    const gflops = (flops(layers[name]) * (mode === 'forward' ? 1 : 3)) / median / 1e6
    const share = gflops / (gemmShare * peak)
    results.push({
      layer: name,
      mode,
      isa,
      threads,
      median_ms: median,
      min_ms: times[0],
      p95_ms: quantile(times, 0.95),
      gflops,
      fma_peak_gflops: peak,
      share_of_gemm_rate: share,
      reps: times.length,
    })
    row(
      name,
      mode,
      median.toFixed(2),
      times[0].toFixed(2),
      quantile(times, 0.95).toFixed(2),
      gflops.toFixed(0),
      peak.toFixed(0),
      `${(share * 100).toFixed(0)}%`,
    )
  }
}
if (json) writeFileSync(json, `${JSON.stringify({ node: process.version, results }, null, 2)}\n`)
