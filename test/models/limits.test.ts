// Options that are each within bounds and together make more than a program can hold: an error that says so, before the work is done.
import { describe, expect, it } from 'vitest'

import { binary, CGC, Dataset, dense, MMoE, PLE, SharedBottom } from '../../lib/index.js'
import { refusal } from '../support/refusal.js'

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `t${index}`)
const tasks = (count: number) => names(count).map((name) => binary(name))
const layers = (count: number): number[] => Array.from({ length: count }, () => 2)
const dataOf = (count: number): Dataset => {
  return Dataset.fromColumns({ x: [1, 2, 3], ...Object.fromEntries(names(count).map((name) => [name, [0, 1, 0]])) })
}
const features = [dense('x')]

describe('what is too large says so', () => {
  it.each([
    [
      'PLE of 1024 tasks that see 2000 shared experts',
      1024,
      () =>
        new PLE({
          features,
          tasks: tasks(1024),
          numLevels: 2,
          numSharedExperts: 2000,
          numSpecificExperts: 1,
          expertHiddenUnits: [2],
        }),
      refusal('TOPOLOGY', { says: ['1025', '2052048', '65536'] }),
    ],
    [
      'CGC of 1024 tasks that see 3000 experts',
      1024,
      () => new CGC({ features, tasks: tasks(1024), numSharedExperts: 3000, numSpecificExperts: 1, expertHiddenUnits: [2] }),
      refusal('TOPOLOGY', { says: '65536' }),
    ],
    [
      'MMoE of 17 gates over 4096 experts',
      17,
      () => new MMoE({ features, tasks: tasks(17), numExperts: 4096, expertHiddenUnits: [2] }),
      refusal('TOPOLOGY', { says: ['17', '69632'] }),
    ],
    [
      'PLE of 1024 levels',
      2,
      () =>
        new PLE({
          features,
          tasks: tasks(2),
          numLevels: 1024,
          numSharedExperts: 20,
          numSpecificExperts: 2000,
          expertHiddenUnits: [2],
        }),
      refusal('TOPOLOGY', { says: ['1024', '1048576'] }),
    ],
    [
      'towers of 1000 layers for 1000 tasks',
      1000,
      () => new SharedBottom({ features, tasks: tasks(1000), bottomHiddenUnits: [2], towerHiddenUnits: layers(1000) }),
      refusal('ARGUMENT', { says: '100000' }),
    ],
    [
      'experts of 1000 layers',
      2,
      () => new MMoE({ features, tasks: tasks(2), numExperts: 1000, expertHiddenUnits: layers(1000) }),
      refusal('ARGUMENT', { says: '100000' }),
    ],
  ])('%s', async (_, count, make, message) => {
    await expect(make().build(dataOf(count))).rejects.toThrow(message)
  })

  it('a tower of a million layers', () => {
    const make = (): unknown =>
      new MMoE({ features, tasks: tasks(1), numExperts: 1, expertHiddenUnits: [2], towerHiddenUnits: layers(1e6) })
    expect(make).toThrow(/towerHiddenUnits.*1024.*1000000/)
  })

  it('takes the last of two features of one name among thousands', () => {
    const many = [...Array.from({ length: 20_000 }, (_, index) => dense(`f${index}`)), dense('f7')]
    const make = (): unknown => new MMoE({ features: many, tasks: tasks(1), numExperts: 1, expertHiddenUnits: [2] })
    expect(make).toThrow(refusal('ARGUMENT', { field: 'MMoE.features[20000].name', says: ['features[20000].name', '"f7"'] }))
  })
})

describe('what is large is lowered all the same', () => {
  it('4096 experts of four layers', async () => {
    const model = new MMoE({ features, tasks: tasks(2), numExperts: 4096, expertHiddenUnits: layers(4) })
    await model.build(dataOf(2))
    // 2 weights and 2 biases of an expert's first layer, 4 and 2 of the three others; a weight of each gate; towers of one unit.
    expect(model.describe().parameters).toBe(4096 * (2 + 2 + 3 * (4 + 2) + 2) + 2 * (2 + 1))
    model.dispose()
  })

  it('experts of a PLE keep their names and order', async () => {
    const model = new PLE({
      features,
      tasks: tasks(2),
      numLevels: 1,
      numSharedExperts: 2,
      numSpecificExperts: [1, 2],
      expertHiddenUnits: [2],
    })
    await model.build(dataOf(2))
    const [first, second] = await model.gates(dataOf(2))
    expect(first?.experts.map(({ name }) => name)).toEqual(['shared 1', 'shared 2', 't0 1'])
    expect(second?.experts.map(({ name }) => name)).toEqual(['shared 1', 'shared 2', 't1 1', 't1 2'])
    model.dispose()
  })
})
