// A lowered model starts from experts that differ, learns, and stays beside the reference.

import { afterEach, describe, expect, it } from 'vitest'

import { elementsOf } from '../../lib/core/layout.js'
import { mmoe } from '../../lib/models/mmoe.js'
import type { NetworkFeature, NetworkTask } from '../../lib/models/network.js'
import { randomArray, randomOf } from '../../lib/verify/numbers.js'
import { NetworkRun, type Rows } from '../support/network-run.js'
import { cpuPlaces, places, reference, type TestPlace } from '../support/places.js'
import { initialize } from '../support/random-networks.js'
import { type TestNetwork, testNetwork } from '../support/train-program.js'

const rows = 1037

function lower(): TestNetwork {
  const options = mmoe.parse({
    numExperts: 4,
    expertHiddenUnits: [24],
    bottomHiddenUnits: [33],
    towerHiddenUnits: [8],
    l2: { kernel: 1e-3, embedding: 1e-4 },
  })
  const features: NetworkFeature[] = [
    { kind: 'sparse', name: 'user', rows: 50, dim: 8 },
    { kind: 'sequence', name: 'tags', rows: 20, dim: 5, length: 4, combiner: 'sum' },
    { kind: 'dense', name: 'dense', width: 6 },
  ]
  const tasks: NetworkTask[] = [
    { kind: 'binary', name: 'like', weight: 1, rowWeights: true },
    { kind: 'binary', name: 'share', weight: 0.3, rowWeights: false },
  ]
  const optimizer = { name: 'adam', form: 'keras', beta1: 0.9, beta2: 0.999, epsilon: 1e-7 } as const
  return testNetwork(mmoe.lower(options, { features, tasks }), tasks, options, optimizer)
}

function batch(): Rows {
  const random = randomOf(11)
  const ids = (length: number, vocabulary: number): Int32Array =>
    Int32Array.from({ length }, () => Math.floor(random() * vocabulary))
  const labels = (): Float32Array => Float32Array.from({ length: rows }, () => (random() < 0.1 ? NaN : Math.round(random())))
  return {
    user: ids(rows, 50),
    tags: ids(rows * 4, 20),
    dense: randomArray(random, rows * 6),
    'label:like': labels(),
    'label:share': labels(),
    'weight:like': Float32Array.from({ length: rows }, () => random() * 2),
  }
}

let runs: NetworkRun[] = []
afterEach(() => {
  for (const run of runs) run.dispose()
  runs = []
})

function start(place: TestPlace, threads?: number): NetworkRun {
  const run = new NetworkRun(lower(), place, threads)
  runs.push(run)
  initialize(run)
  return run
}

describe.each(places)('a model on $name', (place) => {
  it('starts from experts that differ, whose gates learn from the first step', () => {
    const run = start(place)
    const { shape = [] } = run.network.parameters.tensors.find(({ name }) => name === 'expert.kernel') ?? {}
    const size = elementsOf(shape.slice(1))
    const kernel = run.read('expert.kernel')
    for (let expert = 1; expert < 4; expert += 1) {
      expect(kernel.slice(expert * size, (expert + 1) * size)).not.toEqual(kernel.slice(0, size))
    }
    run.train(batch(), { learningRate: 0.01, step: 1 })
    for (const task of ['like', 'share'])
      expect(run.read(`gate.${task}.kernel`, 'gradients').some((gradient) => gradient !== 0)).toBe(true)
  })

  it('learns', () => {
    const run = start(place)
    const loss = range(12).map((step) => run.train(batch(), { learningRate: 0.02, step: step + 1 }).scalars['loss:like'] ?? NaN)
    expect(loss.at(-1)).toBeLessThan(loss[0] ?? NaN)
  })
})

describe.each(cpuPlaces)('a model on $name', (place) => {
  it('starts where the reference starts and stays beside it', () => {
    const [here, there] = [start(place), start(reference)]
    for (const step of range(3)) {
      const scalars = { learningRate: 0.01, step: step + 1 }
      const [got, want] = [here.train(batch(), scalars).scalars, there.train(batch(), scalars).scalars]
      for (const [name, value] of Object.entries(want)) expect(got[name]).toBeCloseTo(value, 5)
    }
  })

  it('needs no more memory per thread for more rows', () => {
    const run = start(place)
    const plan = run.plan(run.program)
    expect(plan.info(1_000_000).arenaBytes).toBe(plan.info(1000).arenaBytes)
  })
})

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
