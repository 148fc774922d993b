// Gates that read features of their own: what they depend on, what they compute, and errors that name the key.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { parseConfig } from '../../lib/cli/config.js'
import { CGC, checkpoint, Dataset, dense, type History, loadModel, MMoE, OMoE, PLE, sequence, sparse } from '../../lib/index.js'
import { modelClasses } from '../../lib/model/classes.js'
import { builtOf, type Model } from '../../lib/model/model.js'
import { binary } from '../../lib/tasks/binary.js'
import { refusal } from '../support/refusal.js'
import { columns, data } from '../support/small-data.js'

const train = data({ rows: 600 })
const tasks = [binary('click'), binary('buy')] as const
const features = [sparse('user', { vocabulary: 30, dim: 4 }), sparse('city', { dim: 3 }), dense('price')]
const common = { features, tasks, expertHiddenUnits: [6], seed: 3 }
const settings = { epochs: 2, batchSize: 100 }

const make: Record<string, (gateFeatures: string[]) => Model> = {
  MMoE: (gateFeatures) => new MMoE({ ...common, numExperts: 3, bottomHiddenUnits: [5], gateFeatures }),
  OMoE: (gateFeatures) => new OMoE({ ...common, numExperts: 3, gateHiddenUnits: [4], gateFeatures }),
  CGC: (gateFeatures) => new CGC({ ...common, numSharedExperts: 2, numSpecificExperts: 1, gateFeatures }),
  PLE: (gateFeatures) =>
    new PLE({ ...common, expertHiddenUnits: [4, 6], numSharedExperts: 2, numSpecificExperts: 1, fusion: 'sum', gateFeatures }),
}

/** Rows that differ in everything but one column. */
function rowsOf(column: 'user' | 'price', value: number): Record<string, readonly unknown[]> {
  const { user, city, price } = columns({ rows: 40, seed: 9 }) as Record<string, ArrayLike<unknown>>
  const all = { user: [...Array.from(user ?? [])], city: [...Array.from(city ?? [])], price: [...Array.from(price ?? [])] }
  return { ...all, [column]: all[column].map(() => value) }
}

/** The weights of the gates of one row, by level. */
async function weightsOf(net: Model, rows: object, row: number): Promise<number[][]> {
  const one = Object.fromEntries(Object.entries(rows).map(([name, values]) => [name, [(values as unknown[])[row]]]))
  const gates = await net.gates(one as never)
  const levels = [...new Set(gates.map(({ level }) => level))]
  return levels.map((level) =>
    gates.filter((gate) => gate.level === level).flatMap(({ experts }) => experts.map(({ weight }) => weight)),
  )
}

describe.each(Object.keys(make))('%s', (name) => {
  it('has gates of the first level that depend on their features alone, and predictions that depend on all', async () => {
    using net = make[name]?.(['user']) as Model
    await net.fit(train, settings)
    const alike = rowsOf('user', 7)
    const [first, ...later] = await weightsOf(net, alike, 0)
    for (const row of [1, 2, 3]) {
      const [own, ...others] = await weightsOf(net, alike, row)
      expect(own).toEqual(first)
      if (later.length > 0) expect(others).not.toEqual(later)
    }
    expect((await weightsOf(net, rowsOf('user', 8), 0))[0]).not.toEqual(first)
    const { click } = (await net.predict(alike as never)) as { click: Float32Array }
    expect(new Set(click).size).toBeGreaterThan(20)
  })

  it('is saved, loaded and resumed to the bit, for any number of threads', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'last.safetensors')
    const timeless = ({ epochs }: History) => epochs.map(({ seconds, rowsPerSecond, ...epoch }) => epoch)
    using whole = make[name]?.(['price', 'user']) as Model
    const history = await whole.fit(train, { ...settings, epochs: 3 })
    using begun = make[name]?.(['price', 'user']) as Model
    await begun.fit(train, { ...settings, epochs: 1, callbacks: [checkpoint({ path })] })
    using resumed = make[name]?.(['price', 'user']) as Model
    expect(timeless(await resumed.fit(train, { ...settings, epochs: 3, resume: path }))).toEqual(timeless(history))
    const scores = await whole.predict(train)
    expect(await resumed.predict(train)).toEqual(scores)
    await whole.save(path)
    using loaded = await loadModel(path, { threads: 1 })
    expect(await loaded.predict(train)).toEqual(scores)
    expect(loaded.describe().options).toMatchObject({ gateFeatures: ['price', 'user'] })
    using other = make[name]?.(['user']) as Model
    await expect(other.fit(train, { resume: path })).rejects.toThrow(refusal('ARGUMENT', { says: 'gateFeatures.0' }))
  })
})

