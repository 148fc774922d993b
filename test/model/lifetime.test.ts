// Models in several workers, one of which is terminated in the middle of a step; and the memory of four hundred models.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'

const library = fileURLToPath(new URL('../../dist/index.js', import.meta.url))

const world = `
const { Dataset, MMoE, adam, binary, dense, sparse } = require(${JSON.stringify(library)})
const dataset = (rows) => {
  const column = (make) => Array.from({ length: rows }, (_, row) => make(row))
  return Dataset.fromColumns({
    user: column((row) => (row * 7) % 1000), price: column((row) => Math.sin(row)), like: column((row) => (row * row) % 2),
  })
}
const create = (options) => new MMoE({
  features: [sparse('user', { vocabulary: 60_000, dim: 4 }), dense('price')],
  tasks: [binary('like')], numExperts: 4, expertHiddenUnits: [16], seed: 3, threads: 2, ...options,
})
`

/** Trains with a number of rows; says when the first step is done, and what it predicts at the end. */
const source = `${world}
const { parentPort, workerData } = require('node:worker_threads')
const train = dataset(workerData.rows)
const model = create({})
let steps = 0
model.fit(train, { batchSize: workerData.batchSize, epochs: 3, optimizer: adam(), callbacks: [{ onStep: () => void (++steps === 1 && parentPort.postMessage('step')) }] })
  .then(() => model.predict(train.slice(0, 100)))
  .then(({ like }) => parentPort.postMessage([...like]))
`

function start(rows: number, batchSize: number): Worker {
  return new Worker(source, { eval: true, workerData: { rows, batchSize } })
}

async function scores(worker: Worker): Promise<unknown> {
  let last: unknown
  worker.on('message', (message) => {
    last = message
  })
  await once(worker, 'exit')
  return last
}

describe('workers', () => {
  it('train four models at once; one that is terminated in a step does the others no harm', { timeout: 60_000 }, async () => {
    const alone = await scores(start(20_000, 500))
    expect(alone).toHaveLength(100)
    for (const delay of [0, 5, 20]) {
      const victim = start(400_000, 200_000)
      const others = [1, 2, 3].map(() => scores(start(20_000, 500)))
      await once(victim, 'message')
      await new Promise((resolve) => setTimeout(resolve, delay))
      await victim.terminate()
      expect(await Promise.all(others)).toEqual([alone, alone, alone])
    }
  })
})

describe('four hundred models', () => {
  // Each has a megabyte of table and two of moments: one in ten kept would be 75 MB.
  it.each(['disposed', 'aborted', 'failed'])('%s leave no memory behind', { timeout: 120_000 }, (way) => {
    const script = `${world}
const train = dataset(300)
const bad = dataset(300)
const end = {
  disposed: async (model) => { await model.fit(train, { batchSize: 300 }); model.dispose() },
  aborted: async (model) => {
    const stop = new AbortController()
    const callbacks = [{ onStep: () => stop.abort() }]
    await model.fit(train, { batchSize: 100, signal: stop.signal, callbacks }).catch((error) => { if (error.code !== 'ERR_MULTIGATE_ABORTED') throw error })
    model.dispose()
  },
  failed: async (model) => {
    const callbacks = [{ onStep: () => { throw new Error('enough') } }]
    await model.fit(train, { batchSize: 100, callbacks }).catch((error) => { if (error.message !== 'enough') throw error })
    model[Symbol.dispose]()
  },
}[process.argv[1]]
;(async () => {
  let before = 0
  for (let cycle = 0; cycle < 400; cycle += 1) {
    await end(create({}))
    if (cycle % 50 === 49) global.gc()
    if (cycle === 149) before = process.memoryUsage().rss
  }
  console.log((process.memoryUsage().rss - before) / 2 ** 20)
})()
`
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--expose-gc', '-e', script, way], { encoding: 'utf8' })
    expect(status, stderr).toBe(0)
    expect(Number(stdout)).toBeLessThan(50)
  })
})
