// `createBatch`, `fill` and `predictSync`: the scores of `predict` to the bit, for any rows; errors instead of crashes; no allocation.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { beforeAll, describe, expect, expectTypeOf, it } from 'vitest'

import {
  adam,
  binary,
  CGC,
  Dataset,
  dense,
  ESMM,
  MMoE,
  type Model,
  multiclass,
  OMoE,
  PLE,
  regression,
  SharedBottom,
  SingleTask,
  sequence,
  sparse,
} from '../../lib/index.js'
import { refusal } from '../support/refusal.js'
import { columns, model as small } from '../support/small-data.js'

const rows = 300
const raw = {
  ...columns({ rows }),
  tags: Array.from({ length: rows }, (_, row) => Array.from({ length: row % 5 }, (_, item) => `tag${(row * item) % 7}`)),
  kind: Array.from({ length: rows }, (_, row) => ['a', 'b', 'c'][row % 3] ?? ''),
}
const train = Dataset.fromColumns(raw)
const features = [
  sparse('user', { vocabulary: 30, dim: 4 }),
  sparse('city', { hash: 16, dim: 4 }),
  sequence('tags', { dim: 4, maxLength: 3, combiner: 'mean' }),
  dense('price', { transform: 'standardize' }),
] as const
const tasks = [
  binary('click'),
  regression('spent', { label: 'price' }),
  multiclass('kind', { classes: ['a', 'b', 'c'] }),
] as const
const common = { features, tasks, towerHiddenUnits: [4], seed: 5 }
const experts = { expertHiddenUnits: [12, 8], gateHiddenUnits: [6] }
const funnel = [binary('click'), binary('both', { label: 'buy' })] as const

const family: Readonly<Record<string, () => unknown>> = {
  MMoE: () => new MMoE({ ...common, ...experts, numExperts: 3 }),
  OMoE: () => new OMoE({ ...common, ...experts, numExperts: 3 }),
  CGC: () => new CGC({ ...common, ...experts, numSharedExperts: 2, numSpecificExperts: 1 }),
  PLE: () => new PLE({ ...common, ...experts, numSharedExperts: 1, numSpecificExperts: 1, numLevels: 2 }),
  SharedBottom: () => new SharedBottom({ ...common, bottomHiddenUnits: [16, 8] }),
  SingleTask: () => new SingleTask({ ...common, tasks: [binary('click')], bottomHiddenUnits: [16] }),
  ESMM: () => new ESMM({ ...common, tasks: funnel, towerHiddenUnits: [16] }),
  bfloat16: () => new MMoE({ ...common, ...experts, numExperts: 3, precision: 'bfloat16' }),
  'one thread': () => new MMoE({ ...common, ...experts, numExperts: 3, threads: 1 }),
  reference: () => new MMoE({ ...common, ...experts, numExperts: 3, device: 'reference' }),
  // Work enough for several blocks and threads.
  'a wide MMoE': () => new MMoE({ ...common, numExperts: 20, expertHiddenUnits: [256, 64], threads: 4 }),
}

describe.each(Object.keys(family))('%s', (name) => {
  it('predicts what predict does, for all rows and for fewer', async () => {
    using model = family[name]?.() as Model
    await model.build(train)
    const expected = await model.predict(train)
    using batch = model.createBatch(rows)
    expect(model.fill(batch, train)).toBe(rows)
    const scores = model.predictSync(batch)
    expect(scores).toEqual(expected)
    for (const values of Object.values(scores)) expect(values).toBeInstanceOf(Float32Array)
    for (const count of [1, 2, 33, 299]) {
      const some = model.predictSync(batch, { rows: count })
      expect(some).toEqual(await model.predict(train.slice(0, count)))
      expect(model.predictSync(batch, { rows: count })).toBe(some)
    }
    expect(model.predictSync(batch)).toBe(scores)
  })
})

