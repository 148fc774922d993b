// What kind of array a value is, whichever realm made it: test runners and Electron have several, and `instanceof` knows one alone.

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array
const nameOf = Object.getOwnPropertyDescriptor(typedArray, Symbol.toStringTag)?.get
const length = Object.getOwnPropertyDescriptor(typedArray, 'length')?.get

/** The class of a typed array by name, such as `'Float32Array'` (of a Buffer `'Uint8Array'`); undefined for anything else. */
export function typedArrayName(value: unknown): string | undefined {
  return nameOf?.call(value) as string | undefined
}

/** Whether a value is a typed array of this class, of any realm. */
export function isTypedArray<Name extends keyof TypedArrays>(value: unknown, name: Name): value is TypedArrays[Name] {
  return typedArrayName(value) === name
}

/** How many values a typed array has, whatever was written over its `length`. */
export function lengthOf(array: ArrayBufferView): number {
  return length?.call(array) as number
}

/** Whether the memory of a typed array was transferred away, or shrunk from under it: it has no values, and looks empty. */
export function isGone(array: ArrayBufferView): boolean {
  try {
    typedArray.keys.call(array)
    return false
  } catch {
    return true
  }
}

interface TypedArrays {
  readonly Float32Array: Float32Array
  readonly Float64Array: Float64Array
  readonly Int32Array: Int32Array
  readonly Uint8Array: Uint8Array
  readonly BigInt64Array: BigInt64Array
  readonly BigUint64Array: BigUint64Array
}
