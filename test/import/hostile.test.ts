// Files that are damaged or made to do harm: each is a typed error, and the model keeps its weights.

import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadYauzl } from '../../lib/import/zip.js'
import { binary, Dataset, dense, MMoE, sparse } from '../../lib/index.js'
import { writeSafetensors } from '../../lib/io/safetensors.js'
import { pickle, zip } from './archive.js'

const data = Dataset.fromColumns({ userid: [0, 1, 2], read: [0, 1, 0], like: [1, 0, 1] })
const options = { features: [sparse('userid', { vocabulary: 11, dim: 4 })], tasks: [binary('read'), binary('like')], seed: 1 }
let model: MMoE
let folder: string
let before: Float32Array | undefined

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multigate-import-test-'))
  model = new MMoE({ ...options, numExperts: 2, expertHiddenUnits: [3] })
  await model.build(data)
  before = (await model.predict(data)).read
})
afterAll(() => model.dispose())

async function failureOf(name: string, content: Uint8Array, from?: 'torch-rechub'): Promise<{ code: string; message: string }> {
  const path = join(folder, name)
  writeFileSync(path, content)
  const error = await model.importWeights(path, from && { from }).catch((error: unknown) => error)
  expect((await model.predict(data)).read).toEqual(before)
  return error as { code: string; message: string }
}

function fixture(name: string): Buffer {
  return gunzipSync(readFileSync(join(import.meta.dirname, 'fixtures', `${name}.gz`)))
}

/** A file of PyTorch with this pickle, after its protocol. */
function torch(...parts: readonly (number | string)[]): Buffer {
  return zip([{ name: 'archive/data.pkl', content: pickle(0x80, 2, ...parts) }])
}

describe('a pickle', () => {
  const stop = '.'
  const cases: Record<string, { parts: (number | string)[]; says: string }> = {
    'that calls a function of the system is refused by its name': {
      parts: ['cos\nsystem\n', 'X', 4, 0, 0, 0, 'true', 0x85, 'R', stop],
      says: 'found "os.system", expected only tensors; no code of a file is run',
    },
    'that makes an object of a class is refused': {
      parts: ['cbuiltins\nobject\n', ')', 0x81, stop],
      says: 'instruction that tensors do not need, 0x81',
    },
    'with a name in two parts is refused by its name': {
      parts: [0x8c, 2, 'os', 0x8c, 6, 'system', 0x93, ')', 'R', stop],
      says: 'found "os.system"',
    },
    'that calls what is no function is refused': { parts: ['K', 1, ')', 'R', stop], says: 'call of what is no function' },
    'that ends early is refused': { parts: ['X', 255, 255, 255, 127], says: 'cut short' },
    'without an end is refused': { parts: ['N'], says: 'cut short' },
    'that takes more than it has is refused': { parts: ['R', stop], says: 'fewer values' },
    'that recalls what it did not keep is refused': { parts: ['h', 7, stop], says: 'no value number 7' },
    'that closes a list that it did not open is refused': { parts: ['t', stop], says: 'did not begin' },
    'with text that is not UTF-8 is refused': { parts: [0x8c, 1, 0xff, stop], says: 'data.pkl' },
    'of no dictionary is refused': { parts: ['N', stop], says: 'expected a dictionary of tensors, found none' },
    'of a dictionary that holds itself is refused': {
      parts: ['}', 'q', 0, 'X', 1, 0, 0, 0, 'a', 'h', 0, 's', stop],
      says: 'found none',
    },
    'with a tensor without a storage is refused': {
      parts: ['}', 'X', 1, 0, 0, 0, 'a', 'ctorch._utils\n_rebuild_tensor_v2\n', '(', 'N', 'K', 0, ')', ')', 't', 'R', 's', stop],
      says: 'without a storage',
    },
  }
  test.each(Object.entries(cases))('%s', async (_, { parts, says }) => {
    const { code, message } = await failureOf('model.pt', torch(...parts))
    expect(code).toBe('ERR_MULTIGATE_FORMAT')
    expect(message).toContain(says)
  })
})

/** The tensors of the model, as torch-rechub names them. */
const shapes: Record<string, number[]> = {
  'embedding.embed_dict.userid.weight': [11, 4],
  ...Object.fromEntries(
    [0, 1].flatMap((i) => [
      [`experts.${i}.mlp.0.weight`, [3, 4]],
      [`gates.${i}.mlp.0.weight`, [2, 4]],
      [`towers.${i}.mlp.0.weight`, [1, 3]],
    ]),
  ),
}

