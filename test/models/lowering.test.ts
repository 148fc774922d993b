// Networks that MMoE is lowered to: buffers, programs and memories.

import { describe, expect, it } from 'vitest'
import type { Op, OpName } from '../../lib/core/op-fields.js'
import { type MMoENetworkOptions, mmoe } from '../../lib/models/mmoe.js'
import type { NetworkFeature, NetworkTask } from '../../lib/models/network.js'
import { opNamed, opsNamed } from '../support/ops.js'
import { type TestNetwork, testNetwork } from '../support/train-program.js'

const features: NetworkFeature[] = [
  { kind: 'dense', name: 'age', width: 1 },
  { kind: 'sparse', name: 'user', rows: 11, dim: 4 },
  { kind: 'sequence', name: 'tags', rows: 10, dim: 3, length: 5, combiner: 'mean' },
  { kind: 'dense', name: 'counts', width: 2 },
]
const tasks: NetworkTask[] = [
  { kind: 'binary', name: 'like', weight: 0.5, rowWeights: true },
  { kind: 'binary', name: 'share', weight: 1, rowWeights: false },
]
const adam = { name: 'adam', form: 'keras', beta1: 0.9, beta2: 0.999, epsilon: 1e-7 } as const
const base: MMoENetworkOptions = { numExperts: 3, expertHiddenUnits: [6], towerHiddenUnits: [5] }

function lower(options: MMoENetworkOptions, over: readonly NetworkFeature[] = features): TestNetwork {
  const parsed = mmoe.parse(options)
  return testNetwork(mmoe.lower(parsed, { features: over, tasks }), tasks, parsed, adam)
}

function names(ops: readonly { readonly op: string }[]): string[] {
  return ops.map(({ op }) => op)
}

function find<Name extends OpName>(test: TestNetwork, op: Name): Extract<Op, { op: Name }> {
  return opNamed(test.train.spec.ops, op)
}

