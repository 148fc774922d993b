// What a callback passes to `fit`: copies of weights, an epoch, a reason to stop, and the state that a checkpoint keeps.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

import type { Snapshot } from '../../lib/runtime/weights.js'
import type { Callback, CallbackState, FitControl } from '../../lib/training/callbacks.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { bare, revoked, transferred } from '../support/hostile.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 200 })

async function fitted(act: (control: FitControl, snapshot: Snapshot) => unknown): Promise<Float32Array> {
  using net = model()
  await net.fit(train, { callbacks: [async (_, control) => void (await act(control, await control.snapshot()))] })
  return (await net.predict(train)).click
}

const parameters = 'snapshot.get("parameters")'

it.each<[string, (parts: readonly (Float32Array | Float64Array)[]) => unknown, string]>([
  ['no list', () => undefined, parameters],
  ['floats instead of a list', ([first]) => first, parameters],
  ['no part', () => [], `${parameters}.length`],
  ['a hole', () => new Array(1), `${parameters}[0]`],
  ['integers', ([first]) => [new Int32Array(first?.length ?? 0)], `${parameters}[0]`],
  ['numbers in a list', ([first]) => [[...(first ?? [])]], `${parameters}[0]`],
  ['a short part', ([first]) => [first?.slice(1)], `${parameters}[0].length`],
  ['a part without memory', ([first]) => [transferred((first ?? new Float32Array(0)).slice())], `${parameters}[0].length`],
  [
    'a part with another length property',
    ([first]) => [Object.defineProperty(new Float32Array(1), 'length', { value: first?.length })],
    `${parameters}[0].length`,
  ],
])('a wrong copy of weights: %s', async (_, wrong, field) => {
  const run = fitted((control, snapshot) => {
    const parts = snapshot.get('parameters') ?? []
    return control.restore(new Map([...snapshot, ['parameters', wrong(parts)]]) as Snapshot, 1)
  })
  await expect(run).rejects.toEqual(refusal('ARGUMENT', { field, says: 'control.snapshot()' }))
})

it('weights that are not a map', async () => {
  for (const wrong of [undefined, null, 3, {}, [], new WeakMap(), new Proxy(new Map(), {}), revoked(new Map())]) {
    const run = fitted((control) => control.restore(wrong as never, 1))
    await expect(run).rejects.toEqual(refusal('ARGUMENT', { field: 'snapshot' }))
  }
})

it('reads a copy without its own methods', async () => {
  const plain = await fitted((control, snapshot) => control.restore(snapshot, 1))
  class Odd extends Map<string, readonly Float32Array[]> {
    override get(): never {
      throw new Error('not for this')
    }
    override [Symbol.iterator](): never {
      throw new Error('not for this')
    }
  }
  const odd = (snapshot: Snapshot): Snapshot => {
    const map = new Odd()
    for (const [name, parts] of snapshot) map.set(name, bare(parts) as never)
    return map
  }
  expect(await fitted((control, snapshot) => control.restore(odd(snapshot), 1))).toEqual(plain)
})

it.each([undefined, NaN, -1, 1.5, '1', Symbol('s')])('an epoch that is none: %s', async (epoch) => {
  const run = fitted((control, snapshot) => control.restore(snapshot, epoch as never))
  await expect(run).rejects.toEqual(refusal('ARGUMENT', { field: 'restore.epoch' }))
})

it.each([undefined, 3, {}])('a reason that is no text: %s', async (reason) => {
  const run = fitted((control) => control.stop(reason as never))
  await expect(run).rejects.toEqual(refusal('ARGUMENT', { field: 'stop.reason' }))
})

const circle: { self?: unknown } = {}
circle.self = circle
const state = 'fit.callbacks[0].state()'

it.each<[string, unknown, string]>([
  ['a number', 5, state],
  ['an integer beyond JSON', { json: 1n }, `${state}.json`],
  ['a circle', { json: circle }, `${state}.json`],
  ['weights that are no map', { json: 1, weights: 5 }, `${state}.weights`],
  ['weights of another model', { json: 1, weights: new Map([['x', []]]) }, `${state}.weights`],
])('a state that a checkpoint cannot keep: %s', async (_, kept, field) => {
  using net = model()
  const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'c.safetensors')
  const own: Callback = { state: () => kept as CallbackState }
  await expect(net.fit(train, { callbacks: [own, checkpoint({ path })] })).rejects.toEqual(refusal('ARGUMENT', { field }))
})
