// What kind of array a value is, whichever realm made it. Test runners and Electron have several realms; `instanceof` knows only one.

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array
const nameOf = Object.getOwnPropertyDescriptor(typedArray, Symbol.toStringTag)?.get
const length = Object.getOwnPropertyDescriptor(typedArray, 'length')?.get

/** The class name of a typed array, such as `'Float32Array'`. A Buffer is a `'Uint8Array'`. Undefined for anything else. */
export function typedArrayName(value: unknown): string | undefined {
  return nameOf?.call(value) as string | undefined
}

/** Whether a value is a typed array of this class, from any realm. */
export function isTypedArray<Name extends keyof TypedArrays>(value: unknown, name: Name): value is TypedArrays[Name] {
  return typedArrayName(value) === name
}

/** The number of values of a typed array, even if its `length` property was overwritten. */
export function lengthOf(array: ArrayBufferView): number {
  return length?.call(array) as number
}

/** What a message says that it found. */
export const goneMemory = 'one whose memory was transferred away or shrunk; pass a copy'

/** Whether the memory of a typed array was transferred away or shrunk. Such an array looks empty. */
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
