// `fit` on rows that are read in parts.

import { mkdtempSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as later } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { readSafetensors } from '../../lib/io/safetensors.js'
import { MMoE } from '../../lib/model/classes.js'
import { adam } from '../../lib/optimizers/adam.js'
import type { RowStream } from '../../lib/runtime/parts.js'
import { formOf } from '../../lib/runtime/sharded-rows.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import type { FitOptions } from '../../lib/training/options.js'
import { refusal } from '../support/refusal.js'
import { columns, data, model } from '../support/small-data.js'

const rows = 6100
const train = data({ rows })
const fast = { batchSize: 64, optimizer: adam({ learningRate: 0.01 }) }
/** Rows of 20 bytes, with 4 for the order: shards of 512 rows. */
const small = { memory: 2 * 512 * 24 }

function* cut(whole: Dataset, size: number): Generator<Dataset, void, undefined> {
  for (let from = 0; from < whole.rows; from += size) yield whole.slice(from, from + size)
}

const inParts =
  (whole: Dataset, size = 700): RowStream =>
  () =>
    cut(whole, size)

/** What training leaves behind; times aside. */
async function trained(source: Dataset | RowStream, options: FitOptions = {}, make: Parameters<typeof model>[0] = {}) {
  using net = model(make)
  const { epochs, ...rest } = await net.fit(source, { ...fast, ...options })
  const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
  await net.save(path)
  const { tensors, metadata } = await readSafetensors(path)
  const history = { ...rest, epochs: epochs.map(({ seconds, rowsPerSecond, ...epoch }) => epoch) }
  return {
    weights: new Map([...tensors].map(([name, { data: values }]) => [name, values])),
    encoders: metadata['multigate.model'],
    history,
  }
}

/** How often each row was trained on in each epoch, and in which order. */
async function visits(source: RowStream, options: FitOptions): Promise<number[][]> {
  using net = new MMoE({
    features: [dense('number', { transform: 'none' })],
    tasks: [regression('row')],
    numExperts: 1,
    expertHiddenUnits: [2],
    towerHiddenUnits: [2],
  })
  const epochs: number[][] = []
  let before = 0
  // Weights of zero and a rate near 0: the loss of a batch of one is the square of its label.
  const onStep = ({ epoch, step, loss }: { epoch: number; step: number; loss: number }): void => {
    const own = (epochs[epoch - 1] ??= [])
    const sum = loss * step
    own.push(sum - (step === 1 ? 0 : before))
    before = sum
  }
  await net.fit(source, {
    ...options,
    batchSize: 1,
    optimizer: adam({ learningRate: 1e-30 }),
    callbacks: [{ onStep }],
  })
  return epochs
}

