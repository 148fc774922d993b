// Safetensors files, written and read, and files that are damaged on purpose.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { runInNewContext } from 'node:vm'
import { afterAll, describe, expect, it } from 'vitest'

import { readSafetensors, SafetensorsFile, type TensorSource, writeSafetensors } from '../../lib/io/safetensors.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { goldenFolder, goldenIndex, readGolden } from '../support/golden.js'
import { refusal } from '../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-io-'))
afterAll(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'file.safetensors')

const sources: readonly TensorSource[] = [
  { name: 'u8', shape: [3], data: Uint8Array.of(1, 2, 3) },
  { name: 'f32 "é"', shape: [2, 2], data: Float32Array.of(1.5, -0, Infinity, 3e-45) },
  { name: 'i64', shape: [2], data: BigInt64Array.of(-(2n ** 62n), 7n) },
  { name: 'scalar', shape: [], data: Float64Array.of(Math.PI) },
  { name: 'none', shape: [0, 5], data: new Float32Array(0) },
  { name: '__proto__', shape: [1], data: Int32Array.of(-9) },
]

describe('round trip', () => {
  it('keeps every bit, name, shape and the metadata', async () => {
    const metadata = { format: 'multigate', text: 'é\n"' }
    await writeSafetensors(path, { tensors: sources, metadata })
    const read = await readSafetensors(path)
    expect(read.metadata).toEqual(metadata)
    expect(read.tensors.size).toBe(sources.length)
    for (const source of sources) {
      if (!('data' in source)) continue
      expect(read.tensors.get(source.name)).toMatchObject({ shape: source.shape, data: source.data })
    }
    const file = await SafetensorsFile.open(path)
    for (const { start, bytes, shape } of file.tensors.values()) {
      const size = shape.reduce((product, length) => product * length, 1)
      if (size > 0) expect(start % (bytes / size)).toBe(0)
    }
    await file.close()
    await expect(file.read('u8')).rejects.toMatchObject({ code: 'ERR_MULTIGATE_DISPOSED' })
  })

  it('takes arrays of other realms, and file: URLs', async () => {
    const foreign = runInNewContext('[Float32Array.of(1, 2), BigInt64Array.of(3n), Uint8Array.of(4)]') as [
      Float32Array,
      BigInt64Array,
      Uint8Array,
    ]
    const [floats, longs, bytes] = foreign
    expect(floats).not.toBeInstanceOf(Float32Array)
    const url = pathToFileURL(path)
    await writeSafetensors(url, {
      tensors: [
        { name: 'whole', shape: [2], data: floats },
        { name: 'chunked', shape: [2], dtype: 'F32', chunks: () => [floats] },
        { name: 'longs', shape: [1], data: longs },
        { name: 'bytes', shape: [1], data: bytes },
      ],
    })
    for (const where of [url, url.href]) {
      const { tensors } = await readSafetensors(where)
      expect([...tensors].map(([name, { data }]) => [name, ...data])).toEqual([
        ['longs', 3n],
        ['whole', 1, 2],
        ['chunked', 1, 2],
        ['bytes', 4],
      ])
    }
  })

  it('streams a tensor in and out in chunks', async () => {
    const rows = Float32Array.from({ length: 10_000 }, (_, index) => index)
    async function* chunks(): AsyncGenerator<Float32Array> {
      for (let at = 0; at < rows.length; at += 999) yield rows.subarray(at, at + 999)
    }
    await writeSafetensors(path, { tensors: [{ name: 'table', shape: [100, 100], dtype: 'F32', chunks }] })
    const file = await SafetensorsFile.open(path)
    const parts: number[] = []
    for await (const part of file.chunks('table', 1234)) {
      expect(part.length).toBeLessThanOrEqual(1234)
      parts.push(...(part as Float32Array))
    }
    expect(parts).toEqual([...rows])
    expect((await file.read('table')).data).toEqual(rows)
    expect(() => file.entry('tabel')).toThrow(refusal('FORMAT', { field: 'tabel', says: '"tabel"' }))
    await file.close()
  })

  it.each<[string, TensorSource[], Error]>([
    [
      'data shorter than the shape',
      [{ name: 'a', shape: [2, 2], data: new Float32Array(3) }],
      refusal('ARGUMENT', { field: 'a', says: ['"a"', '2', '4', '3'] }),
    ],
    [
      'chunks that end early',
      [{ name: 'a', shape: [3], dtype: 'F32', chunks: () => [new Float32Array(2)] }],
      refusal('ARGUMENT', { field: 'a', says: ['3', '2'] }),
    ],
    [
      'chunks that go on',
      [{ name: 'a', shape: [3], dtype: 'F32', chunks: () => [new Float32Array(2), new Float32Array(2)] }],
      refusal('ARGUMENT', { field: 'a', says: '4' }),
    ],
    [
      'chunks of another type',
      [{ name: 'a', shape: [2], dtype: 'F32', chunks: () => [new Int32Array(2)] }],
      refusal('ARGUMENT', { field: 'a', says: 'Int32Array(2)' }),
    ],
    [
      'a type that files do not hold',
      [{ name: 'a', shape: [1], data: new Uint16Array(1) as never }],
      refusal('ARGUMENT', { field: 'a', says: 'Uint16Array(1)' }),
    ],
    [
      'a name twice',
      [
        { name: 'a', shape: [1], data: new Float32Array(1) },
        { name: 'a', shape: [1], data: new Int32Array(1) },
      ],
      refusal('ARGUMENT', { field: 'a' }),
    ],
    ['the name of the metadata', [{ name: '__metadata__', shape: [1], data: new Float32Array(1) }], refusal('ARGUMENT')],
    ['half an element', [{ name: 'a', shape: [0.5], data: new Float32Array(1) }], refusal('ARGUMENT', { field: 'a' })],
  ])('refuses %s and leaves the old file', async (_, tensors, message) => {
    await writeSafetensors(path, { tensors: sources })
    const before = readFileSync(path)
    await expect(writeSafetensors(path, { tensors })).rejects.toThrow(message)
    expect(readFileSync(path)).toEqual(before)
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })
})

