import { describe, expect, it } from 'vitest'

import { adam } from '../../lib/optimizers/adam.js'
import { optimizerNames, parseOptimizer } from '../../lib/optimizers/optimizer.js'
import { sgd } from '../../lib/optimizers/sgd.js'

it('fills in the defaults of each form', () => {
  expect(adam()).toEqual({ name: 'adam', learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, form: 'keras' })
  expect(adam({ form: 'torch' }).epsilon).toBe(1e-8)
  expect(adam({ form: 'torch', epsilon: 1e-7, learningRate: 0 })).toMatchObject({ epsilon: 1e-7, learningRate: 0 })
  expect(sgd({ momentum: 0.9, nesterov: true })).toEqual({
    name: 'sgd',
    learningRate: 0.01,
    momentum: 0.9,
    nesterov: true,
    form: 'keras',
  })
  expect(Object.isFrozen(adam()) && Object.isFrozen(sgd())).toBe(true)
})

it('reads what it gives, and names alone', () => {
  expect(optimizerNames).toEqual(['adam', 'sgd'])
  for (const optimizer of [adam({ beta1: 0.5, form: 'torch' }), sgd({ momentum: 0.5 })]) {
    expect(parseOptimizer(JSON.parse(JSON.stringify(optimizer)))).toEqual(optimizer)
  }
  expect(parseOptimizer('adam')).toEqual(adam())
})

describe('wrong options are named', () => {
  it.each<[string, () => unknown, string]>([
    ['a rate', () => adam({ learningRate: -1 }), 'adam.learningRate: expected a number >= 0, found -1'],
    ['NaN', () => sgd({ learningRate: NaN }), 'sgd.learningRate: expected a number, found NaN'],
    ['a decay of 1', () => adam({ beta2: 1 }), 'adam.beta2: expected a number < 1, found 1'],
    ['a form', () => adam({ form: 'jax' as 'keras' }), 'adam.form: expected one of "keras", "torch", found "jax"'],
    ['a word', () => adam({ lr: 1 } as never), 'adam.lr: unknown option'],
    ['Nesterov without momentum', () => sgd({ nesterov: true }), 'sgd.nesterov: expected a momentum > 0'],
    [
      'a name',
      () => parseOptimizer({ name: 'adamx' }, 'config.optimizer'),
      'config.optimizer.name: expected one of "adam", "sgd", found "adamx"',
    ],
    ['a number', () => parseOptimizer(3), 'optimizer: expected an object, found 3'],
    ['two at once', () => adam({ beta1: -1, beta2: 'x' as never }), 'adam.beta2: expected a number, found "x"'],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_MULTIGATE_ARGUMENT', message: expect.stringContaining(message) }))
  })
})
