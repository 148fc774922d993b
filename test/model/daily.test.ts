// A fit that goes on from an earlier one, on the rows of another day: vocabularies grow and forget, weights and moments move with them.

import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sequence } from '../../lib/features/spec/sequence.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { readSafetensors, writeSafetensors } from '../../lib/io/safetensors.js'
import { MMoE } from '../../lib/model/classes.js'
import { loadModel } from '../../lib/model/load.js'
import { adam } from '../../lib/optimizers/adam.js'
import { rowwiseAdagrad } from '../../lib/optimizers/rowwise-adagrad.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { progress } from '../../lib/report/progress.js'
import type { RowStream } from '../../lib/runtime/parts.js'
import { binary } from '../../lib/tasks/binary.js'
import type { FitPlan } from '../../lib/training/callbacks.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import type { FitOptions } from '../../lib/training/options.js'
import { randomOf } from '../../lib/verify/numbers.js'

const newPath = (name = 'model'): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), `${name}.safetensors`)

interface Day {
  readonly rows?: number
  readonly seed?: number
  /** Users are numbers in [low, high). */
  readonly low?: number
  readonly high?: number
  readonly mean?: number
}

function columns({ rows = 400, seed = 1, low = 0, high = 20, mean = 100 }: Day = {}): Record<string, ColumnValues> {
  const random = randomOf(seed)
  const user = Float64Array.from({ length: rows }, () => low + Math.floor((high - low) * random()))
  return {
    user,
    tags: Array.from(user, (id) => [`t${id}`, `t${Math.floor(5 * random())}`].join('|')),
    kind: Array.from(user, () => Math.floor(4 * random())),
    price: Float64Array.from(user, () => mean + 20 * random()),
    click: Array.from(user, (id) => (random() < (id % 2 === 0 ? 0.8 : 0.2) ? 1 : 0)),
    buy: Array.from(user, (id) => (random() < (id % 3 === 0 ? 0.7 : 0.2) ? 1 : 0)),
  }
}

const day = (options?: Day): Dataset => Dataset.fromColumns(columns(options))

function model(options: object = {}) {
  return new MMoE({
    features: [
      sparse('user', { dim: 4 }),
      sequence('tags', { dim: 3, maxLength: 3, combiner: 'mean', separator: '|' }),
      sparse('kind', { vocabulary: 4, dim: 2 }),
      dense('price', { transform: 'standardize' }),
    ],
    tasks: [binary('click'), binary('buy', { weight: 0.5 })],
    numExperts: 3,
    expertHiddenUnits: [8],
    towerHiddenUnits: [4],
    dropout: 0.1,
    seed: 5,
    ...options,
  })
}

type Net = ReturnType<typeof model>

/** The error of a call that must fail. */
async function failureOf(call: Promise<unknown>): Promise<Error & { code?: string; field?: string }> {
  return await call.then(
    () => Promise.reject(new Error('the call did not fail')),
    (error: Error) => error,
  )
}

const optimizer = adam({ learningRate: 0.01 })
const fast = { batchSize: 64, optimizer } satisfies FitOptions
/** It counts steps and days, and leaves weights as they are. */
const still = { batchSize: 64, optimizer: sgd({ learningRate: 0 }) } satisfies FitOptions

/** Tensors by name; the type is that of most. */
type Contents = Map<string, Float32Array>

async function contents(net: { save(path: string): Promise<void> }): Promise<Contents> {
  const path = newPath()
  await net.save(path)
  return await tensorsOf(path)
}

async function tensorsOf(path: string): Promise<Contents> {
  const { tensors } = await readSafetensors(path)
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]))
}

/** A model of a first day, as a file or as a checkpoint. */
async function yesterday(options: FitOptions & { make?: object; data?: Dataset; saved?: boolean } = {}): Promise<string> {
  const { make, data = day(), saved = false, ...fit } = options
  using net = model(make)
  const path = newPath('yesterday')
  await net.fit(data, { ...fast, ...fit, callbacks: saved ? [] : [checkpoint({ path })] })
  if (saved) await net.save(path)
  return path
}

