// Values whose reading throws, or whose memory is gone.

/** A proxy of a value that can no longer be read. */
export function revoked<T extends object>(target: T): T {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

/** A proxy of a value whose every property throws. */
export function throwing<T extends object>(target: T): T {
  const thrower = (): never => {
    throw new Error('from a trap')
  }
  return new Proxy(target, { get: thrower, ownKeys: thrower, has: thrower })
}

/** The same list without a prototype, so without methods. */
export function bare<T>(list: readonly T[]): T[] {
  return Object.setPrototypeOf([...list], null) as T[]
}

/** A list of as many holes as a list may have. */
export const holes: never[] = new Array<never>(2 ** 32 - 1)

/** The same array after its memory was transferred away. */
export function transferred<A extends ArrayBufferView>(array: A): A {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
  return array
}

/** An array beyond the end of memory that was shrunk. */
export function shrunk<A extends ArrayBufferView>(type: new (buffer: ArrayBuffer, offset: number, length: number) => A): A {
  const Resizable = ArrayBuffer as unknown as new (
    bytes: number,
    options: object,
  ) => ArrayBuffer & { resize(bytes: number): void }
  const buffer = new Resizable(64, { maxByteLength: 128 })
  const array = new type(buffer, 32, 4)
  buffer.resize(8)
  return array
}
