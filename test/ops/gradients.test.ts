// Gradients of the ops against finite differences.

import { describe, expect, it } from 'vitest'

import type { FloatArray } from '../../lib/native/binding.js'
import { mixtureBackward, mixtureForward, mixtureGrad, topology } from '../../lib/ops.js'
import { caseOf, type MixtureCase, randomCase } from '../../lib/verify/levels.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { differences, directionalError } from '../support/differences.js'
import { relativeError } from '../support/golden.js'
import { at, cpuPlaces, reference } from '../support/places.js'

const smooth = ['tanh', 'sigmoid', 'gelu', 'swish', 'linear'] as const
const all = [...smooth, 'relu'] as const

const small = range(10).map((seed) => randomCase(seed, { rows: 3, width: 4, experts: 4, units: 3, activations: smooth }))
const tiny = { rows: 3, width: 6, experts: 6, units: 5, hidden: 2, activations: smooth } as const
const wide = { rows: 133, width: 70, experts: 9, units: 40, hidden: 2, activations: all } as const
const large = range(24).map((seed) => randomCase(100 + seed, wide))
const shared = [
  caseOf('shared bottom', topology.sharedBottom({ inputDim: 5, units: 3, numTasks: 2, activation: 'gelu' }), 3, randomOf(1)),
  caseOf('OMoE', topology.omoe({ inputDim: 5, numExperts: 3, units: 3, numTasks: 3, activation: 'swish' }), 3, randomOf(2)),
]

describe('finite differences agree on the reference', () => {
  it.each([...small, ...shared])('$name', (test) => {
    const { dx, dparams } = mixtureGrad(test.topology, test.params, test.x, test.upstream, at(reference))
    for (const [name, got, values, loss] of arraysOf(test, { x: dx, params: dparams })) {
      expect(relativeError(got, differences(values, loss)), name).toBeLessThan(1e-6)
    }
  })

  // Along one direction per array.
  it.each(range(8))('400 levels of every form, part %i', (part) => {
    for (const test of range(50).map((seed) => randomCase(1000 + 50 * part + seed, tiny))) {
      const { dx, dparams } = mixtureGrad(test.topology, test.params, test.x, test.upstream, at(reference))
      const { cache } = mixtureForward(test.topology, test.params, test.x, at(reference))
      const back = mixtureBackward(test.topology, test.params, cache, test.upstream, at(reference))
      expectClose(back, { dx, dparams }, test.name)
      for (const [name, got, values, loss] of arraysOf(test, { x: dx, params: dparams })) {
        expect(directionalError(values, got, loss), `${test.name}: ${name}`).toBeLessThan(1e-6)
      }
    }
  })
})

describe.each(cpuPlaces)('$name agrees with the reference', (place) => {
  it.each([...large, ...shared])('$name', ({ topology: level, params, x, upstream }) => {
    const want = mixtureGrad(level, params, x, upstream, at(reference))
    const got = mixtureGrad(level, params, x, upstream, at(place))
    const { outputs, cache } = mixtureForward(level, params, x, at(place))
    const { dx, dparams } = mixtureBackward(level, params, cache, upstream, at(place))
    expectClose({ ...got }, { ...want })
    expectClose({ outputs, dx, dparams }, { ...want })
  })

  it('on 400 levels of every form', () => {
    for (const test of range(400).map((seed) => randomCase(1000 + seed, { ...tiny, rows: 19, activations: all }))) {
      const [want, got] = [reference, place].map((where) =>
        mixtureGrad(test.topology, test.params, test.x, test.upstream, at(where)),
      )
      expectClose(got ?? {}, want ?? {}, test.name, 1e-6)
    }
  })
})

/**
 * Every array of two results of the same form. A gradient that almost cancels out may be off by `absolute` per element: what
 * it is the difference of is about 1.
 */
function expectClose(got: object, want: object, what = '', absolute = 0): void {
  const [found, expected] = [leaves(got), leaves(want)]
  expect(found.map(([name]) => name)).toEqual(expected.map(([name]) => name))
  expected.forEach(([name, values], index) => {
    const norm = Math.hypot(...values)
    const least = norm > 0 ? (absolute * Math.sqrt(values.length)) / norm : 0
    expect(relativeError(found[index]?.[1] ?? [], values), `${what} ${name}`).toBeLessThan(Math.max(1e-5, least))
  })
}

function leaves(value: object, name = ''): [string, FloatArray][] {
  if (value instanceof Float32Array || value instanceof Float64Array) return [[name, value]]
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, item]) => leaves(item as object, `${name}.${key}`))
}

/** Another value for the array at a path. */
function replaced(value: object, [key = '', ...rest]: readonly string[], array: FloatArray): object {
  const next = rest.length === 0 ? array : replaced((value as Record<string, object>)[key] ?? {}, rest, array)
  return Array.isArray(value) ? value.with(Number(key), next) : { ...value, [key]: next }
}

/** Every array that a case has a gradient for: its name, that gradient, its values, and the loss with others in their place. */
function arraysOf(
  test: MixtureCase,
  gradients: { readonly x: FloatArray[]; readonly params: object },
): [string, FloatArray, FloatArray, (values: Float64Array) => number][] {
  const values = new Map(leaves({ x: test.x, params: test.params }))
  return leaves(gradients).map(([name, gradient]) => {
    const path = name.split('.').slice(1)
    const make = path[0] === 'x' ? Float32Array : Float64Array
    const loss = (moved: Float64Array): number => lossOf(replaced(test, path, make.from(moved)) as MixtureCase)
    return [name, gradient, values.get(name) ?? new Float32Array(0), loss]
  })
}

/** The loss whose gradient the ops compute: the sum of outputs times upstream gradients. */
function lossOf({ topology: level, params, x, upstream }: MixtureCase): number {
  const { outputs } = mixtureForward(level, params, x, { ...at(reference), threads: 1 })
  let loss = 0
  outputs.forEach((output, index) => {
    upstream[index]?.forEach((gradient, element) => (loss += gradient * (output[element] ?? NaN)))
  })
  return loss
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
