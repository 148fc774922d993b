// Event files of TensorBoard, read back by a reader that is written after the formats alone: TFRecord, CRC-32C and protobuf.

import { appendFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { parseConfig } from '../../lib/cli/config.js'
import { crc32c, EventFile } from '../../lib/io/event-file.js'
import type { Callback } from '../../lib/training/callbacks.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import type { EpochRecord } from '../../lib/training/history.js'
import type { FitOptions } from '../../lib/training/options.js'
import { type TensorBoardOptions, tensorBoard } from '../../lib/training/tensor-board.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 600 })
const validation = data({ rows: 200, seed: 2 })
const folder = (): string => mkdtempSync(join(tmpdir(), 'multigate-'))

async function epochsOf(options: FitOptions): Promise<readonly EpochRecord[]> {
  using net = model()
  return (await net.fit(train, { validation, batchSize: 100, ...options })).epochs
}

/** CRC-32C bit by bit: the remainder of a division of polynomials, without a table. */
function remainder(bytes: Uint8Array): number {
  let rest = 0xffffffffn
  for (const byte of bytes) {
    rest ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit += 1) rest = rest & 1n ? (rest >> 1n) ^ 0x82f63b78n : rest >> 1n
  }
  return Number(rest ^ 0xffffffffn)
}

