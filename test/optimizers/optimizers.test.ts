import { describe, expect, it } from 'vitest'

import { adagrad } from '../../lib/optimizers/adagrad.js'
import { adam } from '../../lib/optimizers/adam.js'
import { adamw } from '../../lib/optimizers/adamw.js'
import { ftrl } from '../../lib/optimizers/ftrl.js'
import { optimizerNames, parseOptimizer } from '../../lib/optimizers/optimizer.js'
import { rmsprop } from '../../lib/optimizers/rmsprop.js'
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
  expect(adamw()).toEqual({ ...adam(), name: 'adamw', weightDecay: 0.004 })
  expect(adamw({ form: 'torch' })).toMatchObject({ epsilon: 1e-8, weightDecay: 0.01 })
  expect(adagrad()).toEqual({ name: 'adagrad', form: 'keras', learningRate: 0.001, initialAccumulator: 0.1, epsilon: 1e-7 })
  expect(adagrad({ form: 'torch' })).toMatchObject({ learningRate: 0.01, initialAccumulator: 0, epsilon: 1e-10 })
  const rms = { name: 'rmsprop', form: 'keras', learningRate: 0.001, rho: 0.9, momentum: 0, centered: false, epsilon: 1e-7 }
  expect(rmsprop()).toEqual(rms)
  expect(rmsprop({ form: 'torch' })).toEqual({ ...rms, form: 'torch', learningRate: 0.01, rho: 0.99, epsilon: 1e-8 })
  const numbers = { learningRate: 0.001, learningRatePower: -0.5, initialAccumulator: 0.1, l1: 0, l2: 0, l2Shrinkage: 0, beta: 0 }
  expect(ftrl()).toEqual({ name: 'ftrl', ...numbers })
  expect(Object.isFrozen(adam()) && Object.isFrozen(sgd())).toBe(true)
})

it('says what an option is called that others call otherwise', () => {
  expect(() => adam({ lr: 0.01 } as object)).toThrow("adam.lr: unknown option; did you mean 'learningRate'")
  expect(() => sgd({ lr: 0.01 } as object)).toThrow("did you mean 'learningRate'")
  expect(() => adamw({ wd: 0.01 } as object)).toThrow("did you mean 'weightDecay'")
})

it('reads what it gives, and names alone', () => {
  const changed = [
    adam({ beta1: 0.5, form: 'torch' }),
    adamw({ weightDecay: 0 }),
    adagrad({ initialAccumulator: 1 }),
    sgd({ momentum: 0.5 }),
    rmsprop({ centered: true, rho: 0.5 }),
    ftrl({ l1: 1, learningRatePower: 0 }),
  ]
  expect(changed.map(({ name }) => name)).toEqual(optimizerNames)
  for (const optimizer of changed) {
    expect(parseOptimizer(optimizer.name).name).toBe(optimizer.name)
    expect(parseOptimizer(JSON.parse(JSON.stringify(optimizer)))).toEqual(optimizer)
  }
  expect(parseOptimizer('adam')).toEqual(adam())
})

describe('wrong options are named', () => {
  it.each<[string, () => unknown, string]>([
    ['a rate', () => adam({ learningRate: -1 }), 'adam.learningRate: expected a number >= 0, found -1'],
    ['NaN', () => sgd({ learningRate: NaN }), 'sgd.learningRate: expected a number, found NaN'],
    ['a decay of 1', () => adam({ beta2: 1 }), 'adam.beta2: expected a number < 1, found 1'],
    ['no rate', () => ftrl({ learningRate: 0 }), 'ftrl.learningRate: expected a number > 0, found 0'],
    ['a power', () => ftrl({ learningRatePower: 1 }), 'ftrl.learningRatePower: expected a number <= 0, found 1'],
    ['an accumulator', () => adagrad({ initialAccumulator: -1 }), 'adagrad.initialAccumulator: expected a number >= 0, found -1'],
    ['a form of ftrl', () => ftrl({ form: 'torch' } as never), 'ftrl.form: unknown option'],
    ['a form', () => adam({ form: 'jax' as 'keras' }), 'adam.form: expected one of "keras", "torch", found "jax"'],
    ['a word', () => adam({ lr: 1 } as never), 'adam.lr: unknown option'],
    ['Nesterov without momentum', () => sgd({ nesterov: true }), 'sgd.nesterov: expected a momentum > 0'],
    [
      'a name',
      () => parseOptimizer({ name: 'adamx' }, 'config.optimizer'),
      'config.optimizer.name: expected one of "adam", "adamw", "adagrad", "sgd", "rmsprop", "ftrl", found "adamx"',
    ],
    ['a number', () => parseOptimizer(3), 'optimizer: expected an object, found 3'],
    ['two at once', () => adam({ beta1: -1, beta2: 'x' as never }), 'adam.beta2: expected a number, found "x"'],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_MULTIGATE_ARGUMENT', message: expect.stringContaining(message) }))
  })
})