describe('from', () => {
  it('a model file is trained further as the loaded model is', async () => {
    const path = await yesterday({ saved: true })
    const today = day({ seed: 2 })
    using loaded = await loadModel(path)
    await loaded.fit(today, { ...fast, epochs: 2 })
    using net = model()
    await net.fit(today, { ...fast, epochs: 2, from: path })
    expect(await contents(net)).toEqual(await contents(loaded))
  })

  it('a checkpoint is trained further as if its fit had had more epochs', async () => {
    using whole = model()
    await whole.fit(day(), { ...fast, epochs: 5 })
    using net = model()
    await net.fit(day(), { ...fast, epochs: 3, from: await yesterday({ epochs: 2 }) })
    expect(await contents(net)).toEqual(await contents(whole))
  })

  it('a checkpoint that grows by values it has is trained further as one that does not grow', async () => {
    const path = await yesterday()
    const ends: unknown[] = []
    for (const grow of [false, true]) {
      using net = model()
      await net.fit(day(), { ...fast, from: path, grow })
      ends.push(await net.predict(day({ high: 25 })))
    }
    expect(ends[0]).toEqual(ends[1])
  })

  it('progress says whether the optimizer goes on, and what grew', async () => {
    const said = async (path: string, options: FitOptions = {}): Promise<string> => {
      let text = ''
      using net = model()
      const callbacks = [progress({ stream: { write: (line) => void (text += line) }, bar: false })]
      await net.fit(day({ high: 25, seed: 3 }), { ...fast, from: path, ...options, callbacks })
      return text
    }
    const path = await yesterday({ epochs: 2 })
    expect(await said(path, { grow: true })).toContain(`goes on from ${path}: the optimizer goes on after step 14\n`)
    expect(await said(path, { grow: true })).toContain(
      'vocabularies: user: 5 new, 0 evicted, 25 now; tags: 5 new, 0 evicted, 25 now\n',
    )
    expect(await said(path, { optimizer: adam({ learningRate: 0.1 }) })).toContain('goes on after step 14')
    expect(await said(path, { optimizer: adam({ beta1: 0.8 }) })).toContain(
      'the optimizer starts anew, because optimizer.beta1 is 0.8, and was 0.9 in the checkpoint',
    )
    expect(await said(path, { freeze: ['gate'] })).toContain('starts anew')
    expect(await said(await yesterday({ saved: true }))).toContain('starts anew, because the file is no checkpoint')
  })

  it('what does not change the meaning of weights may differ', async () => {
    const path = await yesterday()
    using net = model({
      dropout: 0.3,
      l2: { embedding: 1e-4 },
      lossReduction: 'batch',
      sparseUpdate: 'exact',
      tasks: [binary('click', { weight: 2 }), binary('buy')],
      features: [sparse('user', { dim: 4, minCount: 3 }), ...model().features.slice(1)],
    })
    const options = { ...fast, epochs: 2, validation: day({ seed: 9 }) }
    const last = newPath()
    await net.fit(day({ seed: 2 }), { ...options, from: path, grow: true, callbacks: [checkpoint({ path: last })] })
    // The file is one of the new options.
    using loaded = await loadModel(last)
    expect(loaded.features[0]).toMatchObject({ minCount: 3 })
    expect(await loaded.predict(day())).toEqual(await net.predict(day()))
  })

  it.each<[string, object, string]>([
    ['a seed', { seed: 6 }, 'seed 5'],
    ['another width', { expertHiddenUnits: [9] }, 'expertHiddenUnits.0 8'],
    ['another task', { tasks: [binary('click'), binary('like')] }, 'tasks.1.name "buy"'],
    ['another dimension', { features: [sparse('user', { dim: 5 }), ...model().features.slice(1)] }, 'features.0.dim 4'],
    ['another activation', { activation: 'tanh' }, 'activation.expert "relu"'],
  ])('%s that differs is named', async (_, make, expected) => {
    const path = await yesterday()
    using net = model(make)
    const error = await failureOf(net.fit(day(), { ...fast, from: path }))
    expect(error).toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT', field: 'fit.from' })
    expect(error.message).toContain(`expected ${expected}`)
    expect(net.built).toBe(false)
  })

  it('a built model, resume beside from, and grow beside resume are refused', async () => {
    const path = await yesterday()
    using net = await loadModel(path)
    expect(await failureOf(net.fit(day(), { from: path }))).toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT', field: 'fit.from' })
    using fresh = model()
    expect(await failureOf(fresh.fit(day(), { from: path, resume: path }))).toMatchObject({ field: 'fit.from' })
    expect(await failureOf(fresh.fit(day(), { grow: true, resume: path }))).toMatchObject({ field: 'fit.grow' })
    for (const from of [7, '', {}] as never[])
      expect(await failureOf(fresh.fit(day(), { from }))).toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT' })
    expect(await failureOf(fresh.fit(day(), { from: newPath('none') }))).toMatchObject({ code: 'ERR_MULTIGATE_FORMAT' })
  })
})