describe('a batch', () => {
  let model: MMoE<typeof tasks, typeof features>
  beforeAll(async () => {
    model = new MMoE({ ...common, ...experts, numExperts: 3 })
    await model.build(train)
  })

  it('has arrays by feature, typed, and takes ids as they are', () => {
    const batch = model.createBatch(8)
    expectTypeOf(batch.user).toEqualTypeOf<Int32Array>()
    expectTypeOf(batch.price).toEqualTypeOf<Float32Array>()
    expect(Object.keys(batch).sort()).toEqual(['city', 'price', 'tags', 'user'])
    expect([batch.user, batch.city, batch.tags, batch.price].map(({ length }) => length)).toEqual([8, 8, 24, 8])
    const first = model.predictSync(batch).click.slice()
    batch.user.set([3, 4, 5])
    const second = model.predictSync(batch).click
    expect([...second.slice(3)]).toEqual([...first.slice(3)])
    expect(second[0]).not.toBe(first[0])
    expect(() => Object.assign(batch, { user: new Int32Array(8) })).toThrow(TypeError)
  })

  it('sees the weights of a later fit, and fills anew', async () => {
    using other = small()
    const data = Dataset.fromColumns(columns({ rows }))
    await other.build(data)
    const batch = other.createBatch(rows)
    other.fill(batch, columns({ rows }))
    const before = other.predictSync(batch).click.slice()
    await other.fit(data, { batchSize: 100, optimizer: adam({ learningRate: 0.01 }) })
    const after = other.predictSync(batch).click
    expect(after).not.toEqual(before)
    expect(after).toEqual((await other.predict(data)).click)
    expect(other.fill(batch, columns({ rows: 5, seed: 3 }))).toBe(5)
    expect(other.predictSync(batch, { rows: 5 })).toEqual(await other.predict(columns({ rows: 5, seed: 3 })))
  })

  it('predicts while an asynchronous prediction is under way', async () => {
    const batch = model.createBatch(rows)
    model.fill(batch, train)
    const waiting = model.predict(train)
    await Promise.resolve()
    const scores = model.predictSync(batch)
    expect(await waiting).toEqual(scores)
  })

  it.each([
    ['user', 2, -1, ['"user"', 'row 2', '-1', '[0, 30)']],
    ['user', 7, 30, ['"user"', 'row 7', '30', '[0, 30)']],
    ['city', 0, 2 ** 31 - 1, ['"city"', 'row 0', '2147483647', '[0, 16)']],
    ['tags', 10, -(2 ** 31), ['"tags"', 'row 3', '-2147483648', '[0, 8)']],
  ] as const)('refuses a wrong id: %s', (feature, position, id, says) => {
    const batch = model.createBatch(8)
    batch[feature][position] = id
    expect(() => model.predictSync(batch)).toThrow(refusal('ARGUMENT', { says }))
    // Rows that are not asked for may hold anything.
    if (position === 7) expect(model.predictSync(batch, { rows: 7 }).click).toHaveLength(7)
    batch[feature][position] = 0
    expect(model.predictSync(batch).click).toHaveLength(8)
  })

  it('refuses wrong rows', () => {
    const batch = model.createBatch(8)
    for (const wrong of [9, 1.5, -1, NaN, '3', null, {}, 2 ** 40]) {
      const act = () => model.predictSync(batch, { rows: wrong as number })
      if (wrong === null) expect(act().click).toHaveLength(8)
      else expect(act, String(wrong)).toThrow(refusal('ARGUMENT', { says: ['rows', '[0, 8]'] }))
    }
    for (const wrong of [0, -1, 1.5, NaN, '3', 2 ** 31]) {
      expect(() => model.createBatch(wrong as number)).toThrow(refusal('ARGUMENT', { field: 'createBatch.rows' }))
    }
    expect(() => model.fill(batch, train)).toThrow(refusal('DATA', { says: ['8', '300'] }))
    expect(() => model.fill(batch, { user: [31], city: ['Oslo'], tags: [[]], price: [1] })).toThrow(
      refusal('DATA', { column: 'user', row: 0, value: 31 }),
    )
  })

  it('of no rows has no scores, as predict does', async () => {
    const batch = model.createBatch(8)
    const scores = model.predictSync(batch, { rows: model.fill(batch, train.slice(0, 0)) })
    expect(scores).toEqual({ click: new Float32Array(0), spent: new Float32Array(0), kind: new Float32Array(0) })
    expect(scores).toEqual(await model.predict(train.slice(0, 0)))
    for (const rows of [1, 8]) expect(model.predictSync(batch, { rows }).kind).toHaveLength(3 * rows)
    batch[Symbol.dispose]()
    expect(() => model.predictSync(batch, { rows: 0 })).toThrow(refusal('DISPOSED', { says: 'batch' }))
  })

  it('refuses what is none of its own', async () => {
    using other = new MMoE({ ...common, ...experts, numExperts: 3 })
    await other.build(train)
    const foreign = other.createBatch(8)
    expect(() => model.predictSync(foreign)).toThrow(refusal('ARGUMENT', { field: 'predictSync.batch' }))
    expect(() => model.fill(foreign, train)).toThrow(refusal('ARGUMENT', { field: 'fill.batch' }))
    for (const wrong of [
      undefined,
      null,
      3,
      {},
      { ...model.createBatch(8) },
      Object.create(model.createBatch(8)),
      new Int32Array(8),
    ]) {
      expect(() => model.predictSync(wrong as never)).toThrow(refusal('ARGUMENT', { field: 'predictSync.batch' }))
    }
  })

  it('refuses memory that was transferred away', () => {
    const batch = model.createBatch(8)
    const { buffer } = batch.user
    structuredClone(buffer, { transfer: [buffer as ArrayBuffer] })
    expect(batch.price).toHaveLength(0)
    expect(() => model.predictSync(batch)).toThrow(refusal('ARGUMENT', { says: 'detached' }))
    expect(() => model.fill(batch, train.slice(0, 4))).toThrow(refusal('ARGUMENT', { field: 'fill.batch' }))
    batch[Symbol.dispose]()
    expect(() => model.predictSync(batch)).toThrow(refusal('DISPOSED', { says: 'batch' }))
  })

  it('ends with dispose', async () => {
    const batch = model.createBatch(8)
    const { click } = model.predictSync(batch)
    batch[Symbol.dispose]()
    batch[Symbol.dispose]()
    expect([click.length, batch.user.length]).toEqual([0, 0])
    expect(() => model.predictSync(batch)).toThrow(refusal('DISPOSED', { says: 'batch' }))
    expect(() => model.fill(batch, train.slice(0, 4))).toThrow(refusal('DISPOSED', { says: 'batch' }))
    const ended = new MMoE({ ...common, ...experts, numExperts: 3 })
    expect(() => ended.createBatch(8)).toThrow(refusal('NOT_BUILT', { says: 'createBatch' }))
    expect(() => ended.predictSync(batch)).toThrow(refusal('NOT_BUILT', { says: 'predictSync' }))
    await ended.build(train)
    const last = ended.createBatch(8)
    ended.dispose()
    expect(() => ended.predictSync(last)).toThrow(refusal('DISPOSED', { says: 'MMoE' }))
    await new Promise((resolve) => setTimeout(resolve))
    expect(() => ended.predictSync(last)).toThrow(refusal('DISPOSED', { says: 'MMoE' }))
    last[Symbol.dispose]()
  })

  it('waits for fit', async () => {
    using other = small()
    const data = Dataset.fromColumns(columns({ rows }))
    await other.build(data)
    const batch = other.createBatch(4)
    const attempts: unknown[] = []
    const onStep = (): void => {
      try {
        attempts.push(other.predictSync(batch))
      } catch (error) {
        attempts.push(error)
      }
    }
    await other.fit(data, { batchSize: 100, callbacks: [{ onStep }] })
    expect(attempts).toEqual([1, 2, 3].map(() => refusal('BUSY', { says: ['predictSync', 'fit'] })))
    expect(other.predictSync(batch).click).toHaveLength(4)
  })
})

