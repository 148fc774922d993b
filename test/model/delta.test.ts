// Deltas: what changed between two files, applied to the first, gives the second, bit for bit. Or nothing, if anything is wrong.

import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sequence } from '../../lib/features/spec/sequence.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { readSafetensors, type Tensor, writeSafetensors } from '../../lib/io/safetensors.js'
import { MMoE } from '../../lib/model/classes.js'
import { loadModel } from '../../lib/model/load.js'
import type { Model } from '../../lib/model/model.js'
import { adam } from '../../lib/optimizers/adam.js'
import { binary } from '../../lib/tasks/binary.js'
import type { FitOptions } from '../../lib/training/options.js'
import { randomOf } from '../../lib/verify/numbers.js'

/** The JSON of a delta. */
type Json = Record<string, unknown>

const newPath = (name: string): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), `${name}.safetensors`)

function columns({ rows = 300, seed = 1, low = 0, high = 20, mean = 100 } = {}): Record<string, ColumnValues> {
  const random = randomOf(seed)
  const user = Float64Array.from({ length: rows }, () => low + Math.floor((high - low) * random()))
  return {
    user,
    tags: Array.from(user, (id) => [`t${id}`, `ü${Math.floor(5 * random())}`].join('|')),
    kind: Array.from(user, () => Math.floor(50 * random())),
    price: Float64Array.from(user, () => mean + 20 * random()),
    click: Array.from(user, (id) => (random() < (id % 2 === 0 ? 0.8 : 0.2) ? 1 : 0)),
  }
}

const day = (options?: Parameters<typeof columns>[0]): Dataset => Dataset.fromColumns(columns(options))
const everyone = columns({ rows: 200, high: 60, seed: 77 })

function model(options: object = {}) {
  return new MMoE({
    features: [
      sparse('user', { dim: 4 }),
      sequence('tags', { dim: 3, maxLength: 3, combiner: 'mean', separator: '|' }),
      sparse('kind', { hash: 64, dim: 2 }),
      dense('price', { transform: 'standardize' }),
    ],
    tasks: [binary('click')],
    numExperts: 2,
    expertHiddenUnits: [8],
    seed: 5,
    ...options,
  })
}

const fast = { batchSize: 64, optimizer: adam({ learningRate: 0.01 }) } satisfies FitOptions

/** Days: the files of a model that is trained every day. */
async function days(...options: (FitOptions & { data: Dataset })[]): Promise<string[]> {
  const paths: string[] = []
  for (const [index, { data, ...fit }] of options.entries()) {
    using net = model()
    await net.fit(data, { ...fast, from: paths.at(-1), ...fit })
    const path = newPath(`day${index}`)
    await net.save(path)
    paths.push(path)
  }
  return paths
}

async function deltaOf(base: string, next: string): Promise<string> {
  using net = await loadModel(next)
  const path = newPath('delta')
  await net.saveDelta(path, { since: base })
  return path
}

async function savedBytes(net: Model): Promise<Buffer> {
  const path = newPath('saved')
  await net.save(path)
  return readFileSync(path)
}

async function failureOf(call: Promise<unknown>): Promise<Error & { code?: string; field?: string }> {
  return await call.then(
    () => Promise.reject(new Error('the call did not fail')),
    (error: Error) => error,
  )
}

const grown = { data: day({ low: 10, high: 30, seed: 2 }), grow: { day: 2 } }
const first = { data: day(), grow: { day: 1 } }

