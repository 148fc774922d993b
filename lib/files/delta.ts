// A delta file: what has changed from one model, its base, to another. Dense tensors that changed stand whole under their own names. A table
// has `delta.rows.<feature>` [k], the numbers of its changed and new rows in ascending order, and `delta.values.<feature>` [k, dim].
// `delta.evicted.<feature>` are the places in the base's vocabulary of values that left, and `vocabulary.<feature>...` the values that
// came. Two fingerprints name the base and the result. A digest covers the JSON beside the tensors.

import { createHash } from 'node:crypto'
import { z } from 'zod'

import { isTypedArray } from '../core/arrays.js'
import { checkFailed, describeIssues, quote } from '../core/check.js'
import { FormatError } from '../core/errors.js'
import { notFiniteAt } from '../core/finite.js'
import { type FilePath, pathOf } from '../core/path.js'
import { inSlices, Pause } from '../core/slices.js'
import { TextIndex } from '../core/text-index.js'
import { isNumeric } from '../features/encode/cast.js'
import { denseEncoder } from '../features/encode/dense.js'
import type { Encoder } from '../features/encode/encoder.js'
import { tableEncoder } from '../features/encode/growth.js'
import { indexOfKeys } from '../features/encode/key-index.js'
import { SafetensorsFile, type TensorSource, writeSafetensors } from '../io/safetensors.js'
import type { DType } from '../io/tensors.js'
import type { Network } from '../models/network.js'
import type { FloatArray } from '../native/binding.js'
import { DataEncoder } from '../runtime/encode.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { chunkElements, type Weight, weightsOf } from '../runtime/weights.js'
import type { Task } from '../tasks/task.js'
import { type Built, daysSchema, deltaKey as key, readingSchema } from './format.js'
import { drawnSchema } from './training-state.js'
import { keyTensors, readLastSeen, readVocabulary, seenTensor, vocabularyNames } from './vocabularies.js'

const digestKey = 'multigate.digest'

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

const rowsName = (feature: string): string => `delta.rows.${feature}`
const valuesName = (feature: string): string => `delta.values.${feature}`
const evictedName = (feature: string): string => `delta.evicted.${feature}`

const fingerprint = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.int().min(0)

const stateSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('dense'),
    offset: z.number(),
    scale: z.number().refine((scale) => scale !== 0, 'expected a number other than 0, found 0'),
    fill: z.number().nullable(),
  }),
  z.strictObject({
    kind: z.literal('table'),
    type: z.enum(['number', 'string', 'boolean', 'date']).nullable(),
    /** Values that the vocabulary takes; null without a fitted one. */
    added: count.nullable(),
  }),
])

const deltaSchema = z.strictObject({
  version: z.literal(1),
  model: z.string(),
  base: fingerprint,
  result: fingerprint,
  encoders: z.array(stateSchema),
  drawn: drawnSchema,
  days: daysSchema.nullable(),
  reading: readingSchema.nullable(),
})

type DeltaJson = z.output<typeof deltaSchema>

/** What became of a table: which places of the base's vocabulary left, and how many values came. */
export interface TableChange {
  readonly evicted: Int32Array
  readonly added: number
  /** Changed and new rows, ascending. */
  readonly rows: Int32Array
}

/** What a delta is made from. */
export interface Delta {
  readonly model: string
  readonly base: string
  readonly result: string
  readonly built: Built
  /** Dense tensors that changed. */
  readonly dense: readonly Weight[]
  readonly tables: ReadonlyMap<string, TableChange>
}

