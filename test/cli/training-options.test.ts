// Options of training in a configuration: the same run as from code, and errors that name the key.

import { describe, expect, it } from 'vitest'

import { parseConfig } from '../../lib/cli/config.js'
import { modelClasses } from '../../lib/model/classes.js'
import { adagrad } from '../../lib/optimizers/adagrad.js'
import { adam } from '../../lib/optimizers/adam.js'
import { rowwiseAdagrad } from '../../lib/optimizers/rowwise-adagrad.js'
import type { FitOptions } from '../../lib/training/options.js'
import { reduceOnPlateau } from '../../lib/training/reduce-on-plateau.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 400 })

const base = {
  model: 'MMoE',
  features: [
    { kind: 'sparse', name: 'user', vocabulary: 30, dim: 4 },
    { kind: 'sparse', name: 'city', dim: 4 },
    { kind: 'dense', name: 'price', transform: 'standardize' },
  ],
  tasks: [
    { kind: 'binary', name: 'click' },
    { kind: 'binary', name: 'buy', weight: 0.5 },
  ],
  numExperts: 3,
  expertHiddenUnits: [8],
  towerHiddenUnits: [4],
  seed: 5,
}

/** Scores of a model that is trained as a configuration says. */
async function fromConfig({ fit = {}, ...options }: Record<string, unknown>): Promise<unknown> {
  const { model: name, options: parsed, fit: settings } = parseConfig(JSON.parse(JSON.stringify({ ...base, ...options, fit })))
  using net = new modelClasses[name](parsed as never)
  await net.fit(train, settings)
  return await net.predict(train)
}

async function fromCode({ fit, ...options }: { fit?: FitOptions | undefined } & Record<string, unknown>): Promise<unknown> {
  using net = model(options)
  await net.fit(train, fit)
  return await net.predict(train)
}

const schedule = { schedule: 'cosine', rate: 0.05, steps: 8, warmup: 2 } as const

describe('a configuration trains as code does', () => {
  it.each<[string, Record<string, unknown>, Parameters<typeof fromCode>[0]]>([
    [
      'a schedule',
      { fit: { epochs: 3, batchSize: 100, optimizer: { name: 'adam', learningRate: schedule } } },
      { fit: { epochs: 3, batchSize: 100, optimizer: adam({ learningRate: schedule }) } },
    ],
    [
      'dropout and penalties',
      { dropout: { bottom: 0.2, mix: 0.1 }, l2: { 'embedding.user': 0.01 } },
      { dropout: { bottom: 0.2, mix: 0.1 }, l2: { 'embedding.user': 0.01 } },
    ],
    ['a limit of gradients', { fit: { epochs: 2, clip: { value: 1e-4 } } }, { fit: { epochs: 2, clip: { value: 1e-4 } } }],
    [
      'groups of weights',
      {
        fit: {
          epochs: 3,
          optimizers: { embedding: { name: 'adagrad', learningRate: 0.1 } },
          rates: { 'tower.buy': 3 },
          freeze: ['gate'],
          taskWeights: { click: 0.25 },
        },
      },
      {
        fit: {
          epochs: 3,
          optimizers: { embedding: adagrad({ learningRate: 0.1 }) },
          rates: { 'tower.buy': 3 },
          freeze: ['gate'],
          taskWeights: { click: 0.25 },
        },
      },
    ],
    ['an average', { fit: { epochs: 3, ema: { decay: 0.9 } } }, { fit: { epochs: 3, ema: { decay: 0.9 } } }],
    [
      'limits of lengths',
      { fit: { epochs: 2, clip: { norm: 0.01, taskNorm: 0.02 } } },
      { fit: { epochs: 2, clip: { norm: 0.01, taskNorm: 0.02 } } },
    ],
    [
      'row-wise Adagrad',
      { fit: { epochs: 3, optimizers: { 'embedding.user': { name: 'rowwiseAdagrad', learningRate: 0.1 } } } },
      { fit: { epochs: 3, optimizers: { 'embedding.user': rowwiseAdagrad({ learningRate: 0.1 }) } } },
    ],
    [
      'reduceOnPlateau',
      { fit: { epochs: 4, callbacks: [{ kind: 'reduceOnPlateau', monitor: 'loss', mode: 'max', patience: 1 }] } },
      { fit: { epochs: 4, callbacks: [reduceOnPlateau({ monitor: 'loss', mode: 'max', patience: 1 })] } },
    ],
  ])('%s', async (_, config, code) => {
    const scores = await fromConfig(config)
    expect(scores).toEqual(await fromCode(code))
    expect(scores).not.toEqual(await fromCode({ fit: { epochs: code.fit?.epochs, batchSize: code.fit?.batchSize } }))
  })
})

describe('mistakes name the key', () => {
  it.each<[string, object, string]>([
    [
      'a schedule',
      { fit: { optimizer: { name: 'adam', learningRate: { schedule: 'cosine', rate: 1 } } } },
      'fit.optimizer.learningRate.steps',
    ],
    ['an optimizer of a group', { fit: { optimizers: { gate: { name: 'adagrad', rate: 1 } } } }, 'fit.optimizers.gate.rate'],
    ['a rate of a group', { fit: { rates: { gate: -1 } } }, 'fit.rates.gate'],
    ['frozen groups', { fit: { freeze: 'gate' } }, 'fit.freeze'],
    ['a limit of gradients', { fit: { clip: { value: 0 } } }, 'fit.clip.value'],
    ['statistics of gates', { fit: { gateStatistics: 'yes' } }, 'fit.gateStatistics'],
    ['an average', { fit: { ema: { decay: 1 } } }, 'fit.ema.decay'],
    ['two limits of gradients', { fit: { clip: { value: 1, norm: 1 } } }, 'fit.clip.norm'],
    ['a callback', { fit: { callbacks: [{ kind: 'reduceOnPlateau', factor: 2 }] } }, 'fit.callbacks[0].factor'],
  ])('%s', (_, config, field) => {
    expect(() => parseConfig({ ...base, ...config })).toThrow(refusal('ARGUMENT', { field: `config.${field}` }))
  })
})