function maskedOf(bytes: Uint8Array): number {
  const crc = BigInt(remainder(bytes))
  return Number((((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn)
}

/** The data of the records. Ends at the first one that is not whole. */
function recordsOf(file: Buffer): Buffer[] {
  const records: Buffer[] = []
  for (let at = 0; at + 12 <= file.length; ) {
    const length = Number(file.readBigUInt64LE(at))
    if (at + 16 + length > file.length) break
    const found = file.subarray(at + 12, at + 12 + length)
    expect(file.readUInt32LE(at + 8)).toBe(maskedOf(file.subarray(at, at + 8)))
    expect(file.readUInt32LE(at + 12 + length)).toBe(maskedOf(found))
    records.push(found)
    at += 16 + length
  }
  return records
}

type Field = number | Buffer

/** The fields of a message by number, in order. */
function fieldsOf(message: Buffer): Map<number, Field[]> {
  const fields = new Map<number, Field[]>()
  let at = 0
  const varint = (): number => {
    let [value, shift] = [0n, 0n]
    for (;;) {
      const byte = message.readUInt8(at++)
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return Number(value)
      shift += 7n
    }
  }
  const take = (length: number): Buffer => message.subarray(at, (at += length))
  while (at < message.length) {
    const key = varint()
    const type = key % 8
    const value =
      type === 0 ? varint() : type === 1 ? take(8).readDoubleLE() : type === 5 ? take(4).readFloatLE() : take(varint())
    fields.set((key - type) / 8, [...(fields.get((key - type) / 8) ?? []), value])
  }
  return fields
}

interface Point {
  readonly step: number
  readonly values: Readonly<Record<string, number>>
}

/** What TensorBoard shows of a folder: files in the order of names; a session that starts at a step ends what is there of it and later. */
function shownIn(run: string): Point[] {
  let points: Point[] = []
  for (const name of readdirSync(run).sort()) {
    const [version, ...events] = recordsOf(readFileSync(join(run, name))).map(fieldsOf)
    expect(String(version?.get(3)?.[0])).toBe('brain.Event:2')
    for (const event of events) {
      const [step = 0] = event.get(2) ?? []
      expect(Number(event.get(1)?.[0])).toBeCloseTo(Date.now() / 1000, -3)
      for (const log of event.get(7) ?? []) {
        expect(fieldsOf(log as Buffer)).toEqual(new Map([[1, [1]]]))
        points = points.filter((point) => point.step < Number(step))
      }
      for (const summary of event.get(5) ?? []) {
        const scalars = (fieldsOf(summary as Buffer).get(1) ?? []).map((value) => fieldsOf(value as Buffer))
        points.push({
          step: Number(step),
          values: Object.fromEntries(scalars.map((scalar) => [String(scalar.get(1)?.[0]), Number(scalar.get(2)?.[0])])),
        })
      }
    }
  }
  return points
}

const rounded = (values: Record<string, number | undefined>) =>
  Object.fromEntries(Object.entries(values).map(([tag, value]) => [tag, Math.fround(value ?? NaN)]))

const trained = (epochs: readonly EpochRecord[]): Point[] =>
  epochs.map(({ epoch, loss, tasks, learningRate, rowsPerSecond }) => ({
    step: 6 * epoch,
    values: rounded({
      loss,
      'click/loss': tasks['click']?.loss,
      'buy/loss': tasks['buy']?.loss,
      learning_rate: learningRate,
      rows_per_second: rowsPerSecond,
    }),
  }))

it('has the checksum of RFC 3720', () => {
  expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283)
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43)
})

it('has every number of every epoch, training and validation as two runs with the same tags', async () => {
  const dir = join(folder(), 'runs', 'first')
  const epochs = await epochsOf({ epochs: 3, callbacks: [tensorBoard({ dir })] })
  expect(shownIn(join(dir, 'train'))).toEqual(trained(epochs))
  const [first, , last] = shownIn(join(dir, 'validation'))
  const { metrics } = epochs[2] ?? {}
  expect(first?.step).toBe(6)
  expect(last?.step).toBe(18)
  expect(Object.keys(last?.values ?? {}).sort()).toEqual(
    Object.keys(metrics ?? {})
      .filter((name) => name.startsWith('val_'))
      .map((name) => name.replace('val_', '').replace(/^(click|buy)_/, '$1/'))
      .sort(),
  )
  expect(last?.values).toMatchObject(
    rounded({ loss: metrics?.['val_loss'], auc: metrics?.['val_auc'], 'buy/auc': metrics?.['val_buy_auc'] }),
  )
})

it('puts metrics of training and balancing beside the losses', async () => {
  const dir = folder()
  const options = { trainingMetrics: true, balance: 'rlw' as const, score: { click_auc: 1 } }
  const [epoch] = await epochsOf({ ...options, callbacks: [tensorBoard({ dir })] })
  expect(shownIn(join(dir, 'train'))[0]?.values).toMatchObject(
    rounded({
      auc: epoch?.metrics['auc'],
      'click/auc': epoch?.metrics['click_auc'],
      'click/weight': epoch?.balance?.weights['click'],
    }),
  )
  expect(shownIn(join(dir, 'validation'))[0]?.values).toMatchObject(rounded({ score: epoch?.validation?.score }))
})

it('has no run for validation data that there are not', async () => {
  const dir = folder()
  await epochsOf({ validation: undefined, callbacks: [tensorBoard({ dir })] })
  expect(readdirSync(dir)).toEqual(['train'])
})

describe('a resumed run', () => {
  it('has every epoch once, although the run before it went on after its checkpoint and broke off', async () => {
    const [dir, last] = [folder(), join(folder(), 'last.safetensors')]
    const breaks: Callback = {
      onStep({ epoch, step }) {
        if (epoch === 4 && step === 2) throw new Error('broken')
      },
    }
    const board = tensorBoard({ dir })
    const saved = checkpoint({ path: last })
    const twice: Callback = {
      ...saved,
      onEpochSettled: async (record, control) => record.epoch <= 2 && (await saved.onEpochSettled?.(record, control)),
    }
    await expect(epochsOf({ epochs: 6, callbacks: [board, twice, breaks] })).rejects.toThrow('broken')
    const train = join(dir, 'train')
    expect(shownIn(train).map(({ step }) => step)).toEqual([6, 12, 18])
    // A process that was killed while it wrote.
    appendFileSync(join(train, readdirSync(train)[0] ?? ''), Buffer.alloc(20, 1))
    const epochs = await epochsOf({ epochs: 5, callbacks: [tensorBoard({ dir }), twice], resume: last })
    expect(shownIn(train).slice(2)).toEqual(trained(epochs.slice(2)))
    expect(shownIn(train).map(({ step }) => step)).toEqual([6, 12, 18, 24, 30])
    expect(shownIn(join(dir, 'validation')).map(({ step }) => step)).toEqual([6, 12, 18, 24, 30])
  })

  it('that breaks off in the middle of an epoch counts that epoch once', async () => {
    const [dir, last] = [folder(), join(folder(), 'last.safetensors')]
    const breaks: Callback = {
      onStep({ epoch, step }) {
        if (epoch === 2 && step === 5) throw new Error('broken')
      },
    }
    const callbacks = [tensorBoard({ dir }), checkpoint({ path: last, everySteps: 2 })]
    await expect(epochsOf({ epochs: 3, callbacks: [...callbacks, breaks] })).rejects.toThrow('broken')
    await epochsOf({ epochs: 3, callbacks, resume: last })
    expect(shownIn(join(dir, 'train')).map(({ step }) => step)).toEqual([6, 12, 18])
  })

  it('of a run that took over an optimizer counts its own steps alone', async () => {
    const [dir, first, last] = [folder(), join(folder(), 'first.safetensors'), join(folder(), 'last.safetensors')]
    await epochsOf({ epochs: 2, callbacks: [checkpoint({ path: first })] })
    const callbacks = [tensorBoard({ dir }), checkpoint({ path: last })]
    await epochsOf({ epochs: 1, callbacks, from: first })
    await epochsOf({ epochs: 2, callbacks, resume: last })
    expect(shownIn(join(dir, 'train')).map(({ step }) => step)).toEqual([6, 12])
  })

  it('goes on at the steps that there were, with batches of another size', async () => {
    const [dir, last] = [folder(), join(folder(), 'last.safetensors')]
    const callbacks = [tensorBoard({ dir }), checkpoint({ path: last })]
    await epochsOf({ epochs: 2, callbacks })
    await epochsOf({ epochs: 3, batchSize: 300, callbacks, resume: last })
    expect(shownIn(join(dir, 'train')).map(({ step }) => step)).toEqual([6, 12, 14])
  })
})

it('is a callback of a configuration', async () => {
  const dir = folder()
  const config = (callback: object) => ({
    model: 'MMoE',
    features: [{ kind: 'dense', name: 'price' }],
    tasks: [{ kind: 'binary', name: 'click' }],
    fit: { callbacks: [{ kind: 'tensorBoard', ...callback }] },
  })
  const epochs = await epochsOf({ callbacks: parseConfig(config({ dir })).fit.callbacks })
  expect(shownIn(join(dir, 'train'))).toEqual(trained(epochs))
  expect(() => parseConfig(config({}))).toThrow(refusal('ARGUMENT', { field: 'config.fit.callbacks[0].dir' }))
})

it('takes the place of an earlier run in the same folder', async () => {
  const dir = folder()
  await epochsOf({ epochs: 3, callbacks: [tensorBoard({ dir })] })
  const epochs = await epochsOf({ epochs: 1, callbacks: [tensorBoard({ dir })] })
  expect(shownIn(join(dir, 'train'))).toEqual(trained(epochs))
})

it('writes steps and tags of any length', async () => {
  const file = await EventFile.create(folder(), 0)
  const tag = 'ä'.repeat(200)
  const steps = [0, 127, 128, 2 ** 31, 2 ** 40 + 1, Number.MAX_SAFE_INTEGER]
  for (const step of steps) await file.add({ step, values: { [tag]: step, b: -1e-30 } })
  expect(shownIn(join(file.path, '..'))).toEqual(steps.map((step) => ({ step, values: rounded({ [tag]: step, b: -1e-30 }) })))
})

it.each([
  [{}, 'tensorBoard.dir'],
  [{ dir: 'a', every: 2 }, 'tensorBoard.every'],
])('%o is refused', (options, field) => {
  expect(() => tensorBoard(options as TensorBoardOptions)).toThrow(refusal('ARGUMENT', { field }))
})

it('fails before the first step if the folder cannot be made', async () => {
  const file = join(folder(), 'file')
  writeFileSync(file, '')
  const steps: number[] = []
  const callbacks = [tensorBoard({ dir: join(file, 'runs') }), { onStep: () => void steps.push(1) }]
  await expect(epochsOf({ callbacks })).rejects.toThrow(refusal('WRITE'))
  expect(steps).toEqual([])
})