/** Writes a delta. It replaces the whole file or leaves it untouched. */
export async function writeDelta(path: FilePath, { model, base, result, built, dense, tables }: Delta): Promise<void> {
  const { encoder, runner, drawn, days, reading } = built
  const dtype: DType = runner.compute.element === Float64Array ? 'F64' : 'F32'
  const tensors: TensorSource[] = dense.map((weight) => {
    const { name, shape } = weight
    return { name, shape, dtype, chunks: () => finite(path, name, runner.weights.passing(weight)) }
  })
  for (const { name, dim } of runner.network.tables) {
    const change = tables.get(name)
    if (change === undefined) continue
    const { rows, evicted } = change
    if (evicted.length > 0) tensors.push({ name: evictedName(name), shape: [evicted.length], data: evicted })
    if (rows.length === 0) continue
    const chunks = () => finite(path, valuesName(name), rowValues(runner, name, dim, rows))
    tensors.push({ name: rowsName(name), shape: [rows.length], data: rows })
    tensors.push({ name: valuesName(name), shape: [rows.length, dim], dtype, chunks })
  }
  const encoders = encoder.encoders.map((one): DeltaJson['encoders'][number] => {
    if (one.kind === 'dense') return { kind: 'dense', ...one.state }
    const added = one.vocabulary === undefined ? null : (tables.get(one.feature.name)?.added ?? 0)
    return { kind: 'table', type: one.type ?? null, added }
  })
  for (const one of encoder.encoders) {
    if (one.kind === 'dense' || one.vocabulary === undefined) continue
    const { name } = one.feature
    const added = tables.get(name)?.added ?? 0
    if (added > 0) tensors.push(...(await keyTensors(name, one.vocabulary, one.vocabulary.size - added)))
    if (one.lastSeen !== undefined) tensors.push(seenTensor(name, one.lastSeen))
  }
  const json: DeltaJson = {
    version: 1,
    model,
    base,
    result,
    encoders,
    drawn,
    days: days === undefined ? null : { ...days, drawnRows: { ...days.drawnRows } },
    reading: reading ?? null,
  }
  const text = JSON.stringify(json)
  await writeSafetensors(path, { metadata: { [key]: text, [digestKey]: digestOf(text) }, tensors })
}

function* rowValues({ weights, compute }: NetworkRunner, table: string, dim: number, rows: Int32Array): Generator<FloatArray> {
  const memory = `table:${table}`
  const step = Math.max(1, Math.floor(chunkElements / dim))
  for (let start = 0; start < rows.length; start += step) {
    const own = rows.subarray(start, start + step)
    const values = new compute.element(own.length * dim)
    for (const { from, to, row } of runsOf(own))
      weights.read({ memory, offset: row * dim }, values.subarray(from * dim, to * dim))
    yield values
  }
}

/** Runs of consecutive rows: positions [from, to) of the list, and the first of the rows. */
function* runsOf(rows: Int32Array): Generator<{ readonly from: number; readonly to: number; readonly row: number }> {
  for (let from = 0, to = 1; from < rows.length; from = to, to += 1) {
    const row = rows[from] ?? 0
    while (to < rows.length && rows[to] === row + to - from) to += 1
    yield { from, to, row }
  }
}

function* finite(path: FilePath, name: string, parts: Iterable<FloatArray>): Generator<FloatArray> {
  for (const part of parts) {
    const at = notFiniteAt(part)
    if (at >= 0) {
      const what = `tensor ${quote(name)}: expected finite numbers, found ${part[at]}; nothing was written`
      throw checkFailed('ERR_MULTIGATE_DIVERGED', `${pathOf('path', path)}: ${what}`)
    }
    yield part
  }
}

/** An open delta. */
export class DeltaFile {
  readonly path: string
  readonly base: string
  readonly result: string
  readonly past: Pick<Built, 'drawn' | 'days' | 'reading'>
  readonly #file: SafetensorsFile
  readonly #json: DeltaJson

  private constructor(file: SafetensorsFile, json: DeltaJson) {
    this.path = file.path
    this.#file = file
    this.#json = json
    this.base = json.base
    this.result = json.result
    this.past = { drawn: json.drawn, days: json.days ?? undefined, reading: json.reading ?? undefined }
  }

