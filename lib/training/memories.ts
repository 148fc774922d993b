// The memories of a network on one device: the flat store and its gradient, the embedding tables and the optimizer's
// moments, by the names of `LoweredProgram.bindings`. Several programs bind the same memory; one runs at a time.

import { elementsOf } from '../core/layout.js'
import type { LoweredProgram } from '../core/program.js'
import type { Network } from '../models/network.js'
import type { FloatArray, NativeMemory, NativePlan } from '../native/binding.js'
import type { Compute } from './compute.js'

/** Elements copied at once: a table may be larger than any JavaScript array. */
export const chunkElements = 2 ** 22

/** A copy of all weights, in chunks. */
export type Snapshot = ReadonlyMap<string, readonly FloatArray[]>

/** Where an array of weights lies. */
export interface Place {
  readonly memory: string
  readonly offset: number
  readonly shape: readonly number[]
}

/** One named array of weights: a tensor of the flat store or an embedding table. */
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

export class Memories {
  readonly #compute: Compute
  readonly #memories = new Map<string, NativeMemory>()

  constructor(compute: Compute) {
    this.#compute = compute
  }

  /** Binds every memory that a program names, making those that are missing, and filling those that start from a number. */
  bind(plan: NativePlan, { bindings, spec, initial }: LoweredProgram): void {
    for (const [name, number] of Object.entries(bindings)) {
      const buffer = spec.buffers[number]
      if (buffer === undefined) throw new Error(`the program has no buffer ${number} to bind ${name} to`)
      plan.bind(number, this.#memory(name, buffer.width * buffer.count, initial[name]))
    }
  }

  /** Draws the initial weights: the same numbers on every device. */
  initialize({ parameters, tables }: Network, seed: number): void {
    const store = this.#memory('parameters', parameters.elements)
    for (const { shape, offset, initializer, streams } of parameters.tensors) {
      const elements = elementsOf(shape) / streams.length
      streams.forEach((stream, index) => {
        store.initialize(offset + index * elements, elements, initializer, seed, stream)
      })
    }
    for (const { name, rows, dim, initializer, stream } of tables) {
      const elements = rows * dim
      this.#memory(`table:${name}`, elements).initialize(0, elements, initializer, seed, stream)
    }
  }

  /** Forgets what an optimizer has gathered, and frees it. */
  dropMoments(): void {
    for (const [name, memory] of this.#memories) {
      if (!name.startsWith('moment')) continue
      memory.dispose()
      this.#memories.delete(name)
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

  write({ memory, offset }: Pick<Place, 'memory' | 'offset'>, values: FloatArray): void {
    this.#held(memory).write(offset, values)
  }

  snapshot(): Snapshot {
    const weights = [...this.#memories].filter(([name]) => name === 'parameters' || name.startsWith('table:'))
    return new Map(weights.map(([memory, { elements }]) => [memory, [...this.parts({ memory, offset: 0, shape: [elements] })]]))
  }

  restore(snapshot: Snapshot): void {
    for (const [name, parts] of snapshot) {
      parts.forEach((part, index) => {
        this.#held(name).write(index * chunkElements, part)
      })
    }
  }

  dispose(): void {
    for (const memory of this.#memories.values()) memory.dispose()
    this.#memories.clear()
  }

  #held(name: string): NativeMemory {
    const memory = this.#memories.get(name)
    if (memory === undefined) throw new Error(`there is no memory ${name}`)
    return memory
  }

  #memory(name: string, elements: number, value = 0): NativeMemory {
    const known = this.#memories.get(name)
    if (known !== undefined) return known
    const memory = this.#compute.native.createMemory(this.#compute.device, elements)
    if (value !== 0) memory.initialize(0, elements, { kind: 'constant', value }, 0, 0)
    this.#memories.set(name, memory)
    return memory
  }
}
