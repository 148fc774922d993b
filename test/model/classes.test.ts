// Every model from the public surface: typed, learning, saved and loaded, and clear about options that cannot be.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, expectTypeOf, it } from 'vitest'

import {
  adagrad,
  adam,
  adamw,
  binary,
  CGC,
  dense,
  ESMM,
  ftrl,
  loadModel,
  MMoE,
  type Model,
  OMoE,
  PLE,
  rmsprop,
  SharedBottom,
  SingleTask,
  sgd,
  sparse,
} from '../../lib/index.js'
import { refusal } from '../support/refusal.js'
import { data } from '../support/small-data.js'

const train = data({ rows: 6000 })
const test = data({ rows: 2000, seed: 2 })

const features = [
  sparse('user', { vocabulary: 30, dim: 4 }),
  sparse('city', { dim: 4 }),
  dense('price', { transform: 'standardize' }),
]
const tasks = [binary('click'), binary('buy')] as const
const common = { features, tasks, towerHiddenUnits: [4], seed: 5 }
const experts = { expertHiddenUnits: [12, 8], gateHiddenUnits: [6], gateBias: true }

type Any = Model<readonly never[], never>
const family: Readonly<Record<string, () => unknown>> = {
  MMoE: () => new MMoE({ ...common, ...experts, numExperts: 3 }),
  'MMoE with a temperature': () => new MMoE({ ...common, ...experts, numExperts: 3, gateTemperature: 2 }),
  OMoE: () => new OMoE({ ...common, ...experts, numExperts: 3 }),
  CGC: () => new CGC({ ...common, ...experts, numSharedExperts: 2, numSpecificExperts: [3, 1] }),
  'CGC without shared experts': () => new CGC({ ...common, ...experts, numSharedExperts: 0, numSpecificExperts: 2 }),
  PLE: () => new PLE({ ...common, ...experts, numSharedExperts: 2, numSpecificExperts: [0, 2], numLevels: 3 }),
  'PLE with fusion': () =>
    new PLE({ ...common, ...experts, numSharedExperts: 1, numSpecificExperts: 1, fusion: ['sum', 'concat'] }),
  'MMoE in bfloat16': () => new MMoE({ ...common, ...experts, numExperts: 3, precision: 'bfloat16' }),
  SharedBottom: () => new SharedBottom({ ...common, bottomHiddenUnits: [16, 8] }),
  SingleTask: () => new SingleTask({ ...common, tasks: [binary('click')], bottomHiddenUnits: [16] }),
  ESMM: () => new ESMM({ ...common, tasks: [binary('click'), binary('both', { label: 'buy' })], towerHiddenUnits: [16] }),
}

describe.each(Object.keys(family))('%s', (name) => {
  it('learns, and predicts the same after save and load', async () => {
    using model = family[name]?.() as Any
    await model.fit(train, { batchSize: 256, epochs: 8, optimizer: adam({ learningRate: 0.01 }) })
    const { tasks: results } = await model.evaluate(test)
    for (const [task, { auc }] of Object.entries(results) as [string, { auc: number }][]) expect(auc, task).toBeGreaterThan(0.72)
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
    await model.save(path)
    using again = await loadModel(path, { threads: 1, precision: name.endsWith('bfloat16') ? 'bfloat16' : 'float32' })
    expect(again.name).toBe(name.split(' ')[0])
    expect(await again.predict(test)).toEqual(await model.predict(test))
  })
})

it.each([
  adam({ learningRate: 0.01, form: 'torch' }),
  adamw({ learningRate: 0.01 }),
  adagrad({ learningRate: 0.1 }),
  sgd({ learningRate: 0.2, momentum: 0.9, nesterov: true }),
  rmsprop({ learningRate: 0.003, centered: true }),
  ftrl({ learningRate: 0.2 }),
])('$name learns', async (optimizer) => {
  using model = new CGC({ ...common, numSharedExperts: 2, numSpecificExperts: 1, expertHiddenUnits: [8], activation: 'tanh' })
  await model.fit(train, { batchSize: 256, epochs: 10, optimizer })
  const { click, buy } = (await model.evaluate(test)).tasks
  expect(click.auc).toBeGreaterThan(0.72)
  expect(buy.auc).toBeGreaterThan(0.72)
})

it('predictions are typed by the names of tasks', async () => {
  using model = new PLE({ ...common, numSharedExperts: 1, numSpecificExperts: 1, expertHiddenUnits: [8] })
  await model.build(train)
  const scores = await model.predict(test)
  expectTypeOf(scores).toEqualTypeOf<{ readonly click: Float32Array; readonly buy: Float32Array }>()
  expect(Object.keys(scores)).toEqual(['click', 'buy'])
  const one = new SingleTask({ ...common, tasks: [binary('click')] })
  expectTypeOf<keyof Awaited<ReturnType<typeof one.predict>>>().toEqualTypeOf<'click'>()
})

describe('options that cannot be are named', () => {
  const level = { ...common, expertHiddenUnits: [4], numSharedExperts: 1, numSpecificExperts: 1 }
  it.each<[string, () => unknown, Error]>([
    [
      'counts',
      () => new CGC({ ...level, numSpecificExperts: [1] }),
      refusal('ARGUMENT', { field: 'CGC.numSpecificExperts', says: ['2', '1'] }),
    ],
    [
      'no expert',
      () => new PLE({ ...level, numSharedExperts: 0, numSpecificExperts: [1, 0] }),
      refusal('ARGUMENT', { field: 'PLE.numSpecificExperts', says: ["'buy'", '1', 'numSharedExperts', '0'] }),
    ],
    ['levels', () => new PLE({ ...level, numLevels: 0 }), refusal('ARGUMENT', { field: 'PLE.numLevels', says: ['1', '0'] })],
    [
      'a fusion',
      () => new PLE({ ...level, fusion: 'max' as 'sum' }),
      refusal('ARGUMENT', { field: 'PLE.fusion', says: '"max"' }),
    ],
    [
      'a temperature',
      () => new CGC({ ...level, gateTemperature: 0 }),
      refusal('ARGUMENT', { field: 'CGC.gateTemperature', says: '0' }),
    ],
    ['no layer', () => new CGC({ ...level, expertHiddenUnits: [] }), refusal('ARGUMENT', { field: 'CGC.expertHiddenUnits' })],
    [
      'no bottom',
      () => new SharedBottom({ ...common, bottomHiddenUnits: [] }),
      refusal('ARGUMENT', { field: 'SharedBottom.bottomHiddenUnits' }),
    ],
    ['two tasks', () => new SingleTask(common), refusal('ARGUMENT', { field: 'SingleTask.tasks', says: ['2'] })],
    [
      "another model's option",
      () => new OMoE({ ...common, expertHiddenUnits: [4], numExperts: 2, numLevels: 2 } as never),
      refusal('ARGUMENT', { field: 'OMoE.numLevels' }),
    ],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(message)
  })
})