it('reads the files of another writer', async () => {
  for (const { file } of goldenIndex().slice(0, 12)) {
    const want = readGolden(file)
    const { tensors } = await readSafetensors(join(goldenFolder, file))
    expect([...tensors.keys()].sort()).toEqual([...want.keys()].sort())
    for (const [name, { dtype, shape, data }] of want) expect(tensors.get(name)).toEqual({ dtype, shape, data })
  }
})

/** A file with this header and `data` bytes of zeros. */
function fileOf(header: unknown, data: number, length?: bigint): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const first = Buffer.alloc(8)
  first.writeBigUInt64LE(length ?? BigInt(json.length))
  return Buffer.concat([first, json, Buffer.alloc(data)])
}

const f32 = (from: number, to: number, shape = [(to - from) / 4]): object => ({ dtype: 'F32', shape, data_offsets: [from, to] })

describe('hostile files', () => {
  it.each<[string, Buffer, Error]>([
    ['nothing', Buffer.alloc(0), refusal('FORMAT', { field: 'header length', says: '8' })],
    ['seven bytes', Buffer.alloc(7), refusal('FORMAT', { field: 'header length', says: '8' })],
    ['a header beyond the file', fileOf({}, 0, 1000n), refusal('FORMAT', { says: '1000' })],
    ['a header of 2^63 bytes', fileOf({}, 0, 2n ** 63n), refusal('FORMAT', { field: 'header length', says: '100000000' })],
    ['no JSON', fileOf('{"a":', 0), refusal('FORMAT', { field: 'header', says: 'JSON' })],
    [
      'bytes that are not UTF-8',
      Buffer.concat([fileOf('', 0, 4n), Buffer.from([0x22, 0xff, 0xfe, 0x22])]),
      refusal('FORMAT', { field: 'header', says: 'JSON' }),
    ],
    ['an array', fileOf([1], 0), refusal('FORMAT', { field: 'header', says: '[1]' })],
    ['null', fileOf('null', 0), refusal('FORMAT', { field: 'header' })],
    ['a tensor that is a number', fileOf({ a: 1 }, 0), refusal('FORMAT', { field: '"a"', says: '1' })],
    [
      'another element type',
      fileOf({ a: { dtype: 'BF16', shape: [2], data_offsets: [0, 4] } }, 4),
      refusal('FORMAT', { field: '"a".dtype', says: '"BF16"' }),
    ],
    [
      'an element type of the prototype',
      fileOf({ a: { dtype: 'constructor', shape: [], data_offsets: [0, 0] } }, 0),
      refusal('FORMAT', { field: '"a".dtype' }),
    ],
    ['a negative size', fileOf({ a: f32(0, 4, [-1]) }, 4), refusal('FORMAT', { field: '"a".shape', says: '0' })],
    ['a fraction', fileOf({ a: f32(0, 4, [1.5]) }, 4), refusal('FORMAT', { field: '"a".shape', says: '1.5' })],
    [
      'a shape that overflows',
      fileOf({ a: f32(0, 4, [2 ** 32, 2 ** 32, 2 ** 32]) }, 4),
      refusal('FORMAT', { field: '"a".data_offsets' }),
    ],
    [
      'a shape of another size',
      fileOf({ a: f32(0, 8, [3]) }, 8),
      refusal('FORMAT', { field: '"a".data_offsets', says: ['12', '[3]', '8'] }),
    ],
    ['offsets beyond the file', fileOf({ a: f32(0, 8) }, 4), refusal('FORMAT', { says: '4' })],
    ['offsets the wrong way round', fileOf({ a: f32(8, 4, [0]) }, 8), refusal('FORMAT')],
    [
      'one offset',
      fileOf({ a: { dtype: 'F32', shape: [0], data_offsets: [0] } }, 0),
      refusal('FORMAT', { field: '"a".data_offsets' }),
    ],
    ['tensors that overlap', fileOf({ a: f32(0, 8), b: f32(4, 12) }, 12), refusal('FORMAT', { field: '"b".data_offsets' })],
    ['the same bytes twice', fileOf({ a: f32(0, 4), b: f32(0, 4) }, 4), refusal('FORMAT', { field: '"b".data_offsets' })],
    ['a gap', fileOf({ a: f32(0, 4), b: f32(8, 12) }, 12), refusal('FORMAT', { field: '"b".data_offsets' })],
    ['bytes that no tensor has', fileOf({ a: f32(0, 4) }, 5), refusal('FORMAT', { field: 'data', says: ['4', '5'] })],
    [
      'a name twice',
      fileOf(`{"a":${JSON.stringify(f32(0, 4))},"\\u0061":${JSON.stringify(f32(0, 4))}}`, 4),
      refusal('FORMAT', { field: '"a"' }),
    ],
    [
      'a field twice',
      fileOf('{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}', 1),
      refusal('FORMAT', { field: '"shape"' }),
    ],
    ['a field too many', fileOf({ a: { ...f32(0, 4), code: 'x' } }, 4), refusal('FORMAT', { field: '"a".code' })],
    [
      'metadata that is no text',
      fileOf({ __metadata__: { a: 1 } }, 0),
      refusal('FORMAT', { field: '__metadata__.a', says: '1' }),
    ],
    ['metadata that is a list', fileOf({ __metadata__: [] }, 0), refusal('FORMAT', { field: '__metadata__' })],
  ])('%s', async (_, bytes, message) => {
    writeFileSync(path, bytes)
    await expect(SafetensorsFile.open(path)).rejects.toThrow(message)
    await expect(SafetensorsFile.open(path)).rejects.toMatchObject({ file: path })
  })

  it('a tensor larger than memory', async () => {
    // A sparse file: it takes no room on the disk.
    writeFileSync(path, fileOf({ a: { dtype: 'U8', shape: [2 ** 45], data_offsets: [0, 2 ** 45] } }, 0))
    truncateSync(path, statSync(path).size + 2 ** 43)
    await expect(readSafetensors(path)).rejects.toMatchObject({ code: 'ERR_MULTIGATE_FORMAT' })
    writeFileSync(path, fileOf({ a: { dtype: 'U8', shape: [2 ** 43], data_offsets: [0, 2 ** 43] } }, 0))
    truncateSync(path, statSync(path).size + 2 ** 43)
    await expect(readSafetensors(path)).rejects.toThrow(refusal('OUT_OF_MEMORY', { says: '"a"' }))
    writeFileSync(path, '')
  })

  it('nesting without end', async () => {
    writeFileSync(path, fileOf(`{"a":${'['.repeat(1_000_000)}`, 0))
    await expect(readSafetensors(path)).rejects.toThrow(refusal('FORMAT', { field: 'header', says: '64' }))
  })

  it('what is no file is not opened: a pipe would wait for a writer', async () => {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    for (const name of [pipe, '/dev/zero', folder]) {
      await expect(SafetensorsFile.open(name)).rejects.toThrow(refusal('FORMAT', { file: name }))
    }
  })

  it('a file that is not there, and a folder', async () => {
    await expect(readSafetensors(join(folder, 'no'))).rejects.toMatchObject({ code: 'ERR_MULTIGATE_FORMAT' })
    await expect(readSafetensors(folder)).rejects.toMatchObject({ code: 'ERR_MULTIGATE_FORMAT' })
  })

  it('every truncation is refused', async () => {
    await writeSafetensors(path, { tensors: sources, metadata: { a: 'b' } })
    const whole = readFileSync(path)
    for (let length = 0; length < whole.length; length += 1) {
      writeFileSync(path, whole.subarray(0, length))
      await expect(readSafetensors(path), `${length} bytes`).rejects.toMatchObject({ code: 'ERR_MULTIGATE_FORMAT' })
    }
  })

  it('changed bytes are refused or read as data, and never anything else', async () => {
    await writeSafetensors(path, { tensors: sources, metadata: { a: 'b' } })
    const whole = readFileSync(path)
    const random = randomOf(11)
    let refused = 0
    for (let round = 0; round < 400; round += 1) {
      const bytes = Buffer.from(whole)
      for (let change = 0; change < 3; change += 1) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
      writeFileSync(path, bytes)
      await readSafetensors(path).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'ERR_MULTIGATE_FORMAT' })
        refused += 1
      })
    }
    expect(refused).toBeGreaterThan(100)
  })
})
