// The memories of a model: drawn off the main thread, copied and restored whole or not at all, gone after dispose.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { bytesOf } from '../../lib/io/tensors.js'
import { MMoE } from '../../lib/model/classes.js'
import { builtOf } from '../../lib/model/model.js'
import { adagrad } from '../../lib/optimizers/adagrad.js'
import type { Snapshot } from '../../lib/runtime/weights.js'
import { binary } from '../../lib/tasks/binary.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const library = fileURLToPath(new URL('../../dist/index.js', import.meta.url))

/** How many turns the event loop has taken since. */
function countTurns(): () => number {
  let turns = 0
  const count = (): void => {
    turns += 1
    next = setImmediate(count)
  }
  let next = setImmediate(count)
  return () => {
    clearImmediate(next)
    return turns
  }
}

describe('a large table', () => {
  const rows = Dataset.fromColumns({ user: new Int32Array(64), like: Int32Array.from({ length: 64 }, (_, row) => row % 2) })
  // 16 million elements: four parts at least.
  const large = () => {
    return new MMoE({
      features: [sparse('user', { vocabulary: 260_000, dim: 64 })],
      tasks: [binary('like')],
      numExperts: 2,
      expertHiddenUnits: [4],
    })
  }

  it('is drawn while others have their turn', async () => {
    using net = large()
    const built = countTurns()
    await net.build(rows)
    expect(built()).toBeGreaterThan(3)
    // Its moment starts from a number: 16 million of them.
    const filled = countTurns()
    let turns = 0
    const onStart = (): void => {
      turns = filled()
    }
    await net.fit(rows, { optimizer: adagrad(), callbacks: [{ onStart }] })
    expect(turns).toBeGreaterThan(3)
  })

  it('is refused to a second call while it is built, and gone where the model is disposed meanwhile', async () => {
    const net = large()
    const building = net.build(rows)
    await expect(net.build(rows)).rejects.toThrow(refusal('BUSY', { says: 'build' }))
    await expect(net.fit(rows)).rejects.toThrow(refusal('BUSY', { says: ['fit', 'build'] }))
    net.dispose()
    await expect(building).rejects.toThrow(refusal('DISPOSED'))
    expect(net.built).toBe(false)
    await expect(net.predict(rows)).rejects.toThrow(refusal('DISPOSED'))

    const other = large()
    const training = other.fit(rows)
    other.dispose()
    await expect(training).rejects.toThrow(refusal('DISPOSED'))
  })
})

describe('restore', () => {
  it('takes weights back to the bit', async () => {
    using net = model()
    await net.build(data({ rows: 100 }))
    const { weights: memories } = builtOf(net).runner
    const snapshot = await memories.snapshot()
    const before = await net.predict(data({ rows: 50 }))
    memories.write({ memory: 'parameters', offset: 0 }, new Float32Array(10).fill(3))
    expect(await net.predict(data({ rows: 50 }))).not.toEqual(before)
    await memories.restore(snapshot)
    expect(await net.predict(data({ rows: 50 }))).toEqual(before)
  })

  it('takes a copy that was put together in another realm', async () => {
    using net = model()
    await net.build(data({ rows: 100 }))
    const { weights: memories } = builtOf(net).runner
    const snapshot = await memories.snapshot()
    const code = 'new Map(entries.map(([name, parts]) => [name, parts.map((part) => Float32Array.from(part, () => 0.5))]))'
    const foreign: unknown = runInNewContext(code, { entries: [...snapshot] })
    expect(foreign instanceof Map).toBe(false)
    await memories.restore(foreign as Snapshot)
    const [part] = (await memories.snapshot()).get('table:user') ?? []
    expect(part?.every((value) => value === 0.5)).toBe(true)
  })

  it('refuses what is no copy of these weights, and writes nothing of it', async () => {
    using net = model()
    await net.build(data({ rows: 100 }))
    const { weights: memories } = builtOf(net).runner
    const snapshot = await memories.snapshot()
    const before = await net.predict(data({ rows: 50 }))
    const changed = (name: string, parts: unknown): Snapshot => {
      const zero = [...snapshot].map(([memory, own]) => [memory, own.map((part) => new Float32Array(part.length))] as const)
      return new Map<string, unknown>([...zero, [name, parts]]) as unknown as Snapshot
    }
    const user = snapshot.get('table:user')?.[0]?.length ?? 0
    const without = new Map(changed('table:user', []))
    without.delete('table:user')
    const refused = async (wrong: unknown, field: string) => {
      await expect(memories.restore(wrong as Snapshot)).rejects.toThrow(refusal('ARGUMENT', { field }))
    }
    await refused(undefined, 'snapshot')
    await refused({}, 'snapshot')
    await refused(new Map(), 'snapshot.get("table:user")')
    await refused(without, 'snapshot.get("table:user")')
    await refused(changed('table:other', []), 'snapshot')
    await refused(changed('table:user', new Float32Array(user)), 'snapshot.get("table:user")')
    await refused(changed('table:user', []), 'snapshot.get("table:user").length')
    await refused(changed('table:user', [new Float32Array(user + 1)]), 'snapshot.get("table:user")[0].length')
    await refused(changed('table:user', [new Int32Array(user)]), 'snapshot.get("table:user")[0]')
    await refused(changed('table:user', [Array(user).fill(0)]), 'snapshot.get("table:user")[0]')
    expect(await net.predict(data({ rows: 50 }))).toEqual(before)
  })
})

