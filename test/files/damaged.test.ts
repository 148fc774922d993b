// Damaged and hostile files of models: a typed error that names the file, or a model, and never anything else.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

import { MultigateError } from '../../lib/core/errors.js'
import { dense as denseFeature } from '../../lib/features/spec/dense.js'
import { MMoE } from '../../lib/model/classes.js'
import { loadModel } from '../../lib/model/load.js'
import { type ModelName, models } from '../../lib/models/registry.js'
import { loadNative } from '../../lib/native/loader.js'
import { regression } from '../../lib/tasks/regression.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-'))
const path = join(folder, 'damaged.safetensors')
let whole: Buffer
let headerEnd: number

beforeAll(async () => {
  const good = join(folder, 'good.safetensors')
  using net = model()
  await net.fit(data({ rows: 500 }), { callbacks: [checkpoint({ path: good })] })
  whole = readFileSync(good)
  headerEnd = 8 + Number(whole.readBigUInt64LE(0))
})

afterEach(() => void vi.restoreAllMocks())

/** What comes of a file: a model that works, or its error. */
async function outcome(bytes: Uint8Array): Promise<string> {
  writeFileSync(path, bytes)
  const found = await attempt(async () => {
    using net = await loadModel(path)
    await net.predict({ user: [1], city: ['Rome'], price: [100] })
  })
  // The training state too: it is looked at by `fit` alone.
  const resumed = await attempt(async () => {
    using net = model()
    await net.fit(data({ rows: 20 }), { resume: path, epochs: 1 })
  })
  return [found, resumed].join()
}

async function attempt(run: () => Promise<void>): Promise<string> {
  try {
    await run()
    return 'fine'
  } catch (error) {
    if (!(error instanceof MultigateError)) throw error
    // A feature of another name is right in itself; it is the data that have no such column.
    if (error.code !== 'ERR_MULTIGATE_DATA') expect(error.message).toContain('damaged.safetensors')
    return error.code
  }
}

it('is fine whole', async () => {
  expect(await outcome(whole)).toBe('fine,fine')
})

it.each<[string, (fitted: unknown[]) => unknown, string]>([
  ['none', () => undefined, 'moments'],
  ['another number of tasks', () => [], 'moments'],
  ['other numbers', ([moments, buckets]) => [buckets, moments], 'moments'],
  ['a deviation of 0', ([moments, buckets]) => [{ ...(moments as object), deviation: 0 }, buckets], 'deviation'],
  ['a step less', ([moments, buckets]) => [moments, { ...(buckets as object), steps: [] }], 'steps'],
  [
    'thresholds that fall',
    ([moments, buckets]) => [moments, { ...(buckets as object), thresholds: [2, 1], steps: [1, 1] }],
    'rise',
  ],
  ['more than a program may have', ([moments]) => [moments, manyBuckets], '255'],
])('numbers fitted on labels: %s', async (_, change, says) => {
  using net = new MMoE({
    features: [denseFeature('price')],
    tasks: [regression('price', { transform: 'standardize' }), regression('user', { loss: { kind: 'buckets', count: 2 } })],
    numExperts: 1,
    expertHiddenUnits: [2],
  })
  const file = join(folder, 'fitted.safetensors')
  await net.fit(data({ rows: 50 }))
  await net.save(file)
  const bytes = readFileSync(file)
  const end = 8 + Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.subarray(8, end).toString()) as { __metadata__: Record<string, string> }
  const own = JSON.parse(header.__metadata__['multigate.model'] ?? '') as { fitted: unknown[] }
  header.__metadata__['multigate.model'] = JSON.stringify({ ...own, fitted: change(own.fitted) })
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  writeFileSync(file, Buffer.concat([length, text, bytes.subarray(end)]))
  await expect(loadModel(file)).rejects.toThrow(refusal('FORMAT', { file, says }))
})

const manyBuckets = {
  kind: 'buckets',
  thresholds: Array.from({ length: 256 }, (_, k) => k),
  first: 0,
  unit: 1,
  steps: Array.from({ length: 256 }, () => 1),
}

