// A file of another library, as tensors by name. Readers of formats make it; families of models give its tensors their meaning.

import { FormatError } from '../core/errors.js'
import type { FloatArray } from '../native/binding.js'

/** A tensor of numbers, row-major. */
export interface SourceTensor {
  readonly name: string
  readonly shape: readonly number[]
  /** All elements in order, in parts. A part is valid until the next one is asked for. */
  readonly parts: () => AsyncIterable<FloatArray>
}

/** A layer of a Keras model, as its configuration describes it. */
export interface GraphLayer {
  readonly name: string
  readonly kind: string
  /** What it reads: names of layers, and which of their outputs. */
  readonly inputs: readonly { readonly layer: string; readonly output: number }[]
}

export interface Source {
  readonly path: string
  readonly format: 'safetensors' | 'pytorch' | 'keras'
  /** In the order of the file. */
  readonly tensors: ReadonlyMap<string, SourceTensor>
  /** How the layers of a Keras model are connected, in its own order. Undefined if the file does not say. */
  readonly graph?: readonly GraphLayer[] | undefined
  readonly close: () => Promise<void>
}

export function formatError(path: string, what: string, cause?: unknown): FormatError {
  return new FormatError(`${path}: ${what}`, { file: path, ...(cause !== undefined && { cause }) })
}
