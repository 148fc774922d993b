// Initial weights by name: turns a user's word and the fans of a tensor into the numbers that are drawn. Formulas are
// Keras's, so that models start from the same distribution there and here.

import type { Initializer } from '../native/binding.js'

/** Initialisers that need nothing but the shape. */
export const initializerNames = ['glorotUniform', 'glorotNormal', 'heUniform', 'heNormal', 'uniform', 'normal', 'zeros'] as const

export type InitializerName = (typeof initializerNames)[number]

/** What a user writes: a name, or a name with its numbers. `uniform` is ±0.05 and `normal` has deviation 0.05 by default. */
export type InitializerOption =
  | InitializerName
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  | { readonly kind: 'normal'; readonly mean?: number | undefined; readonly deviation: number }

/** A normal cut at 2 deviations has this deviation itself; dividing by it gives the one asked for, as Keras does. */
const truncatedDeviation = 0.87962566103423978

/** Zeros: what every bias starts from. */
export const zeros: Initializer = { kind: 'constant', value: 0 }

/** The distribution of a tensor with these fans. */
export function initializerOf(option: InitializerOption, fanIn: number, fanOut: number): Initializer {
  if (typeof option !== 'string') {
    if (option.kind === 'uniform') return option
    return { kind: 'normal', mean: option.mean ?? 0, deviation: option.deviation, truncated: false }
  }
  switch (option) {
    case 'glorotUniform':
      return symmetric(Math.sqrt(6 / (fanIn + fanOut)))
    case 'glorotNormal':
      return truncated(Math.sqrt(2 / (fanIn + fanOut)))
    case 'heUniform':
      return symmetric(Math.sqrt(6 / fanIn))
    case 'heNormal':
      return truncated(Math.sqrt(2 / fanIn))
    case 'uniform':
      return symmetric(0.05)
    case 'normal':
      return { kind: 'normal', mean: 0, deviation: 0.05, truncated: false }
    case 'zeros':
      return zeros
  }
}

function symmetric(limit: number): Initializer {
  return { kind: 'uniform', low: -limit, high: limit }
}

function truncated(deviation: number): Initializer {
  return { kind: 'normal', mean: 0, deviation: deviation / truncatedDeviation, truncated: true }
}
