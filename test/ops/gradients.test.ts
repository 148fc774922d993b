import { describe, expect, it } from 'vitest'

import type { FloatArray } from '../../lib/native/binding.js'
import { type MixtureParameters, mixtureBackward, mixtureForward, mixtureGrad, topology } from '../../lib/ops.js'
import { relativeError } from '../support/golden.js'
import { caseOf, type MixtureCase, randomCase } from '../support/mixtures.js'
import { randomOf } from '../support/numbers.js'
import { at, cpuPlaces, reference } from '../support/places.js'

const smooth = ['tanh', 'sigmoid', 'gelu', 'swish', 'linear'] as const
const all = [...smooth, 'relu'] as const

const small = range(10).map((seed) => randomCase(seed, { rows: 3, width: 4, experts: 4, units: 3, activations: smooth }))
const large = range(12).map((seed) => randomCase(100 + seed, { rows: 133, width: 70, experts: 9, units: 40, activations: all }))
const shared = [
  caseOf('shared bottom', topology.sharedBottom({ inputDim: 5, units: 3, numTasks: 2, activation: 'gelu' }), 3, randomOf(1)),
  caseOf('OMoE', topology.omoe({ inputDim: 5, numExperts: 3, units: 3, numTasks: 3, activation: 'swish' }), 3, randomOf(2)),
]

describe('finite differences agree on the reference', () => {
  it.each([...small, ...shared])('$name', (test) => {
    const { dx, dparams } = mixtureGrad(test.topology, test.params, test.x, test.upstream, at(reference))
    for (const [stream, got] of dx.entries()) {
      const want = differences(test.x[stream] ?? [], steps.rows, (x) =>
        lossOf({ ...test, x: test.x.with(stream, Float32Array.from(x)) }),
      )
      expect(relativeError(got, want), `dx[${stream}]`).toBeLessThan(1e-6)
    }
    for (const [name, got, want] of parameterDifferences(test, dparams)) {
      expect(relativeError(got, want), name).toBeLessThan(1e-6)
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
})

/** Every array of two results of the same form. */
function expectClose(got: object, want: object): void {
  const [found, expected] = [leaves(got), leaves(want)]
  expect(found.map(([name]) => name)).toEqual(expected.map(([name]) => name))
  expected.forEach(([name, values], index) => {
    expect(relativeError(found[index]?.[1] ?? [], values), name).toBeLessThan(1e-5)
  })
}

function leaves(value: object, name = ''): [string, FloatArray][] {
  if (value instanceof Float32Array || value instanceof Float64Array) return [[name, value]]
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, item]) => leaves(item as object, `${name}.${key}`))
}

/** Steps of a central difference; those of rows are exact in float32, which is what rows are. */
const steps = { rows: 2 ** -10, parameters: 2 ** -8 } as const

/** The loss whose gradient the ops compute: the sum of outputs times upstream gradients. */
function lossOf({ topology: level, params, x, upstream }: MixtureCase): number {
  const { outputs } = mixtureForward(level, params, x, { ...at(reference), threads: 1 })
  let loss = 0
  outputs.forEach((output, index) => {
    upstream[index]?.forEach((gradient, element) => (loss += gradient * (output[element] ?? NaN)))
  })
  return loss
}

/** Central differences at a step and at half of it, extrapolated: the error is of the fourth order. */
function differences(values: ArrayLike<number>, step: number, loss: (values: Float64Array) => number): number[] {
  return Array.from(values, (_, index) => {
    const central = (size: number): number => {
      const [up, down] = [Float64Array.from(values), Float64Array.from(values)]
      up[index] = (up[index] ?? 0) + size
      down[index] = (down[index] ?? 0) - size
      return (loss(up) - loss(down)) / (2 * size)
    }
    return (4 * central(step / 2) - central(step)) / 3
  })
}

function parameterDifferences(test: MixtureCase, dparams: MixtureParameters): [string, FloatArray, number[]][] {
  return Object.entries(test.params).flatMap(([name, value]: [string, FloatArray | readonly FloatArray[]]) => {
    const got = dparams[name as keyof MixtureParameters]
    const change = (params: object): MixtureCase => ({ ...test, params: { ...test.params, ...params } })
    if (!Array.isArray(value)) {
      const array = value as FloatArray
      return [[name, got as FloatArray, differences(array, steps.parameters, (next) => lossOf(change({ [name]: next })))]]
    }
    const arrays = value as readonly FloatArray[]
    return arrays.map((array, index): [string, FloatArray, number[]] => {
      const want = differences(array, steps.parameters, (next) => lossOf(change({ [name]: arrays.with(index, next) })))
      return [`${name}[${index}]`, (got as FloatArray[])[index] ?? new Float32Array(0), want]
    })
  })
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
