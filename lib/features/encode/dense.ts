// The encoder of a dense feature. Statistics and transforms are computed in float64. An infinite number is an error with its row.

import { isTypedArray } from '../../core/arrays.js'
import { describeValue } from '../../core/check.js'
import { rowsOf } from '../../core/columns.js'
import { DataError } from '../../core/errors.js'
import type { DenseFeature } from '../spec/dense.js'
import { DenseReader } from './dense-reader.js'
import { checkWidth } from './encode-ids.js'
import type { DenseEncoder, DenseState, Fitter } from './encoder.js'
import { notFinite, wrongValue } from './errors.js'
import { numbersOfFew } from './few.js'

export const largestFloat32 = 3.4028234663852886e38

/** Fits the statistics on the training rows, part by part. */
export function denseFitter(feature: DenseFeature): Fitter<DenseEncoder> {
  const reader = new DenseReader(feature)
  const statistics = new Statistics()
  let rows = 0
  return {
    *add(column) {
      statistics.add(changedValues(feature, reader.numbersOf(column, rows), rows))
      rows += rowsOf(column)
      yield
    },
    closed: !standardizes(feature) && feature.transform !== 'minmax' && feature.missing !== 'mean',
    // biome-ignore lint/correctness/useYield: there is little to do.
    *finish() {
      return denseEncoder(feature, stateOf(feature, statistics.finish()))
    },
  }
}

/** @throws ERR_MULTIGATE_DATA if the statistics need a value and no training row has one. */
function stateOf(feature: DenseFeature, { count, mean, deviation, low, high }: Statistics): DenseState {
  const { transform, missing } = feature
  const standardized = standardizes(feature)
  if (count === 0 && (standardized || transform === 'minmax' || missing === 'mean')) {
    const next = 'leave the feature out, or give it another column'
    throw wrongValue(feature.name, undefined, 'a number in the training rows', null, next)
  }
  const place = standardized
    ? { offset: mean, scale: deviation || 1 }
    : transform === 'minmax'
      ? { offset: low, scale: high - low || 1 }
      : { offset: 0, scale: 1 }
  const fill = missing === 'error' ? null : (missing === 'mean' ? mean : transformed(feature, missing)) - place.offset
  return { ...place, fill: fill === null ? null : fill / place.scale }
}

function standardizes({ transform }: DenseFeature): boolean {
  return transform === 'standardize' || transform === 'log1pStandardize'
}

/** The encoder of a feature with its statistics. */
export function denseEncoder(feature: DenseFeature, state: DenseState): DenseEncoder {
  const { name, width = 1, separator } = feature
  return Object.freeze<DenseEncoder>({
    kind: 'dense',
    feature,
    width,
    state,
    begin() {
      const reader = new DenseReader(feature)
      let rows = 0
      return {
        encode(column, data) {
          encodeNumbers(feature, state, reader.numbersOf(column, rows), rows, data)
          rows += rowsOf(column)
        },
        counts: () => undefined,
      }
    },
    encodeFew: (values, rows, data) =>
      width === 1 && separator === undefined && numbersOfFew(state, isLog(feature), values, rows, data),
    check(data) {
      if (!isTypedArray(data, 'Float32Array')) {
        throw new DataError(`feature "${name}": expected a Float32Array, found ${describeValue(data)}`, { column: name })
      }
      checkWidth(name, data.length, width)
      const position = data.findIndex((value) => !Number.isFinite(value))
      if (position >= 0) throw wrongValue(name, Math.floor(position / width), 'a finite number', data[position])
      return { data, width }
    },
  })
}