it('one flipped bit of the header', async () => {
  const random = randomOf(1)
  const counts = new Map<string, number>()
  for (let round = 0; round < 600; round += 1) {
    const bytes = Buffer.from(whole)
    const at = Math.floor(random() * headerEnd)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8))
    const result = await outcome(bytes)
    counts.set(result, (counts.get(result) ?? 0) + 1)
  }
  // Some bits are of no consequence: in a name that nothing reads, a blank, the last place of a number.
  expect(
    [...counts.keys()].every((key) =>
      /^(fine|ERR_MULTIGATE_(FORMAT|DATA|ARGUMENT)),(fine|ERR_MULTIGATE_(FORMAT|DATA|ARGUMENT))$/.test(key),
    ),
  ).toBe(true)
  expect(counts.get('ERR_MULTIGATE_FORMAT,ERR_MULTIGATE_FORMAT') ?? 0).toBeGreaterThan(300)
})

it('cut at any length', async () => {
  const lengths = [0, 1, 7, 8, 9, 100, headerEnd - 1, headerEnd, headerEnd + 1, whole.length - 1]
  for (const length of lengths)
    expect(await outcome(whole.subarray(0, length)), `${length} bytes`).toMatch(/^ERR_MULTIGATE_FORMAT,ERR/)
  expect(await outcome(Buffer.concat([whole, Buffer.from('x')]))).toBe('ERR_MULTIGATE_FORMAT,ERR_MULTIGATE_FORMAT')
})

interface Header {
  __metadata__: Record<string, string>
  [name: string]: unknown
}

it.each<[string, (header: Header) => void, RegExp]>([
  ['a tensor beyond the end', (header) => void (entry(header, 'expert.bias').data_offsets = [0, 2 ** 40]), /expert\.bias/],
  ['a negative offset', (header) => void (entry(header, 'expert.bias').data_offsets = [-8, 0]), /expert\.bias/],
  [
    'overlapping tensors',
    (header) => void (entry(header, 'expert.bias').data_offsets = [...entry(header, 'embedding.user').data_offsets]),
    /./,
  ],
  [
    'a shape of more elements than bytes',
    (header) => void (entry(header, 'expert.bias').shape = [2 ** 30, 2 ** 30]),
    /expert\.bias/,
  ],
  ['a shape that overflows', (header) => void (entry(header, 'expert.bias').shape = [2 ** 52, 2 ** 52]), /expert\.bias/],
  ['another shape of as many', (header) => void entry(header, 'expert.bias').shape.reverse(), /expert\.bias.*\[3, 8\]/],
  ['integers for weights', (header) => void (entry(header, 'expert.bias').dtype = 'I32'), /expert\.bias.*I32/],
  ['a tensor more', (header) => void rename(header, 'expert.bias', 'expert.extra'), /expert\.(bias|extra)/],
  ['another format', (header) => void (header.__metadata__['multigate.format'] = '99'), /multigate\.format.*'99'/],
  ['no metadata', (header) => void (header.__metadata__ = {}), /multigate\.format/],
  [
    'a model of no kind',
    (header) => edit(header, 'multigate.model', (json) => void (json.model = 'GPT')),
    /multigate\.model\.model/,
  ],
  [
    'an option of no kind',
    (header) => edit(header, 'multigate.model', (json) => void ((json.options as Record<string, unknown>).numExperts = -1)),
    /numExperts/,
  ],
  [
    'more experts than weights',
    (header) => edit(header, 'multigate.model', (json) => void ((json.options as Record<string, unknown>).numExperts = 4)),
    /expert\.kernel/,
  ],
  ...(['device', 'threads', 'isa', 'precision', 'features', 'tasks'] as const).map(
    (name): [string, (header: Header) => void, RegExp] => [
      `an option that is not the model's: ${name}`,
      (header) => edit(header, 'multigate.model', (json) => void ((json.options as Record<string, unknown>)[name] = 2)),
      new RegExp(`MMoE\\.${name}`),
    ],
  ),
  [
    'an object with a key twice in its configuration',
    (header) =>
      void (header.__metadata__['multigate.model'] = `{"model":"MMoE",${header.__metadata__['multigate.model']?.slice(1)}`),
    /multigate\.model.*"model"/,
  ],
  [
    'a configuration that nests without end',
    (header) => void (header.__metadata__['multigate.model'] = '['.repeat(100_000)),
    /multigate\.model.*64/,
  ],
  [
    'rows of a layer wider than they can be',
    (header) => edit(header, 'multigate.model', (json) => void (firstFeature(json).dim = 2 ** 24)),
    /damaged\.safetensors.*16777221/,
  ],
  [
    'a network larger than memory',
    (header) =>
      edit(header, 'multigate.model', (json) => void ((json.options as Record<string, unknown>).expertHiddenUnits = [2 ** 40])),
    /./,
  ],
  [
    'a prototype',
    (header) => edit(header, 'multigate.model', (json) => void (json.options = JSON.parse('{"__proto__": {"numExperts": 3}}'))),
    /./,
  ],
  ['encoders of no kind', (header) => edit(header, 'multigate.model', (json) => void (json.encoders = [{}])), /encoders\[0\]/],
  [
    'tasks twice',
    (header) =>
      edit(header, 'multigate.model', (json) => void (json.tasks = [(json.tasks as unknown[])[0], (json.tasks as unknown[])[0]])),
    /tasks/,
  ],
])('%s', async (_, change, message) => {
  const header = JSON.parse(whole.toString('utf8', 8, headerEnd)) as Header
  change(header)
  rewrite(header)
  const error = await loadModel(path).catch((problem: unknown) => problem)
  expect(error).toBeInstanceOf(MultigateError)
  expect((error as MultigateError).message).toMatch(message)
})

