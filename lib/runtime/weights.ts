// The memories of a network on one device: weights and their gradient, embedding tables and the optimizer's moments, named as in
// `LoweredProgram.bindings`. Several programs bind the same memory; one runs at a time.

import { isMap } from 'node:util/types'

import { lengthOf, typedArrayName } from '../core/arrays.js'
import { checkFailed, guarded, invalidArgument, quote } from '../core/check.js'
import { DisposedError } from '../core/errors.js'
import { elementsOf, type Table, type Tensor } from '../core/layout.js'
import { availableBytes, bytesText } from '../core/memory.js'
import type { LoweredProgram } from '../core/program.js'
import { inSlices, type Sliced } from '../core/slices.js'
import { temperatureAfter } from '../core/temperature.js'
import type { Network } from '../models/network.js'
import type { FloatArray, Initializer, NativeMemory, NativePlan } from '../native/binding.js'
import type { Compute } from './compute.js'

/** Elements per copy, about a millisecond. A table may be larger than any JavaScript array. */
export const chunkElements = 2 ** 20

/** Elements per draw: some tens of milliseconds on one thread. */
const drawnElements = 2 ** 22

/** Streams of a round of draws, more than any model has. */
const streamsPerRound = 2 ** 24

/** A copy of all weights, in chunks. */
export type Snapshot = ReadonlyMap<string, readonly FloatArray[]>

/** Where an array of weights lies. */
export interface Place {
  readonly memory: string
  readonly offset: number
  readonly shape: readonly number[]
}

/** A named array of weights: a tensor of the flat store or an embedding table. */
export interface Weight extends Place {
  readonly name: string
}

/** The weights of a network in the order of its layout; tables are named `embedding.<feature>`. */
export function weightsOf({ parameters, tables }: Network): Weight[] {
  return [
    ...parameters.tensors.map(({ name, shape, offset }) => ({ name, shape, offset, memory: 'parameters' })),
    ...tables.map(({ name, rows, dim }) => ({
      name: `embedding.${name}`,
      shape: [rows, dim],
      offset: 0,
      memory: `table:${name}`,
    })),
  ]
}

/** Consecutive elements, both in a memory and in the random stream that fills them. */
interface Drawn {
  readonly memory: string
  readonly offset: number
  readonly elements: number
  readonly initializer: Initializer
  readonly stream: number
  /** Number of the first element in the stream. Default 0. */
  readonly from?: number
}

export class WeightMemory {
  readonly #compute: Compute
  readonly #memories = new Map<string, NativeMemory>()
  /** Start values of memories that exist but are not filled yet. */
  readonly #unfilled = new Map<string, number>()
  #disposed = false

  constructor(compute: Compute) {
    this.#compute = compute
  }

  has(memory: string): boolean {
    return this.#memories.has(memory)
  }

