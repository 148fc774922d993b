import { describe, expect, it } from 'vitest'

import {
  type MixtureParameters,
  mixtureBackward,
  mixtureForward,
  mixtureForwardAsync,
  mixtureGrad,
  topology,
} from '../../lib/ops.js'

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
      'params.expertKernel: expected 3 x 4 x 2 = 24 elements, found 23',
    ],
    [
      'a list for one kernel',
      forward({ expertKernel: [new Float32Array(24)] }),
      'params.expertKernel: expected a Float32Array or Float64Array, found [Float32Array(24)]',
    ],
    ['a missing bias', forward({ expertBias: undefined }), 'params.expertBias: missing'],
    [
      'a short gate',
      forward({ gateKernel: [new Float32Array(12), new Float32Array(11)] }),
      'params.gateKernel[1]: expected 4 x 3 = 12 elements, found 11',
    ],
    ['a missing gate', forward({ gateKernel: [new Float32Array(12)] }), 'params.gateKernel: expected 2 arrays, found 1'],
    [
      'a bias of gates that have none',
      forward({ gateBias: [new Float32Array(3), new Float32Array(3)] }),
      'params.gateBias: expected none',
    ],
    [
      'a kernel of integers',
      forward({ expertKernel: new Int32Array(24) }),
      'params.expertKernel: expected a Float32Array or Float64Array, found Int32Array(24)',
    ],
    [
      'one gate for two',
      forward({ gateKernel: new Float32Array(24) }),
      'params.gateKernel: expected a list of 2 Float32Arrays or Float64Arrays, found Float32Array(24)',
    ],
    [
      'ids for rows',
      () => mixtureForward(level, params, new Int32Array(20) as unknown as Float32Array),
      'x: expected a Float32Array or Float64Array, found Int32Array(20)',
    ],
    [
      'numbers for rows',
      () => mixtureForward(level, params, Array.from(x) as unknown as Float32Array),
      'x: expected a Float32Array or Float64Array, found an array of 20',
    ],
    [
      'all levels of a PLE for one',
      () => mixtureForward([level] as never, params, x),
      'topology: expected that of one level, found [{ streams, experts, gates, outputs, units, expertHiddenUnits, gateHiddenUnits, activation }]',
    ],
    [
      'an option that is none',
      () => mixtureForward(level, params, x, { thread: 2 } as object),
      "options.thread: unknown option; did you mean 'threads'",
    ],
    [
      'half a row',
      () => mixtureForward(level, params, new Float32Array(21)),
      'x: expected rows of 4 elements, found 21 elements',
    ],
    ['no row', () => mixtureForward(level, params, new Float32Array(0)), 'x: expected rows of 4 elements, found 0 elements'],
    ['two streams for one', () => mixtureForward(level, params, [x, x]), 'x: expected a list of 1, one per stream, found 2'],
    [
      'a missing upstream gradient',
      () => mixtureGrad(level, params, x, [null]),
      'dOutputs: expected a list of 2, one per output, found 1',
    ],
    [
      'a short upstream gradient',
      () => mixtureGrad(level, params, x, [null, new Float32Array(9)]),
      'dOutputs[1]: expected 5 x 2 = 10 elements, found 9',
    ],
    [
      'a short cache',
      () => mixtureBackward(level, params, { ...cache, gates: [new Float32Array(15), x] }, up),
      'cache.gates[1]: expected 5 x 3 = 15 elements, found 20',
    ],
    [
      'no cache',
      () => mixtureBackward(level, params, null as never, up),
      'cache: expected the cache that mixtureForward gave, found null',
    ],
    ['a device that is no name', () => mixtureForward(level, params, x, { device: Symbol('cpu') as never }), 'device: expected'],
    ['a precision', () => mixtureForward(level, params, x, { precision: 'float16' as 'float32' }), 'precision: expected one of'],
    ['a fraction of a thread', () => mixtureForward(level, params, x, { threads: 1.5 }), 'threads'],
    ['an unknown ISA', () => mixtureForward(level, params, x, { device: 'cpu', isa: 'mmx' }), 'mmx'],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message)
  })

  const floats = (length: number): Float32Array => new Float32Array(length)
  const wrongParams: readonly [unknown, string][] = [
    [undefined, 'params: expected an object of parameters by name, found nothing'],
    [null, 'params: expected an object of parameters by name, found null'],
    [[floats(24)], 'params: expected an object of parameters by name, found [Float32Array(24)]'],
    [{ ...params, expertKernel: null }, 'params.expertKernel: expected a Float32Array or Float64Array, found null'],
    [{ ...params, gateKernel: [null, floats(12)] }, 'params.gateKernel[0]: expected a Float32Array or Float64Array, found null'],
    [{ ...params, expertHidden: null }, 'params.expertHidden: expected a list of layers, found null'],
    [{ ...params, gateHidden: 0 }, 'params.gateHidden: expected a list of layers per gate, found 0'],
    [{ ...params, gateHidden: [null, []] }, 'params.gateHidden[0]: expected a list of layers, found null'],
  ]
  it.each(wrongParams)('parameters %o', async (wrong, message) => {
    const refused = expect.objectContaining({ code: 'ERR_MULTIGATE_ARGUMENT', message: expect.stringContaining(message) })
    const given = wrong as typeof params
    expect(() => mixtureForward(level, given, x)).toThrow(refused)
    expect(() => mixtureBackward(level, given, cache, up)).toThrow(refused)
    expect(() => mixtureGrad(level, given, x, up)).toThrow(refused)
    await expect(mixtureForwardAsync(level, given, x)).rejects.toEqual(refused)
  })

  it('takes a copy of a topology, and checks one made by hand', () => {
    expect(mixtureForward(structuredClone(level), params, x).outputs).toEqual(mixtureForward(level, params, x).outputs)
    const wrong = { ...level, gates: [{ stream: 0, experts: [7] }] }
    expect(() => mixtureForward(wrong, params, x)).toThrow('gate 0 sees expert 7 but there are 3 experts')
  })

  const holed = <T>(length: number, entries: Record<number, T>): T[] => Object.assign(new Array<T>(length), entries)
  const bare = <T>(list: T[]): T[] => Object.setPrototypeOf([...list], null) as T[]
  const wrongTopologies: readonly [string, object, string][] = [
    ['outputs with a hole', { outputs: holed(2, { 1: 0 }) }, 'output 0 is gate nothing but there are 2 gates'],
    ['outputs that are all holes', { outputs: holed(2, {}) }, 'output 0 is gate nothing'],
    ['streams with a hole', { streams: holed(2, { 0: 4 }) }, 'streams[1]: expected an integer'],
    ['experts with a hole', { experts: holed(3, { 2: { stream: 0 } }) }, 'experts[0]: expected { stream }, found nothing'],
    ['gates with a hole', { gates: holed(2, { 0: level.gates[0] }) }, 'gates[1]: expected { stream, experts }, found nothing'],
    ['a gate with a hole', { gates: [{ stream: 0, experts: holed(2, { 1: 0 }) }] }, 'gate 0 sees expert nothing'],
    ['hidden layers with a hole', { expertHiddenUnits: holed(1, {}) }, 'expertHiddenUnits[0]: expected an integer'],
    ['outputs that are null', { outputs: null }, 'outputs: expected a list of gates, found null'],
    [
      'a sparse list of any length',
      { outputs: holed(2 ** 32 - 1, {}) },
      'outputs: expected a list of 65536 gates at most, found 4294967295',
    ],
    ['a list without a prototype', { outputs: bare([0, 7]) }, 'output 1 is gate 7'],
    ['gates without a prototype', { gates: [{ stream: 0, experts: bare([9]) }] }, 'gate 0 sees expert 9'],
    ['a proxy of a list', { outputs: new Proxy([0, -1], {}) }, 'output 1 is gate -1'],
    ['units beyond a row', { units: 2 ** 40 }, 'units: expected an integer in [1, 16777216]'],
    ['a stream beyond a row', { streams: [2 ** 40] }, 'streams[0]: expected an integer in [1, 16777216]'],
    [
      'gates that see too much',
      {
        experts: Array.from({ length: 60_000 }, () => ({ stream: 0 })),
        gates: Array.from({ length: 2 }, () => ({ stream: 0, experts: Array.from({ length: 60_000 }, (_, index) => index) })),
      },
      '2 gates would see 120000 experts together, expected 65536 at most',
    ],
  ]
  it.each(wrongTopologies)('a topology of %s', (_, change, message) => {
    const wrong = { ...level, ...change }
    const refused = expect.objectContaining({
      code: expect.stringMatching(/^ERR_MULTIGATE_/),
      message: expect.stringContaining(message),
    })
    expect(() => topology.level(wrong)).toThrow(refused)
    expect(() => mixtureForward(wrong, params, x)).toThrow(refused)
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
    ['rows with a hole', () => mixtureForward(level, params, holed<Float32Array>(1, {})), 'x: expected a Float32Array'],
    [
      'gates with a hole',
      forward({ gateKernel: holed(2, { 0: new Float32Array(12) }) }),
      'params.gateKernel[1]: expected a Float32Array',
    ],
    [
      'a PLE of more than can be seen',
      () => topology.ple({ inputDim: 4, units: 2, numTasks: 1024, numLevels: 2, numSharedExperts: 20, numSpecificExperts: 4000 }),
      '1025 gates would see',
    ],
    [
      'an MMoE of too many tasks',
      () => topology.mmoe({ inputDim: 4, units: 2, numExperts: 1000, numTasks: 1000 }),
      'gates would see',
    ],
    [
      'levels without end',
      () => topology.ple({ inputDim: 4, units: 2, numTasks: 2, numLevels: 2 ** 30, numSharedExperts: 1, numSpecificExperts: 1 }),
      'numLevels',
    ],
    ['experts without end', () => topology.omoe({ inputDim: 4, units: 2, numTasks: 2, numExperts: 2 ** 40 }), 'numExperts'],
    ['tasks without end', () => topology.sharedBottom({ inputDim: 4, units: 2, numTasks: 2 ** 40 }), 'numTasks'],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^ERR_MULTIGATE_/), message: expect.stringContaining(message) }),
    )
  })

  it('names the stream of several', () => {
    const streams = topology.level({ streams: [2, 3], experts: [{ stream: 0 }], gates: [{ stream: 1, experts: [0] }], units: 1 })
    const call = (): unknown => mixtureForward(streams, params, [new Float32Array(4), new Float32Array(5)])
    expect(call).toThrow('x[1]: expected 2 x 3 = 6 elements, found 5')
  })
})
