#!/usr/bin/env node
// The memory that training steps of the feed models keep resident, ours and the peers', each in its own process, and the peak on the way
// there (Linux: VmRSS and VmHWM in /proc). It counts everything a process holds: the runtime, the batches, the model.

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { table } from '../dist/report/text.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const options = new Command('resident')
  .option('--only <names>', 'models, of mmoe,ple', 'mmoe,ple')
  .option('--threads <n>', 'most threads to use', '2')
  .option('--folder <folder>', 'where the programs that time the peers are', join(root, '../shared/peers'))
  .parse()
  .opts()

const everyMs = 50
const megabyte = 1 << 20

/** Bytes now, and the peak by the kernel's high-water mark; 0 if the process is gone. */
function memoryOf(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const [now, most] = ['VmRSS', 'VmHWM'].map((name) => 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0))
    return { now, most }
  } catch {
    return { now: 0, most: 0 }
  }
}

/** A process and all its descendants. */
function family(pid) {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [
          [
            Number(name),
            Number(
              readFileSync(`/proc/${name}/stat`, 'utf8')
                .replace(/^.*\) \S /, '')
                .split(' ')[0],
            ),
          ],
        ]
      } catch {
        return []
      }
    })
  const found = [pid]
  for (const one of found) found.push(...parents.filter(([, parent]) => parent === one).map(([child]) => child))
  return found
}

/**
 * The memory of the largest of a command's processes: the peak, and the median of its last second, in which it trains. Undefined if it
 * failed or printed no measurement.
 */
function memoryOfCommand(program, args) {
  return new Promise((done) => {
    const env = { ...process.env, PEERS_HOME: process.env.PEERS_HOME ?? join(root, '.peers') }
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'ignore'], timeout: 300_000 })
    let [most, out] = [0, '']
    const lately = []
    const timer = setInterval(() => {
      const found = family(child.pid).map(memoryOf)
      most = Math.max(most, ...found.map((memory) => memory.most))
      lately.push(Math.max(...found.map((memory) => memory.now)))
      if (lately.length > 1000 / everyMs) lately.shift()
    }, everyMs)
    child.stdout.on('data', (chunk) => (out += chunk))
    child.on('error', () => {})
    child.on('close', (code) => {
      clearInterval(timer)
      const resident = lately.sort((a, b) => a - b)[Math.floor(lately.length / 2)]
      done(code === 0 && out.includes('{') ? { resident, most } : undefined)
    })
  })
}

const peers = [
  ['torch', 'eager'],
  ['torch', 'compiled'],
  ['tf', 'xla'],
  ['tfjs-node', 'batched'],
]
const rows = []
for (const model of options.only.split(',')) {
  const cli = [join(root, 'dist/cli/main.js'), 'bench', '--only', model, '--threads', options.threads, '--seconds', '1', '--json']
  const ours = await memoryOfCommand(process.execPath, cli)
  if (ours === undefined) throw new Error(`multigate bench --only ${model}: no measurement`)
  const add = (name, { resident, most }) =>
    rows.push([
      model,
      name,
      ...[resident, most].map((bytes) => (bytes / megabyte).toFixed(0)),
      ...[resident / ours.resident, most / ours.most].map((ratio) => `${ratio.toFixed(1)}x`),
    ])
  add('multigate', ours)
  for (const [peer, variant] of peers) {
    const [program, file] = peer === 'tfjs-node' ? [process.execPath, 'peers.mjs'] : ['python3', 'peers.py']
    const what = [
      '--peer',
      peer,
      '--what',
      'train',
      '--only',
      model,
      '--variants',
      variant,
      '--threads',
      options.threads,
      '--seconds',
      '1',
    ]
    const theirs = await memoryOfCommand(program, [join(resolve(options.folder), file), ...what])
    if (theirs === undefined) console.error(`skip ${peer} ${variant}: no measurement`)
    else add(`${peer} ${variant}`, theirs)
  }
}
console.log(table(['model', 'process', 'resident MiB', 'at most', 'of ours', 'of our most'], rows))