  /** Binds every memory that a program names. Missing ones are made, all zero until `fill`. */
  bind(plan: NativePlan, { bindings, spec, initial }: LoweredProgram): void {
    for (const [name, number] of Object.entries(bindings)) {
      const buffer = spec.buffers[number]
      if (buffer === undefined) throw new Error(`the program has no buffer ${number} to bind ${name} to`)
      plan.bind(number, this.#memory(name, buffer.width * buffer.count, initial[name]))
    }
  }

  /** Fills new memories that start from a number. */
  async fill(): Promise<void> {
    const unfilled = [...this.#unfilled]
    this.#unfilled.clear()
    await this.#draw(
      unfilled.map(([memory, value]) => {
        const { elements } = this.#held(memory)
        return { memory, offset: 0, elements, initializer: { kind: 'constant', value }, stream: 0 }
      }),
      0,
    )
  }

  /** Draws the initial weights: the same numbers on every device. @throws ERR_MULTIGATE_DISPOSED. */
  async initialize({ parameters, tables }: Network, seed: number): Promise<void> {
    const tensors = parameters.tensors.flatMap(({ shape, offset, initializer, streams }) => {
      const elements = elementsOf(shape) / streams.length
      return streams.map((stream, index) => {
        return { memory: 'parameters', offset: offset + index * elements, elements, initializer, stream }
      })
    })
    const rows = tables.map(({ name, rows, dim, initializer, stream }) => {
      return { memory: `table:${name}`, offset: 0, elements: rows * dim, initializer, stream }
    })
    await this.#draw([...tensors, ...rows], seed)
    this.setTemperatures(parameters.tensors, 0)
  }

  /** Writes the temperatures of gates for the epoch that follows `epochs` epochs. */
  setTemperatures(tensors: readonly Tensor[], epochs: number): void {
    for (const { shape, offset, temperature } of tensors) {
      if (temperature === undefined) continue
      const [experts = 0] = shape
      const kernel = new this.#compute.element(experts * experts)
      for (let expert = 0; expert < experts; expert += 1)
        kernel[expert * (experts + 1)] = 1 / temperatureAfter(temperature, epochs)
      this.write({ memory: 'parameters', offset }, kernel)
    }
  }

  /**
   * Draws whole tables anew, other numbers in every `round`, and takes their moments back to their first values.
   * @param initial the first value of a moment, by its memory; 0 for others.
   */
  async redraw(tables: readonly Table[], round: number, seed: number, initial: LoweredProgram['initial']): Promise<void> {
    const rows = tables.map(({ name, rows, dim, initializer, stream }): Drawn => {
      return { memory: `table:${name}`, offset: 0, elements: rows * dim, initializer, stream: stream + round * streamsPerRound }
    })
    const names = new Set(tables.map(({ name }) => name))
    const moments = this.moments().filter(
      ({ memory }) => names.has(memory.slice(memory.indexOf(':') + 1)) && memory.includes(':'),
    )
    const first = moments.map(({ memory, shape }): Drawn => {
      const initializer = { kind: 'constant', value: initial[memory] ?? 0 } as const
      return { memory, offset: 0, elements: elementsOf(shape), initializer, stream: 0 }
    })
    await this.#draw([...rows, ...first], seed)
  }

  /** Draws the rows of a table from row `first` on. `drawn`: the rows of it that were drawn before, which differ from these. */
  async drawRows({ name, rows, dim, initializer, stream }: Table, first: number, drawn: number, seed: number): Promise<void> {
    const place = { memory: `table:${name}`, offset: first * dim, elements: (rows - first) * dim, from: drawn * dim }
    await this.#draw([{ ...place, initializer, stream }], seed)
  }

  /** Draws a part of a large memory, or several small ones, at a time, so that others get a turn. */
  async #draw(weights: readonly Drawn[], seed: number): Promise<void> {
    const { threads } = this.#compute
    let waiting: Promise<void>[] = []
    let count = 0
    for (const { memory, offset, elements, initializer, stream, from = 0 } of weights) {
      for (let first = 0; first < elements; first += drawnElements) {
        const part = { offset: offset + first, count: Math.min(drawnElements, elements - first), first: from + first }
        waiting.push(this.#held(memory).initializeAsync({ ...part, initializer, seed, stream, threads }))
        count += part.count
        if (count < drawnElements) continue
        await Promise.all(waiting)
        waiting = []
        count = 0
      }
    }
    await Promise.all(waiting)
  }

  /** Drops and frees the optimizer's state. */
  dropMoments(): void {
    for (const [name, memory] of this.#memories) {
      if (!name.startsWith('moment')) continue
      memory.dispose()
      this.#memories.delete(name)
      this.#unfilled.delete(name)
    }
  }

  /** The optimizer's moments, each whole. */
  moments(): Place[] {
    return [...this.#memories].flatMap(([memory, { elements }]) => {
      return memory.startsWith('moment') ? [{ memory, offset: 0, shape: [elements] }] : []
    })
  }

  /** Copies of one array of weights, part by part. */
  *parts({ memory, offset, shape }: Place): Generator<FloatArray, void, undefined> {
    const held = this.#held(memory)
    const elements = elementsOf(shape)
    for (let at = 0; at < elements; at += chunkElements) yield held.read(offset + at, Math.min(chunkElements, elements - at))
  }

  /** The same, but each part reuses the memory of the one before. Finish with a part before you take the next. */
  *passing({ memory, offset, shape }: Place): Generator<FloatArray, void, undefined> {
    const held = this.#held(memory)
    const elements = elementsOf(shape)
    const into = new this.#compute.element(Math.min(chunkElements, elements))
    for (let at = 0; at < elements; at += chunkElements) {
      const count = Math.min(chunkElements, elements - at)
      yield held.read(offset + at, count, into.subarray(0, count))
    }
  }

  /** Copies consecutive elements into an array. */
  read({ memory, offset }: Pick<Place, 'memory' | 'offset'>, into: FloatArray): void {
    if (into.length > 0) this.#held(memory).read(offset, into.length, into)
  }

  write({ memory, offset }: Pick<Place, 'memory' | 'offset'>, values: FloatArray): void {
    this.#held(memory).write(offset, values)
  }

