#!/usr/bin/env node
// Times the metrics of evaluation on many rows, beside scikit-learn where Python has it, and compares the values.
//   npm run bench:metrics                      10,000,000 rows
//   npm run bench:metrics -- --rows 1000000    fewer
// Scores are drawn from a generator of 32 bits, labels by score / 5, groups evenly from rows / 50 of them.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { atOnce } from '../dist/core/slices.js'
import { groupsOf } from '../dist/metrics/groups.js'
import { measure } from '../dist/metrics/metric.js'
import { RankedRows } from '../dist/metrics/ranked-rows.js'
import { metricCalled } from '../dist/metrics/selection.js'

const { rows } = new Command('bench:metrics').option('--rows <n>', 'rows to measure', Number, 10_000_000).parse().opts()
let state = 123_456_789
const random = () => {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) / 2 ** 32
}
const scores = Float32Array.from({ length: rows }, random)
const labels = Float32Array.from(scores, (score) => (random() < score / 5 ? 1 : 0))
const users = Int32Array.from({ length: rows }, () => Math.floor((random() * rows) / 50))
// For regression: half of the labels are 0, as watch times are, the others follow the score.
const times = Float32Array.from(scores, (score) => (random() < 0.5 ? 0 : Math.round(100 * (score + random()))))

/** Wall and processor seconds; the latter are what remains comparable on a busy machine. */
const seconds = (work) => {
  const [started, before] = [performance.now(), process.cpuUsage()]
  const result = work()
  const { user, system } = process.cpuUsage(before)
  return { result, wall: (performance.now() - started) / 1000, cpu: (user + system) / 1e6 }
}
const least = (work) => Array.from({ length: 3 }, () => seconds(work)).reduce((a, b) => (b.cpu < a.cpu ? b : a))
const timed = (name, of) => {
  const { metric, parameter } = metricCalled(name)
  return { name, ...least(() => atOnce(measure(metric.of.number(parameter), of()))) }
}
const spent = ({ wall, cpu }) => `${wall.toFixed(2)} s (${cpu.toFixed(2)} s of processor)`

const groups = seconds(() => atOnce(groupsOf({ values: users, missing: -1 })))
const binary = { scores, labels, groups: groups.result }
const own = [
  ...['auc', 'prauc', 'logloss', 'ne', 'pcoc', 'ece', 'accuracy'].map((name) => timed(name, () => new RankedRows(binary))),
  ...['uauc', 'ndcg@10', 'mrr'].map((name) => timed(name, () => new RankedRows(binary))),
  ...['rmse', 'mae', 'xauc'].map((name) => timed(name, () => ({ scores, labels: times }))),
]
const together = least(() => {
  const shared = new RankedRows(binary)
  for (const name of ['auc', 'uauc', 'gauc', 'prauc', 'ndcg@10', 'mrr', 'logloss', 'ne', 'pcoc', 'ece', 'accuracy']) {
    const { metric, parameter } = metricCalled(name)
    atOnce(measure(metric.of.number(parameter), shared))
  }
})
const peers = peerTimes()

console.log(
  `${rows.toLocaleString('en-US')} rows, ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.version}, one thread`,
)
console.log(`coding the groups: ${spent(groups)}`)
for (const { name, result, ...times } of own) {
  const peer = peers.find((one) => one.name === name)
  const apart = peer && Math.abs(peer.value - result.value).toExponential(1)
  console.log(
    `${name.padEnd(8)} ${result.value.toFixed(6)}  ${spent(times)}${peer ? `; ${peer.call} ${spent(peer)}, differs by ${apart}` : ''}`,
  )
}
console.log(`all of one binary task, which share the sort: ${spent(together)}`)

/** Times of scikit-learn on the same rows; none where Python lacks it. */
function peerTimes() {
  const folder = mkdtempSync(join(tmpdir(), 'multigate-metrics-'))
  try {
    for (const [name, values] of Object.entries({ scores, labels })) {
      writeFileSync(join(folder, `${name}.f32`), new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    }
    const program = fileURLToPath(new URL('metrics.py', import.meta.url))
    const { status, stdout, stderr } = spawnSync('python3', [program, folder], { encoding: 'utf8' })
    if (status === 0) return JSON.parse(stdout)
    console.log(`scikit-learn: skipped, ${stderr?.trim().split('\n').at(-1) ?? 'no python3'}`)
    return []
  } finally {
    rmSync(folder, { recursive: true })
  }
}