it('a header longer than any file', async () => {
  const huge = Buffer.from(whole)
  huge.writeBigUInt64LE(2n ** 63n)
  expect(await outcome(huge)).toBe('ERR_MULTIGATE_FORMAT,ERR_MULTIGATE_FORMAT')
})

/** A file of this configuration and these tensors, a few hundred bytes. */
function small(config: object, tensors: Readonly<Record<string, readonly number[]>> = {}): Buffer {
  let at = 0
  const entries = Object.entries(tensors).map(([name, shape]) => {
    const start = at
    at += 4 * shape.reduce((product, size) => product * size, 1)
    return [name, { dtype: 'F32', shape, data_offsets: [start, at] }]
  })
  const metadata = { 'multigate.format': '1', 'multigate.model': JSON.stringify(config) }
  const json = Buffer.from(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, Buffer.alloc(at)])
}

const dense = { feature: { kind: 'dense', name: 'x', transform: 'none', missing: 0 }, offset: 0, scale: 1, fill: 0 }
const likes = { kind: 'binary', name: 'like' }

describe('a small file that describes a large network', () => {
  it('is refused before there is memory for its weights', async () => {
    const header = JSON.parse(whole.toString('utf8', 8, headerEnd)) as Header
    edit(header, 'multigate.model', (json) => void (firstFeature(json).dim = 2 ** 22))
    rewrite(header)
    const create = vi.spyOn(loadNative(), 'createMemory')
    await expect(loadModel(path)).rejects.toThrow(
      refusal('FORMAT', { says: ['"expert.kernel"', '[3, 4194309, 8]', /\[3, \d+, 8\]/] }),
    )
    expect(create).not.toHaveBeenCalled()
  })

  const units = { expertHiddenUnits: [1] }
  it.each<[string, string, object, number, string[]]>([
    [
      'levels of experts',
      'PLE',
      { ...units, numLevels: 1024, numSharedExperts: 4000, numSpecificExperts: 20 },
      1,
      ['2049', '8232960'],
    ],
    ['experts', 'MMoE', { ...units, numExperts: 4096 }, 1, ['8192']],
    ['gates over shared experts', 'CGC', { ...units, numSharedExperts: 4000, numSpecificExperts: 0 }, 500, ['2004000']],
    ['layers of experts', 'OMoE', { expertHiddenUnits: Array(200).fill(1), numExperts: 1 }, 1, ['401']],
    ['layers of gates', 'MMoE', { ...units, gateHiddenUnits: Array(100).fill(1), numExperts: 1 }, 1, ['203']],
    ['layers of towers', 'SharedBottom', { bottomHiddenUnits: [1], towerHiddenUnits: Array(500).fill(1) }, 500, ['500502']],
    ['layers of the bottom', 'SingleTask', { bottomHiddenUnits: Array(200).fill(1) }, 1, ['401']],
  ])('is refused before it is lowered: %s', async (_, name, options, count, says) => {
    const lower = vi.spyOn(models[name as ModelName], 'lower')
    const tasks = Array.from({ length: count }, (_, index) => ({ ...likes, name: `like${index}` }))
    writeFileSync(path, small({ model: name, options, tasks, encoders: [dense] }, { 'expert.kernel': [1, 1, 1] }))
    await expect(loadModel(path)).rejects.toThrow(refusal('FORMAT', { says }))
    expect(lower).not.toHaveBeenCalled()
  })
})

