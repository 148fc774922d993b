// Finite differences: the expected gradient, computed from the loss only.

import type { FloatArray } from '../../lib/native/binding.js'
import { randomOf } from '../../lib/verify/numbers.js'

/** Exact in float32 for rows that are multiples of 2^-8 below 1. */
const step = 2 ** -14

/** Extrapolated central differences at a step and at half of it, with an error of fourth order. */
function derivative(loss: (step: number) => number): number {
  const central = (size: number): number => (loss(size) - loss(-size)) / (2 * size)
  return (4 * central(step / 2) - central(step)) / 3
}

/** The whole gradient of `loss` at `values`, element by element. */
export function differences(values: ArrayLike<number>, loss: (values: Float64Array) => number): number[] {
  return Array.from(values, (_, index) =>
    derivative((size) => {
      const moved = Float64Array.from(values)
      moved[index] = (moved[index] ?? 0) + size
      return loss(moved)
    }),
  )
}

/**
 * The relative error of a gradient along a random direction of ones and minus ones. One number covers arrays of any length, and every
 * wrong element shows in it.
 */
export function directionalError(
  values: ArrayLike<number>,
  gradient: FloatArray,
  loss: (values: Float64Array) => number,
  seed = 1,
): number {
  const random = randomOf(seed)
  const direction = Array.from(values, () => (random() < 0.5 ? -1 : 1))
  const want = derivative((size) => loss(Float64Array.from(values, (value, index) => value + size * (direction[index] ?? 0))))
  let [along, norm] = [0, 0]
  gradient.forEach((value, index) => {
    along += value * (direction[index] ?? 0)
    norm += value * value
  })
  // Smaller norms are only rounding, such as for a relu that is off or an expert that no gate sees.
  return Math.abs(along - want) / Math.max(Math.sqrt(norm), 1e-3)
}