describe('grow', () => {
  it('before it is trained, a grown model scores old values as the old one, to the bit, on CPU and reference', async () => {
    for (const device of ['cpu', 'reference'] as const) {
      const path = await yesterday({ saved: true, make: { device } })
      using old = await loadModel(path, { device })
      using net = model({ device })
      await net.fit(day({ low: 15, high: 30, seed: 2 }), { ...still, from: path, grow: true })
      expect(await net.predict(day())).toEqual(await old.predict(day()))
      // New values are no longer the unknown one.
      const strangers = { ...columns({ low: 20, high: 30, rows: 20 }) }
      expect((await net.predict(strangers)).click).not.toEqual((await old.predict(strangers)).click)
    }
  })

  it('new rows come after the old, the most frequent first, and are those of a larger first table', async () => {
    using old = model()
    await old.fit(day({ high: 6 }), still)
    const path = newPath()
    await old.save(path)
    const user = [...Array(3).fill(40), ...Array(7).fill(30), ...Array(3).fill(35), 2]
    const today = Dataset.fromColumns({ ...columns({ rows: user.length }), user, tags: user.map(() => 't1') })
    using net = model()
    await net.fit(today, { ...still, from: path, grow: true })
    const [before, after] = [await tensorsOf(path), await contents(net)]
    const values = before.get('vocabulary.user.values') ?? []
    expect(after.get('vocabulary.user.values')).toEqual(Float64Array.from([...values, 30, 35, 40]))
    const rows = after.get('embedding.user')
    expect(rows?.subarray(0, 28)).toEqual(before.get('embedding.user'))
    // A new model with nine users draws the same nine rows and row 0.
    using nine = model()
    await nine.build(Dataset.fromColumns({ ...columns({ rows: 9 }), user: [1, 2, 3, 4, 5, 6, 7, 8, 9] }))
    expect(rows).toEqual((await contents(nine)).get('embedding.user'))
  })

  it('minCount counts the rows of today', async () => {
    const make = { features: [sparse('user', { dim: 4, minCount: 3 }), ...model().features.slice(1)] }
    const path = await yesterday({ make })
    const user = [50, 50, 51, 51, 51, 52]
    using net = model(make)
    const history = await net.fit(Dataset.fromColumns({ ...columns({ rows: 6 }), user }), { ...fast, from: path, grow: true })
    const values = (await contents(net)).get('vocabulary.user.values') ?? new Float32Array(0)
    expect(values.at(-1)).toBe(51)
    expect([...values]).not.toContain(50)
    expect(history.unknownValues['user']).toBe(3)
  })

  it('vocabularies of many days are those of a simulation with plain maps', async () => {
    const random = randomOf(3)
    let path: string | undefined
    let known = new Map<number, number>()
    for (let at = 0; at < 6; at += 1) {
      const number = 10 + 2 * at + Math.floor(2 * random())
      const low = Math.floor(12 * random())
      const users = columns({ rows: 60, seed: 20 + at, low, high: low + 8 })
      using net = model()
      await net.fit(Dataset.fromColumns(users), { ...fast, from: path, grow: { day: number, evictAfter: 3 } })
      const counts = new Map<number, number>()
      for (const id of users['user'] as Float64Array) counts.set(id, (counts.get(id) ?? 0) + 1)
      const next = new Map(
        [...known].map(([id, seen]) => [id, counts.has(id) ? number : seen] as const).filter(([, seen]) => number - seen <= 3),
      )
      const fresh = [...counts].filter(([id]) => !next.has(id)).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
      for (const [id] of fresh) next.set(id, number)
      known = next
      const found = await contents(net)
      expect([...(found.get('vocabulary.user.values') ?? [])]).toEqual([...known.keys()])
      expect([...(found.get('vocabulary.user.seen') ?? [])]).toEqual([...known.values()])
      expect(found.get('embedding.user')).toHaveLength(4 * (known.size + 1))
      path = newPath()
      await net.save(path)
    }
  })

  it.each([
    ['adam', fast, { moment1: 4, moment2: 4 }],
    ['row-wise adagrad', { ...fast, optimizers: { embedding: rowwiseAdagrad({ learningRate: 0.01 }) } }, { moment1: 1 }],
  ])('rows and moments of values that stay move with them: %s', async (_, options, moments) => {
    const path = await yesterday({ ...options, grow: { day: '2026-11-01' }, data: day({ low: 0, high: 10 }) })
    const middle = await yesterday({
      ...options,
      from: path,
      grow: { day: '2026-11-04' },
      data: day({ low: 6, high: 14, seed: 2 }),
    })
    const last = newPath()
    using net = model()
    const grow = { day: '2026-11-05', evictAfter: 2 }
    const callbacks = [checkpoint({ path: last })]
    // Only user 13 has rows: the lazy update moves no other row.
    const today = Dataset.fromColumns({ ...columns({ rows: 40 }), user: Array(40).fill(13), tags: Array(40).fill('t13') })
    await net.fit(today, { ...options, from: middle, grow, callbacks })
    const [before, after] = [await tensorsOf(middle), await tensorsOf(last)]
    const [olds, news] = [before, after].map((file) => [...(file.get('vocabulary.user.values') ?? [])]) as [number[], number[]]
    expect(news).toEqual(olds.filter((id) => id >= 6))
    const widths = Object.entries(moments).map(([name, width]) => [`training.${name}:user`, width] as const)
    for (const [name, width] of [['embedding.user', 4] as const, ...widths]) {
      const rowOf = (file: Contents, row: number) => file.get(name)?.slice(width * row, width * row + width)
      expect(after.get(name)).toHaveLength(width * (news.length + 1))
      expect(rowOf(after, 0)).toEqual(rowOf(before, 0))
      for (const [at, id] of news.entries()) {
        if (id !== 13) expect(rowOf(after, at + 1), `${name} ${id}`).toEqual(rowOf(before, olds.indexOf(id) + 1))
      }
    }
  })

  it('an average of the weights begins anew, from the average of the day before', async () => {
    const ema = { decay: 0.9 }
    const path = await yesterday({ ema, grow: true })
    using net = model()
    const unmoved = { ...fast, optimizer: adam({ learningRate: 0 }) }
    await net.fit(day({ low: 10, high: 30, seed: 2 }), { ...unmoved, ema, from: path, grow: true })
    const [before, after] = [await tensorsOf(path), await contents(net)]
    const table = [...(before.get('embedding.user') ?? [])]
    expect([...(after.get('embedding.user') ?? [])].slice(0, table.length)).toEqual(table)
    expect([...(after.get('embedding.user') ?? [])].slice(table.length).filter((value) => value === 0)).toEqual([])
    const dense = [...after].filter(([name]) => !/^(embedding|vocabulary)\./.test(name))
    expect(dense.length).toBeGreaterThan(5)
    for (const [name, values] of dense) expect(values, name).toEqual(before.get(name))
  })

  it('a value that comes back after it was evicted gets other first weights', async () => {
    const one = (id: number) => Dataset.fromColumns({ ...columns({ rows: 30 }), user: Array(30).fill(id) })
    using net = model()
    const rows: string[] = []
    for (const [number, id] of [7, 8, 9, 7].entries()) {
      await net.fit(one(id), { ...still, grow: { day: 10 * number, evictAfter: 3 } })
      rows.push(String((await contents(net)).get('embedding.user')?.slice(4)))
    }
    expect(new Set(rows).size).toBe(4)
  })

  it('a checkpoint of such a fit resumes to the bit', async () => {
    const path = await yesterday({ grow: { day: 1 } })
    const today = day({ low: 10, high: 30, seed: 2 })
    const validation = day({ low: 10, high: 30, seed: 3 })
    const first = { ...fast, validation, from: path, grow: { day: 5, evictAfter: 2 } }
    using whole = model()
    await whole.fit(today, { ...first, epochs: 4, callbacks: [earlyStopping({ patience: 5 })] })
    const last = newPath()
    using broken = model()
    await broken.fit(today, { ...first, epochs: 2, callbacks: [earlyStopping({ patience: 5 }), checkpoint({ path: last })] })
    using net = model()
    await net.fit(today, { ...fast, validation, epochs: 4, resume: last, callbacks: [earlyStopping({ patience: 5 })] })
    const ending = await contents(net)
    expect(ending).toEqual(await contents(whole))
    // Another day goes on from both alike.
    const ends: unknown[] = []
    for (const from of [net, whole]) {
      const file = newPath()
      await from.save(file)
      using next = model()
      await next.fit(day({ low: 25, high: 40, seed: 4 }), { ...fast, from: file, grow: { day: 8, evictAfter: 2 } })
      ends.push(await contents(next))
    }
    expect(ends[0]).toEqual(ends[1])
  })

  it('the number of threads changes nothing', async () => {
    const path = await yesterday({ grow: true })
    const ends: unknown[] = []
    for (const threads of [1, 2]) {
      using net = model({ threads })
      await net.fit(day({ low: 10, high: 40, seed: 2 }), { ...fast, from: path, grow: true })
      ends.push(await contents(net))
    }
    expect(ends[0]).toEqual(ends[1])
  })

  it('a model in memory grows as its file does', async () => {
    const today = day({ low: 10, high: 30, seed: 2 })
    const grow = { day: 4, evictAfter: 1 }
    using net = model()
    await net.fit(day(), { ...fast, grow: { day: 1 } })
    const path = newPath()
    await net.save(path)
    using other = model()
    await other.fit(today, { ...fast, from: path, grow })
    await net.fit(today, { ...fast, grow })
    expect(await contents(net)).toEqual(await contents(other))
  })

  it('rows in parts grow a model as the dataset does, to the bit, from a file and in memory', async () => {
    const path = await yesterday({ grow: { day: 1 } })
    const today = day({ rows: 500, low: 10, high: 40, seed: 2, mean: 50 })
    const options = { ...fast, epochs: 2, grow: { day: 4, evictAfter: 1, means: 'refresh' } } satisfies FitOptions
    const grown = async (rows: Dataset | RowStream, from: string | undefined) => {
      using net = model()
      if (from === undefined) await net.fit(day(), { ...fast, grow: { day: 1 } })
      let told: unknown
      const callbacks = [{ onStart: ({ continues }: FitPlan) => void (told = continues) }]
      const { epochs } = await net.fit(rows, { ...options, from, callbacks })
      const history = epochs.map(({ seconds, rowsPerSecond, ...epoch }) => epoch)
      const saved = newPath()
      await net.save(saved)
      const { metadata } = await readSafetensors(saved)
      return { told, history, weights: await tensorsOf(saved), model: metadata['multigate.model'] }
    }
    const parts = (size: number) =>
      function* () {
        for (let from = 0; from < 500; from += size) yield today.slice(from, Math.min(from + size, 500))
      }
    for (const from of [path, undefined]) {
      const whole = await grown(today, from)
      expect(whole.told).toMatchObject({ vocabularies: { user: { added: 20, evicted: 10, values: 30 } }, meansRefreshed: true })
      for (const size of [170, 500]) expect(await grown(parts(size), from)).toEqual(whole)
    }
  })

  it('a first fit on rows in parts counts days as on the dataset', async () => {
    const seen = async (rows: Dataset | RowStream) => {
      using net = model()
      await net.fit(rows, { ...fast, grow: { day: 3 } })
      await net.fit(day({ low: 30, high: 31, seed: 3 }), { ...still, grow: { day: 5, evictAfter: 1 } })
      return await contents(net)
    }
    expect(await seen([day()])).toEqual(await seen(day()))
  })

  it('rows in parts that do not fit name the row of all, and must be the same when they are read again', async () => {
    using net = model()
    await net.fit(day(), { ...fast, grow: true })
    const before = await contents(net)
    const wrong = Dataset.fromColumns({ ...columns({ rows: 3 }), user: ['a', 'b', 'c'] })
    let reading = 0
    const changing = () => [day({ seed: (reading += 1) })]
    const faults: [RowStream, object][] = [
      [[day(), wrong], { code: 'ERR_MULTIGATE_DATA', column: 'user', row: 400, dataset: 'training' }],
      [changing, { code: 'ERR_MULTIGATE_DATA', message: expect.stringMatching(/read twice/) }],
      [[day()].values(), { code: 'ERR_MULTIGATE_ARGUMENT', field: 'fit.train' }],
    ]
    for (const [rows, error] of faults) expect(await failureOf(net.fit(rows, { ...fast, grow: true }))).toMatchObject(error)
    expect(await contents(net)).toEqual(before)
  })

  it('statistics of dense features stay, or are refreshed', async () => {
    const path = await yesterday()
    const today = day({ mean: 500, seed: 2 })
    const encoded = async (grow: FitOptions['grow']): Promise<number> => {
      using net = model()
      await net.fit(today, { ...still, from: path, grow })
      using batch = net.createBatch(1)
      net.fill(batch, { ...columns({ rows: 1 }), price: [500] })
      return batch.price[0] ?? NaN
    }
    const prices = (columns()['price'] as Float64Array).slice()
    const mean = prices.reduce((sum, price) => sum + price, 0) / prices.length
    const deviation = Math.sqrt(prices.reduce((sum, price) => sum + (price - mean) ** 2, 0) / prices.length)
    expect(await encoded(true)).toBeCloseTo((500 - mean) / deviation, 3)
    expect(await encoded({ means: 'keep' })).toBeCloseTo((500 - mean) / deviation, 3)
    expect(Math.abs(await encoded({ means: 'refresh' }))).toBeLessThan(2)
  })

  it('only the named features grow', async () => {
    const path = await yesterday()
    using net = model()
    const history = await net.fit(day({ high: 25, seed: 2 }), { ...fast, from: path, grow: { features: ['tags'] } })
    expect(net.describe().tables.map(({ rows }) => rows)).toEqual([21, 26, 4])
    expect(Object.keys(history.unknownValues)).toEqual(['user'])
  })

  it.each<[FitOptions['grow'], string, RegExp]>([
    [{ day: 10, features: ['kind'] }, 'fit.grow.features', /"kind", whose vocabulary is given; name some of "user", "tags"/],
    [{ day: 10, features: ['price'] }, 'fit.grow.features', /a dense feature/],
    [{ day: 10, features: ['usr'] }, 'fit.grow.features', /which the model does not have/],
    [{ day: 9 }, 'fit.grow.day', /expected 10 or later/],
    [{ day: '2026-11-30' }, 'fit.grow.day', /expected an integer, as in the fits before/],
    [true, 'fit.grow.day', /expected an integer/],
    [{ day: '2026-02-30' }, 'fit.grow.day', /a date such as/],
    [{ day: 1.5 }, 'fit.grow.day', /found 1.5/],
    [{ evictAfter: 0 }, 'fit.grow.evictAfter', />= 1/],
    [{ evict: 3 } as never, 'fit.grow.evict', /unknown option/],
    ['yes' as never, 'fit.grow', /true or false/],
  ])('%j is refused by name', async (grow, field, message) => {
    const path = await yesterday({ grow: { day: 10 } })
    using net = model()
    const error = await failureOf(net.fit(day(), { ...fast, from: path, grow }))
    expect(error).toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT', field })
    expect(error.message).toMatch(message)
  })

  it('a first fit refuses the names of features that cannot grow, too', async () => {
    using net = model()
    const error = await failureOf(net.fit(day(), { ...fast, grow: { day: 10, features: ['usr'] } }))
    expect(error).toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT', field: 'fit.grow.features' })
    await net.fit(day(), { ...fast, grow: { day: 10, features: ['user'] } })
  })

  it('hashed and bucketed vocabularies say why they do not grow', async () => {
    const make = {
      features: [sparse('user', { hash: 50, dim: 4 }), sparse('kind', { buckets: [1, 2], dim: 2 }), dense('price')],
    }
    const path = await yesterday({ make })
    using net = model(make)
    const error = async (feature: string) =>
      (await failureOf(net.fit(day(), { from: path, grow: { features: [feature] } }))).message
    expect(await error('user')).toMatch(/are hashed; this model has none/)
    expect(await error('kind')).toMatch(/go into buckets/)
    await net.fit(day(), { ...fast, from: path, grow: true })
  })

  it('a value of today that does not fit names its row, and leaves a model in memory as it was', async () => {
    using net = model()
    await net.fit(day(), { ...fast, grow: true })
    const before = await contents(net)
    const today = { ...columns({ rows: 3 }), user: ['a', 'b', 'c'] }
    expect(await failureOf(net.fit(Dataset.fromColumns(today), { ...fast, grow: true }))).toMatchObject({
      code: 'ERR_MULTIGATE_DATA',
      column: 'user',
      row: 0,
      dataset: 'training',
    })
    expect(await contents(net)).toEqual(before)
    await net.fit(day(), { ...fast, grow: true })
  })

  it('predictions go on while a model grows, and batches of before say what to do', async () => {
    using net: Net = model()
    await net.fit(day(), { ...fast, grow: true })
    const rows = columns({ rows: 3000 })
    const before = await net.predict(rows)
    using batch = net.createBatch(4)
    net.fill(batch, columns({ rows: 4 }))
    const growing = net.fit(day({ low: 10, high: 60, seed: 2 }), { ...still, grow: true })
    const during = await Promise.all(Array.from({ length: 8 }, () => net.predict(rows)))
    await growing
    // Old values score alike before and after: the weights stand still.
    for (const scores of [...during, await net.predict(rows)]) expect(scores).toEqual(before)
    for (const call of [() => net.predictSync(batch), () => net.fill(batch, columns({ rows: 4 }))]) {
      expect(call).toThrow(/from before it grew or took a delta.*createBatch/)
    }
    using next = net.createBatch(4)
    net.fill(next, columns({ rows: 4 }))
    expect(net.predictSync(next).click).toEqual((await net.predict(columns({ rows: 4 }))).click)
  })

  it('days that are damaged in a file are refused', async () => {
    const path = await yesterday({ grow: true, saved: true })
    const { tensors, metadata } = await readSafetensors(path)
    const rewritten = async (change: (all: typeof tensors) => void): Promise<string> => {
      const copy = new Map(tensors)
      change(copy)
      const file = newPath('damaged')
      await writeSafetensors(file, { metadata, tensors: [...copy].map(([name, { shape, data }]) => ({ name, shape, data })) })
      return file
    }
    for (const data of [new Int32Array(3), new Float32Array(20)]) {
      const file = await rewritten((all) => void all.set('vocabulary.user.seen', { dtype: 'I32', shape: [data.length], data }))
      expect(await failureOf(loadModel(file))).toMatchObject({ code: 'ERR_MULTIGATE_FORMAT', field: 'vocabulary.user.seen' })
    }
    const bytes = readFileSync(path)
    bytes.write('last\\":x', bytes.indexOf('last\\":'))
    writeFileSync(path, bytes)
    expect(await failureOf(loadModel(path))).toMatchObject({ code: 'ERR_MULTIGATE_FORMAT', field: 'multigate.days' })
  })
})
