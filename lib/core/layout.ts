// The layout of a model's weights: dense tensors in one flat store, separate embedding tables, and the random stream of each. It
// holds no memory. Tensors never overlap; the gaps between them stay zero.

import type { Initializer } from '../native/binding.js'
import { ArgumentError } from './errors.js'
import { mostTensors } from './limits.js'
import type { Temperature } from './temperature.js'

/** The regulariser and initialiser group of a tensor. */
export type ParameterGroup = 'expert' | 'gate' | 'tower' | 'bottom'

/** One named tensor of the flat store, in the layout of Keras: kernels [in, out], stacked experts [e, in, out]. */
export interface Tensor {
  readonly name: string
  readonly shape: readonly number[]
  /** In elements; may exceed 2^31. */
  readonly offset: number
  readonly group: ParameterGroup
  readonly role: 'kernel' | 'bias'
  /** The task whose tower it belongs to. */
  readonly task?: string | undefined
  readonly initializer: Initializer
  /** If it is given, the tensor is square and no optimizer trains it: 1 / temperature on its diagonal, else zeros. `fit` follows the schedule. */
  readonly temperature?: Temperature | undefined
  /**
   * The Philox streams of its initial values: one per leading slice of a stacked tensor (each expert has its own), none for a temperature,
   * else one.
   */
  readonly streams: readonly number[]
}

/** One embedding table [rows, dim]. */
export interface Table {
  readonly name: string
  readonly rows: number
  readonly dim: number
  readonly initializer: Initializer
  readonly stream: number
}

/** What a layer says about a tensor. The layout adds the offset and the streams. */
export interface TensorSpec {
  readonly name: string
  readonly shape: readonly number[]
  readonly group: ParameterGroup
  readonly role: 'kernel' | 'bias'
  readonly task?: string | undefined
  readonly initializer: Initializer
  readonly temperature?: Temperature | undefined
  /** Draws each leading slice from its own stream. Identical experts would get identical gradients for ever. */
  readonly stacked?: boolean | undefined
}

export type TableSpec = Omit<Table, 'stream'>

/** Tensor starts are multiples of this many elements: 64 bytes of float32, one cache line or AVX-512 register. */
const alignment = 16

/** Product of a shape. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** How many numbers an optimizer may train. */
export function trainedElements(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, { shape, temperature }) => sum + (temperature === undefined ? elementsOf(shape) : 0), 0)
}

export class Layout {
  readonly #tensors: Tensor[] = []
  readonly #tables: Table[] = []
  readonly #names = new Set<string>()
  #elements = 0
  #streams = 0

  get tensors(): readonly Tensor[] {
    return this.#tensors
  }

  get tables(): readonly Table[] {
    return this.#tables
  }

  /** Length of the flat store, a multiple of the alignment. */
  get elements(): number {
    return this.#elements
  }

  tensor({ stacked = false, ...spec }: TensorSpec): Tensor {
    this.#claim(spec.name)
    if (this.#tensors.length >= mostTensors) {
      throw new ArgumentError(
        `model: expected at most ${mostTensors} tensors, found more (the last is ${spec.name}); use fewer layers, experts, levels or tasks`,
      )
    }
    const streams = spec.temperature !== undefined ? 0 : stacked ? (spec.shape[0] ?? 1) : 1
    const tensor = { ...spec, offset: this.#elements, streams: this.#draw(streams) }
    // No bit operations: a store may exceed 2^31 elements.
    this.#elements += Math.ceil(elementsOf(spec.shape) / alignment) * alignment
    this.#tensors.push(tensor)
    return tensor
  }

  table(spec: TableSpec): Table {
    this.#claim(`table:${spec.name}`)
    const [stream = 0] = this.#draw(1)
    const table = { ...spec, stream }
    this.#tables.push(table)
    return table
  }

  #claim(name: string): void {
    if (this.#names.has(name)) throw new Error(`the layout already has a tensor named ${name}`)
    this.#names.add(name)
  }

  #draw(count: number): number[] {
    return Array.from({ length: count }, () => this.#streams++)
  }
}