it('are looked at in one array, part after part', async () => {
  const rows = 300_000
  using net = new MMoE({
    features: [sparse('user', { vocabulary: rows, dim: 4 })],
    tasks: [binary('click')],
    numExperts: 2,
    expertHiddenUnits: [4],
  })
  await net.build(Dataset.fromColumns({ user: [1], click: [1] }))
  const { weights: memories } = builtOf(net).runner
  const place = { memory: 'table:user', offset: 0, shape: [rows, 4] }
  const copies = [...memories.parts(place)]
  const buffers = new Set<unknown>()
  let index = 0
  for (const part of memories.passing(place)) {
    buffers.add(part.buffer)
    expect(Buffer.compare(bytesOf(part as Float32Array), bytesOf(copies[index] as Float32Array))).toBe(0)
    index += 1
  }
  expect(index).toBe(copies.length)
  expect(copies.length).toBeGreaterThan(1)
  expect(buffers.size).toBe(1)
})

describe('after dispose', () => {
  it('nothing computes: new memories would be weights of zero', async () => {
    const net = model()
    const train = data({ rows: 300 })
    await net.build(train)
    const { runner, encoder } = builtOf(net)
    const { weights: memories, network } = runner
    const snapshot = await memories.snapshot()
    using rows = await encoder.encode(train, runner.compute.native, 'prediction')
    await runner.run(network.predict, rows)
    runner.dispose()
    runner.dispose()
    const disposed = refusal('DISPOSED')
    await expect(runner.run(network.predict, rows)).rejects.toThrow(disposed)
    await expect(runner.run(network.evaluate, rows)).rejects.toThrow(disposed)
    await expect(runner.prepare(network.rows)).rejects.toThrow(disposed)
    expect(() => runner.prepareRun(1)).toThrow(disposed)
    expect(() => runner.info(1)).toThrow(disposed)
    await expect(memories.initialize(network, 1)).rejects.toThrow(disposed)
    await expect(memories.snapshot()).rejects.toThrow(disposed)
    await expect(memories.restore(snapshot)).rejects.toThrow(disposed)
    expect(() => memories.write({ memory: 'parameters', offset: 0 }, new Float32Array(1))).toThrow(disposed)
    expect(() => [...memories.parts({ memory: 'parameters', offset: 0, shape: [1] })]).toThrow(disposed)
    net.dispose()
  })
})

describe('models that are dropped', () => {
  it.each(['build', 'inputs'])('leave no memory behind in a loop that only awaits: %s', { timeout: 60_000 }, (way) => {
    const script = `
const { Dataset, MMoE, binary, sparse } = require(${JSON.stringify(library)})
const rows = Dataset.fromColumns({ user: new Int32Array(100), like: Int32Array.from({ length: 100 }, (_, row) => row % 2) })
;(async () => {
  let peak = 0
  for (let cycle = 0; cycle < 60; cycle += 1) {
    const net = new MMoE({ features: [sparse('user', { vocabulary: 600_000, dim: 4 })], tasks: [binary('like')], numExperts: 2, expertHiddenUnits: [4] })
    await net.build(rows)
    if (process.argv[1] === 'inputs') net.predictSync(net.createBatch(2))
    peak = Math.max(peak, process.memoryUsage.rss())
  }
  console.log(peak / 2 ** 20)
})()`
    const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', script, way], { encoding: 'utf8' })
    expect(status, stderr).toBe(0)
    // 60 tables of 9 MiB each.
    expect(Number(stdout)).toBeLessThan(350)
  })
})
