// Dropout by group and penalties by feature.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { binary, dense, loadModel, MMoE, SharedBottom, sgd, sparse } from '../../lib/index.js'
import { builtOf } from '../../lib/model/model.js'
import { opsNamed } from '../support/ops.js'
import { refusal } from '../support/refusal.js'
import { data } from '../support/small-data.js'

const train = data({ rows: 300 })
const features = [
  sparse('user', { vocabulary: 30, dim: 4 }),
  sparse('city', { dim: 3 }),
  dense('price', { transform: 'standardize' }),
]
const tasks = [binary('click'), binary('buy')] as const
const wide = {
  bottomHiddenUnits: [6],
  expertHiddenUnits: [7, 5],
  gateHiddenUnits: [6],
  towerHiddenUnits: [4, 3],
  numExperts: 3,
  seed: 5,
}

const net = (options: object) => new MMoE({ features, tasks, ...wide, ...options })

async function scores(options: object): Promise<unknown> {
  using model = net(options)
  await model.fit(train, { batchSize: 64, epochs: 2 })
  return await model.predict(train)
}

/** Streams and rates of the dropouts of a training step. */
async function dropouts(dropout: unknown): Promise<Map<number, number>> {
  using model = net({ dropout })
  await model.build(train)
  return new Map(
    opsNamed(builtOf(model as never).runner.network.rows.spec.ops, 'dropout').map(({ stream, rate }) => [stream, rate]),
  )
}

describe('dropout', () => {
  it('of all groups alike is that of one number, to the bit', async () => {
    const one = await scores({ dropout: 0.3 })
    expect(await scores({ dropout: { bottom: 0.3, expert: 0.3, gate: 0.3, tower: 0.3, mix: 0.3 } })).toEqual(one)
    expect(await scores({ dropout: {} })).toEqual(await scores({}))
    expect(await scores({ dropout: { tower: 0.3 } })).not.toEqual(one)
  })

  // In the order of the layers: bottom, hidden layers of three experts and two gates, two mixes, two hidden layers of two towers.
  it.each<[string, object, number[]]>([
    ['bottom', { bottom: 0.1 }, [0]],
    ['experts', { expert: 0.1 }, [1, 2, 3]],
    ['gates', { gate: 0.1 }, [4, 5]],
    ['mixes', { mix: 0.1 }, [6, 7]],
    ['towers', { tower: 0.1 }, [8, 9, 10, 11]],
  ])('of %s draws what one number draws there', async (_, dropout, streams) => {
    expect(await dropouts(dropout)).toEqual(new Map(streams.map((stream) => [stream, 0.1])))
    expect([...(await dropouts(0.1)).keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, stream) => stream))
  })

  it('may differ from group to group', async () => {
    const drawn = await dropouts({ bottom: 0.1, mix: 0.5 })
    expect([...drawn].sort()).toEqual([
      [0, 0.1],
      [6, 0.5],
      [7, 0.5],
    ])
  })

  it.each<[unknown, string, string | string[]]>([
    [{ bottom: 1 }, 'MMoE.dropout.bottom', '1'],
    [{ experts: 0.1 }, 'MMoE.dropout.experts', 'experts'],
    [1, 'MMoE.dropout', '1'],
    ['0.1', 'MMoE.dropout', '"0.1"'],
  ])('refuses %o', (dropout, field, says) => {
    expect(() => net({ dropout })).toThrow(refusal('ARGUMENT', { field, says }))
  })
})

describe('penalties of a feature', () => {
  /** Tables after one step of descent, before it, and the reported losses. */
  async function step(options: object) {
    using model = new SharedBottom({ features, tasks, bottomHiddenUnits: [4], seed: 5, ...options })
    await model.build(train)
    const { weights } = builtOf(model as never).runner
    const read = (feature: string, rows: number, dim: number): number[] => {
      return [...weights.parts({ memory: `table:${feature}`, offset: 0, shape: [rows, dim] })].flatMap((part) => [...part])
    }
    const tables = () => ({ user: read('user', 30, 4), city: read('city', 5, 3) })
    const before = tables()
    const { epochs } = await model.fit(train, { batchSize: 300, optimizer: sgd({ learningRate: 0.5 }), validation: train })
    return { before, after: tables(), loss: epochs[0]?.loss ?? NaN, valid: epochs[0]?.validation?.loss ?? NaN }
  }

  it.each([{}, { sparseUpdate: 'exact' }])('are its own, with %o', async (how) => {
    const plain = await step({ ...how })
    const own = await step({ ...how, l2: { 'embedding.user': 0.1 }, l1: { 'embedding.user': 0.01 } })
    expect(own.after.city).toEqual(plain.after.city)
    const [w, moved] = [plain.before.user, plain.after.user]
    // All users are in the batch: each number moves by the derivative of 0.01 |w| + 0.1 w^2 as well.
    own.after.user.forEach((value, index) => {
      const start = w[index] ?? NaN
      expect(value).toBeCloseTo((moved[index] ?? NaN) - 0.5 * (0.01 * Math.sign(start) + 0.2 * start), 6)
    })
    const penalty = (values: readonly number[]): number =>
      values.reduce((sum, one) => sum + 0.01 * Math.abs(one) + 0.1 * one * one, 0)
    expect(own.loss).toBeCloseTo(plain.loss + penalty(w), 5)
    const rest = await step({ ...how, l2: { 'embedding.user': 0.1 }, l1: { 'embedding.user': 0.01, embedding: 0 } })
    expect(rest).toEqual(own)
    expect(own.valid).toBeGreaterThan(penalty(own.after.user))
  })

  it('go before those of all features', async () => {
    const both = await step({ l2: { embedding: 0.1, 'embedding.user': 0 } })
    const [plain, all] = [await step({}), await step({ l2: { embedding: 0.1 } })]
    expect(both.after).toEqual({ user: plain.after.user, city: all.after.city })
  })

  it.each<[object, string, string | string[]]>([
    [{ l2: { 'embedding.usr': 1 } }, 'MMoE.l2.embedding.usr', ['user, city', '"usr"']],
    [{ l1: { 'embedding.price': 1 } }, 'MMoE.l1.embedding.price', 'price'],
    [{ l1: { 'embedding.user': -1 } }, 'MMoE.l1.embedding.user', '-1'],
    [{ l2: { embeddings: 1 } }, 'MMoE.l2.embeddings', 'unknown option'],
    [{ l2: { user: 'x' } }, 'MMoE.l2.user', '"x"'],
  ])('refuse %o', (options, field, says) => {
    expect(() => net(options)).toThrow(refusal('ARGUMENT', { field, says }))
  })

  it('and dropout by group are kept in a file', async () => {
    using model = net({ l2: { 'embedding.user': 0.1 }, dropout: { mix: 0.2 } })
    await model.fit(train)
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
    await model.save(path)
    using loaded = await loadModel(path)
    expect(await loaded.evaluate(train)).toEqual(await model.evaluate(train))
    const [one, other] = [model, loaded].map((each) => each.fit(train, { shuffle: false }))
    expect((await other)?.epochs[0]?.loss).toBe((await one)?.epochs[0]?.loss)
  })
})