  /** Opens a file that `saveDelta` wrote. @throws ERR_MULTIGATE_FORMAT naming what is wrong with it. */
  static async open(path: FilePath): Promise<DeltaFile> {
    const file = await SafetensorsFile.open(path)
    try {
      const text = file.metadata[key]
      if (text === undefined)
        throw formatError(file.path, key, 'expected a delta, found none; was this file written by saveDelta?')
      if (file.metadata[digestKey] !== digestOf(text))
        throw formatError(file.path, key, 'expected what its digest says, found something else')
      const read = deltaSchema.safeParse(parsed(file.path, text))
      if (read.success) return new DeltaFile(file, read.data)
      const [problem] = describeIssues(key, read.error.issues, parsed(file.path, text))
      throw new FormatError(`${file.path}: ${problem?.message ?? 'it is damaged'}`, { file: file.path, field: problem?.field })
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /**
   * The encoders of the result, and the places in the base's vocabularies of values that stay, by feature; undefined: all.
   * @throws ERR_MULTIGATE_FORMAT.
   */
  async encoders(
    base: DataEncoder,
    tasks: readonly Task[],
  ): Promise<{ readonly encoder: DataEncoder; readonly kept: ReadonlyMap<string, Int32Array | undefined> }> {
    const states = this.#json.encoders
    if (states.length !== base.encoders.length)
      throw this.#wrong(key, `expected ${base.encoders.length} encoders, found ${states.length}`)
    const encoders: Encoder[] = []
    const kept = new Map<string, Int32Array | undefined>()
    for (const [index, encoder] of base.encoders.entries()) {
      const own = await this.#encoder(encoder, states[index] as DeltaJson['encoders'][number])
      encoders.push(own.encoder)
      kept.set(encoder.feature.name, own.kept)
    }
    return { encoder: new DataEncoder(encoders, tasks, base.fitted), kept }
  }

  async #encoder(
    base: Encoder,
    state: DeltaJson['encoders'][number],
  ): Promise<{ readonly encoder: Encoder; readonly kept?: Int32Array | undefined }> {
    const { name } = base.feature
    const wrong = (expected: string): Error =>
      this.#wrong(key, `expected ${expected} for feature ${quote(name)}, found another kind`)
    if (base.kind === 'dense') {
      if (state.kind !== 'dense') throw wrong('a dense encoder')
      const { kind: _, ...own } = state
      return { encoder: denseEncoder(base.feature, own) }
    }
    if (state.kind !== 'table' || (state.added === null) !== (base.vocabulary === undefined))
      throw wrong('an encoder of the same ids')
    const { vocabulary } = base
    if (vocabulary === undefined || state.added === null) return { encoder: base }
    const type = state.type ?? undefined
    const kept = await this.#kept(name, vocabulary.size)
    const stayed = kept?.length ?? vocabulary.size
    const size = stayed + state.added
    const added = state.added === 0 ? undefined : await readVocabulary(this.path, this.#file, name)
    const what = `feature ${quote(name)}`
    const texts = [...(stayed > 0 ? [vocabulary] : []), ...(added === undefined ? [] : [added])].map(
      (one) => one instanceof TextIndex,
    )
    const isText = type !== undefined && !isNumeric(type)
    if (added !== undefined && (added.size !== state.added || texts.some((one) => one !== texts[0]) || texts[0] !== isText))
      throw this.#wrong(key, `expected ${state.added} values of type ${type} for ${what}, found ${added.size} of another kind`)
    const keyAt = (at: number) => (at < stayed ? vocabulary.keyAt(kept?.[at] ?? at) : (added?.keyAt(at - stayed) ?? ''))
    const whole = kept === undefined && added === undefined
    const next = whole || type === undefined ? vocabulary : await inSlices(indexOfKeys(what, type, size, keyAt))
    if (next.size !== size) throw this.#wrong(key, `expected ${size} different values for ${what}, found ${next.size}`)
    const lastSeen = await readLastSeen(this.path, this.#file, name, size)
    return { encoder: tableEncoder(base, { vocabulary: next, type, lastSeen }), kept }
  }

  /** Places of a vocabulary without the evicted ones. */
  async #kept(feature: string, size: number): Promise<Int32Array | undefined> {
    const name = evictedName(feature)
    if (!this.#file.tensors.has(name)) return undefined
    const evicted = await this.#integers(name, size)
    const kept = new Int32Array(size - evicted.length)
    let next = 0
    for (let at = 0, to = 0; at < size; at += 1) {
      if (evicted[next] === at) next += 1
      else kept[to++] = at
    }
    return kept
  }

  /** A list of integers in [0, limit), ascending. */
  async #integers(name: string, limit: number): Promise<Int32Array> {
    const { data, shape } = await this.#file.read(name)
    if (!isTypedArray(data, 'Int32Array') || shape.length !== 1)
      throw this.#wrong(name, `expected I32 of shape [n], found ${this.#file.entry(name).dtype} of shape [${shape.join(', ')}]`)
    let before = -1
    for (const value of data) {
      if (value <= before || value >= limit)
        throw this.#wrong(name, `expected ascending integers below ${limit}, found ${value} after ${before}`)
      before = value
    }
    return data
  }

  /**
   * Writes the changes over the weights of the base. The rows of its tables that stay are in place.
   * @param stayed rows that each table has from the base, row 0 included.
   * @throws ERR_MULTIGATE_FORMAT.
   */
  async write({ network, weights }: NetworkRunner, encoder: DataEncoder, stayed: (table: string) => number): Promise<void> {
    this.#checkNames(network, encoder)
    const pause = new Pause()
    for (const { name, shape, memory, offset } of weightsOf(network)) {
      if (memory !== 'parameters' || !this.#file.tensors.has(name)) continue
      this.#checkFloats(name, shape)
      let at = offset
      for await (const part of this.#floats(name, chunkElements)) {
        weights.write({ memory, offset: at }, part)
        at += part.length
      }
      await pause.ifDue()
    }
    for (const { name, rows, dim } of network.tables) {
      const first = stayed(name)
      const changed = this.#file.tensors.has(rowsName(name)) ? await this.#integers(rowsName(name), rows) : new Int32Array(0)
      const fresh = rows - first
      // They ascend, so if the first of the last is right and there are enough, all new rows are there.
      if (fresh > 0 && changed[changed.length - fresh] !== first)
        throw this.#wrong(rowsName(name), `expected all ${fresh} new rows of the table, found some only`)
      if (changed.length === 0) continue
      this.#checkFloats(valuesName(name), [changed.length, dim])
      const step = Math.max(1, Math.floor(chunkElements / dim))
      let at = 0
      for await (const part of this.#floats(valuesName(name), step * dim)) {
        const own = changed.subarray(at, at + part.length / dim)
        for (const { from, to, row } of runsOf(own))
          weights.write({ memory: `table:${name}`, offset: row * dim }, part.subarray(from * dim, to * dim))
        at += own.length
        await pause.ifDue()
      }
    }
  }

  /** Runs a check whose arguments come from the file. Its error becomes a FormatError. */
  check<Result>(read: () => Result): Result {
    try {
      return read()
    } catch (cause) {
      throw new FormatError(`${this.path}: ${cause instanceof Error ? cause.message : String(cause)}`, { file: this.path, cause })
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close()
  }

  /** @throws ERR_MULTIGATE_FORMAT for a tensor that no part of the model reads. */
  #checkNames(network: Network, encoder: DataEncoder): void {
    const known = new Set([
      ...network.parameters.tensors.map(({ name }) => name),
      ...network.tables.flatMap(({ name }) => [rowsName(name), valuesName(name), evictedName(name)]),
      ...vocabularyNames(encoder.encoders),
    ])
    const unknown = [...this.#file.tensors.keys()].find((name) => !known.has(name))
    if (unknown !== undefined) throw this.#wrong(unknown, 'expected no such tensor, found one')
  }

  #checkFloats(name: string, expected: readonly number[]): void {
    const { dtype, shape } = this.#file.entry(name)
    if ((dtype === 'F32' || dtype === 'F64') && shape.join() === expected.join()) return
    throw this.#wrong(name, `expected floats of shape [${expected.join(', ')}], found ${dtype} of shape [${shape.join(', ')}]`)
  }

  async *#floats(name: string, elements: number): AsyncGenerator<FloatArray> {
    for await (const part of this.#file.chunks(name, elements, { passing: true })) {
      const at = notFiniteAt(part as FloatArray)
      if (at >= 0) throw this.#wrong(name, `expected finite numbers, found ${part[at]}`)
      yield part as FloatArray
    }
  }

  #wrong(field: string, what: string): FormatError {
    return formatError(this.path, field, what)
  }
}

function parsed(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw formatError(path, key, 'expected JSON, found something else', cause)
  }
}

function formatError(path: string, field: string, what: string, cause?: unknown): FormatError {
  const name = field === key ? field : `tensor ${quote(field)}`
  return new FormatError(`${path}: ${name}: ${what}`, { file: path, field, ...(cause !== undefined && { cause }) })
}
