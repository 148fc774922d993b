// Several environments at once: workers that run, workers that are terminated in the middle of a run, and processes that end.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'

import { denseParameters, densePlan, denseProgram, floats } from './programs.js'

/** Where this process has loaded the addon from. */
function addonPath(): string {
  densePlan('cpu').plan.dispose()
  const path = Object.keys(createRequire(import.meta.url).cache).find(
    (name) => name.endsWith('.node') && name.includes('multigate'),
  )
  if (path === undefined) throw new Error('the addon is not loaded')
  return path
}

/** Runs asynchronously for ever, `rows` rows at a time; says so once a run is under way. */
const source = `
  const worker = require('node:worker_threads')
  const { path, program, parameters, rows, rounds } = worker.workerData ?? JSON.parse(process.argv[1])
  const binding = require(path)
  const plan = binding.compile('cpu', program, {})
  const memory = binding.createMemory('cpu', 8)
  memory.write(0, new Float32Array(parameters))
  plan.bind(2, memory)
  const x = new Float32Array(rows * 3).fill(1)
  const y = new Float32Array(rows * 2)
  const run = () => plan.runAsync({ rows, inputs: [x], outputs: [y], scalars: new Float64Array(0), threads: 2 })
  ;(async () => {
    for (let i = 0; i < rounds; ++i) {
      const promise = run()
      if (i === 0) worker.parentPort?.postMessage('running')
      await promise
    }
    worker.parentPort?.postMessage(y[0])
    if (worker.isMainThread) console.log(y[0])
  })()
`

const dataFor = (rows: number, rounds: number) => ({
  path: addonPath(),
  program: denseProgram(),
  parameters: denseParameters,
  rows,
  rounds,
})

const start = (rows: number, rounds: number): Worker => new Worker(source, { eval: true, workerData: dataFor(rows, rounds) })

async function messages(worker: Worker): Promise<unknown[]> {
  const received: unknown[] = []
  worker.on('message', (message) => received.push(message))
  await once(worker, 'exit')
  return received
}

describe('workers', () => {
  it('run at once, beside the main thread', async () => {
    const workers = Array.from({ length: 3 }, () => messages(start(1000, 5)))
    const { plan } = densePlan('cpu')
    const y = floats('cpu', 2)
    await plan.runAsync({
      rows: 1,
      inputs: [new Float32Array([1, 1, 1])],
      outputs: [y],
      scalars: new Float64Array(0),
      threads: 1,
    })
    expect(y[0]).toBe(19)
    expect(await Promise.all(workers)).toEqual([
      ['running', 19],
      ['running', 19],
      ['running', 19],
    ])
  })

  it('may be terminated in the middle of a run', async () => {
    for (let round = 0; round < 15; ++round) {
      const worker = start(200_000, 1e9)
      await once(worker, 'message')
      await new Promise((resolve) => setTimeout(resolve, round))
      await worker.terminate()
    }
    const { plan } = densePlan('cpu')
    const y = floats('cpu', 2)
    plan.run({ rows: 1, inputs: [new Float32Array([1, 1, 1])], outputs: [y], scalars: new Float64Array(0), threads: 1 })
    expect(y[0]).toBe(19)
  })
})

describe('a process', () => {
  const spawn = (code: string, rounds: number): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, ['-e', code, JSON.stringify(dataFor(200_000, rounds))], { timeout: 60_000, encoding: 'utf8' })

  it('stays for a run under way and ends after it', () => {
    const { status, stdout } = spawn(source, 2)
    expect(status).toBe(0)
    expect(stdout).toBe('19\n')
  })

  it('may exit in the middle of a run', () => {
    const { status, signal } = spawn(`${source}; setTimeout(() => process.exit(7), 20)`, 1e9)
    expect(signal).toBeNull()
    expect(status).toBe(7)
  })
})
