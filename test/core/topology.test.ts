// Which experts each gate sees, for every kind of level, and what is refused.

import { describe, expect, it } from 'vitest'

import { expertsByStream, gateWidths, topology } from '../../lib/core/topology.js'
import { refusal } from '../support/refusal.js'

const base = { inputDim: 7, units: 5, numTasks: 2 } as const

describe('named levels', () => {
  it('gives every task of an MMoE a gate over all experts', () => {
    const level = topology.mmoe({ ...base, numExperts: 3 })
    expect(level).toMatchObject({ streams: [7], outputs: [0, 1], units: 5, activation: 'relu', gateBias: false })
    expect(level.gates).toEqual([
      { stream: 0, experts: [0, 1, 2] },
      { stream: 0, experts: [0, 1, 2] },
    ])
  })

  it('repeats the one gate of an OMoE for every task', () => {
    const level = topology.omoe({ ...base, numTasks: 3, numExperts: 4, gateBias: true })
    expect(level.gates).toEqual([{ stream: 0, experts: [0, 1, 2, 3] }])
    expect(level.outputs).toEqual([0, 0, 0])
    expect(level.gateBias).toBe(true)
  })

  it('puts shared experts first at a CGC gate, then its own, task by task', () => {
    const level = topology.cgc({ ...base, numTasks: 3, numSharedExperts: 2, numSpecificExperts: [1, 3, 2] })
    expect(level.experts).toHaveLength(8)
    expect(level.gates.map(({ experts }) => experts)).toEqual([
      [0, 1, 2],
      [0, 1, 3, 4, 5],
      [0, 1, 6, 7],
    ])
    expect(gateWidths(level)).toEqual([3, 5, 4])
  })

  it('takes one number of specific experts for all tasks', () => {
    const level = topology.cgc({ ...base, numSharedExperts: 0, numSpecificExperts: 2 })
    expect(level.gates.map(({ experts }) => experts)).toEqual([
      [0, 1],
      [2, 3],
    ])
  })

  it('passes the one expert of a shared bottom on without a gate', () => {
    expect(topology.sharedBottom(base)).toMatchObject({ experts: [{ stream: 0 }], gates: [], outputs: [0, 0] })
  })
})

describe('a level of several streams', () => {
  it('expresses an inner PLE level: own streams, then the shared one', () => {
    const level = topology.level({
      streams: [8, 8, 8],
      experts: [{ stream: 2 }, { stream: 0 }, { stream: 1 }],
      gates: [
        { stream: 0, experts: [0, 1] },
        { stream: 1, experts: [0, 2] },
        { stream: 2, experts: [1, 2, 0] },
      ],
      units: 8,
    })
    expect(level.outputs).toEqual([0, 1, 2])
    expect(expertsByStream(level)[2]).toEqual([0])
    expect(Object.isFrozen(level)).toBe(true)
  })
})

describe('checks', () => {
  const level = (gates: { stream: number; experts: number[] }[], outputs?: number[]) =>
    topology.level({ streams: [4], experts: [{ stream: 0 }, { stream: 0 }], gates, units: 3, ...(outputs && { outputs }) })

  it.each([
    [
      'an expert that is not there',
      () =>
        level([
          { stream: 0, experts: [0] },
          { stream: 0, experts: [7] },
        ]),
      refusal('TOPOLOGY', { says: ['1', '7', '2'] }),
    ],
    ['a stream that is not there', () => level([{ stream: 1, experts: [0] }]), refusal('TOPOLOGY', { says: ['0', '1'] })],
    ['an expert seen twice', () => level([{ stream: 0, experts: [1, 1] }]), refusal('TOPOLOGY', { says: ['0', '1'] })],
    ['a blind gate', () => level([{ stream: 0, experts: [] }]), refusal('TOPOLOGY', { says: '0' })],
    ['an output that is not there', () => level([{ stream: 0, experts: [0] }], [0, 1]), refusal('TOPOLOGY', { says: '1' })],
    ['experts without a gate', () => level([]), refusal('TOPOLOGY', { says: '2' })],
    ['a wrong width', () => topology.mmoe({ ...base, inputDim: 0, numExperts: 1 }), 'inputDim'],
    ['a fraction', () => topology.mmoe({ ...base, numExperts: 1.5 }), 'numExperts'],
    ['a wrong activation', () => topology.mmoe({ ...base, numExperts: 1, activation: 'selu' as 'relu' }), 'activation'],
    ['no options', () => topology.mmoe(undefined as never), refusal('ARGUMENT', { field: 'topology.mmoe' })],
    [
      'an option of another name',
      () => topology.mmoe({ ...base, numExperts: 1, gatebias: true } as never),
      refusal('ARGUMENT', { field: 'topology.mmoe.gatebias', says: "'gateBias'" }),
    ],
    [
      'an option of another level',
      () => topology.sharedBottom({ ...base, gateBias: true } as never),
      refusal('ARGUMENT', { field: 'topology.sharedBottom.gateBias' }),
    ],
    [
      'a missing task',
      () => topology.cgc({ ...base, numSharedExperts: 1, numSpecificExperts: [1] }),
      refusal('TOPOLOGY', { says: ['numSpecificExperts', '2', '1'] }),
    ],
    [
      'a task with nothing to see',
      () => topology.cgc({ ...base, numSharedExperts: 0, numSpecificExperts: [1, 0] }),
      refusal('TOPOLOGY', { says: '1' }),
    ],
  ])('names %s', (_, make, message) => {
    expect(make).toThrow(message)
  })

  const whole = { streams: [4], experts: [{ stream: 0 }], gates: [{ stream: 0, experts: [0] }], units: 3 }
  const wrong: readonly [object, Error][] = [
    [{ streams: undefined }, refusal('ARGUMENT', { field: 'streams' })],
    [{ experts: null }, refusal('ARGUMENT', { field: 'experts' })],
    [{ experts: [null] }, refusal('ARGUMENT', { field: 'experts[0]' })],
    [{ gates: undefined }, refusal('ARGUMENT', { field: 'gates' })],
    [{ gates: [undefined] }, refusal('ARGUMENT', { field: 'gates[0]' })],
    [{ gates: [{ stream: 0 }] }, refusal('ARGUMENT', { field: 'gates[0].experts' })],
    [{ outputs: 0 }, refusal('ARGUMENT', { field: 'outputs', says: '0' })],
    [{ expertHiddenUnits: null }, refusal('ARGUMENT', { field: 'expertHiddenUnits' })],
    [{ gateHiddenUnits: 3 }, refusal('ARGUMENT', { field: 'gateHiddenUnits', says: '3' })],
    [{ gateBias: 'no' }, refusal('ARGUMENT', { field: 'gateBias', says: '"no"' })],
  ]
  it.each(wrong)('refuses %o', (change, refused) => {
    expect(() => topology.level({ ...whole, ...change } as never)).toThrow(refused)
  })

  it('refuses counts and fusions that are none', () => {
    const ple = { ...base, numSharedExperts: 1, numSpecificExperts: 1, numLevels: 2 }
    const make = (change: object) => () => topology.ple({ ...ple, ...change } as never)
    expect(make({ numSpecificExperts: null })).toThrow(refusal('ARGUMENT', { field: 'numSpecificExperts' }))
    expect(make({ fusion: null })).toThrow(refusal('ARGUMENT', { field: 'fusion' }))
    expect(make({ units: 3n })).toThrow(refusal('ARGUMENT', { field: 'units', says: ['[1, 16777216]', '3n'] }))
  })
})