/** @param before rows of the parts before, for messages. */
function encodeNumbers(
  feature: DenseFeature,
  { offset, scale, fill }: DenseState,
  values: ArrayLike<number>,
  before: number,
  data: Float32Array,
): void {
  const { name, width = 1 } = feature
  const rowOf = (position: number): number => before + Math.floor(position / width)
  for (let position = 0; position < values.length; position += 1) {
    const value = values[position] ?? NaN
    if (Number.isNaN(value) && fill === null)
      throw wrongValue(name, rowOf(position), 'a number', null, "fill missing values with missing: 'mean'")
    const encoded = Number.isNaN(value) ? (fill ?? 0) : (transformed(feature, value, rowOf, position) - offset) / scale
    if (!(Math.abs(encoded) <= largestFloat32)) {
      if (!Number.isFinite(value)) throw notFinite(name, rowOf(position), value)
      const next = "choose a transform that makes it smaller, such as 'log1p'"
      throw wrongValue(name, rowOf(position), 'a number that float32 can hold', value, next)
    }
    // Zero has no sign, whether or not the other rows are integers.
    data[position] = encoded + 0
  }
}

function transformed(
  { name, transform }: DenseFeature,
  value: number,
  rowOf?: (position: number) => number,
  position = 0,
): number {
  if (!isLog({ transform })) return value
  if (value > -1) return Math.log1p(value)
  const next = "choose another transform, such as 'standardize'"
  throw wrongValue(name, rowOf?.(position), 'a number > -1 for log1p', value, next)
}

function isLog({ transform }: Pick<DenseFeature, 'transform'>): boolean {
  return transform === 'log1p' || transform === 'log1pStandardize'
}

/** The transformed values of some rows, without missing ones. */
function changedValues(feature: DenseFeature, values: ArrayLike<number>, before: number): Float64Array {
  const rowOf = (position: number): number => before + Math.floor(position / (feature.width ?? 1))
  const changed = new Float64Array(values.length)
  let count = 0
  for (let position = 0; position < values.length; position += 1) {
    const value = values[position] ?? NaN
    if (Number.isNaN(value)) continue
    if (!Number.isFinite(value)) throw notFinite(feature.name, rowOf(position), value)
    changed[count++] = transformed(feature, value, rowOf, position)
  }
  return changed.subarray(0, count)
}

/** How many values the statistics join at a time. */
const blockLength = 2 ** 12

/**
 * Mean, deviation and range of values that come in parts. They are joined in blocks of one length, so that the bits do not depend on how the
 * parts are cut. Two passes over each block keep the digits even with a large mean.
 */
class Statistics {
  count = 0
  low = Infinity
  high = -Infinity
  #mean = 0
  #squares = 0
  readonly #block = new Float64Array(blockLength)
  #filled = 0

  add(values: Float64Array): void {
    for (let from = 0; from < values.length; ) {
      const some = values.subarray(from, from + blockLength - this.#filled)
      this.#block.set(some, this.#filled)
      this.#filled += some.length
      from += some.length
      if (this.#filled === blockLength) this.#join()
    }
  }

  /** All values have come. */
  finish(): this {
    if (this.#filled > 0) this.#join()
    return this
  }

  #join(): void {
    const values = this.#block.subarray(0, this.#filled)
    this.#filled = 0
    let sum = 0
    for (const value of values) {
      sum += value
      if (value < this.low) this.low = value
      if (value > this.high) this.high = value
    }
    const mean = sum / values.length
    let squares = 0
    for (const value of values) squares += (value - mean) ** 2
    // Joins two samples by the method of Chan, Golub and LeVeque.
    const count = this.count + values.length
    const apart = mean - this.#mean
    this.#squares += squares + (this.count === 0 ? 0 : (apart ** 2 * this.count * values.length) / count)
    this.#mean = this.count === 0 ? mean : this.#mean + (apart * values.length) / count
    this.count = count
  }

  /** If all values are equal, the value itself: a rounded sum would give another mean, and a deviation of rounding errors. */
  get mean(): number {
    return this.low === this.high ? this.low : this.#mean
  }

  /** The population deviation. */
  get deviation(): number {
    return this.low === this.high ? 0 : Math.sqrt(this.#squares / this.count)
  }
}
