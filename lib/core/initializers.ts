// Initial weights by name: turns a name and the fans of a tensor into a distribution. The formulas are those of Keras, so that
// models start from the same distribution.

import type { Initializer } from '../native/binding.js'

/** Initialisers that need only the shape. */
export const initializerNames = ['glorotUniform', 'glorotNormal', 'heUniform', 'heNormal', 'uniform', 'normal', 'zeros'] as const

export type InitializerName = (typeof initializerNames)[number]

/** A name, or a name with its numbers. The name `uniform` means ±0.05; the name `normal` means deviation 0.05. */
export type InitializerOption =
  | InitializerName
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  | { readonly kind: 'normal'; readonly mean?: number | undefined; readonly deviation: number }

/** The deviation of a standard normal cut at ±2. Dividing by it gives the requested deviation, as in Keras. */
const truncatedDeviation = 0.87962566103423978

/** Every bias starts from zeros. */
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
