// Initializers by name have the limits and deviations of Keras.

import { describe, expect, it } from 'vitest'

import { initializerOf } from '../../lib/core/initializers.js'

describe('initializerOf', () => {
  it.each([
    ['glorotUniform', { kind: 'uniform', low: -Math.sqrt(0.5), high: Math.sqrt(0.5) }],
    ['heUniform', { kind: 'uniform', low: -1, high: 1 }],
    ['uniform', { kind: 'uniform', low: -0.05, high: 0.05 }],
    ['normal', { kind: 'normal', mean: 0, deviation: 0.05, truncated: false }],
    ['zeros', { kind: 'constant', value: 0 }],
  ] as const)('%s has the limits of Keras', (name, expected) => {
    expect(initializerOf(name, 6, 6)).toEqual(expected)
  })

  it.each([
    ['glorotNormal', Math.sqrt(1 / 6)],
    ['heNormal', Math.sqrt(1 / 3)],
  ] as const)('%s has its deviation after the cut at two deviations', (name, deviation) => {
    const drawn = initializerOf(name, 6, 6)
    expect(drawn).toMatchObject({ kind: 'normal', truncated: true })
    expect(drawn.kind === 'normal' && drawn.deviation * 0.87962566103423978).toBeCloseTo(deviation, 12)
  })
})