describe('weights that are no finite numbers', () => {
  const where = (name: string): number => headerEnd + (entry(header(), name).data_offsets[0] ?? 0)
  const header = (): Header => JSON.parse(whole.toString('utf8', 8, headerEnd)) as Header

  it.each([NaN, Infinity, -Infinity])('are refused by the tensor that has one: %s', async (number) => {
    const bytes = Buffer.from(whole)
    bytes.writeFloatLE(number, where('expert.bias') + 8)
    writeFileSync(path, bytes)
    const expected = refusal('FORMAT', { says: ['"expert.bias"', String(number), '2'] })
    await expect(loadModel(path)).rejects.toThrow(expected)
    await expect(model().fit(data({ rows: 20 }), { resume: path, epochs: 3 })).rejects.toThrow(expected)
  })

  it('are refused in what a checkpoint remembers', async () => {
    const moment = Object.keys(header()).find((name) => name.startsWith('training.')) ?? ''
    const bytes = Buffer.from(whole)
    bytes.writeFloatLE(NaN, where(moment))
    writeFileSync(path, bytes)
    await expect(model().fit(data({ rows: 20 }), { resume: path, epochs: 3 })).rejects.toThrow(
      refusal('FORMAT', { says: [`"${moment}"`, 'NaN'] }),
    )
    using net = await loadModel(path)
    using sound = await loadModel(join(folder, 'good.safetensors'))
    expect(await net.predict(data({ rows: 20 }))).toEqual(await sound.predict(data({ rows: 20 })))
  })
})

it('a pipe, a device and a folder, which are no files', async () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  for (const name of [pipe, '/dev/zero', folder])
    await expect(loadModel(name)).rejects.toMatchObject({ code: 'ERR_MULTIGATE_FORMAT', file: name })
})

/** The file with this header. */
function rewrite(header: Header): void {
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  writeFileSync(path, Buffer.concat([length, json, whole.subarray(headerEnd)]))
}

function entry(header: Header, name: string): { dtype: string; shape: number[]; data_offsets: number[] } {
  return header[name] as ReturnType<typeof entry>
}

function rename(header: Header, name: string, to: string): void {
  header[to] = header[name]
  delete header[name]
}

function edit(header: Header, key: string, change: (json: Record<string, unknown>) => void): void {
  const json = JSON.parse(header.__metadata__[key] ?? '') as Record<string, unknown>
  change(json)
  header.__metadata__[key] = JSON.stringify(json)
}

function firstFeature({ encoders }: Record<string, unknown>): { dim: number } {
  return (encoders as [{ feature: { dim: number } }])[0].feature
}
