import { describe, expect, it } from 'vitest'

import { expertsByStream, gateWidths, topology } from '../../lib/core/topology.js'

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
      'gate 1 sees expert 7 but there are 2 experts',
    ],
    ['a stream that is not there', () => level([{ stream: 1, experts: [0] }]), 'gate 0 reads stream 1 but there is 1 stream'],
    ['an expert seen twice', () => level([{ stream: 0, experts: [1, 1] }]), 'gate 0 sees expert 1 twice'],
    ['a blind gate', () => level([{ stream: 0, experts: [] }]), 'gate 0 sees no expert'],
    ['an output that is not there', () => level([{ stream: 0, experts: [0] }], [0, 1]), 'output 1 is gate 1 but there is 1 gate'],
    ['experts without a gate', () => level([]), '2 experts need a gate'],
    ['a wrong width', () => topology.mmoe({ ...base, inputDim: 0, numExperts: 1 }), 'inputDim'],
    ['a fraction', () => topology.mmoe({ ...base, numExperts: 1.5 }), 'numExperts'],
    ['a wrong activation', () => topology.mmoe({ ...base, numExperts: 1, activation: 'selu' as 'relu' }), 'activation'],
    ['no options', () => topology.mmoe(undefined as never), 'topology.mmoe: expected an object of options, found nothing'],
    [
      'an option of another name',
      () => topology.mmoe({ ...base, numExperts: 1, gatebias: true } as never),
      "topology.mmoe.gatebias: unknown option; did you mean 'gateBias'",
    ],
    [
      'an option of another level',
      () => topology.sharedBottom({ ...base, gateBias: true } as never),
      'topology.sharedBottom.gateBias: unknown option',
    ],
    [
      'a missing task',
      () => topology.cgc({ ...base, numSharedExperts: 1, numSpecificExperts: [1] }),
      'numSpecificExperts: expected one number per task (2), found 1',
    ],
    [
      'a task with nothing to see',
      () => topology.cgc({ ...base, numSharedExperts: 0, numSpecificExperts: [1, 0] }),
      'gate 1 sees no expert',
    ],
  ])('names %s', (_, make, message) => {
    expect(make).toThrow(message)
  })

  const whole = { streams: [4], experts: [{ stream: 0 }], gates: [{ stream: 0, experts: [0] }], units: 3 }
  const wrong: readonly [object, string][] = [
    [{ streams: undefined }, 'streams: expected a list of widths, found nothing'],
    [{ experts: null }, 'experts: expected a list of experts, found null'],
    [{ experts: [null] }, 'experts[0]: expected { stream }, found null'],
    [{ gates: undefined }, 'gates: expected a list of gates, found nothing'],
    [{ gates: [undefined] }, 'gates[0]: expected { stream, experts }, found nothing'],
    [{ gates: [{ stream: 0 }] }, 'gates[0].experts: expected a list of experts, found nothing'],
    [{ outputs: 0 }, 'outputs: expected a list of gates, found 0'],
    [{ expertHiddenUnits: null }, 'expertHiddenUnits: expected a list of widths, found null'],
    [{ gateHiddenUnits: 3 }, 'gateHiddenUnits: expected a list of widths, found 3'],
    [{ gateBias: 'no' }, 'gateBias: expected true or false, found "no"'],
  ]
  it.each(wrong)('refuses %o', (change, message) => {
    const refused = expect.objectContaining({ code: 'ERR_MULTIGATE_ARGUMENT', message })
    expect(() => topology.level({ ...whole, ...change } as never)).toThrow(refused)
  })

  it('refuses counts and fusions that are none', () => {
    const ple = { ...base, numSharedExperts: 1, numSpecificExperts: 1, numLevels: 2 }
    const make = (change: object) => () => topology.ple({ ...ple, ...change } as never)
    expect(make({ numSpecificExperts: null })).toThrow('numSpecificExperts: expected a list of numbers, one per task')
    expect(make({ fusion: null })).toThrow('fusion: expected a list of names, or one of')
    expect(make({ units: 3n })).toThrow('units: expected an integer in [1, 16777216], found 3n')
  })
})