/** A file of PyTorch with these tensors, except that the table has other sizes, or another number of bytes. */
function torchModel(shape: readonly number[], strides: readonly number[], bytes: number): Buffer {
  const int = (value: number) => ['J', value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24]
  const text = (value: string) => ['X', value.length, 0, 0, 0, value]
  const tuple = (list: readonly number[]) => ['(', ...list.flatMap(int), 't']
  const tensors = Object.entries(shapes).flatMap(([name, own], number) => {
    const isTable = number === 0
    const storage = [
      '(',
      ...text('storage'),
      'ctorch\nFloatStorage\n',
      ...text(isTable ? '0' : '1'),
      ...text('cpu'),
      'K',
      44,
      't',
      'Q',
    ]
    const sizes = [...tuple(isTable ? shape : own), ...tuple(isTable ? strides : [own[1] ?? 0, 1])]
    return [...text(name), 'ctorch._utils\n_rebuild_tensor_v2\n', '(', ...storage, 'K', 0, ...sizes, 't', 'R', 's']
  })
  return zip([
    { name: 'archive/data.pkl', content: pickle(0x80, 2, '}', ...tensors, '.') },
    { name: 'archive/data/0', content: new Uint8Array(bytes) },
    { name: 'archive/data/1', content: new Uint8Array(1000) },
  ])
}

describe('a tensor of PyTorch', () => {
  test('whose storage is too short is an error that says how many bytes', async () => {
    const { code, message } = await failureOf('model.pt', torchModel([11, 4], [4, 1], 100))
    expect(code).toBe('ERR_MULTIGATE_FORMAT')
    expect(message).toContain('expected 176 bytes of its storage, found 100')
  })

  test('is read where its elements are apart from each other, as those of a transposed one', async () => {
    writeFileSync(join(folder, 'model.pt'), torchModel([11, 4], [1, 11], 176))
    using other = new MMoE({ ...options, numExperts: 2, expertHiddenUnits: [3] })
    await other.build(data)
    await other.importWeights(join(folder, 'model.pt'))
    expect((await other.predict(data)).read).toEqual(Float32Array.of(0.5, 0.5, 0.5))
  })

  test('of another shape is an error that says both, before anything is read', async () => {
    const { code, message } = await failureOf('model.pt', torchModel([1 << 30, 1 << 20], [1, 1], 0))
    expect(code).toBe('ERR_MULTIGATE_ARGUMENT')
    expect(message).toContain('embedding.userid: expected a tensor of shape [11, 4], found [1073741824, 1048576]')
  })

  test('with strides beyond its storage is an error', async () => {
    const { code } = await failureOf('model.pt', torchModel([11, 4], [2 ** 30, 1], 176))
    expect(code).toBe('ERR_MULTIGATE_FORMAT')
  })
})

describe('an archive', () => {
  test('that unpacks to far more than the model needs is not unpacked', async () => {
    const bomb = zip([{ name: 'model.weights.h5', content: deflateRawSync(new Uint8Array(100)), claims: 2 ** 31 }])
    const { code, message } = await failureOf('model.keras', bomb)
    expect(code).toBe('ERR_MULTIGATE_FORMAT')
    expect(message).toMatch(/expected at most .* in the entry "model.weights.h5", found 2(\.0)? GiB|is damaged/)
  })

  test('with a huge pickle is not unpacked', async () => {
    const { code, message } = await failureOf(
      'model.pt',
      zip([{ name: 'a/data.pkl', content: new Uint8Array(8), claims: 2 ** 31 }]),
    )
    expect(code).toBe('ERR_MULTIGATE_FORMAT')
    expect(message).toContain('a/data.pkl')
  })

  test.each(['model.keras', 'model.pt'])('that is cut short is an error: %s', async (name) => {
    const whole = fixture(name === 'model.pt' ? 'torch_rechub_mmoe.pt' : 'keras_mmoe.keras')
    for (const share of [0.02, 0.5, 0.99]) {
      const { code } = await failureOf(name, whole.subarray(0, share * whole.length))
      expect(code).toBe('ERR_MULTIGATE_FORMAT')
    }
  })

  test('without the contents of either library is an error', async () => {
    const { message } = await failureOf('model.zip', zip([{ name: '../../etc/passwd', content: new Uint8Array(1) }]))
    expect(message).toContain('model.zip')
  })
})

test('an HDF5 file that is cut short is an error, and the next one is read all the same', async () => {
  const whole = fixture('keras_mmoe.weights.h5')
  for (const share of [0.1, 0.6]) {
    const { code, message } = await failureOf('model.h5', whole.subarray(0, share * whole.length))
    expect(code).toBe('ERR_MULTIGATE_FORMAT')
    expect(message).toContain('found a damaged one')
  }
  // It is another model, but its layers are read.
  const { code, message } = await failureOf('model.h5', whole)
  expect(code).toBe('ERR_MULTIGATE_ARGUMENT')
  expect(message).toContain('embedding.userid')
})