describe('a base with its delta equals the new file', () => {
  it.each<[string, FitOptions & { data: Dataset }]>([
    ['that has grown', grown],
    ['that has forgotten values', { ...grown, grow: { day: 9, evictAfter: 3 } }],
    [
      'that has forgotten all values and has new ones',
      { data: day({ low: 40, high: 50, seed: 4 }), grow: { day: 9, evictAfter: 3 } },
    ],
    ['with other means', { data: day({ mean: 500, seed: 2 }), grow: { day: 2, means: 'refresh' } }],
    ['that was only trained', { data: day({ seed: 2 }) }],
    ['with one frozen body', { ...grown, freeze: ['expert', 'gate', 'tower', 'bottom'] }],
  ])('%s: the same bytes when saved, the same scores', async (_, second) => {
    const [base = '', next = ''] = await days(first, second)
    using full = await loadModel(next)
    using served = await loadModel(base)
    const before = await served.predict(everyone)
    await served.applyDelta(await deltaOf(base, next))
    expect(await served.predict(everyone)).toEqual(await full.predict(everyone))
    expect(await served.predict(everyone)).not.toEqual(before)
    expect((await savedBytes(served)).equals(readFileSync(next))).toBe(true)
  })

  it('after a chain of deltas', async () => {
    const evicting = { data: day({ low: 20, high: 45, seed: 3 }), grow: { day: 5, evictAfter: 2 } }
    const again = { data: day({ low: 0, high: 45, seed: 6 }), grow: { day: 6, evictAfter: 2 } }
    const paths = await days(first, grown, evicting, again)
    using served = await loadModel(paths[0] ?? '')
    for (const [index, next] of paths.slice(1).entries()) await served.applyDelta(await deltaOf(paths[index] ?? '', next))
    expect((await savedBytes(served)).equals(readFileSync(paths.at(-1) ?? ''))).toBe(true)
    // One delta over all days leads there too.
    using other = await loadModel(paths[0] ?? '')
    await other.applyDelta(await deltaOf(paths[0] ?? '', paths.at(-1) ?? ''))
    expect((await savedBytes(other)).equals(readFileSync(paths.at(-1) ?? ''))).toBe(true)
  })

  it('on another device', async () => {
    const [base = '', next = ''] = await days(first, grown)
    const delta = await deltaOf(base, next)
    using served = await loadModel(base, { device: 'reference' })
    await served.applyDelta(delta)
    using full = await loadModel(next, { device: 'reference' })
    expect(await served.predict(everyone)).toEqual(await full.predict(everyone))
  })

  it('and a model that nothing has changed', async () => {
    const [base = ''] = await days(first)
    const delta = await deltaOf(base, base)
    const { tensors } = await readSafetensors(delta)
    expect([...tensors.keys()]).toEqual(['vocabulary.user.seen', 'vocabulary.tags.seen'])
    using served = await loadModel(base)
    await served.applyDelta(delta)
    expect((await savedBytes(served)).equals(readFileSync(base))).toBe(true)
  })
})

it('a delta has the changed rows alone', async () => {
  const [base = ''] = await days({ data: day({ rows: 4000, high: 2000 }) })
  using net = await loadModel(base)
  const today = Dataset.fromColumns({
    ...columns({ rows: 50 }),
    user: Array(50).fill(7),
    kind: Array(50).fill(3),
    tags: Array(50).fill('t7'),
  })
  const { tensors: before } = await readSafetensors(base)
  await net.fit(today, { ...fast, freeze: ['expert', 'gate', 'bottom'] })
  const path = newPath('delta')
  await net.saveDelta(path, { since: base })
  const { tensors } = await readSafetensors(path)
  const row = 1 + Array.from((before.get('vocabulary.user.values')?.data ?? []) as Float64Array).indexOf(7)
  expect(tensors.get('delta.rows.user')?.data).toEqual(Int32Array.of(row))
  expect(tensors.get('delta.values.user')?.shape).toEqual([1, 4])
  expect([...tensors.keys()].filter((name) => !name.startsWith('delta.'))).toEqual(['tower.click.0.kernel', 'tower.click.0.bias'])
  expect(statSync(path).size).toBeLessThan(statSync(base).size / 5)
  expect(readdirSync(dirname(path))).toEqual(['delta.safetensors'])
})

