// What leaves `fit` computes: the last update, which no step looks at, is looked at before weights are returned, copied or written.

import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { adam } from '../../lib/optimizers/adam.js'
import { rmsprop } from '../../lib/optimizers/rmsprop.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import type { Snapshot } from '../../lib/runtime/weights.js'
import type { Callback, FitControl } from '../../lib/training/callbacks.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 600 })
const validation = data({ rows: 300, seed: 2 })

/** A copy whose number at a place of a memory is another. */
function changed(snapshot: Snapshot, memory: string, at: number, value: number): Snapshot {
  const parts = (snapshot.get(memory) ?? []).map((part) => part.slice())
  const [first] = parts
  if (first === undefined) throw new Error(`no memory ${memory}`)
  first[at < 0 ? first.length + at : at] = value
  return new Map([...snapshot, [memory, parts]])
}

describe('a last step that diverges is an error', () => {
  it.each([
    ['sgd', sgd({ learningRate: 1e30 })],
    ['adam', adam({ learningRate: 1e38 })],
    ['rmsprop', rmsprop({ learningRate: 1e25 })],
  ])('%s', async (_, optimizer) => {
    for (const options of [{ batchSize: 600 }, { batchSize: 1024, shuffle: false }, { batchSize: 600, validation }]) {
      using net = model()
      const told: unknown[] = []
      const callbacks: Callback[] = [{ onFailure: (error) => void told.push(error) }]
      const run = net.fit(train, { ...options, optimizer, callbacks })
      await expect(run).rejects.toThrow(refusal('DIVERGED', { says: '1' }))
      expect(told).toMatchObject([{ code: 'ERR_MULTIGATE_DIVERGED' }])
    }
  })

  it('before a checkpoint is written of it, or a copy kept', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'last.safetensors')
    for (const callback of [checkpoint({ path }), earlyStopping({ monitor: 'loss' })]) {
      using net = model()
      const epochs: number[] = []
      const callbacks = [callback, { onEpochSettled: ({ epoch }) => void epochs.push(epoch) } satisfies Callback]
      const run = net.fit(train, { batchSize: 600, epochs: 3, optimizer: sgd({ learningRate: 1e30 }), callbacks })
      await expect(run).rejects.toThrow(refusal('DIVERGED', { says: '1' }))
      expect(epochs).toEqual([])
    }
    expect(existsSync(path)).toBe(false)
  })
})

describe('weights that a callback puts back', () => {
  it.each([
    ['table:user', -1, Number.NaN, refusal('DIVERGED', { says: ['"embedding.user"', 'NaN'] })],
    ['table:city', 0, Number.NEGATIVE_INFINITY, refusal('DIVERGED', { says: ['"embedding.city"', 'Infinity'] })],
    ['parameters', 0, Number.NaN, refusal('DIVERGED')],
  ])('%s [%d] = %d', async (memory, at, value, message) => {
    for (const hook of ['onEpochEnd', 'onEpochSettled', 'onEnd']) {
      using net = model()
      const callback: Callback = {
        [hook]: async (_: unknown, control: FitControl) => {
          await control.restore(changed(await control.snapshot(), memory, at, value), 1)
        },
      }
      await expect(net.fit(train, { optimizer: adam(), callbacks: [callback] })).rejects.toThrow(message)
    }
  })

  it('are numbers, and yet too large to compute with', async () => {
    using net = model()
    const callback: Callback = {
      async onEnd(_, control) {
        const all = [...(await control.snapshot())].map(([name, parts]) => [name, parts.map((part) => part.fill(1e30))] as const)
        await control.restore(new Map(all), 1)
      },
    }
    await expect(net.fit(train, { callbacks: [callback] })).rejects.toThrow(refusal('DIVERGED', { says: "'click'" }))
  })

  it('may be bad for a while', async () => {
    using net = model()
    let good: Snapshot | undefined
    const callback: Callback = {
      async onEpochEnd(_, control) {
        good = await control.snapshot()
        await control.restore(changed(good, 'parameters', 0, Number.NaN), 1)
      },
      async onEnd(_, control) {
        if (good !== undefined) await control.restore(good, 1)
      },
    }
    expect(await net.fit(train, { callbacks: [callback] })).toMatchObject({ weightsEpoch: 1 })
    expect((await net.predict(validation)).click.every(Number.isFinite)).toBe(true)
  })

  it('of a resumed run that trains no more are looked at too', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'last.safetensors')
    using net = model()
    await net.fit(train, { callbacks: [checkpoint({ path })] })
    using again = model()
    const callback: Callback = {
      async onEnd(_, control) {
        await control.restore(changed(await control.snapshot(), 'table:user', 5, Number.NaN), 1)
      },
    }
    const run = again.fit(train, { resume: path, callbacks: [checkpoint({ path: `${path}.next` }), callback] })
    await expect(run).rejects.toThrow(refusal('DIVERGED', { says: ['"embedding.user"', 'NaN', '1'] }))
  })
})

describe('what could not be loaded is not saved', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')

  it('after a run that diverged, and the file is as it was', async () => {
    using good = model()
    await good.fit(train)
    await good.save(path)
    const before = readFileSync(path)
    using net = model()
    const callback: Callback = {
      async onEnd(_, control) {
        await control.restore(changed(await control.snapshot(), 'parameters', 3, Number.NaN), 1)
      },
    }
    await expect(net.fit(train, { callbacks: [callback] })).rejects.toThrow(refusal('DIVERGED', { says: 'NaN' }))
    await expect(net.save(path)).rejects.toThrow(
      refusal('DIVERGED', { says: ['model.safetensors', /"[a-z.]+"/, /NaN|Infinity/] }),
    )
    expect(readFileSync(path).equals(before)).toBe(true)
    expect(readdirSync(dirname(path))).toEqual(['model.safetensors'])
  })

  it.each([Number.NaN, 1e39])('on the reference device, which holds %d', async (value) => {
    using net = model({ device: 'reference' })
    const callback: Callback = {
      async onEnd(_, control) {
        await control.restore(changed(await control.snapshot(), 'table:user', 5, value), 1)
      },
    }
    await expect(net.fit(train, { callbacks: [callback] })).rejects.toThrow(refusal('DIVERGED', { says: '"embedding.user"' }))
    await expect(net.save(path)).rejects.toThrow(refusal('DIVERGED', { says: ['"embedding.user"', String(value), '5'] }))
  })

  it('in a checkpoint, of what a callback remembers', async () => {
    using net = model()
    let weights: Snapshot | undefined
    const remembers: Callback = {
      async onEpochEnd(_, control) {
        weights = changed(await control.snapshot(), 'table:city', 2, Number.NaN)
      },
      state: () => ({ json: null, weights }),
    }
    const last = `${path}.last`
    const run = net.fit(train, { callbacks: [remembers, checkpoint({ path: last })] })
    await expect(run).rejects.toThrow(refusal('DIVERGED', { says: ['"training.callback.0.table:city"', 'NaN', '2'] }))
    expect(existsSync(last)).toBe(false)
  })
})

it('looks once, and changes nothing', async () => {
  const outcome = async (callbacks: Callback[]) => {
    using net = model({ dropout: 0.2 })
    const { epochs } = await net.fit(train, { batchSize: 100, epochs: 2, callbacks })
    return { losses: epochs.map(({ loss }) => loss), scores: await net.predict(validation) }
  }
  const looking: Callback = { onEpochEnd: (_, control) => control.snapshot() }
  expect(await outcome([looking])).toEqual(await outcome([]))
})
