#!/usr/bin/env node
// The most memory that the training steps of the feed models make resident, ours and the peers', each in a process of its own
// (Linux: VmHWM in /proc). Everything a process holds counts: the runtime, the batches, the model.

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { table } from '../dist/report/text.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const options = new Command('resident')
  .option('--only <names>', 'models, of mmoe,ple', 'mmoe,ple')
  .option('--threads <n>', 'threads at most', '2')
  .option('--folder <folder>', 'where the programs that time the peers are', join(root, '../shared/peers'))
  .parse()
  .opts()

const everyMs = 50
const megabyte = 1 << 20

/** Bytes, by the kernel's own high-water mark; 0 where the process is gone. */
function peakOf(pid) {
  try {
    const [, kilobytes = '0'] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return 1024 * Number(kilobytes)
  } catch {
    return 0
  }
}

/** A process and all that it started. */
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

/** The largest peak of a command's processes, or NaN where it failed or printed no measurement. */
function peakOfCommand(program, args) {
  return new Promise((done) => {
    const env = { ...process.env, PEERS_HOME: process.env.PEERS_HOME ?? join(root, '.peers') }
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'ignore'], timeout: 300_000 })
    let [peak, out] = [0, '']
    const timer = setInterval(() => (peak = Math.max(peak, ...family(child.pid).map(peakOf))), everyMs)
    child.stdout.on('data', (chunk) => (out += chunk))
    child.on('error', () => {})
    child.on('close', (code) => {
      clearInterval(timer)
      done(code === 0 && out.includes('{') ? peak : Number.NaN)
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
  const ours = await peakOfCommand(process.execPath, cli)
  rows.push([model, 'multigate', (ours / megabyte).toFixed(0), ''])
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
    const theirs = await peakOfCommand(program, [join(resolve(options.folder), file), ...what])
    if (Number.isNaN(theirs)) console.error(`skip ${peer} ${variant}: no measurement`)
    else rows.push([model, `${peer} ${variant}`, (theirs / megabyte).toFixed(0), `${(theirs / ours).toFixed(1)}x`])
  }
}
console.log(table(['model', 'process', 'peak MiB', 'of ours'], rows))
