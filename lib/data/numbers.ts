// The numbers of a column while it is built. They are stored as 32-bit integers or floats while all of them fit, then as 64-bit
// floats. So Float32Arrays stay as they are and never take twice their size.

import { typedArrayName } from '../core/arrays.js'
import type { NumberValues } from '../core/columns.js'
import { Growing } from '../core/growing.js'
import type { Sliced } from '../core/slices.js'

type Types = Float32ArrayConstructor | Float64ArrayConstructor | Int32ArrayConstructor

/** A growing list of numbers. Among integers, -0 becomes 0: both are the same id. */
export class Numbers {
  readonly #what: string
  #values: Growing<NumberValues> | undefined

  /** @param what names the numbers in an error about memory. */
  constructor(what: string) {
    this.#what = what
  }

  /** @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
  push(value: number): void {
    this.#within((value | 0) === value ? Int32Array : Float64Array, value).push(value)
  }

  /** Adds the first `length` numbers of an array. @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
  pushAll(values: NumberValues, length: number): void {
    const type = types[typedArrayName(values) ?? '']
    if (type !== undefined) this.#within(type).pushAll(values, length)
    else for (let index = 0; index < length; index += 1) this.push(values[index] ?? NaN)
  }

  joined(): Sliced<NumberValues> {
    return (this.#values ?? new Growing<NumberValues>(this.#what, Float64Array)).joined()
  }

  /** The store, widened to float64 if it cannot hold numbers of `type`, or this one value. */
  #within(type: Types, value?: number): Growing<NumberValues> {
    const values = (this.#values ??= new Growing<NumberValues>(this.#what, type))
    if (values.type === type || values.type === Float64Array) return values
    if (value !== undefined && values.type === Float32Array && Object.is(Math.fround(value), value)) return values
    return (this.#values = values.as<NumberValues>(Float64Array))
  }
}

/** Array types, and the type that stores their values. Other types go value by value. */
const types: Readonly<Record<string, Types | undefined>> = {
  Float32Array,
  Float64Array,
  Int32Array,
  Int16Array: Int32Array,
  Int8Array: Int32Array,
  Uint16Array: Int32Array,
  Uint8Array: Int32Array,
  Uint8ClampedArray: Int32Array,
}
