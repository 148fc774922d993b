// Options that cannot be read, or that are far too long, are refused with the field. Lists without a prototype work.

import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sequence } from '../../lib/features/spec/sequence.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { auc } from '../../lib/metrics/auc.js'
import { MMoE, PLE } from '../../lib/model/classes.js'
import { loadModel } from '../../lib/model/load.js'
import { adam } from '../../lib/optimizers/adam.js'
import { gatesTable } from '../../lib/report/gates.js'
import { historyTable } from '../../lib/report/results.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import { bare, holes, revoked, throwing } from '../support/hostile.js'
import { refusal } from '../support/refusal.js'
import { data } from '../support/small-data.js'

const features = [sparse('user', { dim: 2 })]
const tasks = [binary('click')]
const options = { features, tasks, numExperts: 2, expertHiddenUnits: [4] }
const train = data({ rows: 50 })
const file = fileURLToPath(import.meta.url)

const calls: readonly [field: string, call: (value: never) => unknown][] = [
  ['MMoE', (value) => new MMoE(value)],
  ['MMoE.features', (value) => new MMoE({ ...options, features: value })],
  ['MMoE.features[0]', (value) => new MMoE({ ...options, features: [value] })],
  ['MMoE.tasks', (value) => new MMoE({ ...options, tasks: value })],
  ['feature "user"', (value) => sparse('user', value)],
  ['feature "user"', (value) => sequence('user', value)],
  ['feature "user"', (value) => dense('user', value)],
  ['task "click"', (value) => binary('click', value)],
  ['task "click"', (value) => multiclass('click', value)],
  ['task "click"', (value) => regression('click', value)],
  ['adam', (value) => adam(value)],
  ['checkpoint', (value) => checkpoint(value)],
  ['earlyStopping', (value) => earlyStopping(value)],
  ['split', (value) => train.split(value)],
  ['rowIndices', (value) => train.select(value)],
  ['csvOptions', (value) => new MMoE(options).csvOptions(value)],
  ['rows', (value) => auc(value)],
  ['scores', (value) => auc({ scores: value, labels: new Float32Array(1) })],
  ['gates', (value) => gatesTable(value)],
  ['history', (value) => historyTable(value)],
]

describe('values that cannot be read', () => {
  it.each(calls)('of %s', (field, call) => {
    for (const value of [revoked({}), throwing({}), revoked([]), throwing([])]) {
      expect(() => call(value as never)).toThrow(refusal('ARGUMENT', { field }))
    }
  })

  it('of calls that give a promise', async () => {
    using model = new MMoE(options)
    await model.build(train)
    for (const value of [revoked({}), throwing({})] as never[]) {
      await expect(model.fit(train, value)).rejects.toEqual(refusal('ARGUMENT', { field: 'fit' }))
      await expect(model.predict({ user: [1] }, value)).rejects.toEqual(refusal('ARGUMENT', { field: 'predict' }))
      await expect(model.save(value)).rejects.toEqual(refusal('ARGUMENT', { field: 'path' }))
      await expect(loadModel(value)).rejects.toEqual(refusal('ARGUMENT', { field: 'path' }))
      await expect(Dataset.fromCsv(value)).rejects.toEqual(refusal('ARGUMENT', { field: 'path' }))
      await expect(Dataset.fromCsv(file, value)).rejects.toEqual(refusal('ARGUMENT', { field: 'csv' }))
      await expect(Dataset.streamCsv(file, value)[Symbol.asyncIterator]().next()).rejects.toEqual(
        refusal('ARGUMENT', { field: 'csv' }),
      )
      expect(() => model.predictSync(model.createBatch(1), value)).toThrow(refusal('ARGUMENT', { field: 'predictSync' }))
    }
    await expect(
      Dataset.streamCsv(file, null as never)
        [Symbol.asyncIterator]()
        .next(),
    ).rejects.toEqual(refusal('ARGUMENT', { field: 'csv' }))
    expect(() => model.csvOptions(null as never)).toThrow(refusal('ARGUMENT', { field: 'csvOptions' }))
  })
})

it('a sparse list of any length is refused at its first hole, or by its length', () => {
  const lists: readonly [field: string, call: (value: never) => unknown][] = [
    ['MMoE.features', (value) => new MMoE({ ...options, features: value })],
    ['MMoE.expertHiddenUnits[0]', (value) => new MMoE({ ...options, expertHiddenUnits: value })],
    ['MMoE.towerHiddenUnits[0]', (value) => new MMoE({ ...options, towerHiddenUnits: value })],
    ['feature "user".buckets[0]', (value) => sparse('user', { dim: 2, buckets: value })],
    ['feature "user".vocabulary[0]', (value) => sparse('user', { dim: 2, vocabulary: value })],
    ['task "click".classes[0]', (value) => multiclass('click', { classes: value })],
    ['task "click".missing[0]', (value) => binary('click', { missing: value })],
    ['split.test[0]', (value) => train.split({ rowMod: 4, test: value })],
    ['gates[0]', (value) => gatesTable(value)],
    ['scores.length', (value) => auc({ scores: value, labels: new Float32Array(1) })],
  ]
  for (const [field, call] of lists) {
    expect(() => call(holes as never)).toThrow(refusal('ARGUMENT', { field }))
  }
  const one = Object.assign(new Array<number>(2 ** 31), { 0: 4 })
  expect(() => new MMoE({ ...options, expertHiddenUnits: one })).toThrow(
    refusal('ARGUMENT', { field: 'MMoE.expertHiddenUnits[1]', says: 'nothing' }),
  )
})

it.each([null, 3, 'text', Symbol('s')])('options that are no object: %s', (value) => {
  expect(() => sparse('user', value as never)).toThrow(refusal('ARGUMENT', { field: 'feature "user"' }))
  expect(() => binary('click', value as never)).toThrow(refusal('ARGUMENT', { field: 'task "click"' }))
})

it('lists and objects without a prototype, and proxies, are options', () => {
  const plain = Object.assign(Object.create(null), { ...options, features: bare(features), tasks: bare(tasks) }) as typeof options
  for (const given of [plain, new Proxy({ ...options, features: new Proxy(features, {}) }, {})]) {
    const model = new MMoE({ ...given, expertHiddenUnits: bare([4]) })
    expect(model.features).toEqual(features)
  }
  const counts = { numLevels: 1, numSharedExperts: 1, numSpecificExperts: bare([2]), expertHiddenUnits: [4] }
  expect(new PLE({ features, tasks, ...counts }).tasks).toEqual(tasks)
  expect(auc({ scores: bare([1, 2]) as never, labels: bare([0, 1]) as never }).value).toBe(1)
})
