// How gates weigh experts, as means over rows, and how a table shows it.

import { describe, expect, it } from 'vitest'

import type { Encoder } from '../../lib/features/encode/encoder.js'
import { encodeColumn } from '../../lib/features/encode/encoders.js'
import { binary, CGC, dense, gatesTable, MMoE, PLE, SharedBottom, sparse } from '../../lib/index.js'
import { builtOf } from '../../lib/model/model.js'
import { mixtureForward, topology } from '../../lib/ops.js'
import { data } from '../support/small-data.js'

const train = data({ rows: 2000 })
const features = [sparse('user', { vocabulary: 30, dim: 4 }), dense('price', { transform: 'standardize' })]
const common = { features, tasks: [binary('click'), binary('buy')] as const, expertHiddenUnits: [4] }

describe('the gates of a model', () => {
  it('are the means of what the fused op gives', async () => {
    using model = new MMoE({
      features: [dense('price', { transform: 'standardize' })],
      tasks: common.tasks,
      numExperts: 3,
      expertHiddenUnits: [4],
    })
    await model.fit(train, { epochs: 2, batchSize: 100 })
    const gates = await model.gates(train)
    expect(gates.map(({ level, gate }) => [level, gate])).toEqual([
      [0, 'click'],
      [0, 'buy'],
    ])
    expect(gates[0]?.experts.map(({ name }) => name)).toEqual(['expert 1', 'expert 2', 'expert 3'])

    const { runner, encoder } = builtOf(model)
    const [price] = encoder.encoders
    const x = encodeColumn(price as Encoder, train.column('price')).data as Float32Array
    const read = (name: string): Float32Array => {
      const tensor = runner.network.parameters.tensors.find((one) => one.name === name)
      const parts = tensor ? [...runner.weights.parts({ ...tensor, memory: 'parameters' })] : []
      return Float32Array.from(parts.flatMap((part) => [...part]))
    }
    const level = topology.mmoe({ inputDim: 1, numExperts: 3, units: 4, numTasks: 2 })
    const params = {
      expertKernel: read('expert.kernel'),
      expertBias: read('expert.bias'),
      gateKernel: ['click', 'buy'].map((task) => read(`gate.${task}.kernel`)),
    }
    const { cache } = mixtureForward(level, params, x)
    gates.forEach(({ experts }, gate) => {
      experts.forEach(({ weight }, expert) => {
        const column = (cache.gates[gate] ?? new Float32Array(0)).filter((_, index) => index % 3 === expert)
        expect(weight).toBeCloseTo(column.reduce((sum, value) => sum + value, 0) / 2000, 6)
      })
    })
  })

  it('are named after whose experts they weigh, level by level, and add up to 1', async () => {
    using model = new PLE({ ...common, numLevels: 2, numSharedExperts: 1, numSpecificExperts: [2, 1] })
    await model.build(train)
    const gates = await model.gates(train)
    expect(gates.map(({ level, gate, experts }) => [level, gate, experts.map(({ name }) => name).join()])).toEqual([
      [0, 'click', 'shared 1,click 1,click 2'],
      [0, 'buy', 'shared 1,buy 1'],
      [0, 'shared', 'click 1,click 2,buy 1,shared 1'],
      [1, 'click', 'shared 1,click 1,click 2'],
      [1, 'buy', 'shared 1,buy 1'],
    ])
    for (const { experts } of gates) expect(experts.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 5)
    const lines = gatesTable(gates).split('\n')
    expect(lines[0]).toMatch(/^level 1 +shared 1 +click 1 +click 2 +buy 1$/)
    expect(lines).toHaveLength(8)
    expect(lines[1]).toMatch(/^click +\d+% █*[▏▎▍▌▋▊▉]? +\d+%/)
  })

  it('are added up by owner where there are many', async () => {
    using model = new PLE({ ...common, numLevels: 1, numSharedExperts: 8, numSpecificExperts: [3, 1] })
    await model.build(train)
    const [header, click, buy] = gatesTable(await model.gates(train)).split('\n')
    expect(header).toMatch(/^gate +shared 1-8 +click 1-3 +buy 1$/)
    const percents = (line = '') => [...line.matchAll(/(\d+)%/g)].reduce((sum, [, percent]) => sum + Number(percent), 0)
    for (const line of [click, buy]) expect(Math.abs(percents(line) - 100)).toBeLessThanOrEqual(1)
  })

  it('are none where there are none', async () => {
    using shared = new SharedBottom({ features, tasks: common.tasks, bottomHiddenUnits: [4] })
    await shared.build(train)
    expect(await shared.gates(train)).toEqual([])
    using cgc = new CGC({ ...common, numSharedExperts: 0, numSpecificExperts: 1 })
    await cgc.build(train)
    expect((await cgc.gates(train)).map(({ experts }) => experts)).toEqual([
      [{ name: 'click 1', weight: expect.closeTo(1, 6) as number }],
      [{ name: 'buy 1', weight: expect.closeTo(1, 6) as number }],
    ])
  })
})