  /** Copies all weights, slice by slice. */
  snapshot(): Promise<Snapshot> {
    return inSlices(this.#copied())
  }

  *#copied(): Sliced<Snapshot> {
    this.#checkCopyFits()
    const copy = new Map<string, readonly FloatArray[]>()
    for (const [memory, { elements }] of this.#weights()) {
      const parts: FloatArray[] = []
      for (const part of this.parts({ memory, offset: 0, shape: [elements] })) {
        parts.push(part)
        yield
      }
      copy.set(memory, parts)
    }
    return copy
  }

  #checkCopyFits(): void {
    const elements = [...this.#weights().values()].reduce((sum, memory) => sum + memory.elements, 0)
    const bytes = elements * this.#compute.element.BYTES_PER_ELEMENT
    const available = availableBytes()
    if (bytes <= available) return
    const message = `a copy of the weights takes ${bytesText(bytes)}, but only ${bytesText(available)} are available; set restoreBest: false in earlyStopping`
    throw checkFailed('ERR_MULTIGATE_OUT_OF_MEMORY', message)
  }

  /**
   * Restores all weights from a copy, slice by slice.
   * @throws ERR_MULTIGATE_ARGUMENT if it is not a copy of these weights. Nothing is written then.
   */
  async restore(snapshot: Snapshot): Promise<void> {
    await inSlices(this.#written(this.checked(snapshot)))
  }

  *#written(snapshot: Snapshot): Sliced<void> {
    for (const [memory, parts] of snapshot) {
      for (const [index, part] of parts.entries()) {
        this.write({ memory, offset: index * chunkElements }, part)
        yield
      }
    }
  }

  /**
   * The same copy, in a map and lists of ours.
   * @throws ERR_MULTIGATE_ARGUMENT below `what` if it is not a copy of these weights.
   */
  checked(snapshot: unknown, what = 'snapshot'): Snapshot {
    return guarded(what, undefined, () => this.#checked(snapshot, what))
  }

  /** Everything is read once, without methods of the caller's. */
  #checked(snapshot: unknown, what: string): Snapshot {
    const wrong = (field: string, expected: string, found: unknown): Error =>
      invalidArgument(`${what}${field}`, expected, found, "pass the result of this model's control.snapshot()")
    if (!isMap(snapshot)) throw wrong('', 'the result of snapshot()', snapshot)
    const weights = this.#weights()
    const copies = new Map<unknown, unknown>(Map.prototype.entries.call(snapshot))
    for (const name of copies.keys()) {
      if (!weights.has(name as string)) throw wrong('', `copies of ${[...weights.keys()].map(quote).join(', ')}`, name)
    }
    const checked = [...weights].map(([name, { elements }]): [string, FloatArray[]] => {
      const parts = copies.get(name)
      const field = `.get(${quote(name)})`
      if (!Array.isArray(parts)) throw wrong(field, 'an array of arrays', parts)
      const count = Math.ceil(elements / chunkElements)
      if (parts.length !== count) throw wrong(`${field}.length`, String(count), parts.length)
      const floats = Array.from({ length: count }, (_, index) => {
        const part: unknown = parts[index]
        const length = Math.min(chunkElements, elements - index * chunkElements)
        const kind = typedArrayName(part)
        if (kind !== 'Float32Array' && kind !== 'Float64Array') throw wrong(`${field}[${index}]`, 'an array of floats', part)
        const found = lengthOf(part as FloatArray)
        if (found !== length) throw wrong(`${field}[${index}].length`, String(length), found)
        return part as FloatArray
      })
      return [name, floats]
    })
    return new Map(checked)
  }

  /** The memories that a snapshot holds. */
  #weights(): Map<string, NativeMemory> {
    this.#checkLive()
    return new Map([...this.#memories].filter(([name]) => name === 'parameters' || name.startsWith('table:')))
  }

  dispose(): void {
    this.#disposed = true
    for (const memory of this.#memories.values()) memory.dispose()
    this.#memories.clear()
    this.#unfilled.clear()
  }

  #held(name: string): NativeMemory {
    this.#checkLive()
    const memory = this.#memories.get(name)
    if (memory === undefined) throw new Error(`there is no memory ${name}`)
    return memory
  }

  #memory(name: string, elements: number, value = 0): NativeMemory {
    this.#checkLive()
    const known = this.#memories.get(name)
    if (known !== undefined) return known
    const memory = this.#compute.native.createMemory(this.#compute.device, elements)
    this.#memories.set(name, memory)
    if (value !== 0) this.#unfilled.set(name, value)
    return memory
  }

  /** Without this check, new memories would replace disposed ones, with weights of zero. */
  #checkLive(): void {
    if (this.#disposed) throw new DisposedError('the model of these weights')
  }
}
