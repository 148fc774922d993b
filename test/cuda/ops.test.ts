// The fused mixture on the GPU through `multigate/ops`: outputs and every gradient are the reference's.

import { describe, expect, it } from 'vitest'

import type { DeviceName, FloatArray, Precision } from '../../lib/native/binding.js'
import { mixtureBackward, mixtureForward, mixtureGrad, mixtureGradAsync, topology } from '../../lib/ops.js'
import { caseOf, type MixtureCase, randomCase } from '../../lib/verify/levels.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { relativeError } from '../support/golden.js'
import { hasTwo, onCuda, usable } from './usable.js'

const smooth = ['tanh', 'sigmoid', 'gelu', 'swish', 'linear'] as const
const size = { rows: 133, width: 70, experts: 9, units: 40, hidden: 2, activations: smooth } as const
const cases = Array.from({ length: 24 }, (_, seed) => randomCase(300 + seed, size))
const cuda = { device: 'cuda' } as const

function leaves(value: object, name = ''): [string, FloatArray][] {
  if (value instanceof Float32Array || value instanceof Float64Array) return [[name, value]]
  return Object.entries(value).flatMap(([key, item]) => leaves(item as object, `${name}.${key}`))
}

/** Relative to the norm; what almost cancels out may be off by the rounding of what it is the difference of. */
function expectClose(got: object, want: object, limit: number, what: string): void {
  const found = new Map(leaves(got))
  for (const [name, values] of leaves(want)) {
    const norm = Math.hypot(...values)
    const least = norm > 0 ? (1e-6 * Math.sqrt(values.length)) / norm : 0
    expect(relativeError(found.get(name) ?? [], values), `${what} ${name}`).toBeLessThan(Math.max(limit, least))
  }
}

function wanted({ topology, params, x, upstream }: MixtureCase, precision: Precision = 'float32') {
  const { outputs, dx, dparams } = mixtureGrad(topology, params, x, upstream, { device: 'reference', precision })
  return { outputs, dx, dparams }
}

describe.skipIf(!usable)(onCuda('ops on cuda'), () => {
  it.each(cases)('$name', (test) => {
    const { topology, params, x, upstream } = test
    const want = wanted(test)
    const { outputs, cache } = mixtureForward(topology, params, x, cuda)
    const back = mixtureBackward(topology, params, cache, upstream, cuda)
    expectClose({ outputs, ...back }, want, 1e-5, 'forward, backward')
    const { outputs: mixes, dx, dparams } = mixtureGrad(topology, params, x, upstream, cuda)
    expectClose({ outputs: mixes, dx, dparams }, want, 1e-5, 'grad')
  })

  it.each([
    ['bfloat16', 'bfloat16', 2e-3],
    ['tf32', 'float32', 2e-3],
  ] as const)('in %s beside the reference in %s', (precision, beside, limit) => {
    for (const test of cases.slice(0, 8)) {
      const { outputs, dx, dparams } = mixtureGrad(test.topology, test.params, test.x, test.upstream, { ...cuda, precision })
      expectClose({ outputs, dx, dparams }, wanted(test, beside), limit, test.name)
    }
  })

  it('gives the same bits again, and asynchronously, with calls under way at once', async () => {
    const runs = cases.slice(0, 4).map(({ topology, params, x, upstream }) => [topology, params, x, upstream, cuda] as const)
    const once = runs.map((run) => mixtureGrad(...run))
    expect(await Promise.all(runs.map((run) => mixtureGradAsync(...run)))).toEqual(once)
    expect(runs.map((run) => mixtureGrad(...run))).toEqual(once)
  })

  // The second emulated device has more multiprocessors, and takes the rows in other chunks.
  it('gives the same bits on a device with another number of multiprocessors', { skip: !hasTwo }, () => {
    const level = topology.mmoe({ inputDim: 24, numExperts: 2, units: 8, numTasks: 2 })
    const { params, x, upstream } = caseOf('two tasks', level, 5000, randomOf(7))
    const on = (device: DeviceName, precision: Precision) => mixtureGrad(level, params, x, upstream, { device, precision })
    for (const precision of ['float32', 'bfloat16'] as const) expect(on('cuda', precision)).toEqual(on('cuda:1', precision))
  })
})
