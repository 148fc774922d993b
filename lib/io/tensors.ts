// Tensors in files and memory: element types by name, with one typed array for each. Little-endian, row-major.

import { typedArrayName } from '../core/arrays.js'

/** Element types by their names in a safetensors file. */
export const arrayTypes = {
  F32: Float32Array,
  F64: Float64Array,
  I32: Int32Array,
  I64: BigInt64Array,
  U8: Uint8Array,
} as const

export type DType = keyof typeof arrayTypes
export const dtypes = Object.keys(arrayTypes) as readonly DType[]

export type TensorArray = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array

/** A tensor in memory. */
export interface Tensor {
  readonly dtype: DType
  readonly shape: readonly number[]
  /** Product of the shape, row-major. */
  readonly data: TensorArray
}

/** Bytes of one element. */
export function elementBytes(dtype: DType): number {
  return arrayTypes[dtype].BYTES_PER_ELEMENT
}

/** The name of an array's element type. Undefined for a type that files cannot hold. */
export function dtypeOf(data: unknown): DType | undefined {
  // Node's Buffer is a Uint8Array.
  const name = typedArrayName(data)
  return dtypes.find((dtype) => arrayTypes[dtype].name === name)
}

/** The bytes of an array, in shared memory. */
export function bytesOf(data: TensorArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
