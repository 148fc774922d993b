// What `gateStatistics` measures after an epoch: against plain float64 formulas, its words for what is wrong, and that it changes nothing.

import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import {
  binary,
  CGC,
  checkpoint,
  Dataset,
  dense,
  epochLog,
  type GateRecord,
  gatesTable,
  type History,
  MMoE,
  OMoE,
  PLE,
  progress,
  SharedBottom,
  sgd,
} from '../../lib/index.js'
import { builtOf, type Model } from '../../lib/model/model.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

/** A rate so small that no weight moves. */
const still = sgd({ learningRate: 1e-30 })
const train = data({ rows: 700 })
const tasks = [binary('click'), binary('buy')] as const

/** A tensor of a built model. */
function read(net: Model, name: string): number[] {
  const { network, weights } = builtOf(net).runner
  const tensor = network.parameters.tensors.find((one) => one.name === name)
  return tensor ? [...weights.parts({ ...tensor, memory: 'parameters' })].flatMap((part) => [...part]) : []
}

function write(net: Model, name: string, change: (values: Float32Array) => void): void {
  const { network, weights } = builtOf(net).runner
  const offset = network.parameters.tensors.find((one) => one.name === name)?.offset ?? NaN
  const values = Float32Array.from(read(net, name))
  change(values)
  weights.write({ memory: 'parameters', offset }, values)
}

async function recordOf(net: Model, rows = train): Promise<GateRecord> {
  const { epochs } = await net.fit(rows, { gateStatistics: true, optimizer: still, freeze: ['expert'], batchSize: 256 })
  const gates = epochs[0]?.gates
  if (gates === undefined) throw new Error('no record')
  return gates
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

describe.each(['cpu', 'reference'] as const)('on %s', (device) => {
  it('an MMoE has the weights, entropies, shares and correlations of plain formulas', async () => {
    const price = Array.from({ length: 300 }, (_, row) => Math.sin(row) + row / 200)
    const age = Array.from({ length: 300 }, (_, row) => Math.cos(3 * row))
    const rows = Dataset.fromColumns({
      price,
      age,
      click: price.map((value) => Number(value > 0.5)),
      buy: age.map((value) => Number(value > 0)),
    })
    const features = [dense('price', { transform: 'none' }), dense('age', { transform: 'none' })]
    using net = new MMoE({ features, tasks, numExperts: 3, expertHiddenUnits: [2], activation: 'tanh', seed: 3, device })
    await net.build(rows)
    write(net, 'expert.bias', (values) => values.set([0.3, -0.2, 0.1, 0.5, -0.4, 0.2]))
    const { gates, similarity, warnings } = await recordOf(net, rows)

    const [kernel, bias] = [read(net, 'expert.kernel'), read(net, 'expert.bias')]
    const outputs = [0, 1, 2].map((expert) =>
      [0, 1].map((unit) =>
        price.map((first, row) => {
          const [one = NaN, two = NaN] = [kernel[expert * 4 + unit], kernel[expert * 4 + 2 + unit]]
          return Math.tanh(first * one + (age[row] ?? NaN) * two + (bias[expert * 2 + unit] ?? NaN))
        }),
      ),
    )
    const centred = outputs.map((units) => units.flatMap((unit) => unit.map((value) => value - mean(unit))))
    const dot = (one: number, other: number) =>
      (centred[one] ?? []).reduce((sum, value, at) => sum + value * (centred[other]?.[at] ?? NaN), 0)
    const names = ['expert 1', 'expert 2', 'expert 3']
    for (const [one, other] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const) {
      const want = dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other))
      expect(similarity[0]?.[names[one] ?? '']?.[names[other] ?? '']).toBeCloseTo(want, 5)
    }
    tasks.forEach(({ name }, task) => {
      const gate = read(net, `gate.${name}.kernel`)
      const weights = price.map((first, row) => {
        const logits = [0, 1, 2].map((at) => Math.exp(first * (gate[at] ?? NaN) + (age[row] ?? NaN) * (gate[3 + at] ?? NaN)))
        return logits.map((value) => value / logits.reduce((sum, one) => sum + one, 0))
      })
      const own = gates[task]
      expect(own).toMatchObject({ level: 0, gate: name })
      const entropies = weights.map((row) => -row.reduce((sum, p) => sum + p * Math.log(p), 0) / Math.log(3))
      expect(own?.entropy).toBeCloseTo(mean(entropies), 5)
      names.forEach((expert, at) => {
        expect(own?.experts[at]?.name).toBe(expert)
        expect(own?.experts[at]?.weight).toBeCloseTo(mean(weights.map((row) => row[at] ?? NaN)), 5)
        expect(own?.experts[at]?.top).toBeCloseTo(mean(weights.map((row) => Number(Math.max(...row) === row[at]))), 9)
      })
    })
    expect(warnings).toEqual([])
    expect(gatesTable(gates)).toMatch(/^gate +expert 1 +expert 2 +expert 3\n/)
  })

  it('the last level of a deep PLE gives the predictions of the model: weights times outputs, into a linear tower', async () => {
    const { features } = model()
    const options = { features, tasks, expertHiddenUnits: [5, 3], gateHiddenUnits: [4], numLevels: 2 }
    using net = new PLE({ ...options, numSharedExperts: 2, numSpecificExperts: [1, 2], seed: 4, device })
    await net.build(train)
    const { runner, encoder } = builtOf(net)
    using rows = await encoder.encode(train, runner.compute.native, 'prediction')
    const { outputs } = await runner.run(runner.network.experts().program, rows)
    const [gates, experts] = [outputs.get('gates:1') ?? [], outputs.get('experts:1') ?? []]
    const names = runner.network.experts().levels[1] ?? []
    expect(names).toEqual(['shared 1', 'shared 2', 'click 1', 'buy 1', 'buy 2'])
    const scores = await net.predict(train)
    let first = 0
    for (const { name, experts: seen } of runner.network.gateLevels[1] ?? []) {
      const [kernel, bias] = [read(net, `tower.${name}.0.kernel`), read(net, `tower.${name}.0.bias`)]
      for (let row = 0; row < train.rows; row += 97) {
        const logit = seen.reduce((sum, expert, at) => {
          const from = (row * names.length + names.indexOf(expert)) * 3
          const own = kernel.reduce((total, weight, unit) => total + weight * (experts[from + unit] ?? NaN), 0)
          return sum + (gates[row * 7 + first + at] ?? NaN) * own
        }, bias[0] ?? NaN)
        expect(scores[name as 'click'][row]).toBeCloseTo(1 / (1 + Math.exp(-logit)), 5)
      }
      first += seen.length
    }
  })
})

