// Initial weights: no two experts start alike, no weights are constant, and every gate sees its own experts.

import { describe, expect, it } from 'vitest'

import { elementsOf } from '../../lib/core/layout.js'
import { type Topology, topology } from '../../lib/core/topology.js'
import type { FloatArray } from '../../lib/native/binding.js'
import { NetworkRun } from '../support/network-run.js'
import { places, reference } from '../support/places.js'
import { initialize, modelNames, type RandomNetwork, randomNetwork } from '../support/random-networks.js'

function network(model: (typeof modelNames)[number], options: object): RandomNetwork {
  return randomNetwork(3, {
    model,
    rows: 40,
    size: 6,
    activations: ['tanh'],
    optimizer: 'sgd',
    options: { dropout: 0, ...options },
  })
}

describe.each(places)('initial weights on $name', (place) => {
  it.each(modelNames)('%s: no kernel is constant, and no two are alike', (model) => {
    const own = {
      MMoE: { expertHiddenUnits: [6, 6], numExperts: 4 },
      OMoE: { expertHiddenUnits: [6, 6], numExperts: 4 },
      CGC: { expertHiddenUnits: [6, 6], numSharedExperts: 2, numSpecificExperts: 2 },
      PLE: { expertHiddenUnits: [6, 6], numSharedExperts: 2, numSpecificExperts: 2, numLevels: 3 },
      SharedBottom: { bottomHiddenUnits: [6, 6] },
      SingleTask: { bottomHiddenUnits: [6, 6] },
      ESMM: { bottomHiddenUnits: [6, 6] },
    }[model]
    const test = network(model, own)
    const run = new NetworkRun(test, place)
    initialize(run)
    const seen = new Map<string, string>()
    const { parameters, tables } = test.network
    const kernels = parameters.tensors.filter(({ role }) => role === 'kernel')
    const slices = [
      ...kernels.flatMap(({ name, shape, streams }) => slicesOf(name, run.read(name), elementsOf(shape) / streams.length)),
      ...tables.map(({ name }) => [name, run.read(`table:${name}`)] as const),
    ]
    expect(slices.length).toBeGreaterThan(3)
    for (const [name, values] of slices) {
      if (values.length < 2) continue
      expect(new Set(values).size, name).toBeGreaterThan(1)
      const key = values.slice(0, 6).join()
      expect(seen.get(key), name).toBeUndefined()
      if (values.length >= 6) seen.set(key, name)
    }
    run.dispose()
  })
})

function slicesOf(name: string, values: FloatArray, size: number): [string, FloatArray][] {
  return Array.from({ length: values.length / size }, (_, index) => [
    `${name}[${index}]`,
    values.subarray(index * size, (index + 1) * size),
  ])
}

describe('the experts of a gate', () => {
  // Three tasks of one, four and two: neither number is the other, so a mixed-up index does not go unseen.
  const counts = { numSharedExperts: 2, numSpecificExperts: [1, 4, 2] }
  const size = { inputDim: 5, numTasks: 3, units: 4 }

  it('are the shared ones and its own; the shared gate sees all', () => {
    const [first, last] = topology.ple({ ...size, ...counts, numLevels: 2 }) as [Topology, Topology]
    expect(first.gates.map(({ experts }) => experts)).toEqual([
      [0, 1, 2],
      [0, 1, 3, 4, 5, 6],
      [0, 1, 7, 8],
      [2, 3, 4, 5, 6, 7, 8, 0, 1],
    ])
    expect(last.gates).toHaveLength(3)
    // At the second level an expert reads the signal of whose it is.
    expect(last.streams).toEqual([4, 4, 4, 4])
    expect(last.experts.map(({ stream }) => stream)).toEqual([3, 3, 0, 1, 1, 1, 1, 2, 2])
    expect(last.gates.map(({ stream }) => stream)).toEqual([0, 1, 2])
  })

  it.each([
    ['CGC', {}],
    ['PLE', { numLevels: 1 }],
  ] as const)("%s: moving an expert moves its own task's prediction alone", (model, options) => {
    const test = network(model, { ...options, ...counts, expertHiddenUnits: [4], towerHiddenUnits: [] })
    // The random model has as many tasks as it likes.
    expect(test.tasks).toHaveLength(3)
    const run = new NetworkRun(test, reference)
    initialize(run)
    const names = test.tasks.map(({ name }) => name)
    const before = run.predict(test.rows).outputs
    const name = model === 'CGC' ? 'expert.bias' : 'level.0.expert.bias'
    const bias = run.read(name)
    const owners = [[0, 1, 2], [0, 1, 2], [0], [1], [1], [1], [1], [2], [2]]
    owners.forEach((owned, expert) => {
      run.write(
        name,
        bias.map((value, index) => value + (Math.floor(index / 4) === expert ? 0.5 : 0)),
      )
      const after = run.predict(test.rows).outputs
      const moved = names.flatMap((task, index) => (after[task]?.every((y, row) => y === before[task]?.[row]) ? [] : [index]))
      expect(moved, `expert ${expert}`).toEqual(owned)
    })
    run.dispose()
  })
})