it('the predictions are those of plain formulas, with a list per task; the tensors keep their names', async () => {
  const numbers = { a: [0.5, -1, 2, 0.25], b: [1, 0, -0.5, 3], click: [0, 1, 1, 0], buy: [1, 0, 1, 0] }
  const plain = [dense('a', { transform: 'none' }), dense('b', { transform: 'none' })]
  const options = { features: plain, tasks, numExperts: 2, expertHiddenUnits: [1], activation: 'tanh', seed: 1 } as const
  using net = new MMoE({ ...options, gateFeatures: { buy: ['b'] } })
  await net.fit(Dataset.fromColumns(numbers), { epochs: 2 })
  const shapes = Object.fromEntries(net.describe().weights.map(({ name, shape }) => [name, shape]))
  expect(shapes).toMatchObject({ 'expert.kernel': [2, 2, 1], 'gate.click.kernel': [2, 2], 'gate.buy.kernel': [1, 2] })
  const { network, weights } = builtOf(net).runner
  const read = (name: string): number[] => {
    const tensor = network.parameters.tensors.find((one) => one.name === name)
    return tensor ? [...weights.parts({ ...tensor, memory: 'parameters' })].flatMap((part) => [...part]) : []
  }
  const scores = await net.predict({ a: numbers.a, b: numbers.b })
  for (const { name } of tasks) {
    numbers.a.forEach((a, row) => {
      const x = [a, numbers.b[row] ?? NaN]
      const dot = (kernel: number[], inputs: number[], width: number, at: number) =>
        inputs.reduce((sum, value, index) => sum + value * (kernel[index * width + at] ?? NaN), 0)
      const experts = [0, 1].map((expert) => {
        return Math.tanh(
          dot(read('expert.kernel').slice(2 * expert, 2 * expert + 2), x, 1, 0) + (read('expert.bias')[expert] ?? NaN),
        )
      })
      const logits = [0, 1].map((at) => Math.exp(dot(read(`gate.${name}.kernel`), name === 'buy' ? x.slice(1) : x, 2, at)))
      const mixed = logits.reduce((sum, weight, at) => sum + weight * (experts[at] ?? NaN), 0) / logits.reduce((p, q) => p + q)
      const logit = mixed * (read(`tower.${name}.0.kernel`)[0] ?? NaN) + (read(`tower.${name}.0.bias`)[0] ?? NaN)
      expect(scores[name][row]).toBeCloseTo(1 / (1 + Math.exp(-logit)), 6)
    })
  }
})

it('gates of a PLE whose task has no list, and its shared gate, read what the experts read', async () => {
  const counts = { numSharedExperts: 1, numSpecificExperts: 1, numLevels: 2 }
  using net = new PLE({ ...common, ...counts, bottomHiddenUnits: [9], gateFeatures: { buy: ['city', 'price'] } })
  await net.build(train)
  const shapes = Object.fromEntries(net.describe().weights.map(({ name, shape }) => [name, shape]))
  expect(shapes).toMatchObject({
    'level.0.expert.kernel': [3, 9, 6],
    'level.0.gate.click.kernel': [9, 2],
    'level.0.gate.buy.kernel': [4, 2],
    'level.0.gate.shared.kernel': [9, 3],
    'level.1.gate.buy.kernel': [6, 2],
  })
  const reads = net.describe().levels.map((gates) => gates.map(({ name, features: own }) => [name, own]))
  expect(reads).toEqual([
    [
      ['click', undefined],
      ['buy', ['city', 'price']],
      ['shared', undefined],
    ],
    [
      ['click', undefined],
      ['buy', undefined],
    ],
  ])
})