describe('fit on rows in parts', () => {
  it('gives the bits of the dataset in memory if all rows fit', async () => {
    const whole = await trained(train, { epochs: 2 })
    for (const size of [700, rows]) expect(await trained(inParts(train, size), { epochs: 2 })).toEqual(whole)
    const parts = [...cut(train, 999), train.slice(0, 0)]
    expect(await trained(parts, { epochs: 2 })).toEqual(whole)
  })

  it('gives the bits of the dataset in memory without shuffling, in any shards', async () => {
    const options = { epochs: 2, shuffle: false }
    expect(await trained(inParts(train), { ...options, stream: small })).toEqual(await trained(train, options))
  })

  it('gives the same bits for any threads, any parts and any speed of the source', async () => {
    const options = { epochs: 3, stream: small }
    const one = await trained(inParts(train), options, { threads: 1 })
    expect(one.history.epochs.map(({ steps }) => steps)).toEqual([96, 96, 96])
    const slow = async function* () {
      for (const part of cut(train, 1500)) {
        await later(5)
        yield part
      }
    }
    expect(await trained(slow, options, { threads: 2 })).toEqual(one)
    expect(await trained(inParts(train), { ...options, stream: { memory: 4 * 512 * 24 } })).not.toEqual(one)
  })

  it('takes each row exactly once per epoch, in another order each time, from all over the table', async () => {
    // sqrt of the row, so that the loss of a row is its number.
    const count = 1000
    const numbers = Int32Array.from({ length: count }, (_, row) => row)
    const table = Dataset.fromColumns({ number: new Float64Array(count), row: Float64Array.from(numbers, Math.sqrt) })
    // 8 bytes and 4 for the order: shards of 125 rows.
    const epochs = await visits(inParts(table, 150), { epochs: 3, stream: { memory: 2 * 125 * 12 } })
    const orders = epochs.map((losses) => losses.map(Math.round))
    for (const order of orders) {
      expect(order).toHaveLength(count)
      expect([...new Set(order)].sort((a, b) => a - b)).toEqual([...numbers])
      // The mean of the first shard is that of the table, which is sorted, within four standard errors of 125 blocks of a row.
      const mean = order.slice(0, 125).reduce((sum, row) => sum + row, 0) / 125
      expect(Math.abs(mean - count / 2)).toBeLessThan((4 * count) / Math.sqrt(12 * 125))
    }
    expect(orders[0]).not.toEqual(orders[1])
    expect(orders[1]).not.toEqual(orders[2])
    const plain = await visits(inParts(table, 150), { shuffle: false, stream: { memory: 2 * 125 * 12 } })
    expect(plain[0]?.map(Math.round)).toEqual([...numbers])
  })

  it('fits what tasks and features need on all parts', async () => {
    const random = (seed: number) => (row: number) => ((Math.sin(row * 12.9898 + seed) * 43758.5453) % 1) + 1
    const make = () =>
      new MMoE({
        features: [sparse('word', { dim: 4 }), dense('x', { transform: 'minmax', missing: 'mean' })],
        tasks: [
          regression('seconds', { loss: 'huber', transform: 'log1pStandardize' }),
          regression('minutes', { loss: 'buckets' }),
          multiclass('kind', { classes: 3 }),
          binary('bought', { where: { word: ['a', 'b'] }, positiveWeight: 2, weightColumn: 'w' }),
        ],
        numExperts: 2,
        expertHiddenUnits: [4],
        towerHiddenUnits: [4],
      })
    const word = Array.from({ length: 3000 }, (_, row) => (row < 2000 ? 'a' : row < 2500 ? 'b' : 'c'))
    const of = (seed: number, scale: number) => Float64Array.from({ length: 3000 }, (_, row) => scale * random(seed)(row))
    const whole = Dataset.fromColumns({
      word,
      x: of(1, 1).map((value, row) => (row % 7 === 0 ? NaN : value)),
      seconds: of(2, 100),
      minutes: of(3, 9),
      kind: of(4, 1.49).map(Math.floor),
      bought: of(5, 1).map((value) => (value > 1.8 ? 1 : 0)),
      w: of(6, 1),
    })
    using one = make()
    using other = make()
    const losses = async (net: typeof one, source: Dataset | RowStream) =>
      (await net.fit(source, { batchSize: 100, epochs: 2, balance: 'uncertainty' })).epochs.map(({ tasks }) => tasks)
    expect(await losses(other, inParts(whole, 512))).toEqual(await losses(one, whole))
    expect(other.describe().features).toEqual(one.describe().features)
  })

  describe('with vocabularies that options give', () => {
    const net = (options: object = {}) =>
      model({
        features: [
          sparse('user', { vocabulary: 30, dim: 4 }),
          sparse('city', { hash: 9, dim: 3 }),
          dense('price', { transform: 'none', missing: 0 }),
        ],
        ...options,
      } as object)
    const counting = (source: (at: number) => Dataset | undefined) => {
      const counted = { openings: 0, parts: 0 }
      const rowsInParts = function* () {
        counted.openings += 1
        for (let at = 0, part = source(at); part !== undefined; at += 1, part = source(at)) {
          counted.parts += 1
          yield part
        }
      }
      return [rowsInParts, counted] as const
    }
    const sevenHundred = (whole: Dataset) => (at: number) =>
      at * 700 < whole.rows ? whole.slice(at * 700, at * 700 + 700) : undefined
    const failed = async (source: Dataset | RowStream) => {
      using one = net()
      return await one.fit(source, fast).then(
        () => undefined,
        (error: Error) => error.message,
      )
    }

    it('reads all rows once, behind the first part, with the bits of the dataset in memory', async () => {
      const [source, counted] = counting(sevenHundred(train))
      const results: unknown[] = []
      for (const rowsOf of [source, train]) {
        using one = net()
        const { epochs } = await one.fit(rowsOf, { ...fast, epochs: 2 })
        const history = epochs.map(({ seconds, rowsPerSecond, ...epoch }) => epoch)
        results.push({ history, scores: await one.predict(train), features: one.describe().features })
      }
      expect(results[0]).toEqual(results[1])
      expect(counted).toEqual({ openings: 2, parts: 1 + 9 })
    })

    it('reads them twice if the first part does not tell the type of a feature, or a task fits on its labels', async () => {
      const given = columns({ rows: 1400 })
      const none = Dataset.fromColumns({ ...given, city: Array.from({ length: 1400 }, (_, row) => (row < 700 ? null : 'Rome')) })
      const [late, first] = counting(sevenHundred(none))
      using one = net()
      await one.fit(late, fast)
      expect(first).toEqual({ openings: 3, parts: 1 + 2 + 2 })
      const [source, second] = counting(sevenHundred(train))
      using other = net({ tasks: [regression('price', { loss: 'huber', transform: 'standardize' })] })
      await other.fit(source, fast)
      expect(second.openings).toBe(2)
      expect(second.parts).toBe(2 * 9)
    })

    it('says of wrong rows and of labels without anything to learn what the dataset says', async () => {
      const given = columns({ rows: 1400 })
      const faults = [
        { click: Array.from({ length: 1400 }, () => 0) },
        { click: Array.from({ length: 1400 }, () => Number.NaN) },
        { buy: Array.from({ length: 1400 }, (_, row) => (row === 900 ? 2 : 0)) },
        { user: Int32Array.from({ length: 1400 }, (_, row) => (row === 800 ? 30 : 1)) },
      ]
      for (const fault of faults) {
        const whole = Dataset.fromColumns({ ...given, ...fault })
        const message = await failed(whole)
        expect(message).toMatch(/training data/)
        expect(await failed(inParts(whole))).toMatch(message?.slice(0, 30) ?? '')
      }
      // Only the last part has a positive label.
      const late = Dataset.fromColumns({ ...given, click: Array.from({ length: 1400 }, (_, row) => (row === 1399 ? 1 : 0)) })
      expect(await failed(inParts(late))).toBeUndefined()
    })
  })

  it('takes streams of files again and again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'multigate-'))
    const { user, city, price, click, buy } = columns({ rows: 2000 }) as Record<string, ArrayLike<number | string>>
    const lines = Array.from({ length: 2000 }, (_, row) => [user, city, price, click, buy].map((column) => column?.[row]).join())
    const path = join(folder, 'rows.csv')
    writeFileSync(path, `user,city,price,click,buy\n${lines.join('\n')}\n`)
    const whole = await trained(await Dataset.fromCsv(path), { epochs: 2 })
    expect(await trained(Dataset.streamCsv(path, { chunkRows: 300 }), { epochs: 2 })).toEqual(whole)
    expect(await trained(Dataset.streamQuery(`FROM '${path}'`, { chunkRows: 300 }), { epochs: 2 })).toEqual(whole)
    using net = model()
    await net.fit(Dataset.streamCsv(path, { chunkRows: 300, delimiter: ',' }))
    expect(net.csvOptions()).toMatchObject({ delimiter: ',' })
  })

  it.each([null, {}, { next: 1 }])('refuses an iterable whose iterator is %j', async (iterator) => {
    using net = model()
    const source = { [Symbol.asyncIterator]: () => iterator } as never
    await expect(net.fit(source, fast)).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.train', says: 'next' }))
  })

  it('takes an iterator once, if the model is built', async () => {
    using net = model()
    await expect(net.fit(cut(train, 700), fast)).rejects.toThrow(
      refusal('ARGUMENT', { field: 'fit.train', says: ['twice', 'a Generator', 'a function that opens them anew'] }),
    )
    expect(net.built).toBe(false)
    await net.build(train)
    using other = model()
    await other.build(train)
    const options = { ...fast, epochs: 2, stream: small }
    const { epochs } = await net.fit(cut(train, 700), options)
    expect(epochs.map(({ loss }) => loss)).toEqual((await other.fit(inParts(train), options)).epochs.map(({ loss }) => loss))
  })

  it('leaves no file that another process could find, or that a killed one would leave', async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'multigate-scratch-'))
    const seen = new Set<string>()
    let open = 0
    const look = () => {
      for (const name of readdirSync(scratch)) seen.add(name)
      if (process.platform === 'linux') {
        const files = readdirSync('/proc/self/fd').flatMap((fd) => {
          try {
            return [readlinkSync(`/proc/self/fd/${fd}`)]
          } catch {
            return []
          }
        })
        open = files.filter((file) => file.startsWith(scratch) && file.endsWith(' (deleted)')).length
      }
    }
    using net = model()
    await net.fit(inParts(train), { ...fast, callbacks: [{ onStep: look }], stream: { ...small, scratch } })
    expect([...seen]).toEqual([])
    if (process.platform === 'linux') expect(open).toBe(1)
    look()
    expect(open).toBe(0)
  })

  it('counts rows and unknown values over all parts, and evaluates between epochs', async () => {
    using net = model()
    await net.build(train)
    const { city, ...others } = columns({ rows: 1000 })
    const moved = Dataset.fromColumns({ ...others, city: (city as string[]).map((name, row) => (row < 800 ? name : 'Bern')) })
    let plan: unknown
    const callbacks = [{ onStart: (given: unknown) => void (plan = given) }]
    const history = await net.fit(inParts(moved, 300), { ...fast, callbacks, validation: moved })
    expect(plan).toMatchObject({
      trainRows: 1000,
      stepsPerEpoch: 16,
      unknownValues: { training: { unknownValues: { city: 200 } } },
    })
    expect(history.unknownShares).toEqual({ city: 0.2 })
    expect(history.epochs[0]?.validation?.tasks.click?.rows).toBe(1000)
  })
})

