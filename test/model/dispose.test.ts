// Nothing computes after dispose: whatever has not ended then rejects, and no call makes a model come back out of new memory.

import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { adam } from '../../lib/optimizers/adam.js'
import type { Snapshot } from '../../lib/runtime/weights.js'
import type { Callback, FitControl } from '../../lib/training/callbacks.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 600 })
const validation = data({ rows: 300, seed: 2 })
const disposed = { code: 'ERR_MULTIGATE_DISPOSED' }
const folder = mkdtempSync(join(tmpdir(), 'multigate-dispose-'))
const file = (name: string): string => join(folder, `${name}.safetensors`)

type Net = ReturnType<typeof model>
const options = { validation, batchSize: 100, epochs: 2, optimizer: adam() }

/** Callbacks that dispose of the model the n-th time that they are called. */
const hooks: [string, (end: () => void) => Callback][] = [
  ['onStart', (end) => ({ onStart: end })],
  ['onStep', (end) => ({ onStep: end })],
  ['onProgress', (end) => ({ onProgress: end })],
  ['onValidationStart', (end) => ({ onValidationStart: end })],
  ['onEpochEnd', (end) => ({ onEpochEnd: end })],
  ['onEpochEnd', (end) => ({ onEpochSettled: end })],
  ['onEnd', (end) => ({ onEnd: end })],
  ['state', (end) => ({ state: () => end() as undefined, onEpochSettled: (_, control) => control.save(file('state')) })],
]

describe('dispose in a callback', () => {
  const times = hooks.flatMap(([name, make]) => {
    const last = { onStart: 1, onEnd: 1, onStep: 12, onProgress: 2 }[name] ?? 2
    return [...new Set([1, last])].map((time) => ({ name, make, time }))
  })
  it.each(times)('$name, call $time', async ({ make, time }) => {
    const net = model()
    let calls = 0
    const after: string[] = []
    const callback = make(() => {
      calls += 1
      if (calls === time) net.dispose()
    })
    const told: unknown[] = []
    const watcher: Callback = {
      onFailure: (error) => void told.push(error),
      ...Object.fromEntries(
        ['onStart', 'onValidationStart', 'onEpochEnd', 'onEpochSettled', 'onEnd'].map((hook) => [
          hook,
          () => void (calls >= time && after.push(hook)),
        ]),
      ),
    }
    await expect(net.fit(train, { ...options, callbacks: [callback, watcher] })).rejects.toMatchObject(disposed)
    expect(calls).toBe(time)
    expect(told).toMatchObject([disposed])
    // Nobody is told of what was never done.
    expect(after).toEqual([])
    await expect(net.predict(validation)).rejects.toMatchObject(disposed)
  })

  it('onValidationStart of the last epoch gives no history of new, empty weights', async () => {
    const net = model()
    const callbacks: Callback[] = [{ onValidationStart: (epoch) => void (epoch === 2 && net.dispose()) }]
    await expect(net.fit(train, { ...options, callbacks })).rejects.toMatchObject(disposed)
  })

  it('resume', async () => {
    const path = file('resume')
    const own: Callback = { state: () => ({ json: 1 }) }
    using first = model()
    await first.fit(train, { ...options, callbacks: [own, checkpoint({ path })] })
    const net = model()
    const callbacks: Callback[] = [{ ...own, resume: () => net.dispose() }]
    await expect(net.fit(train, { ...options, epochs: 4, resume: path, callbacks })).rejects.toMatchObject(disposed)
  })

  it('onFailure leaves the first error, and the model disposed', async () => {
    const net = model()
    const callbacks: Callback[] = [{ onEpochEnd: () => Promise.reject(new Error('mine')), onFailure: () => net.dispose() }]
    await expect(net.fit(train, { ...options, callbacks })).rejects.toThrow('mine')
    await expect(net.evaluate(train)).rejects.toMatchObject(disposed)
  })

  it.each<[string, (control: FitControl, snapshot: Snapshot) => Promise<unknown>]>([
    ['snapshot', (control) => control.snapshot()],
    ['restore', (control, snapshot) => control.restore(snapshot, 1)],
    ['save', (control) => control.save(file('control'))],
  ])('before and after control.%s', async (_, call) => {
    for (const order of ['before', 'after']) {
      const net = model()
      const outcomes: PromiseSettledResult<unknown>[] = []
      const onEpochEnd = async (_record: unknown, control: FitControl): Promise<void> => {
        const snapshot = await control.snapshot()
        if (order === 'before') net.dispose()
        const called = call(control, snapshot)
        net.dispose()
        outcomes.push(...(await Promise.allSettled([called])))
      }
      const run = net.fit(train, { ...options, callbacks: [{ onEpochEnd }, earlyStopping()] })
      await expect(run).rejects.toMatchObject(disposed)
      expect(outcomes).toMatchObject([{ status: 'rejected', reason: disposed }])
    }
  })
})