it('a sequence may be among them', async () => {
  const rows = { ...columns({ rows: 50 }), tags: Array.from({ length: 50 }, (_, row) => [row % 3, row % 5]) }
  const withTags = [...features, sequence('tags', { vocabulary: 6, dim: 2, maxLength: 2, combiner: 'mean' })]
  using net = new MMoE({ ...common, features: withTags, numExperts: 2, gateFeatures: ['tags'] })
  await net.fit(Dataset.fromColumns(rows), settings)
  expect(net.describe().weights.find(({ name }) => name === 'gate.buy.kernel')?.shape).toEqual([2, 2])
})

it('an empty list per task changes nothing', async () => {
  using plain = new MMoE({ ...common, numExperts: 3 })
  using empty = new MMoE({ ...common, numExperts: 3, gateFeatures: {} })
  for (const net of [plain, empty]) await net.fit(train, settings)
  expect(await empty.predict(train)).toEqual(await plain.predict(train))
})

it('a configuration makes the same model', async () => {
  const words = [
    { kind: 'sparse', name: 'user', vocabulary: 30, dim: 4 },
    { kind: 'sparse', name: 'city', dim: 3 },
    { kind: 'dense', name: 'price' },
  ]
  const named = {
    model: 'CGC',
    features: words,
    tasks: [
      { kind: 'binary', name: 'click' },
      { kind: 'binary', name: 'buy' },
    ],
  }
  const counts = { numSharedExperts: 2, numSpecificExperts: 1 }
  const config = { ...named, ...counts, expertHiddenUnits: [6], seed: 3, gateFeatures: { click: ['user'] } }
  const { model, options } = parseConfig(JSON.parse(JSON.stringify(config)))
  using configured = new modelClasses[model](options as never)
  using written = new CGC({ ...common, ...counts, gateFeatures: { click: ['user'] } })
  for (const net of [configured, written]) await net.fit(train, settings)
  expect(await configured.predict(train)).toEqual(await written.predict(train))
})

it.each<[unknown, string, string]>([
  [['user', 'age'], 'gateFeatures[1]', '"age"'],
  [['user', 'user'], 'gateFeatures[1]', 'once'],
  [[], 'gateFeatures', '1'],
  ['user', 'gateFeatures', '"user"'],
  [[1], 'gateFeatures', '1'],
  [{ like: ['user'] }, 'gateFeatures.like', 'click, buy'],
  [{ buy: ['colour'] }, 'gateFeatures.buy[0]', 'price'],
  [{ buy: [] }, 'gateFeatures.buy', '1'],
  [{ toString: ['user'] }, 'gateFeatures.toString', 'click, buy'],
  [null, 'gateFeatures', 'null'],
])('%o is refused', (gateFeatures, field, says) => {
  const wrong = () => new MMoE({ ...common, numExperts: 2, gateFeatures: gateFeatures as never })
  expect(wrong).toThrow(refusal('ARGUMENT', { says }))
  expect(wrong).toThrow(
    expect.objectContaining({ field: expect.stringMatching(`^MMoE.${field.replace(/[[\].]/g, '\\$&')}`) as string }),
  )
  if (!Array.isArray(gateFeatures) && typeof gateFeatures === 'object' && gateFeatures !== null)
    expect(() => new OMoE({ ...common, numExperts: 2, gateFeatures: gateFeatures as never })).toThrow(refusal('ARGUMENT'))
})
