// The penalties of a model's current weights: l1 sum|w| + l2 sum(w^2) per group, over every row of every table. Training reports another
// number: it measures before the update, and with lazy updates only the rows that a step touched.

import type { Sliced } from '../core/slices.js'
import type { Penalty } from '../layers/update.js'
import { type CommonOptions, penaltyOf } from '../models/options.js'
import type { FloatArray } from '../native/binding.js'
import type { NetworkRunner } from './runner.js'

/** The sum over all weights with a penalty; it reads no others. It yields after every part. */
export function* penaltyOfWeights({ network, weights }: NetworkRunner, options: CommonOptions): Sliced<number> {
  let sum = 0
  for (const { group, role, offset, shape, temperature } of network.parameters.tensors) {
    const penalty = penaltyOf(options, group)
    if (role === 'kernel' && temperature === undefined && isOn(penalty))
      sum += yield* ofParts(penalty, weights.passing({ memory: 'parameters', offset, shape }))
  }
  for (const { name, rows, dim } of network.tables) {
    const penalty = penaltyOf(options, `embedding.${name}`)
    if (isOn(penalty)) sum += yield* ofParts(penalty, weights.passing({ memory: `table:${name}`, offset: 0, shape: [rows, dim] }))
  }
  return sum
}

function isOn({ l1, l2 }: Penalty): boolean {
  return l1 !== 0 || l2 !== 0
}

function* ofParts({ l1, l2 }: Penalty, parts: Iterable<FloatArray>): Sliced<number> {
  let [absolute, squared] = [0, 0]
  for (const part of parts) {
    for (let index = 0; index < part.length; index += 1) {
      const weight = part[index] ?? 0
      absolute += Math.abs(weight)
      squared += weight * weight
    }
    yield
  }
  return l1 * absolute + l2 * squared
}
