// Exported models: a small evaluator of ONNX computes from them what the models predict. `npm run onnx:check` compares with onnxruntime.

import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create, fromBinary } from '@bufbuild/protobuf'
import { expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { dense } from '../../lib/features/spec/dense.js'
import type { Feature } from '../../lib/features/spec/feature.js'
import { sequence } from '../../lib/features/spec/sequence.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { ESMM, MMoE, PLE } from '../../lib/model/classes.js'
import type { Model } from '../../lib/model/model.js'
import type { OnnxInput } from '../../lib/onnx/features.js'
import { writeOnnxFile } from '../../lib/onnx/file.js'
import type { Weights } from '../../lib/onnx/graph.js'
import {
  TensorProto_DataType as DataType,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
} from '../../lib/onnx/onnx-ml_pb.js'
import { addOp } from '../../lib/onnx/ops.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { runIn } from '../support/command-line.js'
import { type OnnxTensor, runOnnx, tensorOf } from '../support/onnx-run.js'
import { refusal } from '../support/refusal.js'

const rows = 40
const dim = 3
const features = [
  sparse('own', { dim, vocabulary: 9 }),
  sparse('loose', { dim, vocabulary: 5, outOfRange: 'oov' }),
  sparse('text', { dim }),
  sparse('number', { dim }),
  sparse('decimal', { dim }),
  sparse('flag', { dim }),
  sparse('day', { dim, type: 'date' }),
  sparse('hashed', { dim, hash: 50 }),
  sparse('hashedNumber', { dim, hash: 50 }),
  sparse('bucketed', { dim, buckets: [0, 1] }),
  sparse('listed', { dim, vocabulary: ['é', '\ud800', 'a'] }),
  sequence('tags', { dim, maxLength: 3, combiner: 'mean' }),
  sequence('clicks', { dim, maxLength: 3, combiner: 'sum' }),
  sequence('ids', { dim, maxLength: 3, combiner: 'sum', vocabulary: 9 }),
  dense('plain', { transform: 'none', missing: 0.5 }),
  dense('logged', { transform: 'log1pStandardize' }),
  dense('scaled', { transform: 'minmax', missing: 'error' }),
  dense('vector', { width: 2 }),
]

/** Values that training has not seen come with `fresh`. */
function columns(fresh: boolean, seed = 1): Record<string, unknown[]> {
  const random = randomOf(seed)
  const whole = (low: number, high: number): number => low + Math.floor((high - low + 1) * random())
  const maybe = <T>(value: T): T | null => (random() < 0.1 ? null : value)
  const list = <T>(make: () => T): T[] => Array.from({ length: whole(0, 3) }, make)
  const of = (make: () => unknown): unknown[] => Array.from({ length: rows }, make)
  const more = fresh ? 3 : 0
  return {
    own: of(() => whole(0, 8)),
    loose: of(() => maybe(whole(-more, 4 + more))),
    text: of(() => maybe(['a', '', 'ü', 'new', 'newer'][whole(0, fresh ? 4 : 2)])),
    number: of(() => maybe(whole(-5 - more, 5))),
    decimal: of(() => maybe(whole(-9, 9 + more) / 10)),
    flag: of(() => maybe(random() < 0.5)),
    day: of(() => maybe(`2026-11-0${whole(1, 6 + more)}`)),
    hashed: of(() => maybe(`ü${whole(0, 99)}`)),
    hashedNumber: of(() => maybe(whole(-99, 2 ** 40))),
    bucketed: of(() => maybe(whole(-4, 6) / 2)),
    listed: of(() => maybe(['a', 'é', 'b'][whole(0, 2)])),
    tags: of(() => list(() => ['a', '', 'ü', 'new'][whole(0, fresh ? 3 : 2)])),
    clicks: of(() => list(() => whole(-more, 9))),
    ids: of(() => list(() => whole(0, 8))),
    plain: of(() => maybe(random())),
    logged: of(() => maybe(50 * random())),
    scaled: of(() => 9 * random()),
    vector: of(() => [random(), 5 * random()]),
    click: of(() => whole(0, 1)),
    buy: of(() => whole(0, 1)),
    kind: of(() => whole(0, 2)),
    seconds: of(() => (random() < 0.3 ? 0 : 9 * random())),
  }
}

const named = (...names: string[]): Feature[] => features.filter(({ name }) => names.includes(name))
const few = named('own', 'tags', 'logged')
const clicks = [binary('click'), binary('buy', { negativeRate: 0.5 })]
const experts = { expertHiddenUnits: [5], towerHiddenUnits: [4], gateBias: true }
const levels = { ...experts, numSharedExperts: 1, numSpecificExperts: 2, bottomHiddenUnits: [6] }

const models: readonly (readonly [name: string, make: () => Model])[] = [
  ['every kind of feature', () => new MMoE({ features, tasks: clicks, numExperts: 2, ...experts })],
  [
    'gates with hidden layers, a temperature and a feature of their own',
    () =>
      new MMoE({
        ...{ features: few, tasks: clicks, numExperts: 3, ...experts },
        ...{ gateFeatures: ['own'], gateHiddenUnits: [3], gateTemperature: 2, activation: 'gelu' },
      }),
  ],
  ...(['none', 'sum', 'product', ['concat', 'product']] as const).map((fusion) => {
    const make = () => new PLE({ features: few, tasks: clicks, ...levels, fusion, activation: 'swish' })
    return [`levels, fused by ${fusion}`, make] as const
  }),
  ['a funnel', () => new ESMM({ features: few, tasks: [binary('click'), binary('buy')], activation: 'tanh' })],
  [
    'classes and numbers',
    () => {
      const seconds = { label: 'seconds' }
      const tasks = [
        multiclass('kind', { classes: ['0', '1', '2'] }),
        regression('plainly', { ...seconds, loss: 'huber' }),
        regression('logged', { ...seconds, transform: 'log1pStandardize' }),
        regression('counted', { ...seconds, loss: 'poisson' }),
        regression('bucket', { ...seconds, loss: { kind: 'buckets', count: 3 } }),
        regression('value', { ...seconds, loss: 'ziln' }),
      ] as const
      return new MMoE({ features: named('own'), tasks, numExperts: 2, ...experts, activation: 'sigmoid' })
    },
  ],
]

const newPath = (name: string): string => join(mkdtempSync(join(tmpdir(), 'multigate-onnx-')), name)
const parsed = (path: string): ModelProto => fromBinary(ModelProtoSchema, Uint8Array.from(readFileSync(path)))
const metadata = ({ metadataProps }: ModelProto, key: string): unknown =>
  JSON.parse(metadataProps.find((entry) => entry.key === `multigate.${key}`)?.value ?? 'null')

const types = {
  string: DataType.STRING,
  int64: DataType.INT64,
  float64: DataType.DOUBLE,
  float32: DataType.FLOAT,
  int32: DataType.INT32,
}

function rawTensor({ type, width, missing }: OnnxInput, values: readonly unknown[]): OnnxTensor {
  const flat = values.flatMap((value) => {
    const items: unknown[] = [value].flat()
    return [...items, ...Array<null>(width - items.length).fill(null)].map((item) => item ?? missing)
  })
  return {
    type: types[type],
    shape: [values.length, width],
    data: flat.map((item) => (type === 'string' ? String(item) : Number(item))),
  }
}

function expectScores(found: Record<string, OnnxTensor>, scores: Readonly<Record<string, Float32Array>>): void {
  expect(Object.keys(found)).toEqual(Object.keys(scores))
  for (const [task, expected] of Object.entries(scores)) {
    const { data, shape } = found[task] as OnnxTensor
    expect(shape).toEqual([rows, expected.length / rows])
    const differences = Array.from(expected, (value, index) => Math.abs(value - Number(data[index])) / Math.max(1, value))
    expect(Math.max(...differences), task).toBeLessThan(1e-5)
  }
}

it.each(models)('a file computes what the model predicts: %s', async (_, make) => {
  using model = make()
  await model.fit(Dataset.fromColumns(columns(false) as never), { batchSize: 10 })
  const values = columns(true, 2)
  const scores = (await model.predict(values as never)) as Record<string, Float32Array>
  const path = newPath('model.onnx')

  expect(await model.saveOnnx(path)).toEqual({ data: undefined })
  const raw = parsed(path)
  const inputs = metadata(raw, 'inputs') as OnnxInput[]
  const feeds = inputs.map((input) => [input.name, rawTensor(input, values[input.name] ?? [])] as const)
  expectScores(runOnnx(raw, Object.fromEntries(feeds)), scores)

  await model.saveOnnx(path, { encoded: true })
  const encoded = parsed(path)
  using batch = model.createBatch(rows)
  model.fill(batch, values as never)
  const own = metadata(encoded, 'inputs') as OnnxInput[]
  const ids = own.map(({ name, type, width }) => {
    const data = Array.from(batch[name as never] as unknown as Int32Array)
    return [name, { type: types[type], shape: [rows, width], data }] as const
  })
  expectScores(runOnnx(encoded, Object.fromEntries(ids)), scores)

  for (const { opsetImport, graph } of [raw, encoded]) {
    const used = new Set(graph?.node.map(({ domain }) => domain))
    expect(opsetImport.map(({ domain }) => domain).sort()).toEqual([...used.add('')].sort())
    expect(
      graph?.initializer.flatMap(({ name }) => (graph.node.some(({ input }) => input.includes(name)) ? [] : [name])),
    ).toEqual([])
  }
})

it('a file describes its inputs and classes, and says that hashes need onnxruntime', async () => {
  const tasks = [multiclass('kind', { classes: ['0', '1', '2'] })] as const
  using model = new MMoE({ features: named('text', 'hashed', 'clicks'), tasks, numExperts: 2, ...experts })
  await model.build(Dataset.fromColumns(columns(false) as never))
  const path = newPath('model.onnx')
  await model.saveOnnx(path)
  const file = parsed(path)
  expect(metadata(file, 'inputs')).toEqual([
    { name: 'text', kind: 'sparse', type: 'string', width: 1, missing: '<missing>' },
    { name: 'hashed', kind: 'sparse', type: 'string', width: 1, missing: '' },
    { name: 'clicks', kind: 'sequence', type: 'int64', width: 3, missing: '-9223372036854775808' },
  ])
  expect(metadata(file, 'outputs')).toEqual([{ name: 'kind', width: 3, classes: ['0', '1', '2'] }])
  expect(file.docString).toContain('It needs onnxruntime')
  await model.saveOnnx(path, { encoded: true })
  expect(parsed(path).docString).not.toContain('onnxruntime')
})

it('ids outside the table are an error of Gather, also negative ones', async () => {
  using model = new MMoE({ features: named('own'), tasks: clicks, numExperts: 2, ...experts })
  await model.build(Dataset.fromColumns(columns(false) as never))
  const path = newPath('model.onnx')
  await model.saveOnnx(path)
  const own = (id: number) => ({ own: { type: DataType.INT64, shape: [1, 1], data: [id] } })
  expect(() => runOnnx(parsed(path), own(8))).not.toThrow()
  for (const id of [-1, -9, 9]) expect(() => runOnnx(parsed(path), own(id)), `${id}`).toThrow(RangeError)
})

function weights(name: string, ...values: number[]): Weights {
  return { name, shape: [values.length], chunks: () => values.map((value) => Float32Array.of(value)) }
}
const written = (path: string, all: readonly Weights[], most?: number) =>
  writeOnnxFile(
    path,
    { message: create(ModelProtoSchema, { irVersion: 8n }), graph: create(GraphProtoSchema), weights: all },
    most,
  )

it('weights beyond the limit lie in a second file, each at a page of its own', async () => {
  const path = newPath('model.onnx')
  const all = [weights('first', 1, 2, 3), weights('second', 4)]
  expect(await written(path, all)).toEqual({ data: undefined })
  const inside = parsed(path).graph?.initializer.map(tensorOf)
  expect(inside?.map(({ data }) => data)).toEqual([[1, 2, 3], [4]])
  expect(await written(path, all, 10)).toEqual({ data: `${path}.data` })
  const bytes = readFileSync(`${path}.data`)
  expect(bytes.length).toBe(4096 + 4)
  const outside = parsed(path).graph?.initializer.map(({ externalData, dataLocation, rawData }) => {
    expect([dataLocation, rawData.length]).toEqual([1, 0])
    return Object.fromEntries(externalData.map(({ key, value }) => [key, value]))
  })
  expect(outside).toEqual([
    { location: 'model.onnx.data', offset: '0', length: '12' },
    { location: 'model.onnx.data', offset: '4096', length: '4' },
  ])
  expect([0, 4, 8, 4096].map((offset) => bytes.readFloatLE(offset))).toEqual([1, 2, 3, 4])
})

it('weights that are not finite leave no file', async () => {
  const path = newPath('model.onnx')
  const bad = [weights('fine', 1), weights('bad', 1, NaN)]
  for (const most of [undefined, 10])
    await expect(written(path, bad, most)).rejects.toThrow(refusal('DIVERGED', { says: ['bad', 'NaN', 'element 1'] }))
  expect(readdirSync(join(path, '..'))).toEqual([])
})

it('what cannot be written is refused, and nothing is', async () => {
  const path = newPath('model.onnx')
  using model = new MMoE({ features: named('text'), tasks: [binary('text', { label: 'click' })], numExperts: 2, ...experts })
  await expect(model.saveOnnx(path)).rejects.toThrow(refusal('NOT_BUILT'))
  await model.build(Dataset.fromColumns(columns(false) as never))
  await expect(model.saveOnnx(path)).rejects.toThrow(
    refusal('ARGUMENT', { field: 'text', says: ['text', 'a feature and a task'] }),
  )
  for (const options of [{ encoded: 1 }, { encode: true }, null])
    await expect(model.saveOnnx(path, options as never), String(options)).rejects.toThrow(refusal('ARGUMENT'))
  const encoders = [{ kind: 'sparse', feature: sparse('word', { dim, vocabulary: ['many', 'words'] }) }] as never
  const large = writeOnnx(path, { model: 'MMoE', encoders, runner: {} as never, classes: new Map() }, { encoded: false }, 20)
  await expect(large).rejects.toThrow(refusal('ARGUMENT', { field: 'saveOnnx.encoded', says: ['word', '--encoded'] }))
  expect(() => addOp({} as never, { op: 'dropout' } as never)).toThrow(refusal('ARGUMENT', { says: ['dropout', 'ONNX'] }))
  expect(existsSync(path)).toBe(false)
})

it('multigate export writes a file, and says what needs onnxruntime', async () => {
  using model = new MMoE({ features: named('hashed'), tasks: clicks, numExperts: 2, ...experts })
  await model.build(Dataset.fromColumns(columns(false) as never))
  const path = newPath('model.safetensors')
  const folder = join(path, '..')
  await model.save(path)
  const raw = await runIn(folder, 'export', 'model.safetensors', '--onnx', 'raw.onnx')
  expect(raw).toMatchObject({ code: 0, out: expect.stringMatching(/^saved to raw\.onnx/) as string })
  await model.saveOnnx(join(folder, 'same.onnx'))
  expect(readFileSync(join(folder, 'raw.onnx')).equals(readFileSync(join(folder, 'same.onnx')))).toBe(true)
  expect(await runIn(folder, 'export', 'model.safetensors', '--onnx', 'ids.onnx', '--encoded')).toMatchObject({ code: 0 })
  expect(metadata(parsed(join(folder, 'ids.onnx')), 'encoded')).toBe(true)
  expect(await runIn(folder, 'export', 'model.safetensors')).toMatchObject({
    code: 2,
    err: expect.stringContaining('--onnx') as string,
  })
})