describe('says in words', () => {
  const features = [dense('price', { transform: 'standardize' })]
  const small = { features, tasks, expertHiddenUnits: [3], gateBias: true, activation: 'tanh' } as const

  /** What the record and `progress` say of a changed model. */
  async function said(net: Model, change: () => void): Promise<readonly string[]> {
    await net.build(train)
    change()
    let text = ''
    const stream = { write: (line: string) => void (text += line) }
    const callbacks = [progress({ stream, bar: false })]
    const { epochs } = await net.fit(train, { gateStatistics: true, optimizer: still, freeze: ['expert'], callbacks })
    const warnings = epochs[0]?.gates?.warnings ?? []
    for (const warning of warnings) expect(text).toContain(`\n${warning}\n`)
    return warnings
  }

  it('that a gate has collapsed, but not if it sees one expert', async () => {
    using net = new MMoE({ ...small, numExperts: 3 })
    const found = await said(net, () => write(net, 'gate.click.bias', (bias) => bias.set([0, 40, 0])))
    expect(found).toEqual(['gate click has collapsed: it gives expert 2 100.0% of its weight'])
    using single = new CGC({ ...small, numSharedExperts: 0, numSpecificExperts: 1 })
    expect(await said(single, () => undefined)).toEqual([])
    const [gate] = (await recordOf(single)).gates
    expect(gate).toMatchObject({ entropy: undefined, experts: [{ name: 'click 1', weight: 1, top: 1 }] })
  })

  it('that no gate uses an expert, which takes all gates that see it', async () => {
    using net = new PLE({ ...small, numLevels: 2, numSharedExperts: 2, numSpecificExperts: 1 })
    const [one, other] = ['level.0.gate.click.bias', 'level.0.gate.buy.bias']
    expect(
      await said(net, () => {
        for (const name of [one, other]) write(net, name, (bias) => bias.set([0, -40, 0]))
      }),
    ).toEqual([])
    write(net, 'level.0.gate.shared.bias', (bias) => bias.set([0, 0, 0, -40]))
    expect((await recordOf(net)).warnings).toEqual(['level 1: no gate uses shared 2'])
  })

  it('that two experts do the same, and that one never changes', async () => {
    using net = new OMoE({ ...small, numExperts: 4 })
    const found = await said(net, () => {
      write(net, 'expert.kernel', (kernel) => {
        kernel.copyWithin(6, 0, 3)
        kernel.fill(0, 9, 12)
      })
    })
    expect(found).toEqual([
      'expert 4 gives the same for every row',
      'expert 1 and expert 3 do the same: their outputs correlate by 1.000',
    ])
    const { similarity } = await recordOf(net)
    expect(Object.keys(similarity[0]?.['expert 1'] ?? {})).toEqual(['expert 2', 'expert 3'])
  })
})