describe('the training program of an MMoE', () => {
  it('goes forward, back and updates', () => {
    expect(names(lower({ ...base, l2: { kernel: 0.1 } }).train.spec.ops)).toEqual([
      'embedding_gather',
      'embedding_gather',
      'copy_columns',
      'copy_columns',
      'mixture_forward',
      'dense_forward',
      'dense_forward',
      'dense_forward',
      'dense_forward',
      'binary_loss',
      'binary_loss',
      'dense_backward',
      'dense_backward',
      'dense_backward',
      'dense_backward',
      'mixture_backward',
      'reduce_gradients',
      'penalty',
      'penalty',
      'penalty',
      'optimize',
      'embedding_update',
      'embedding_update',
    ])
  })

  it('places embeddings first in the row, then dense columns, without a copy in between', () => {
    const { spec } = lower(base).train
    const row = [...opsNamed(spec.ops, 'embedding_gather'), ...opsNamed(spec.ops, 'copy_columns')].map(({ y }) => y)
    const buffer = row[0]?.buffer
    expect(row).toEqual([
      { buffer, offset: 0, width: 4 },
      { buffer, offset: 4, width: 3 },
      { buffer, offset: 7, width: 1 },
      { buffer, offset: 8, width: 2 },
    ])
  })

  it('stores the gradient of the embedding columns alone', () => {
    const network = lower(base)
    const { dstreams, streams } = find(network, 'mixture_backward')
    const stored = network.train.spec.buffers.findIndex((buffer) => buffer.class === 'stored')
    expect(streams).toMatchObject([{ width: 10 }])
    expect(dstreams).toEqual([{ buffer: stored, offset: 0, width: 7 }])
    expect(find(network, 'embedding_update').gradients).toEqual([{ buffer: stored, offset: 0, width: 4 }])
  })

  it('computes no gradient of a row without embeddings', () => {
    const network = lower(
      base,
      features.filter(({ kind }) => kind === 'dense'),
    )
    expect(find(network, 'mixture_backward').dstreams).toEqual([null])
    expect(network.train.spec.buffers.some((buffer) => buffer.class === 'stored')).toBe(false)
    expect(network.network.tables).toEqual([])
  })

  it('names inputs, outputs, memories and scalars', () => {
    const { train } = lower({ ...base, l2: { tower: 0.1 } })
    expect(train.rowInputs).toEqual(['user', 'tags', 'age', 'counts', 'label:like', 'weight:like', 'label:share'])
    expect(train.rowOutputs).toEqual([])
    expect(Object.keys(train.bindings).sort()).toEqual([
      'gradients',
      'moment1',
      'moment1:tags',
      'moment1:user',
      'moment2',
      'moment2:tags',
      'moment2:user',
      'parameters',
      'table:tags',
      'table:user',
    ])
    expect(Object.keys(train.scalars).sort()).toEqual(['learningRate', 'step'])
    expect(train.taskWeights.map(({ task }) => task)).toEqual(['like', 'share'])
    expect(train.losses.map(({ task, denominator }) => [task, denominator])).toEqual([
      ['like', 0],
      ['share', 1],
    ])
    expect(train.penalties.map(({ of }) => of)).toEqual(['tower', 'user', 'tags'])
    const inputs = [...Object.values(train.scalars), ...train.taskWeights, ...train.spec.denominators].length
    expect([train.spec.scalarInputs, train.spec.scalarOutputs]).toEqual([inputs, 5])
    expect(train.spec.denominators).toMatchObject([
      { reduction: 'valid', weight: {} },
      { reduction: 'valid', weight: null },
    ])
  })

  it('begins with rows that know no optimizer, and goes on over the same buffers', () => {
    const { network, train } = lower({ ...base, l2: { kernel: 0.1 } })
    const { rows, gradients } = network
    expect(rows.spec.ops.at(-1)).toEqual({ op: 'reduce_gradients', gradients: gradients.parameters })
    expect(train.spec.ops.slice(0, rows.spec.ops.length)).toEqual(rows.spec.ops)
    expect(train.spec.buffers.slice(0, rows.spec.buffers.length)).toEqual(rows.spec.buffers)
    expect(Object.keys(rows.bindings).sort()).toEqual(['gradients', 'parameters', 'table:tags', 'table:user'])
    expect([rows.scalars, rows.penalties]).toEqual([{}, []])
    expect(
      gradients.tables.flatMap(({ table, inputs }) =>
        inputs.map(({ gradient }) => [table.name, gradient.offset, gradient.width]),
      ),
    ).toEqual([
      ['user', 0, 4],
      ['tags', 4, 3],
    ])
    expect(opsNamed(train.spec.ops, 'embedding_update').map(({ ids, gradients }) => [ids, gradients])).toEqual(
      gradients.tables.map(({ inputs }) => [inputs.map(({ ids }) => ids), inputs.map(({ gradient }) => gradient)]),
    )
  })

  it('keeps only the moments that a rule needs', () => {
    const moments = (momentum: number): string[] => {
      const optimizer = { name: 'sgd', form: 'keras', momentum, nesterov: false } as const
      const options = mmoe.parse(base)
      const { bindings } = testNetwork(mmoe.lower(options, { features, tasks }), tasks, options, optimizer).train
      return Object.keys(bindings).filter((name) => name.startsWith('moment'))
    }
    expect(moments(0)).toEqual([])
    expect(moments(0.9).sort()).toEqual(['moment1', 'moment1:tags', 'moment1:user'])
  })

  it('lets a group override the penalty of kernels, and penalises no bias', () => {
    const network = lower({ ...base, bottomHiddenUnits: [8], l2: { kernel: 0.1, gate: 0 }, l1: { tower: 0.2 } })
    const penalties = opsNamed(network.train.spec.ops, 'penalty')
    expect(penalties.map(({ l1, l2 }) => [l1, l2])).toEqual([
      [0, 0.1],
      [0.2, 0.1],
      [0, 0.1],
    ])
    expect(network.train.penalties.map(({ of }) => of)).toEqual(['expert', 'tower', 'bottom', 'user', 'tags'])
    const kernels = network.network.parameters.tensors.filter(({ role }) => role === 'kernel')
    expect(penalties.flatMap(({ parameters }) => parameters)).toHaveLength(kernels.length - tasks.length)
  })

  it('sends the embedding gradient through the bottom', () => {
    const network = lower({ ...base, bottomHiddenUnits: [8, 7] })
    const backward = opsNamed(network.train.spec.ops, 'dense_backward').at(-1)
    expect(backward?.dx).toMatchObject({ width: 7, offset: 0 })
    expect(find(network, 'mixture_backward').dstreams).toMatchObject([{ width: 7 }])
  })
})

