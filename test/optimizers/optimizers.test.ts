// Optimizers: their defaults, forms and wrong options.

import { describe, expect, it } from 'vitest'

import { adagrad } from '../../lib/optimizers/adagrad.js'
import { adam } from '../../lib/optimizers/adam.js'
import { adamw } from '../../lib/optimizers/adamw.js'
import { ftrl } from '../../lib/optimizers/ftrl.js'
import { optimizerNames, parseOptimizer } from '../../lib/optimizers/optimizer.js'
import { rmsprop } from '../../lib/optimizers/rmsprop.js'
import { rowwiseAdagrad } from '../../lib/optimizers/rowwise-adagrad.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { refusal } from '../support/refusal.js'

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
  expect(adamw()).toEqual({ ...adam(), name: 'adamw', weightDecay: 0.004 })
  expect(adamw({ form: 'torch' })).toMatchObject({ epsilon: 1e-8, weightDecay: 0.01 })
  expect(adagrad()).toEqual({ name: 'adagrad', form: 'keras', learningRate: 0.001, initialAccumulator: 0.1, epsilon: 1e-7 })
  expect(adagrad({ form: 'torch' })).toMatchObject({ learningRate: 0.01, initialAccumulator: 0, epsilon: 1e-10 })
  const rms = { name: 'rmsprop', form: 'keras', learningRate: 0.001, rho: 0.9, momentum: 0, centered: false, epsilon: 1e-7 }
  expect(rmsprop()).toEqual(rms)
  expect(rmsprop({ form: 'torch' })).toEqual({ ...rms, form: 'torch', learningRate: 0.01, rho: 0.99, epsilon: 1e-8 })
  const numbers = { learningRate: 0.001, learningRatePower: -0.5, initialAccumulator: 0.1, l1: 0, l2: 0, l2Shrinkage: 0, beta: 0 }
  expect(ftrl()).toEqual({ name: 'ftrl', ...numbers })
  expect(rowwiseAdagrad()).toEqual({ name: 'rowwiseAdagrad', learningRate: 0.01, initialAccumulator: 0, epsilon: 1e-8 })
  expect(Object.isFrozen(adam()) && Object.isFrozen(sgd())).toBe(true)
})

it('says what an option is called that others call otherwise', () => {
  expect(() => adam({ lr: 0.01 } as object)).toThrow(refusal('ARGUMENT', { field: 'adam.lr', says: "'learningRate'" }))
  expect(() => sgd({ lr: 0.01 } as object)).toThrow(refusal('ARGUMENT', { says: "'learningRate'" }))
  expect(() => adamw({ wd: 0.01 } as object)).toThrow(refusal('ARGUMENT', { field: 'adamw.wd', says: "'weightDecay'" }))
})

it('reads what it gives, and names alone', () => {
  const changed = [
    adam({ beta1: 0.5, form: 'torch' }),
    adamw({ weightDecay: 0 }),
    adagrad({ initialAccumulator: 1 }),
    sgd({ momentum: 0.5 }),
    rmsprop({ centered: true, rho: 0.5 }),
    ftrl({ l1: 1, learningRatePower: 0 }),
    rowwiseAdagrad({ initialAccumulator: 1 }),
  ]
  expect(changed.map(({ name }) => name)).toEqual(optimizerNames)
  for (const optimizer of changed) {
    expect(parseOptimizer(optimizer.name).name).toBe(optimizer.name)
    expect(parseOptimizer(JSON.parse(JSON.stringify(optimizer)))).toEqual(optimizer)
  }
  expect(parseOptimizer('adam')).toEqual(adam())
})

describe('wrong options are named', () => {
  it.each<[string, () => unknown, Error]>([
    ['a rate', () => adam({ learningRate: -1 }), refusal('ARGUMENT', { field: 'adam.learningRate', says: ['0', '-1'] })],
    ['NaN', () => sgd({ learningRate: NaN }), refusal('ARGUMENT', { field: 'sgd.learningRate', says: 'NaN' })],
    ['a decay of 1', () => adam({ beta2: 1 }), refusal('ARGUMENT', { field: 'adam.beta2', says: '1' })],
    ['no rate', () => ftrl({ learningRate: 0 }), refusal('ARGUMENT', { field: 'ftrl.learningRate', says: '0' })],
    ['a power', () => ftrl({ learningRatePower: 1 }), refusal('ARGUMENT', { field: 'ftrl.learningRatePower', says: ['0', '1'] })],
    [
      'an accumulator',
      () => adagrad({ initialAccumulator: -1 }),
      refusal('ARGUMENT', { field: 'adagrad.initialAccumulator', says: ['0', '-1'] }),
    ],
    ['no epsilon', () => rowwiseAdagrad({ epsilon: 0 }), refusal('ARGUMENT', { field: 'rowwiseAdagrad.epsilon', says: '0' })],
    ['a form of ftrl', () => ftrl({ form: 'torch' } as never), refusal('ARGUMENT', { field: 'ftrl.form' })],
    [
      'a form',
      () => adam({ form: 'jax' as 'keras' }),
      refusal('ARGUMENT', { field: 'adam.form', says: ['"keras"', '"torch"', '"jax"'] }),
    ],
    ['a word', () => adam({ lr: 1 } as never), refusal('ARGUMENT', { field: 'adam.lr' })],
    ['Nesterov without momentum', () => sgd({ nesterov: true }), refusal('ARGUMENT', { field: 'sgd.nesterov', says: '0' })],
    [
      'a name',
      () => parseOptimizer({ name: 'adamx' }, 'config.optimizer'),
      refusal('ARGUMENT', {
        field: 'config.optimizer.name',
        says: ['"adam"', '"adamw"', '"adagrad"', '"sgd"', '"rmsprop"', '"ftrl"', '"rowwiseAdagrad"', '"adamx"'],
      }),
    ],
    ['a number', () => parseOptimizer(3), refusal('ARGUMENT', { field: 'optimizer', says: '3' })],
    ['two at once', () => adam({ beta1: -1, beta2: 'x' as never }), refusal('ARGUMENT', { says: ['adam.beta2', '"x"'] })],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(message)
  })
})