test('a number that is not finite is an error with its place', async () => {
  const table = new Float32Array(44)
  table[7] = Number.NaN
  const path = join(folder, 'nan.safetensors')
  const tensors = Object.entries(shapes).map(([name, shape], number) => {
    return { name, shape, data: number === 0 ? table : new Float32Array((shape[0] ?? 0) * (shape[1] ?? 0)) }
  })
  await writeSafetensors(path, { tensors })
  const error = await model.importWeights(path).catch((error: unknown) => error)
  expect(error).toMatchObject({ code: 'ERR_MULTIGATE_FORMAT' })
  expect(String(error)).toContain('"embedding.embed_dict.userid.weight": expected finite numbers, found NaN at element 7')
  expect((await model.predict(data)).read).toEqual(before)
  table[7] = 0
  await writeSafetensors(path, {
    tensors: [...tensors, { name: 'experts.2.mlp.0.weight', shape: [1], data: new Float32Array(1) }],
  })
  await expect(model.importWeights(path)).rejects.toThrow(
    'does not need: "experts.2.mlp.0.weight"; build the model as that of the file',
  )
  using other = new MMoE({ ...options, numExperts: 2, expertHiddenUnits: [3] })
  await other.build(data)
  expect(await other.importWeights(path, { unused: 'ignore' })).toMatchObject({
    from: 'torch-rechub',
    unused: ['experts.2.mlp.0.weight'],
  })
})

test('names of the caller are checked, and take the place of those of the family', async () => {
  const path = join(folder, 'names.safetensors')
  await writeSafetensors(path, { tensors: [{ name: 'x.weight', shape: [11, 4], data: new Float32Array(44) }] })
  const names = (names: Record<string, string>) => model.importWeights(path, { from: 'torch-rechub', names })
  await expect(names({ 'tower.share.0': 'x' })).rejects.toThrow('importWeights.names: expected names of')
  await expect(names({ 'embedding.userid': 'y' })).rejects.toThrow('embedding.userid: expected a tensor "y"')
  await expect(names({ 'embedding.userid': 'x' })).rejects.toThrow('expert.1.0: expected a tensor in')
})

test('a batch normalization in a gate is an error where the gate has no bias, with what to do', async () => {
  writeFileSync(join(folder, 'rechub.pt'), fixture('torch_rechub_mmoe.pt'))
  using other = new MMoE({
    features: [
      sparse('userid', { vocabulary: 11, dim: 4 }),
      sparse('feedid', { vocabulary: 7, dim: 4 }),
      sparse('tags', { vocabulary: 6, dim: 4 }),
      dense('seconds'),
    ],
    tasks: options.tasks,
    numExperts: 3,
    expertHiddenUnits: [8, 5],
    towerHiddenUnits: [6],
  })
  await other.build(
    Dataset.fromColumns({ userid: [0, 1], feedid: [0, 1], tags: [0, 1], seconds: [1, 2], read: [0, 1], like: [1, 0] }),
  )
  const error = await other.importWeights(join(folder, 'rechub.pt')).catch(String)
  expect(error).toContain(
    'gate.read.0: expected no bias, found one in the batch normalization "gates.0.mlp.1.weight"; build the model with gateBias: true',
  )
})

test.each([
  ['text', Buffer.from('hello, world, this is text')],
  ['empty', Buffer.alloc(0)],
  ['older.pt', Buffer.from('8002 8a0a6cfc9c46f920', 'hex')],
])('a file of another format is an error that says which are read: %s', async (name, content) => {
  const { code, message } = await failureOf(name, content)
  expect(code).toBe('ERR_MULTIGATE_FORMAT')
  expect(message).toContain('expected a .safetensors, .pt, .keras or .h5 file')
})

test('options are checked', async () => {
  await expect(model.importWeights('nowhere.pt')).rejects.toMatchObject({ code: 'ERR_MULTIGATE_FORMAT' })
  await expect(model.importWeights(7 as never)).rejects.toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT' })
  await expect(model.importWeights('a', { from: 'fuxictr' as never })).rejects.toThrow('importWeights.from')
  using unbuilt = new MMoE({ ...options, numExperts: 2, expertHiddenUnits: [3] })
  await expect(unbuilt.importWeights('a')).rejects.toMatchObject({ code: 'ERR_MULTIGATE_NOT_BUILT' })
})

test('a missing package is an error that names it', async () => {
  await expect(loadYauzl(() => Promise.reject(new Error('no')))).rejects.toMatchObject({
    code: 'ERR_MULTIGATE_MISSING_PACKAGE',
    message: expect.stringContaining('yauzl'),
  })
})
