// The same bits for any number of threads: every model, every optimizer, with dropout, lazily and exactly.

import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'

import type { FloatArray } from '../../lib/native/binding.js'
import { optimizerNames } from '../../lib/optimizers/optimizer.js'
import { NetworkRun } from '../support/network-run.js'
import { cpuPlaces, type TestPlace } from '../support/places.js'
import { initialize, modelNames, type RandomNetwork, randomNetwork, trained } from '../support/random-networks.js'

// 1037 is prime to every block size: the last block is a short one.
const common = { rows: 1037, size: 24, activations: ['relu', 'gelu'] } as const
const optimizers = [
  ...optimizerNames.map((name) => ({ name })),
  { name: 'sgd', momentum: 0.9, nesterov: true },
  { name: 'rmsprop', momentum: 0.5, centered: true },
] as const

function train(test: RandomNetwork, place: TestPlace, threads: number): unknown {
  const { network, rows } = test
  const run = new NetworkRun(test, place, threads)
  initialize(run)
  const losses = [1, 2, 3].map((step) => run.train(rows, { learningRate: 0.01, step, draw: step }).scalars)
  const weights = trained(network).map((name) => [name, digest(run.read(name))])
  const outputs = Object.values(run.predict(rows).outputs).map(digest)
  run.dispose()
  return { losses, weights, outputs }
}

function digest({ buffer, byteOffset, byteLength }: FloatArray): string {
  return createHash('sha1')
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest('hex')
}

function expectSame(test: RandomNetwork, place: TestPlace): void {
  const one = train(test, place, 1)
  for (const threads of [2, 3, 8]) expect(train(test, place, threads), `${threads} threads, ${test.name}`).toEqual(one)
}

describe.each(cpuPlaces)('on $name', (place) => {
  it.each(modelNames)('%s', (model) => {
    for (const seed of [1, 2, 3]) {
      expectSame(randomNetwork(seed, { ...common, model, optimizer: 'adam', options: { dropout: 0.2 } }), place)
    }
  })

  it.each(optimizers.map((optimizer) => [JSON.stringify(optimizer), optimizer] as const))('%s', (_, optimizer) => {
    for (const sparseUpdate of ['lazy', 'exact']) {
      expectSame(randomNetwork(4, { ...common, model: 'MMoE', optimizer, options: { sparseUpdate } }), place)
    }
  })
})
