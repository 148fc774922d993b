// Event files of TensorBoard: TFRecords of the protobuf message Event. A record is a length, its checksum, the message, its checksum;
// checksums are CRC-32C, masked. Messages are only written, and only those that scalars need, so a few lines stand for a protobuf library.

import { appendFile, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'

import { failedAt } from './atomic.js'

/** Numbers of one step, by tag. */
export interface Scalars {
  readonly step: number
  readonly values: Readonly<Record<string, number>>
}

/** A file that grows by whole records. Readers take each record as soon as it is complete. */
export class EventFile {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  /**
   * Makes a file in a folder, which is made too. Its name sorts after those of the files that are there, because readers take files in the
   * order of their names.
   * @param firstStep readers drop what earlier files have of this step and of later ones.
   * @throws ERR_MULTIGATE_WRITE.
   */
  static async create(folder: string, firstStep: number): Promise<EventFile> {
    const failed = failedAt(folder)
    await mkdir(folder, { recursive: true }).catch(failed)
    const names = await readdir(folder).catch(failed)
    const taken = names.map((name) => Number(/^events\.out\.tfevents\.(\d+)\./.exec(name)?.[1] ?? 0))
    const second = Math.max(Math.floor(Date.now() / 1000), ...taken.map((other) => other + 1))
    const file = new EventFile(join(folder, `events.out.tfevents.${String(second).padStart(10, '0')}.multigate`))
    const version = new Message().text(3, 'brain.Event:2')
    const start = new Message().integer(2, firstStep).message(7, new Message().integer(1, sessionStart))
    await file.#append([version, start], 'wx')
    return file
  }

  /** @throws ERR_MULTIGATE_WRITE. */
  async add({ step, values }: Scalars): Promise<void> {
    const scalars = Object.entries(values).map(([tag, value]) => new Message().text(1, tag).float(2, value))
    const summary = scalars.reduce((list, scalar) => list.message(1, scalar), new Message())
    await this.#append([new Message().integer(2, step).message(5, summary)], 'a')
  }

  async #append(events: readonly Message[], flag: 'a' | 'wx'): Promise<void> {
    const now = Date.now() / 1000
    const records = events.map((event) => record(event.double(1, now).bytes))
    await appendFile(this.path, Buffer.concat(records), { flag }).catch(failedAt(this.path))
  }
}

/** SessionLog.SessionStatus.START. */
const sessionStart = 1

function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 16)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(data.length), true)
  view.setUint32(8, masked(bytes.subarray(0, 8)), true)
  bytes.set(data, 12)
  view.setUint32(12 + data.length, masked(data), true)
  return bytes
}

/** A rotated checksum plus a constant: the checksum of data that contains its own is of little use. */
function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

/** CRC-32 with Castagnoli's polynomial, reflected. `zlib.crc32` has another one. */
export function crc32c(bytes: Uint8Array): number {
  let crc = ~0
  for (const byte of bytes) crc = (table[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8)
  return ~crc >>> 0
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  return crc
})

/** The wire types of protobuf. */
const wire = { varint: 0, fixed64: 1, length: 2, fixed32: 5 } as const

/** A protobuf message in the making. */
class Message {
  readonly #parts: Uint8Array[] = []

  get bytes(): Uint8Array {
    return Buffer.concat(this.#parts)
  }

  /** An integer >= 0. */
  integer(field: number, value: number): this {
    return this.#add(field, wire.varint, varint(value))
  }

  double(field: number, value: number): this {
    return this.#add(field, wire.fixed64, new Uint8Array(Float64Array.of(value).buffer))
  }

  float(field: number, value: number): this {
    return this.#add(field, wire.fixed32, new Uint8Array(Float32Array.of(value).buffer))
  }

  text(field: number, value: string): this {
    return this.#block(field, new TextEncoder().encode(value))
  }

  message(field: number, value: Message): this {
    return this.#block(field, value.bytes)
  }

  #block(field: number, bytes: Uint8Array): this {
    return this.#add(field, wire.length, varint(bytes.length), bytes)
  }

  #add(field: number, type: number, ...parts: readonly Uint8Array[]): this {
    this.#parts.push(varint(field * 8 + type), ...parts)
    return this
  }
}

/** Seven bits a byte, the lowest first; the eighth says that more follow. */
function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return Uint8Array.of(...bytes, rest)
}