describe('a server', () => {
  it('predicts with the old model or the new one while a delta is applied, never with a mix', async () => {
    const [base = '', next = ''] = await days(first, { ...grown, grow: { day: 9, evictAfter: 3 } })
    const delta = await deltaOf(base, next)
    using served = await loadModel(base)
    using full = await loadModel(next)
    const [old, now] = [String((await served.predict(everyone)).click), String((await full.predict(everyone)).click)]
    using batch = served.createBatch(8)
    served.fill(batch, columns({ rows: 8 }))
    const scores = String(served.predictSync(batch).click)
    const seen: string[] = []
    let applied = false
    const applying = served.applyDelta(delta).then(() => void (applied = true))
    while (!applied) {
      const waiting = served.predict(everyone)
      // On this thread the old model still serves.
      if (!applied) expect(String(served.predictSync(batch).click)).toBe(scores)
      seen.push(String((await waiting).click))
      await new Promise((resolve) => void setImmediate(resolve))
    }
    await applying
    seen.push(String((await served.predict(everyone)).click))
    expect(seen.filter((one) => one !== old && one !== now)).toEqual([])
    expect(seen[0]).toBe(old)
    expect(seen.at(-1)).toBe(now)
    expect(() => served.predictSync(batch)).toThrow(/took a delta/)
  })

  it('refuses a delta twice, out of order, and of another model, and stays as it was', async () => {
    const paths = await days(first, grown, { data: day({ low: 20, high: 40, seed: 3 }), grow: { day: 3 } })
    const [one, two] = [await deltaOf(paths[0] ?? '', paths[1] ?? ''), await deltaOf(paths[1] ?? '', paths[2] ?? '')]
    using served = await loadModel(paths[0] ?? '')
    expect(await failureOf(served.applyDelta(two))).toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT', field: 'applyDelta.path' })
    expect((await savedBytes(served)).equals(readFileSync(paths[0] ?? ''))).toBe(true)
    await served.applyDelta(one)
    expect((await failureOf(served.applyDelta(one))).message).toContain('which has it already')
    using other = model({ seed: 6 })
    await other.build(day())
    expect(await failureOf(other.applyDelta(one))).toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT' })
    using unbuilt = model()
    expect(await failureOf(unbuilt.applyDelta(one))).toMatchObject({ code: 'ERR_MULTIGATE_NOT_BUILT' })
    expect(await failureOf(served.applyDelta(paths[0] ?? ''))).toMatchObject({
      code: 'ERR_MULTIGATE_FORMAT',
      field: 'multigate.delta',
    })
    expect((await failureOf(loadModel(one))).message).toMatch(/found a delta: load its base/)
    expect(await failureOf(served.applyDelta(7 as never))).toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT' })
  })

  it('cannot take a delta while it trains, nor train or save while it takes one', async () => {
    const [base = '', next = ''] = await days(first, grown)
    const delta = await deltaOf(base, next)
    using served = await loadModel(base)
    const training = served.fit(day(), fast)
    expect(await failureOf(served.applyDelta(delta))).toMatchObject({ code: 'ERR_MULTIGATE_BUSY' })
    await training
    using other = await loadModel(base)
    const applying = other.applyDelta(delta)
    expect(await failureOf(other.fit(day()))).toMatchObject({ code: 'ERR_MULTIGATE_BUSY' })
    expect(await failureOf(other.save(newPath('never')))).toMatchObject({ code: 'ERR_MULTIGATE_BUSY' })
    expect(await failureOf(other.applyDelta(delta))).toMatchObject({ code: 'ERR_MULTIGATE_BUSY' })
    await applying
  })

  it('that is disposed of meanwhile says so', async () => {
    const [base = '', next = ''] = await days(first, grown)
    const delta = await deltaOf(base, next)
    const served = await loadModel(base)
    const applying = served.applyDelta(delta)
    served.dispose()
    expect(await failureOf(applying)).toMatchObject({ code: 'ERR_MULTIGATE_DISPOSED' })
  })
})

