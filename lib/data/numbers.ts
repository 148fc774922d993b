// The numbers of a column while it is built: kept as 32-bit integers or floats for as long as all of them are such, then as 64-bit
// floats. Float32Arrays so stay what they are, and are never held at twice their size.

import { typedArrayName } from '../core/arrays.js'
import type { NumberValues } from '../core/columns.js'
import { Growing } from '../core/growing.js'
import type { Sliced } from '../core/slices.js'

type Types = Float32ArrayConstructor | Float64ArrayConstructor | Int32ArrayConstructor

/** Numbers that grow. -0 among integers becomes 0, as both are one id. */
export class Numbers {
  readonly #what: string
  #values: Growing<NumberValues> | undefined

  /** @param what these are, for the error where they are more than memory can hold. */
  constructor(what: string) {
    this.#what = what
  }

  /** @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
  push(value: number): void {
    this.#within((value | 0) === value ? Int32Array : Float64Array, value).push(value)
  }

  /** All of an array of numbers, of this length. @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
  pushAll(values: NumberValues, length: number): void {
    const type = types[typedArrayName(values) ?? '']
    if (type !== undefined) this.#within(type).pushAll(values, length)
    else for (let index = 0; index < length; index += 1) this.push(values[index] ?? NaN)
  }

  joined(): Sliced<NumberValues> {
    return (this.#values ?? new Growing<NumberValues>(this.#what, Float64Array)).joined()
  }

  /** Widened where it holds other numbers than these: all of a type, or one. */
  #within(type: Types, value?: number): Growing<NumberValues> {
    const values = (this.#values ??= new Growing<NumberValues>(this.#what, type))
    if (values.type === type || values.type === Float64Array) return values
    if (value !== undefined && values.type === Float32Array && Object.is(Math.fround(value), value)) return values
    return (this.#values = values.as<NumberValues>(Float64Array))
  }
}

/** Types that are kept as they are. */
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
