// Ops give the same bits for any number of threads, and off the main thread.

import { describe, expect, it } from 'vitest'

import { loadNative } from '../../lib/native/loader.js'
import { LevelPrograms } from '../../lib/ops/programs.js'
import {
  mixtureBackward,
  mixtureBackwardAsync,
  mixtureForward,
  mixtureForwardAsync,
  mixtureGrad,
  mixtureGradAsync,
  topology,
} from '../../lib/ops.js'
import { caseOf } from '../../lib/verify/levels.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { at, cpuPlaces } from '../support/places.js'
import { refusal } from '../support/refusal.js'

// 1037 is prime to every block size: the last block is a short one.
const level = topology.cgc({
  inputDim: 37,
  numTasks: 2,
  numSharedExperts: 3,
  numSpecificExperts: [2, 4],
  units: 19,
  activation: 'gelu',
})
const { params, x, upstream } = caseOf('cgc', level, 1037, randomOf(7))

describe.each(cpuPlaces)('on $name', (place) => {
  it('gives the same bits for any number of threads', () => {
    const one = mixtureGrad(level, params, x, upstream, { ...at(place), threads: 1 })
    for (const threads of [2, 3, 5, 8]) {
      expect(mixtureGrad(level, params, x, upstream, { ...at(place), threads })).toEqual(one)
    }
  })

  it('gives the same rows whatever rows stand beside them', () => {
    const among = mixtureForward(level, params, x, at(place))
    // Tiles of few rows span several panels.
    for (const rows of [1, 2, 3, 4, 5, 7]) {
      const few = x.map((stream) => stream.slice(0, 37 * rows))
      const alone = mixtureForward(level, params, few, at(place))
      expect(alone.outputs.map((output) => [...output])).toEqual(among.outputs.map((output) => [...output.slice(0, 19 * rows)]))
    }
  })

  it('needs no more memory per thread for more rows', () => {
    const { spec } = new LevelPrograms(level).grad([1, 1])
    const plan = loadNative().compile('cpu', spec, { isa: place.isa ?? '' })
    expect(plan.info(1_000_000).arenaBytes).toBe(plan.info(1000).arenaBytes)
    expect(plan.info(1000).isa).toBe(place.isa)
    plan.dispose()
  })
})

describe('async twins', () => {
  it('give what the synchronous ops give', async () => {
    const { cache } = mixtureForward(level, params, x)
    expect(await mixtureForwardAsync(level, params, x)).toEqual(mixtureForward(level, params, x))
    expect(await mixtureBackwardAsync(level, params, cache, upstream)).toEqual(mixtureBackward(level, params, cache, upstream))
    expect(await mixtureGradAsync(level, params, x, upstream)).toEqual(mixtureGrad(level, params, x, upstream))
  })

  it('keep calls under way at once apart', async () => {
    const cases = [1, 2, 3].map((seed) => caseOf(`${seed}`, level, 300, randomOf(seed)))
    const want = cases.map((test) => mixtureGrad(level, test.params, test.x, test.upstream))
    const got = await Promise.all(cases.map((test) => mixtureGradAsync(level, test.params, test.x, test.upstream)))
    expect(got).toEqual(want)
  })

  it('reject where the synchronous ops throw', async () => {
    await expect(mixtureForwardAsync(level, params, [new Float32Array(1)])).rejects.toThrow(refusal('ARGUMENT', { says: 'x[0]' }))
  })
})

describe('outputs', () => {
  it('of one gate are arrays of their own', () => {
    const shared = topology.omoe({ inputDim: 3, numExperts: 2, units: 2, numTasks: 2 })
    const test = caseOf('omoe', shared, 4, randomOf(3))
    const { outputs, cache } = mixtureForward(shared, test.params, test.x)
    expect(outputs[0]).toEqual(outputs[1])
    expect(outputs[0]?.buffer).not.toBe(outputs[1]?.buffer)
    expect(cache.gates).toHaveLength(1)
  })

  it('leave the cache alone when x changes afterwards', () => {
    const rows = x.map((stream) => stream.slice())
    const { cache } = mixtureForward(level, params, rows)
    rows.forEach((stream) => stream.fill(0))
    expect(cache.x).toEqual(x)
  })
})
