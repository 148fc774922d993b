// Products of bfloat16: the same meaning on every processor, and what it costs in accuracy.

import { describe, expect, it } from 'vitest'

import type { FloatArray } from '../../lib/native/binding.js'
import { mixtureForward, mixtureGrad, topology } from '../../lib/ops.js'
import { caseOf, type MixtureCase, randomCase } from '../../lib/verify/levels.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { relativeError } from '../support/golden.js'
import { goldenMixtures } from '../support/golden-mixtures.js'
import { at, bfloat16Places, reference, type TestPlace } from '../support/places.js'

const cases = goldenMixtures()
const [spec, ...kernels] = bfloat16Places as [TestPlace, ...TestPlace[]]

function grad({ topology: level, params, x, upstream }: MixtureCase, place: TestPlace) {
  const { outputs, dx, dparams } = mixtureGrad(level, params, x, upstream, at(place))
  return { outputs, dx, dparams }
}

function leaves(value: object, name = ''): [string, FloatArray][] {
  if (value instanceof Float32Array || value instanceof Float64Array) return [[name, value]]
  return Object.entries(value).flatMap(([key, item]) => leaves(item as object, `${name}.${key}`))
}

describe.each(bfloat16Places)('on $name', (place) => {
  it.each(cases)('$id is within a hundredth of golden', ({ topology: level, params, x, expected }) => {
    const { outputs, cache } = mixtureForward(level, params, x, at(place))
    expected.outputs.forEach((want, task) => {
      expect(relativeError(outputs[task] ?? [], want), `output ${task}`).toBeLessThan(place.tolerance())
    })
    // Gates are computed in float32.
    expected.gates.forEach((want, gate) => {
      expect(relativeError(cache.gates[gate] ?? [], want), `gate ${gate}`).toBeLessThan(1e-5)
    })
  })
})

describe.each(kernels)('$name', (place) => {
  it('agrees with the reference in the same precision', () => {
    const size = { rows: 133, width: 70, experts: 9, units: 40, hidden: 2 }
    for (let seed = 0; seed < 40; seed += 1) {
      const test = randomCase(seed, { ...size, activations: ['tanh', 'sigmoid', 'gelu', 'swish', 'linear'] })
      const want = new Map(leaves(grad(test, spec)))
      for (const [name, values] of leaves(grad(test, place))) {
        const limit = name.startsWith('.outputs') ? 1e-3 : 5e-3 // docs/numerics.md
        expect(relativeError(values, want.get(name) ?? []), `${test.name} ${name}`).toBeLessThan(limit)
      }
    }
  })

  it('rounds rows, kernels and gradients, and nothing else', () => {
    // Everything representable in bfloat16, and sums small enough to be exact: the same bits as float32.
    const level = topology.mmoe({ inputDim: 4, numExperts: 3, units: 5, numTasks: 2, activation: 'linear' })
    const coarse = (values: Float32Array): Float32Array => values.map((value) => Math.round(value * 8) / 8)
    const test = caseOf('coarse', level, 9, randomOf(1))
    const params = { ...test.params, expertKernel: coarse(test.params.expertKernel as Float32Array) }
    const x = test.x.map(coarse)
    const single = mixtureForward(level, params, x, { ...at(place), precision: 'float32' })
    const rounded = mixtureForward(level, params, x, at(place))
    if (place.name.startsWith('cuda')) {
      // Logits are float32 there too, but other instructions make them.
      rounded.outputs.forEach((output, task) => {
        expect(relativeError(output, single.outputs[task] ?? [])).toBeLessThan(1e-6)
      })
    } else {
      expect(rounded.outputs).toEqual(single.outputs)
    }

    // One row that is not moves that row's outputs, by less than rounding can.
    const moved = x.map((stream) => stream.map((value, index) => (index < 4 ? value * 1.001 : value)))
    const [got, want] = [at(place), at(reference)].map((where) => mixtureForward(level, params, moved, where).outputs[0])
    const errors = Array.from(got ?? [], (value, index) => Math.abs(value - (want?.[index] ?? NaN)))
    expect(Math.max(...errors.slice(0, 5))).toBeGreaterThan(1e-5)
    expect(Math.max(...errors.slice(0, 5))).toBeLessThan(2e-2)
    expect(Math.max(...errors.slice(5))).toBeLessThan(1e-6)
  })
})