describe('the other programs', () => {
  it('evaluate with losses and predictions and no gradient', () => {
    const { evaluate } = lower({ ...base, l2: { kernel: 0.1 } }).network
    expect(names(evaluate.spec.ops).slice(-4)).toEqual(['binary_loss', 'binary_loss', 'binary_predict', 'binary_predict'])
    expect(evaluate.rowOutputs).toEqual(['like', 'share'])
    expect([evaluate.scalars, evaluate.taskWeights, evaluate.penalties]).toEqual([{}, [], []])
    expect(evaluate.spec.scalarInputs).toBe(evaluate.spec.denominators.length)
    expect(evaluate.losses.map(({ task }) => task)).toEqual(['like', 'share'])
    expect(opNamed(evaluate.spec.ops, 'binary_loss')).toMatchObject({ dlogit: null, taskWeight: null })
  })

  it('predict without labels', () => {
    const { predict } = lower(base).network
    expect(predict.rowInputs).toEqual(['user', 'tags', 'age', 'counts'])
    expect(Object.keys(predict.bindings).sort()).toEqual(['parameters', 'table:tags', 'table:user'])
    expect(predict.spec.scalarInputs + predict.spec.scalarOutputs).toBe(0)
  })
})

describe('the layout', () => {
  it('names every tensor by its place and task', () => {
    const { parameters } = lower({ ...base, bottomHiddenUnits: [8], gateBias: true }).network
    expect(parameters.tensors.map(({ name, shape }) => [name, shape.join('x')])).toEqual([
      ['bottom.0.kernel', '10x8'],
      ['bottom.0.bias', '8'],
      ['expert.kernel', '3x8x6'],
      ['expert.bias', '3x6'],
      ['gate.like.kernel', '8x3'],
      ['gate.like.bias', '3'],
      ['gate.share.kernel', '8x3'],
      ['gate.share.bias', '3'],
      ['tower.like.0.kernel', '6x5'],
      ['tower.like.0.bias', '5'],
      ['tower.like.1.kernel', '5x1'],
      ['tower.like.1.bias', '1'],
      ['tower.share.0.kernel', '6x5'],
      ['tower.share.0.bias', '5'],
      ['tower.share.1.kernel', '5x1'],
      ['tower.share.1.bias', '1'],
    ])
  })

  it('gives every expert a random stream of its own', () => {
    const { parameters, tables } = lower(base).network
    const streams = [...parameters.tensors.flatMap((tensor) => tensor.streams), ...tables.map(({ stream }) => stream)]
    expect(parameters.tensors.find(({ name }) => name === 'expert.kernel')?.streams).toHaveLength(3)
    expect(new Set(streams).size).toBe(streams.length)
  })
})

describe('options', () => {
  it('fills in defaults', () => {
    expect(mmoe.parse({ numExperts: 2, expertHiddenUnits: [4] })).toMatchObject({
      bottomHiddenUnits: [],
      towerHiddenUnits: [],
      gateHiddenUnits: [],
      gateBias: false,
      activation: { expert: 'relu', tower: 'relu', bottom: 'relu' },
      initializers: { expert: 'glorotUniform', embedding: { kind: 'uniform', low: -0.05, high: 0.05 } },
      lossReduction: 'valid',
      sparseUpdate: 'lazy',
    })
    expect(mmoe.parse({ ...base, activation: 'tanh' }).activation.tower).toBe('tanh')
    expect(mmoe.parse({ ...base, activation: { expert: 'tanh' } }).activation).toMatchObject({ expert: 'tanh', tower: 'relu' })
  })

  it.each([
    ['numExperts', { ...base, numExperts: 0 }],
    ['expertHiddenUnits', { ...base, expertHiddenUnits: [] }],
    ['gateHiddenUnits', { ...base, gateHiddenUnits: [0] }],
    ['gateTemperature', { ...base, gateTemperature: 0 }],
    ['towerHiddenUnits', { ...base, towerHiddenUnits: [4, 0] }],
    ['dropout', { ...base, dropout: 1 }],
    ['embeddings', { ...base, l2: { embeddings: 1 } }],
    ['activation', { ...base, activation: 'selu' }],
    ['initializers', { ...base, initializers: { tower: 'ones' } }],
    ['lossReduction', { ...base, lossReduction: 'mean' }],
  ])('refuses a wrong %s by name', (field, options) => {
    expect(() => mmoe.parse(options as MMoENetworkOptions)).toThrow(field)
  })
})