const calls: [string, (net: Net) => Promise<unknown>][] = [
  ['fit', (net) => net.fit(train, options)],
  ['evaluate', (net) => net.evaluate(validation)],
  ['predict', (net) => net.predict(validation)],
  ['predict of columns', (net) => net.predict({ user: [1], city: ['Oslo'], price: [100] })],
  ['gates', (net) => net.gates(validation)],
  ['save', (net) => net.save(file('waiting'))],
]

describe('dispose while a call has not ended', () => {
  it.each(calls)('%s', async (_, call) => {
    // At once, and after as many turns of the event loop as it takes until the call ends.
    for (let wait = 0; ; wait += 1) {
      const net = model()
      await net.build(train)
      let ended = false
      const called = call(net).finally(() => {
        ended = true
      })
      for (let turn = 0; turn < wait && !ended; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      const late = ended
      net.dispose()
      if (late) {
        await called
        break
      }
      await expect(called, `after ${wait} turns`).rejects.toMatchObject(disposed)
    }
  })

  it('build', async () => {
    for (let wait = 0; ; wait += 1) {
      const net = model()
      let ended = false
      const called = net.build(train).finally(() => {
        ended = true
      })
      for (let turn = 0; turn < wait && !ended; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      const late = ended
      net.dispose()
      if (late) {
        await called
        break
      }
      await expect(called, `after ${wait} turns`).rejects.toMatchObject(disposed)
      expect(net.built).toBe(false)
    }
  })

  it('all at once', async () => {
    const net = model()
    await net.build(train)
    const waiting = calls.filter(([name]) => name !== 'fit').map(([, call]) => call(net))
    net.dispose()
    for (const result of await Promise.allSettled(waiting)) {
      expect(result).toMatchObject({ status: 'rejected', reason: disposed })
    }
  })

  it('while they wait for a turn of a fit', async () => {
    const net = model()
    const waiting: Promise<unknown>[] = []
    const onStep = (): void => {
      if (waiting.length > 0) return
      for (const [name, call] of calls) if (name !== 'fit' && name !== 'save') waiting.push(call(net))
      for (const one of waiting) one.catch(() => undefined)
      net.dispose()
    }
    await expect(net.fit(train, { ...options, callbacks: [{ onStep }] })).rejects.toMatchObject(disposed)
    for (const result of await Promise.allSettled(waiting)) {
      expect(result).toMatchObject({ status: 'rejected', reason: disposed })
    }
  })

  it('nothing is left of files that were being written', () => {
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })
})

it.each(calls)('%s after dispose', async (_, call) => {
  const net = model()
  await net.build(train)
  net.dispose()
  net.dispose()
  await expect(call(net)).rejects.toMatchObject(disposed)
  await expect(net.build(train)).rejects.toMatchObject(disposed)
  expect(() => net.createBatch(1)).toThrow(expect.objectContaining(disposed))
})