const library = fileURLToPath(new URL('../../dist/index.js', import.meta.url))
const world = `
const { Dataset, MMoE, binary, dense, sparse } = require(${JSON.stringify(library)})
const train = Dataset.fromColumns({ user: Array.from({ length: 100 }, (_, row) => row), price: Array.from({ length: 100 }, (_, row) => row / 7), like: Array.from({ length: 100 }, (_, row) => row % 2) })
const model = new MMoE({ features: [sparse('user', { vocabulary: 100, dim: 16 }), dense('price')], tasks: [binary('like')], numExperts: 20, expertHiddenUnits: [512], seed: 3, threads: 2 })
`

// Bytes per call. What is made, garbage too, is the least of some rounds, for the engine has work of its own; no scavenge falls into a
// round, for the young space is larger than what one makes. What is left is that of all rounds together, for lists grow by leaps.
it('allocates nothing', () => {
  const script = `${world.replace('numExperts: 20, expertHiddenUnits: [512]', 'numExperts: 2, expertHiddenUnits: [8]')}
const kept = []
const beside = {
  nothing: () => {},
  'an object': () => { globalThis.last = {} },
  'an array': () => { globalThis.last = [1, 2] },
  'a number that stays': () => { kept.push(1) },
}
model.build(train).then(() => {
  const batch = model.createBatch(100)
  model.fill(batch, train)
  const one = { rows: 1 }
  const [rounds, calls] = [8, 50_000]
  const used = () => { global.gc(); return process.memoryUsage() }
  const round = (also) => {
    const before = used()
    for (let call = 0; call < calls; call += 1) { model.predictSync(batch, one); if (call % 500 === 0) model.predictSync(batch); also() }
    const after = process.memoryUsage()
    return Object.keys(before).map((name) => (after[name] - before[name]) / calls)
  }
  const measure = (also) => {
    const { heapUsed } = used()
    const made = Array.from({ length: rounds }, () => round(also)).reduce((one, other) => one.map((bytes, kind) => Math.min(bytes, other[kind])))
    return { made: Math.max(...made), left: (used().heapUsed - heapUsed) / calls / rounds }
  }
  console.log(JSON.stringify(Object.fromEntries(Object.entries(beside).map(([name, also]) => [name, measure(also)]))))
})`
  const flags = ['--expose-gc', '--min-semi-space-size=64', '--max-semi-space-size=64']
  const { stdout, stderr, status } = spawnSync(process.execPath, [...flags, '-e', script], { encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  const found = JSON.parse(stdout) as Record<string, { made: number; left: number }>
  expect(found.nothing?.made).toBeLessThan(15)
  expect(found.nothing?.left).toBeLessThan(4)
  // And it would be seen if something were.
  expect(found['an object']?.made).toBeGreaterThan(20)
  expect(found['an array']?.made).toBeGreaterThan(20)
  expect(found['a number that stays']?.left).toBeGreaterThan(7)
})

it('serves in several workers at once', async () => {
  const source = `${world}
const { parentPort } = require('node:worker_threads')
model.build(train).then(() => {
  const batch = model.createBatch(100)
  model.fill(batch, train)
  let same = true
  const first = Float32Array.from(model.predictSync(batch).like)
  for (let call = 0; call < 300; call += 1) same &&= model.predictSync(batch).like.every((score, row) => score === first[row])
  parentPort.postMessage([same, ...first])
})`
  const results = await Promise.all(
    [1, 2, 3].map(async () => {
      const worker = new Worker(source, { eval: true })
      const [message] = (await once(worker, 'message')) as [unknown[]]
      await once(worker, 'exit')
      return message
    }),
  )
  expect(results[0]?.slice(0, 1)).toEqual([true])
  expect(results[1]).toEqual(results[0])
  expect(results[2]).toEqual(results[0])
})

describe('a vector of numbers', () => {
  it('is trained and scored as its numbers one by one, to the bit', async () => {
    const vectors = Array.from({ length: rows }, (_, row) => [Math.sin(row), Math.cos(3 * row), (row % 7) / 7])
    const { click = [] } = columns({ rows })
    const single = Object.fromEntries([0, 1, 2].map((item) => [`x${item}`, vectors.map((vector) => vector[item] ?? 0)]))
    const plain = { transform: 'none', missing: 0 } as const
    const options = { tasks: [binary('click')], numExperts: 2, expertHiddenUnits: [8], seed: 2 } as const
    using one = new MMoE({ ...options, features: [dense('x', { ...plain, width: 3 })] })
    using three = new MMoE({ ...options, features: [dense('x0', plain), dense('x1', plain), dense('x2', plain)] })
    const fitted = { epochs: 2, batchSize: 64, optimizer: adam({ learningRate: 0.01 }) }
    await one.fit(Dataset.fromColumns({ x: vectors, click }), fitted)
    await three.fit(Dataset.fromColumns({ ...single, click }), fitted)
    const scores = await one.predict(Dataset.fromColumns({ x: vectors }))
    expect(scores.click).toEqual((await three.predict(Dataset.fromColumns(single))).click)
    const batch = one.createBatch(2)
    expect(batch.x).toHaveLength(6)
    one.fill(batch, { x: vectors.slice(0, 2) })
    expect([...one.predictSync(batch).click]).toEqual([...scores.click.slice(0, 2)])
  })
})
