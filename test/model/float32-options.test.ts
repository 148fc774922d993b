// Every number among the options is one that float32 holds: the kernels compute in it.

import { describe, expect, it } from 'vitest'
import { MMoE } from '../../lib/model/classes.js'
import { adagrad } from '../../lib/optimizers/adagrad.js'
import { adam } from '../../lib/optimizers/adam.js'
import { adamw } from '../../lib/optimizers/adamw.js'
import { ftrl } from '../../lib/optimizers/ftrl.js'
import { rmsprop } from '../../lib/optimizers/rmsprop.js'
import { rowwiseAdagrad } from '../../lib/optimizers/rowwise-adagrad.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import { refusal } from '../support/refusal.js'

const net = (options: object): unknown =>
  new MMoE({
    features: [{ kind: 'dense', name: 'x' }],
    tasks: [{ kind: 'binary', name: 'y' }],
    numExperts: 2,
    expertHiddenUnits: [4],
    ...options,
  } as never)

const groups = ['embedding', 'kernel', 'expert', 'gate', 'tower', 'bottom']

/** What takes a number >= 0, by the field that its error names. */
const amounts: [string, (value: number) => unknown][] = [
  ['MMoE.gateTemperature', (value) => net({ gateTemperature: value })],
  ...groups.flatMap((group): [string, (value: number) => unknown][] => [
    [`MMoE.l1.${group}`, (value) => net({ l1: { [group]: value } })],
    [`MMoE.l2.${group}`, (value) => net({ l2: { [group]: value } })],
  ]),
  ['MMoE.initializers.expert.low', (value) => net({ initializers: { expert: { kind: 'uniform', low: value, high: 1 } } })],
  ['MMoE.initializers.gate.high', (value) => net({ initializers: { gate: { kind: 'uniform', low: 0, high: value } } })],
  ['MMoE.initializers.tower.mean', (value) => net({ initializers: { tower: { kind: 'normal', mean: value, deviation: 1 } } })],
  ['MMoE.initializers.bottom.deviation', (value) => net({ initializers: { bottom: { kind: 'normal', deviation: value } } })],
  ['task "t".weight', (value) => binary('t', { weight: value })],
  ['task "t".weight', (value) => regression('t', { weight: value })],
  ['task "t".weight', (value) => multiclass('t', { weight: value, classes: 2 })],
  ['adam.learningRate', (value) => adam({ learningRate: value })],
  ['adam.epsilon', (value) => adam({ epsilon: value })],
  ['adamw.weightDecay', (value) => adamw({ weightDecay: value })],
  ['adagrad.learningRate', (value) => adagrad({ learningRate: value })],
  ['adagrad.initialAccumulator', (value) => adagrad({ initialAccumulator: value })],
  ['adagrad.epsilon', (value) => adagrad({ epsilon: value })],
  ['sgd.learningRate', (value) => sgd({ learningRate: value })],
  ['rmsprop.learningRate', (value) => rmsprop({ learningRate: value })],
  ['rmsprop.epsilon', (value) => rmsprop({ epsilon: value })],
  ['rowwiseAdagrad.learningRate', (value) => rowwiseAdagrad({ learningRate: value })],
  ['rowwiseAdagrad.initialAccumulator', (value) => rowwiseAdagrad({ initialAccumulator: value })],
  ['rowwiseAdagrad.epsilon', (value) => rowwiseAdagrad({ epsilon: value })],
  ['ftrl.learningRate', (value) => ftrl({ learningRate: value })],
  ['ftrl.learningRatePower', (value) => ftrl({ learningRatePower: -value })],
  ['ftrl.initialAccumulator', (value) => ftrl({ initialAccumulator: value })],
  ['ftrl.l1', (value) => ftrl({ l1: value })],
  ['ftrl.l2', (value) => ftrl({ l2: value })],
  ['ftrl.l2Shrinkage', (value) => ftrl({ l2Shrinkage: value })],
  ['ftrl.beta', (value) => ftrl({ beta: value })],
]

describe('a number outside float32 is refused', () => {
  it.each(amounts)('%s', (field, make) => {
    for (const value of [1e-39, 5e-324, 3.5e38, 1e39, 1e300]) {
      expect(() => make(value)).toThrow(refusal('ARGUMENT', { field, says: 'float32' }))
    }
    for (const value of [2 ** -126, 0.5, (2 - 2 ** -23) * 2 ** 127]) expect(() => make(value)).not.toThrow()
  })
})

const fractions: [string, (value: number) => unknown][] = [
  ['MMoE.dropout', (value) => net({ dropout: value })],
  ['adam.beta1', (value) => adam({ beta1: value })],
  ['adam.beta2', (value) => adam({ beta2: value })],
  ['adamw.beta1', (value) => adamw({ beta1: value })],
  ['sgd.momentum', (value) => sgd({ momentum: value })],
  ['rmsprop.rho', (value) => rmsprop({ rho: value })],
  ['rmsprop.momentum', (value) => rmsprop({ momentum: value })],
]

describe('a fraction that float32 rounds to 1 is refused', () => {
  it.each(fractions)('%s', (field, make) => {
    expect(() => make(1 - 2 ** -30)).toThrow(refusal('ARGUMENT', { field }))
    expect(() => make(1e-39)).toThrow(refusal('ARGUMENT', { field, says: 'float32' }))
    expect(() => make(1)).toThrow(refusal('ARGUMENT', { field, says: '1' }))
    expect(() => make(1 - 2 ** -24)).not.toThrow()
  })
})