describe('changes nothing', () => {
  const timeless = ({ epochs }: History) => epochs.map(({ seconds, rowsPerSecond, ...epoch }) => epoch)
  const settings = { epochs: 3, batchSize: 100, validation: data({ rows: 100, seed: 2 }) }
  const scoresOf = async (net: Model) => await net.predict(train)

  it('in the weights, the history or later epochs, with dropout', async () => {
    using plain = model({ dropout: 0.2 })
    using watched = model({ dropout: 0.2 })
    const want = await plain.fit(train, settings)
    const got = await watched.fit(train, { ...settings, gateStatistics: true })
    expect(want.epochs[0]).not.toHaveProperty('gates')
    expect(timeless(got).map(({ gates, ...epoch }) => epoch)).toEqual(timeless(want))
    expect(await scoresOf(watched)).toEqual(await scoresOf(plain))
  })

  it('and is the same for any number of threads, and after a break', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'last.safetensors')
    const rows = data({ rows: 4000 })
    const run = async (threads: number, options: object) => {
      using net = model({ threads, dropout: 0.1 })
      return timeless(await net.fit(rows, { ...settings, gateStatistics: true, ...options }))
    }
    const whole = await run(1, {})
    expect(whole[2]?.gates?.gates).toHaveLength(2)
    expect(await run(3, {})).toEqual(whole)
    await run(2, { epochs: 1, callbacks: [checkpoint({ path })] })
    expect(await run(1, { resume: path })).toEqual(whole)
  })
})

it('takes the same rows in every epoch, whatever their order in training', async () => {
  using net = model()
  const rows = data({ rows: 5000 })
  const [first, second] = (await net.fit(rows, { gateStatistics: true, optimizer: still, epochs: 2 })).epochs
  expect(second?.gates).toEqual(first?.gates)
  const [unshuffled] = (await net.fit(rows, { gateStatistics: true, optimizer: still, shuffle: false })).epochs
  expect(unshuffled?.gates).toEqual(first?.gates)
  // A sample of 1024 of 5000 rows is close to all rows.
  const all = await net.gates(rows)
  for (const [gate, { experts }] of (first?.gates?.gates ?? []).entries()) {
    for (const [at, { weight }] of experts.entries())
      expect(Math.abs(weight - (all[gate]?.experts[at]?.weight ?? NaN))).toBeLessThan(0.02)
  }
})

it('is a part of the log of epochs', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'epochs.jsonl')
  const { features } = model()
  const options = { features, tasks, expertHiddenUnits: [4], numSharedExperts: 1, numSpecificExperts: 1 }
  using net = new PLE({ ...options, numLevels: 2 })
  const { epochs } = await net.fit(train, { gateStatistics: true, callbacks: [epochLog({ path })] })
  const { gates = [], similarity = [] } = epochs[0]?.gates ?? {}
  const line = JSON.parse(readFileSync(path, 'utf8')) as Record<string, number>
  expect(line).toMatchObject({
    'level.0.gate.shared.entropy': gates[2]?.entropy,
    'level.1.gate.buy.largest': Math.max(...(gates[4]?.experts ?? []).map(({ weight }) => weight)),
    'level.0.expert.similarity': Math.max(...Object.values(similarity[0] ?? {}).flatMap((others) => Object.values(others))),
  })
  using one = model()
  await one.fit(train, { gateStatistics: true, callbacks: [epochLog({ path })] })
  expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')) as object)).toEqual(
    expect.arrayContaining(['gate.click.entropy', 'gate.buy.largest', 'expert.similarity']),
  )
})

it('compares no experts of a level that has very many', async () => {
  const { features } = model()
  const sizeOf = async (numExperts: number): Promise<number> => {
    using net = new OMoE({ features, tasks, numExperts, expertHiddenUnits: [1] })
    const { gates, similarity } = await recordOf(net, data({ rows: 50 }))
    expect(gates[0]?.experts).toHaveLength(numExperts)
    return Object.values(similarity[0] ?? {}).flatMap((others) => Object.values(others)).length
  }
  expect(await sizeOf(129)).toBe(0)
  expect(await sizeOf(128)).toBeGreaterThan(128)
})

it('is nothing for a model without gates', async () => {
  using net = new SharedBottom({ features: model().features, tasks, bottomHiddenUnits: [4] })
  const { epochs } = await net.fit(train, { gateStatistics: true })
  expect(epochs[0]).not.toHaveProperty('gates')
})

it.each([1, 'yes', null, {}])('refuses %o', async (gateStatistics) => {
  using net = model()
  await expect(net.fit(train, { gateStatistics } as never)).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.gateStatistics' }))
})