describe('a damaged delta changes nothing', async () => {
  const [base = '', next = ''] = await days(first, { ...grown, grow: { day: 9, evictAfter: 3 } })
  const delta = await deltaOf(base, next)
  const whole = readFileSync(delta)

  /** Applies these bytes: an error of ours, and the model as before. */
  async function refused(bytes: Uint8Array, served: Model): Promise<Error & { field?: string }> {
    const path = newPath('damaged')
    writeFileSync(path, bytes)
    const error = await failureOf(served.applyDelta(path))
    expect(['ERR_MULTIGATE_FORMAT', 'ERR_MULTIGATE_ARGUMENT']).toContain(error.code)
    return error
  }

  it('cut anywhere, or with a bit flipped anywhere', { timeout: 60_000 }, async () => {
    using served = await loadModel(base)
    const random = randomOf(5)
    for (let cut = 0; cut < whole.length; cut += 1 + Math.floor((whole.length / 20) * random()))
      await refused(whole.subarray(0, cut), served)
    for (let flip = 0; flip < 150; flip += 1) {
      const bytes = Buffer.from(whole)
      const at = Math.floor(bytes.length * random())
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(8 * random()))
      const path = newPath('flipped')
      writeFileSync(path, bytes)
      const error = await served.applyDelta(path).then(
        () => undefined,
        (thrown: Error & { code?: string }) => thrown,
      )
      expect(error?.code, `bit at ${at}`).toMatch(/FORMAT|ARGUMENT/)
    }
    expect((await savedBytes(served)).equals(readFileSync(base))).toBe(true)
    await served.applyDelta(delta)
    expect((await savedBytes(served)).equals(readFileSync(next))).toBe(true)
  })

  const { tensors, metadata } = await readSafetensors(delta)
  const rows = tensors.get('delta.rows.user')?.data as Int32Array
  const set =
    (name: string, data: Tensor['data'], shape: readonly number[] = [data.length]) =>
    (all: Map<string, Tensor>) =>
      void all.set(name, { dtype: 'I32', shape, data })

  it.each<[string, (all: Map<string, Tensor>) => void, string]>([
    [
      'rows beyond the table',
      set(
        'delta.rows.user',
        rows.map((row, at) => (at === rows.length - 1 ? 2 ** 30 : row)),
      ),
      'delta.rows.user',
    ],
    [
      'negative rows',
      set(
        'delta.rows.user',
        rows.map((row, at) => (at === 0 ? -5 : row)),
      ),
      'delta.rows.user',
    ],
    [
      'a row twice',
      set(
        'delta.rows.user',
        rows.map((row, at) => (at === 1 ? (rows[0] ?? 0) : row)),
      ),
      'delta.rows.user',
    ],
    ['rows that are floats', set('delta.rows.user', Float32Array.from(rows)), 'delta.rows.user'],
    ['fewer values than rows', set('delta.values.user', new Float32Array(4), [1, 4]), 'delta.values.user'],
    [
      'values of another width',
      set('delta.values.user', new Float32Array(rows.length * 5), [rows.length, 5]),
      'delta.values.user',
    ],
    [
      'values that are not finite',
      set('delta.values.user', new Float32Array(rows.length * 4).fill(NaN), [rows.length, 4]),
      'delta.values.user',
    ],
    ['no values', (all) => void all.delete('delta.values.user'), 'delta.values.user'],
    [
      'only some new rows',
      (all) => {
        set('delta.rows.user', rows.slice(0, -1))(all)
        set('delta.values.user', new Float32Array((rows.length - 1) * 4), [rows.length - 1, 4])(all)
      },
      'delta.rows.user',
    ],
    ['no rows', (all) => void all.delete('delta.rows.user'), 'delta.rows.user'],
    ['evicted values beyond the vocabulary', set('delta.evicted.user', Int32Array.of(0, 5000)), 'delta.evicted.user'],
    ['no new values', (all) => void all.delete('vocabulary.user.values'), 'vocabulary.user.values'],
    [
      'new values that are old ones',
      (all) => {
        const data = tensors.get('vocabulary.user.values')?.data.slice() as Float64Array
        data[0] = 15
        all.set('vocabulary.user.values', { dtype: 'F64', shape: [data.length], data })
      },
      'multigate.delta',
    ],
    ['a tensor of no part', set('other', Int32Array.of(1)), 'other'],
  ])('with %s', async (_, change, field) => {
    using served = await loadModel(base)
    const copy = new Map(tensors)
    change(copy)
    const path = newPath('hostile')
    await writeSafetensors(path, { metadata, tensors: [...copy].map(([name, { shape, data }]) => ({ name, shape, data })) })
    const before = await savedBytes(served)
    const error = await failureOf(served.applyDelta(path))
    expect(error).toMatchObject({ code: 'ERR_MULTIGATE_FORMAT', field })
    expect((await savedBytes(served)).equals(before)).toBe(true)
  })

  it.each<[string, (json: Json) => object]>([
    ['a version of the future', (json) => ({ ...json, version: 2 })],
    ['too few encoders', (json) => ({ ...json, encoders: [] })],
    ['encoders of other kinds', (json) => ({ ...json, encoders: [...(json['encoders'] as object[])].reverse() })],
    ['a result that is no fingerprint', (json) => ({ ...json, result: 'x' })],
    ['a result of another model', (json) => ({ ...json, result: '0'.repeat(64) })],
    [
      'a vast vocabulary',
      (json) => ({
        ...json,
        encoders: [{ kind: 'table', type: 'number', added: 2 ** 40 }, ...(json['encoders'] as object[]).slice(1)],
      }),
    ],
    [
      'a scale of 0',
      (json) => ({
        ...json,
        encoders: [...(json['encoders'] as object[]).slice(0, 3), { kind: 'dense', offset: 0, scale: 0, fill: 0 }],
      }),
    ],
    ['more steps than its digest says', (json) => ({ ...json, drawn: { epochs: 9, steps: 9 } })],
    ['keys of no meaning', (json) => ({ ...json, more: 1 })],
  ])('with %s', async (_, change) => {
    using served = await loadModel(base)
    const json = change(JSON.parse(metadata['multigate.delta'] ?? '') as Json)
    const path = newPath('hostile')
    const list = [...tensors].map(([name, { shape, data }]) => ({ name, shape, data }))
    const text = JSON.stringify(json)
    const signed = 'drawn' in json && JSON.stringify(json.drawn).includes('9,') ? (metadata['multigate.delta'] ?? '') : text
    const digest = createHash('sha256').update(signed).digest('hex')
    await writeSafetensors(path, { metadata: { 'multigate.delta': text, 'multigate.digest': digest }, tensors: list })
    const before = await savedBytes(served)
    expect(await failureOf(served.applyDelta(path))).toMatchObject({ code: 'ERR_MULTIGATE_FORMAT' })
    expect((await savedBytes(served)).equals(before)).toBe(true)
  })
})

it('saveDelta names what differs, and writes nothing then', async () => {
  const [base = ''] = await days(first)
  using wider = model({ expertHiddenUnits: [9] })
  await wider.build(day())
  const path = newPath('never')
  expect(await failureOf(wider.saveDelta(path, { since: base }))).toMatchObject({
    code: 'ERR_MULTIGATE_ARGUMENT',
    field: 'saveDelta.since',
  })
  using net = model()
  expect(await failureOf(net.saveDelta(path, { since: base }))).toMatchObject({ code: 'ERR_MULTIGATE_NOT_BUILT' })
  await net.build(day())
  expect(await failureOf(net.saveDelta(path, {} as never))).toMatchObject({
    code: 'ERR_MULTIGATE_ARGUMENT',
    field: 'saveDelta.since',
  })
  expect(await failureOf(net.saveDelta(path, { since: newPath('none') }))).toMatchObject({ code: 'ERR_MULTIGATE_FORMAT' })
  expect(await failureOf(net.saveDelta(join(dirname(path), 'none', 'x'), { since: base }))).toMatchObject({
    code: 'ERR_MULTIGATE_WRITE',
  })
  expect(readdirSync(dirname(path))).toEqual([])
})
