// The layout of a model's weights: dense tensors in one flat store, embedding tables beside it, and the random stream that
// each is drawn from. It holds no memory. Tensors never overlap; what lies between them stays zero.

import type { Initializer } from '../native/binding.js'
import { ArgumentError } from './errors.js'
import { mostTensors } from './limits.js'

/** The regulariser and initialiser group of a tensor. */
export type ParameterGroup = 'expert' | 'gate' | 'tower' | 'bottom'

/** One named tensor of the flat store, in Keras's layout (kernels [in, out], experts stacked [e, in, out]). */
export interface Tensor {
  readonly name: string
  readonly shape: readonly number[]
  /** In elements; may exceed 2^31. */
  readonly offset: number
  readonly group: ParameterGroup
  readonly role: 'kernel' | 'bias'
  readonly initializer: Initializer
  /** The Philox stream it is drawn from; every expert has its own. One entry per leading slice of a stacked tensor, else one. */
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

/** What a layer says about a tensor; the layout adds the offset and the streams. */
export interface TensorSpec {
  readonly name: string
  readonly shape: readonly number[]
  readonly group: ParameterGroup
  readonly role: 'kernel' | 'bias'
  readonly initializer: Initializer
  /** Draws each leading slice from a stream of its own: identical experts would get identical gradients for ever. */
  readonly stacked?: boolean | undefined
}

export type TableSpec = Omit<Table, 'stream'>

/** Elements between tensor starts are a multiple of this: 64 bytes of float32, one cache line and one AVX-512 register. */
const alignment = 16

/** Product of a shape. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
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

  /** Adds a tensor to the flat store. */
  tensor({ stacked = false, ...spec }: TensorSpec): Tensor {
    this.#claim(spec.name)
    if (this.#tensors.length >= mostTensors) {
      throw new ArgumentError(
        `the model would have more than ${mostTensors} tensors, the last of them ${spec.name}: expected fewer layers, experts, levels or tasks`,
      )
    }
    const tensor = { ...spec, offset: this.#elements, streams: this.#draw(stacked ? (spec.shape[0] ?? 1) : 1) }
    // Numbers, not bit operations: a store may pass 2^31 elements.
    this.#elements += Math.ceil(elementsOf(spec.shape) / alignment) * alignment
    this.#tensors.push(tensor)
    return tensor
  }

  /** Adds an embedding table. */
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