describe('a stream that is not right', () => {
  const refuses = async (source: unknown, error: Error, options: FitOptions = {}) => {
    const scratch = mkdtempSync(join(tmpdir(), 'multigate-scratch-'))
    using net = model()
    await expect(
      net.fit(source as never, { ...fast, ...options, stream: { ...small, scratch, ...options.stream } }),
    ).rejects.toThrow(error)
    expect(readdirSync(scratch)).toEqual([])
    // The model is as before.
    if (!net.built) await net.fit(train, fast)
  }
  const change = (values: object, size = 700) => Dataset.fromColumns({ ...columns({ rows: size }), ...values } as never)
  const then = (last: Dataset) => () => [train.slice(0, 1000), last]

  it.each<[string, unknown, Error]>([
    ['no rows', () => [], refusal('DATA', { dataset: 'training', says: 'at least one row' })],
    ['parts without rows', () => [train.slice(0, 0)], refusal('DATA', { dataset: 'training', says: 'at least one row' })],
    ['no datasets', () => [{ user: [1] }], refusal('ARGUMENT', { field: 'fit.train: a part', says: 'Dataset' })],
    ['no iterable', () => 7, refusal('ARGUMENT', { field: 'fit.train', says: '7' })],
    ['a dataset', () => train, refusal('ARGUMENT', { field: 'fit.train', says: 'iterable' })],
    ['a number', 7, refusal('ARGUMENT', { field: 'fit.train', says: '7' })],
    ['another column', then(Dataset.fromColumns({ user: [1] })), refusal('DATA', { dataset: 'training', says: 'city' })],
    [
      'a wrong id',
      then(change({ user: Int32Array.from({ length: 700 }, (_, row) => row) })),
      refusal('DATA', { column: 'user', row: 30 }),
    ],
    [
      'numbers that become text',
      then(change({ price: Array.from({ length: 700 }, (_, row) => (row === 5 ? 'x' : '1')) })),
      refusal('DATA', { column: 'price', row: 1005, value: 'x' }),
    ],
    ['texts that become numbers', then(change({ city: new Float64Array(700) })), refusal('DATA', { column: 'city', row: 1000 })],
    [
      'a wrong label',
      then(change({ buy: Float64Array.from({ length: 700 }, (_, row) => (row === 9 ? 7 : 0)) })),
      refusal('DATA', { dataset: 'training', column: 'buy', row: 9, value: 7, says: 'row 1009 of all' }),
    ],
    [
      'no positive label',
      () => [change({ buy: new Float64Array(700) }), change({ buy: new Float64Array(700) })],
      refusal('DATA', { column: 'buy', says: 'positive' }),
    ],
  ])('is refused: %s', async (_, source, error) => refuses(source, error))

  it('is refused if it throws, in either reading', async () => {
    for (const failing of [1, 2]) {
      const failure = new Error('the line broke')
      let reading = 0
      let ended = 0
      const source = async function* () {
        reading += 1
        try {
          yield train.slice(0, 3000)
          if (reading === failing) throw failure
          yield train.slice(3000)
        } finally {
          ended += 1
        }
      }
      await refuses(source, failure)
      expect([reading, ended]).toEqual([failing, failing])
    }
    await refuses(() => Promise.reject(new Error('closed')), new Error('closed'))
  })

  it.each<[string, Dataset, RegExp]>([
    ['fewer rows', train.slice(0, 6000), /6100 rows.*6000/],
    ['more rows', Dataset.fromColumns(columns({ rows: 6200 })), /6100 rows.*6200 or more/],
    [
      'another value',
      Dataset.fromColumns({
        ...columns({ rows }),
        price: (columns({ rows })['price'] as Float64Array).map((value, row) => (row === 4321 ? value + 1e-9 : value)),
      }),
      /column "price"/,
    ],
    [
      'another text',
      Dataset.fromColumns({
        ...columns({ rows }),
        city: (columns({ rows })['city'] as string[]).map((name, row) =>
          row === 4321 ? (name === 'Oslo' ? 'Rome' : 'Oslo') : name,
        ),
      }),
      /column "city"/,
    ],
    ['other labels', Dataset.fromColumns({ ...columns({ rows }), click: columns({ rows })['buy'] ?? [] }), /column "click"/],
  ])('is refused if its second reading gives %s', async (_, second, says) => {
    let reading = 0
    await refuses(() => cut((reading += 1) === 1 ? train : second, 700), refusal('DATA', { dataset: 'training', says }))
  })

  it('is refused with options that need all rows, and without memory or a folder', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'file')
    writeFileSync(file, '')
    const write = (says: RegExp) => refusal('WRITE', { file, says: [says, 'fit.stream.scratch'] })
    await refuses(inParts(train), refusal('ARGUMENT', { field: 'fit.trainingMetrics' }), { trainingMetrics: true })
    await refuses(inParts(train), refusal('ARGUMENT', { field: 'fit.stream.memory', says: '3072' }), { stream: { memory: 3071 } })
    await refuses(inParts(train), refusal('ARGUMENT', { field: 'fit.stream.memory' }), { stream: { memory: 0 } })
    await refuses(inParts(train), write(/ENOTDIR/), { stream: { scratch: file } })
  })

  it('ends where a signal says, whatever is going on', async () => {
    for (const stage of ['first part', 'second reading', 'hanging source', 'step', 'epoch']) {
      const scratch = mkdtempSync(join(tmpdir(), 'multigate-scratch-'))
      const control = new AbortController()
      let [reading, ended] = [0, 0]
      const source = async function* () {
        reading += 1
        try {
          if (stage === 'first part') control.abort()
          yield train.slice(0, 3000)
          if (stage === 'second reading' && reading === 2) control.abort()
          if (stage === 'hanging source') {
            setTimeout(() => control.abort(), 20)
            await later(100_000, undefined, { ref: false })
          }
          yield train.slice(3000)
        } finally {
          ended += 1
        }
      }
      const callbacks = [
        {
          onStep: () => void (stage === 'step' && control.abort()),
          onEpochEnd: () => void (stage === 'epoch' && control.abort()),
        },
      ]
      using net = model()
      const options = { ...fast, epochs: 3, callbacks, signal: control.signal, stream: { ...small, scratch } }
      await expect(net.fit(source, options)).rejects.toThrow(refusal('ABORTED'))
      expect(readdirSync(scratch)).toEqual([])
      if (stage !== 'hanging source') expect(ended).toBe(reading)
    }
  })

  it('ends when the model is disposed of', async () => {
    for (const stage of ['part', 'step']) {
      const net = model()
      const source = function* () {
        for (const part of cut(train, 700)) {
          yield part
          if (stage === 'part') net.dispose()
        }
      }
      const callbacks = [{ onStep: () => void (stage === 'step' && net.dispose()) }]
      await expect(net.fit(source, { ...fast, callbacks, stream: small })).rejects.toThrow(refusal('DISPOSED'))
    }
  })
})

describe('the form of shards', () => {
  it('has whole batches, and blocks from all over the table', () => {
    for (const batchSize of [1, 7, 64, 100, 1000, 1024, 4096, 10_000, 10_240, 65_536]) {
      for (const memory of [2 ** 22, 2 ** 26, 2 ** 28]) {
        const form = formOf(memory, 80, batchSize)
        const most = Math.floor(memory / 2 / 84)
        if (form === undefined) {
          expect(most).toBeLessThan(batchSize)
          continue
        }
        expect(form.shardRows).toBeLessThanOrEqual(most)
        expect(form.shardRows % form.blockRows).toBe(0)
        expect(form.shardRows % batchSize).toBe(0)
        expect(form.blockRows).toBeLessThanOrEqual(1024)
        expect(form.shardRows / form.blockRows).toBeGreaterThanOrEqual(32)
      }
    }
  })
})
