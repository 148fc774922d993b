// What kind of array a value is, whichever realm made it: test runners and Electron have several, and `instanceof` knows one alone.

const nameOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)?.get

/** The class of a typed array by name, such as `'Float32Array'` (of a Buffer `'Uint8Array'`); undefined for anything else. */
export function typedArrayName(value: unknown): string | undefined {
  return nameOf?.call(value) as string | undefined
}

/** Whether a value is a typed array of this class, of any realm. */
export function isTypedArray<Name extends keyof TypedArrays>(value: unknown, name: Name): value is TypedArrays[Name] {
  return typedArrayName(value) === name
}

interface TypedArrays {
  readonly Float32Array: Float32Array
  readonly Float64Array: Float64Array
  readonly Int32Array: Int32Array
  readonly Uint8Array: Uint8Array
  readonly BigInt64Array: BigInt64Array
  readonly BigUint64Array: BigUint64Array
}
