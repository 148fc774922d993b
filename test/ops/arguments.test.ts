// Wrong arguments of the ops are named, and lists of other kinds are taken.

import { describe, expect, it } from 'vitest'

import {
  type MixtureParameters,
  mixtureBackward,
  mixtureForward,
  mixtureForwardAsync,
  mixtureGrad,
  topology,
} from '../../lib/ops.js'
import { bare, revoked, shrunk, throwing, transferred } from '../support/hostile.js'
import { refusal } from '../support/refusal.js'

const level = topology.mmoe({ inputDim: 4, numExperts: 3, units: 2, numTasks: 2 })
const params = {
  expertKernel: new Float32Array(24),
  expertBias: new Float32Array(6),
  gateKernel: [new Float32Array(12), new Float32Array(12)],
}
const x = new Float32Array(20)
const up = [new Float32Array(10), null]
const cache = { gates: [new Float32Array(15), new Float32Array(15)], x }

function forward(change: Partial<Record<keyof MixtureParameters, unknown>>): () => unknown {
  return () => mixtureForward(level, { ...params, ...change } as MixtureParameters, x)
}

describe('wrong arguments are named with what was expected and found', () => {
  it.each([
    [
      'a short kernel',
      forward({ expertKernel: new Float32Array(23) }),
      refusal('ARGUMENT', { says: ['params.expertKernel', '3', '4', '2', '24', '23'] }),
    ],
    [
      'a list for one kernel',
      forward({ expertKernel: [new Float32Array(24)] }),
      refusal('ARGUMENT', { says: ['params.expertKernel', 'Float32Array', 'Float64Array', 'Float32Array(24)'] }),
    ],
    ['a missing bias', forward({ expertBias: undefined }), refusal('ARGUMENT', { says: 'params.expertBias' })],
    [
      'a short gate',
      forward({ gateKernel: [new Float32Array(12), new Float32Array(11)] }),
      refusal('ARGUMENT', { says: ['params.gateKernel[1]', '4', '3', '12', '11'] }),
    ],
    [
      'a missing gate',
      forward({ gateKernel: [new Float32Array(12)] }),
      refusal('ARGUMENT', { says: ['params.gateKernel', '2', '1'] }),
    ],
    [
      'a bias of gates that have none',
      forward({ gateBias: [new Float32Array(3), new Float32Array(3)] }),
      refusal('ARGUMENT', { says: 'params.gateBias' }),
    ],
    [
      'a kernel of integers',
      forward({ expertKernel: new Int32Array(24) }),
      refusal('ARGUMENT', { says: ['params.expertKernel', 'Float32Array', 'Float64Array', 'Int32Array(24)'] }),
    ],
    [
      'one gate for two',
      forward({ gateKernel: new Float32Array(24) }),
      refusal('ARGUMENT', { says: ['params.gateKernel', '2', 'Float32Array(24)'] }),
    ],
    [
      'ids for rows',
      () => mixtureForward(level, params, new Int32Array(20) as unknown as Float32Array),
      refusal('ARGUMENT', { says: ['Float32Array', 'Float64Array', 'Int32Array(20)'] }),
    ],
    [
      'numbers for rows',
      () => mixtureForward(level, params, Array.from(x) as unknown as Float32Array),
      refusal('ARGUMENT', { says: ['Float32Array', 'Float64Array', '20'] }),
    ],
    [
      'all levels of a PLE for one',
      () => mixtureForward([level] as never, params, x),
      refusal('ARGUMENT', { field: 'topology', says: ['expertHiddenUnits', 'gateHiddenUnits'] }),
    ],
    [
      'an option that is none',
      () => mixtureForward(level, params, x, { thread: 2 } as object),
      refusal('ARGUMENT', { field: 'options.thread', says: "'threads'" }),
    ],
    ['half a row', () => mixtureForward(level, params, new Float32Array(21)), refusal('ARGUMENT', { says: ['4', '21'] })],
    ['no row', () => mixtureForward(level, params, new Float32Array(0)), refusal('ARGUMENT', { says: ['4', '0'] })],
    ['two streams for one', () => mixtureForward(level, params, [x, x]), refusal('ARGUMENT', { says: ['1', '2'] })],
    [
      'a missing upstream gradient',
      () => mixtureGrad(level, params, x, [null]),
      refusal('ARGUMENT', { says: ['dOutputs', '2', '1'] }),
    ],
    [
      'a short upstream gradient',
      () => mixtureGrad(level, params, x, [null, new Float32Array(9)]),
      refusal('ARGUMENT', { says: ['dOutputs[1]', '5', '2', '10', '9'] }),
    ],
    [
      'a short cache',
      () => mixtureBackward(level, params, { ...cache, gates: [new Float32Array(15), x] }, up),
      refusal('ARGUMENT', { says: ['cache.gates[1]', '5', '3', '15', '20'] }),
    ],
    [
      'no cache',
      () => mixtureBackward(level, params, null as never, up),
      refusal('ARGUMENT', { field: 'cache', says: 'mixtureForward' }),
    ],
    [
      'a device that is no name',
      () => mixtureForward(level, params, x, { device: Symbol('cpu') as never }),
      refusal('ARGUMENT', { field: 'device' }),
    ],
    [
      'a precision',
      () => mixtureForward(level, params, x, { precision: 'float16' as 'float32' }),
      refusal('ARGUMENT', { field: 'precision' }),
    ],
    [
      'a fraction of a thread',
      () => mixtureForward(level, params, x, { threads: 1.5 }),
      refusal('ARGUMENT', { says: ['threads', '1.5'] }),
    ],
    [
      'an unknown ISA',
      () => mixtureForward(level, params, x, { device: 'cpu', isa: 'mmx' }),
      refusal('ARGUMENT', { field: 'isa', says: '"mmx"' }),
    ],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message)
  })

  const floats = (length: number): Float32Array => new Float32Array(length)
  const wrongParams: readonly [unknown, Error][] = [
    [undefined, refusal('ARGUMENT', { field: 'params' })],
    [null, refusal('ARGUMENT', { field: 'params' })],
    [[floats(24)], refusal('ARGUMENT', { field: 'params', says: 'Float32Array(24)' })],
    [{ ...params, expertKernel: null }, refusal('ARGUMENT', { says: ['params.expertKernel', 'Float32Array', 'Float64Array'] })],
    [
      { ...params, gateKernel: [null, floats(12)] },
      refusal('ARGUMENT', { says: ['params.gateKernel[0]', 'Float32Array', 'Float64Array'] }),
    ],
    [{ ...params, expertHidden: null }, refusal('ARGUMENT', { field: 'params.expertHidden' })],
    [{ ...params, gateHidden: 0 }, refusal('ARGUMENT', { field: 'params.gateHidden', says: '0' })],
    [{ ...params, gateHidden: [null, []] }, refusal('ARGUMENT', { field: 'params.gateHidden[0]' })],
  ]
  it.each(wrongParams)('parameters %o', async (wrong, refused) => {
    const given = wrong as typeof params
    expect(() => mixtureForward(level, given, x)).toThrow(refused)
    expect(() => mixtureBackward(level, given, cache, up)).toThrow(refused)
    expect(() => mixtureGrad(level, given, x, up)).toThrow(refused)
    await expect(mixtureForwardAsync(level, given, x)).rejects.toEqual(refused)
  })

  it('takes a copy of a topology, and checks one made by hand', () => {
    expect(mixtureForward(structuredClone(level), params, x).outputs).toEqual(mixtureForward(level, params, x).outputs)
    const wrong = { ...level, gates: [{ stream: 0, experts: [7] }] }
    expect(() => mixtureForward(wrong, params, x)).toThrow(refusal('TOPOLOGY', { says: ['0', '7', '3'] }))
  })

  const holed = <T>(length: number, entries: Record<number, T>): T[] => Object.assign(new Array<T>(length), entries)
  const wrongTopologies: readonly [string, object, Error][] = [
    ['outputs with a hole', { outputs: holed(2, { 1: 0 }) }, refusal('TOPOLOGY', { says: ['0', '2'] })],
    ['outputs that are all holes', { outputs: holed(2, {}) }, refusal('TOPOLOGY', { says: '0' })],
    ['streams with a hole', { streams: holed(2, { 0: 4 }) }, refusal('ARGUMENT', { field: 'streams[1]' })],
    ['experts with a hole', { experts: holed(3, { 2: { stream: 0 } }) }, refusal('ARGUMENT', { field: 'experts[0]' })],
    ['gates with a hole', { gates: holed(2, { 0: level.gates[0] }) }, refusal('ARGUMENT', { field: 'gates[1]' })],
    ['a gate with a hole', { gates: [{ stream: 0, experts: holed(2, { 1: 0 }) }] }, refusal('TOPOLOGY', { says: '0' })],
    ['hidden layers with a hole', { expertHiddenUnits: holed(1, {}) }, refusal('ARGUMENT', { field: 'expertHiddenUnits[0]' })],
    ['outputs that are null', { outputs: null }, refusal('ARGUMENT', { field: 'outputs' })],
    [
      'a sparse list of any length',
      { outputs: holed(2 ** 32 - 1, {}) },
      refusal('ARGUMENT', { field: 'outputs', says: ['65536', '4294967295'] }),
    ],
    ['a list without a prototype', { outputs: bare([0, 7]) }, refusal('TOPOLOGY', { says: ['1', '7'] })],
    ['gates without a prototype', { gates: [{ stream: 0, experts: bare([9]) }] }, refusal('TOPOLOGY', { says: ['0', '9'] })],
    ['a proxy of a list', { outputs: new Proxy([0, -1], {}) }, refusal('TOPOLOGY', { says: ['1', '-1'] })],
    ['units beyond a row', { units: 2 ** 40 }, refusal('ARGUMENT', { field: 'units', says: '[1, 16777216]' })],
    ['a stream beyond a row', { streams: [2 ** 40] }, refusal('ARGUMENT', { field: 'streams[0]', says: '[1, 16777216]' })],
    [
      'gates that see too much',
      {
        experts: Array.from({ length: 60_000 }, () => ({ stream: 0 })),
        gates: Array.from({ length: 2 }, () => ({ stream: 0, experts: Array.from({ length: 60_000 }, (_, index) => index) })),
      },
      refusal('TOPOLOGY', { says: ['2', '120000', '65536'] }),
    ],
  ]
  it.each(wrongTopologies)('a topology of %s', (_, change, refused) => {
    const wrong = { ...level, ...change }
    expect(() => topology.level(wrong)).toThrow(refused)
    expect(() => mixtureForward(wrong, params, x)).toThrow(refused)
  })

  it.each([
    ['params', (value: never) => mixtureForward(level, value, x)],
    ['params.gateKernel', (value: never) => mixtureForward(level, { ...params, gateKernel: value }, x)],
    ['x', (value: never) => mixtureForward(level, params, value)],
    ['dOutputs', (value: never) => mixtureGrad(level, params, x, value)],
    ['cache', (value: never) => mixtureBackward(level, params, value, up)],
    ['cache.x', (value: never) => mixtureBackward(level, params, { ...cache, x: value }, up)],
    ['cache.gates', (value: never) => mixtureBackward(level, params, { ...cache, gates: value }, up)],
    ['options', (value: never) => mixtureForward(level, params, x, value)],
    ['outputs', (value: never) => topology.level({ ...level, outputs: value })],
    ['gates[0]', (value: never) => topology.level({ ...level, gates: [value] })],
    ['topology.mmoe', (value: never) => topology.mmoe(value)],
    ['topology.ple', (value: never) => topology.ple(value)],
  ])('%s that cannot be read', (field, call) => {
    for (const value of [revoked({}), revoked([])]) {
      expect(() => call(value as never)).toThrow(refusal('ARGUMENT', { field }))
    }
    expect(() => call(throwing([]) as never)).toThrow(refusal('ARGUMENT'))
    expect(() => call(throwing({}) as never)).toThrow(refusal('ARGUMENT'))
  })

  it('arrays whose memory is gone', () => {
    const gone = (): [Float32Array, Float32Array] => [transferred(new Float32Array(20)), shrunk(Float32Array)]
    for (const wrong of gone()) {
      const refused = (field: string): Error => refusal('ARGUMENT', { field, says: 'transferred' })
      expect(() => mixtureForward(level, params, wrong)).toThrow(refused('x'))
      expect(forward({ expertKernel: wrong })).toThrow(refused('params.expertKernel'))
      expect(forward({ gateKernel: [params.gateKernel[0], wrong] })).toThrow(refused('params.gateKernel[1]'))
      expect(() => mixtureGrad(level, params, x, [null, wrong])).toThrow(refused('dOutputs[1]'))
      expect(() => mixtureBackward(level, params, { ...cache, x: wrong }, up)).toThrow(refused('cache.x'))
    }
  })

  it('the length of an array is its own, whatever its property says', () => {
    const short = Object.defineProperty(new Float32Array(4), 'length', { value: 24 })
    expect(forward({ expertKernel: short })).toThrow(refusal('ARGUMENT', { field: 'params.expertKernel', says: ['24', '4'] }))
    const longer = Object.defineProperty(x.slice(), 'length', { value: 2 ** 53 })
    expect(mixtureForward(level, params, longer).outputs).toEqual(mixtureForward(level, params, x).outputs)
  })

  it('lists without a prototype are lists', () => {
    const { outputs } = mixtureForward(
      { ...level, streams: bare([4]), outputs: bare([0, 1]) },
      { ...params, gateKernel: bare(params.gateKernel) },
      bare([x]),
    )
    expect(outputs).toEqual(mixtureForward(level, params, x).outputs)
  })

  it('reads every entry of a topology once', () => {
    const reads: number[] = []
    const counted = new Proxy([0, 1], {
      get: (list, key) => {
        if (key === '0' || key === '1') reads.push(Number(key))
        return Reflect.get(list, key) as unknown
      },
    })
    expect(topology.level({ ...level, outputs: counted }).outputs).toEqual([0, 1])
    expect(reads).toEqual([0, 1])
  })

  it.each([
    [
      'rows with a hole',
      () => mixtureForward(level, params, holed<Float32Array>(1, {})),
      refusal('ARGUMENT', { says: 'Float32Array' }),
    ],
    [
      'gates with a hole',
      forward({ gateKernel: holed(2, { 0: new Float32Array(12) }) }),
      refusal('ARGUMENT', { says: ['params.gateKernel[1]', 'Float32Array'] }),
    ],
    [
      'a PLE of more than can be seen',
      () => topology.ple({ inputDim: 4, units: 2, numTasks: 1024, numLevels: 2, numSharedExperts: 20, numSpecificExperts: 4000 }),
      refusal('TOPOLOGY', { says: '1025' }),
    ],
    [
      'an MMoE of too many tasks',
      () => topology.mmoe({ inputDim: 4, units: 2, numExperts: 1000, numTasks: 1000 }),
      refusal('TOPOLOGY'),
    ],
    [
      'levels without end',
      () => topology.ple({ inputDim: 4, units: 2, numTasks: 2, numLevels: 2 ** 30, numSharedExperts: 1, numSpecificExperts: 1 }),
      refusal('ARGUMENT', { says: 'numLevels' }),
    ],
    ['experts without end', () => topology.omoe({ inputDim: 4, units: 2, numTasks: 2, numExperts: 2 ** 40 }), 'numExperts'],
    ['tasks without end', () => topology.sharedBottom({ inputDim: 4, units: 2, numTasks: 2 ** 40 }), 'numTasks'],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message)
  })

  it('names the stream of several', () => {
    const streams = topology.level({ streams: [2, 3], experts: [{ stream: 0 }], gates: [{ stream: 1, experts: [0] }], units: 1 })
    const call = (): unknown => mixtureForward(streams, params, [new Float32Array(4), new Float32Array(5)])
    expect(call).toThrow(refusal('ARGUMENT', { says: ['x[1]', '2', '3', '6', '5'] }))
  })
})
