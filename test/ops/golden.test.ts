// Ops of one mixture level against golden, forward and backward.

import { describe, expect, it } from 'vitest'

import { mixtureBackward, mixtureForward, mixtureGrad } from '../../lib/ops.js'
import { goldenCount, relativeError } from '../support/golden.js'
import { goldenMixtures } from '../support/golden-mixtures.js'
import { at, places } from '../support/places.js'

const cases = goldenMixtures()

// A case that is silently left out would pass for ever.
it('covers every one-layer case', () => {
  expect(cases).toHaveLength(goldenCount(28, 6))
})

describe.each(places)('on $name', (place) => {
  it.each(cases)('$id', (golden) => {
    const { topology, params, x, upstream, expected } = golden
    const close = (name: string, got: ArrayLike<number>, want: ArrayLike<number>, f32: number): void => {
      const limit = want.length > 0 && Array.from(want).every((value) => value === 0) ? 1e-6 : place.tolerance(f32)
      expect(relativeError(got, want), name).toBeLessThan(limit)
    }
    const forward = mixtureForward(topology, params, x, at(place))
    expected.outputs.forEach((want, task) => close(`output ${task}`, forward.outputs[task] ?? [], want, golden.f32.out))
    expected.gates.forEach((want, gate) => close(`gate ${gate}`, forward.cache.gates[gate] ?? [], want, golden.f32.out))

    const backward = mixtureBackward(topology, params, forward.cache, upstream, at(place))
    const grad = mixtureGrad(topology, params, x, upstream, at(place))
    expected.outputs.forEach((want, task) => close(`grad output ${task}`, grad.outputs[task] ?? [], want, golden.f32.out))
    for (const [name, { dx, dparams }] of Object.entries({ backward, grad })) {
      close(`${name} dx`, dx, expected.dx, golden.f32.grad)
      close(`${name} expertKernel`, dparams.expertKernel, expected.dparams.expertKernel, golden.f32.grad)
      close(`${name} expertBias`, dparams.expertBias, expected.dparams.expertBias, golden.f32.grad)
      expected.dparams.gateKernel.forEach((want, gate) => {
        close(`${name} gateKernel ${gate}`, dparams.gateKernel[gate] ?? [], want, golden.f32.grad)
      })
      expected.dparams.gateBias?.forEach((want, gate) => {
        close(`${name} gateBias ${gate}`, dparams.gateBias?.[gate] ?? [], want, golden.f32.grad)
      })
    }
  })
})
