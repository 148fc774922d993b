// Dense features: one float32 per row, or a vector of them, transformed with statistics of the training rows. Statistics and
// transforms are computed in float64; an infinite number is an error with its row, never fed on.

import { z } from 'zod'

import { called, describeValue, parseOptions } from '../core/check.js'
import { type Column, mapInto, type NumberValues, numberOf, rowsOf, type ScalarColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { largestWidth } from '../core/limits.js'
import { nameSchema } from '../core/name.js'
import { notFinite, wrongValue } from './distinct.js'
import { checkWidth } from './encode-ids.js'
import type { DenseEncoder } from './encoder.js'

export const denseSchema = z.strictObject({
  kind: z.literal('dense'),
  name: nameSchema,
  transform: z.enum(['standardize', 'none', 'log1p', 'minmax']).default('standardize'),
  missing: z.union([z.enum(['mean', 'error']), z.number()]).default('mean'),
  column: z.string().min(1).optional(),
  width: z.int().min(1).max(largestWidth).optional(),
})

export interface DenseOptions {
  /**
   * Default `'standardize'`: (x - mean) / deviation of the training rows (population deviation; 1 where it is 0). `'minmax'`:
   * (x - min) / (max - min) of the training rows, not cut; 0 where they are equal. `'log1p'`: log(1 + x), for x > -1. `'none'`: x.
   */
  readonly transform?: 'standardize' | 'none' | 'log1p' | 'minmax' | undefined
  /** What a missing value becomes: the mean of the transformed training values (default), an error, or this raw value. */
  readonly missing?: 'mean' | 'error' | number | undefined
  /** The column it reads. Default: the feature's name. */
  readonly column?: string | undefined
  /**
   * Numbers per row, 1 by default. From 2 on the column holds lists of so many, such as an embedding that another model has
   * computed; they share one mean and deviation, or range.
   */
  readonly width?: number | undefined
}

/** One number per row, or `width` of them. */
export interface DenseFeature<Name extends string = string> {
  readonly kind: 'dense'
  readonly name: Name
  readonly transform: 'standardize' | 'none' | 'log1p' | 'minmax'
  readonly missing: 'mean' | 'error' | number
  readonly column?: string | undefined
  readonly width?: number | undefined
}

/**
 * One number per row, or a vector of them.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example dense('videoplayseconds', { transform: 'log1p' })
 * @example dense('cover', { width: 128, transform: 'none' })
 */
export function dense<const Name extends string>(name: Name, options: DenseOptions = {}): DenseFeature<Name> {
  const spec = { ...options, kind: 'dense', name }
  return Object.freeze(parseOptions(called('feature', name), denseSchema, spec)) as DenseFeature<Name>
}

/** What is fitted: a value x becomes (f(x) - offset) / scale, a missing one `fill`. */
export interface DenseState {
  readonly offset: number
  readonly scale: number
  /** Already transformed; null where a missing value is an error. */
  readonly fill: number | null
}

const largestFloat32 = 3.4028234663852886e38

/** Fits the statistics on the training rows. @throws ERR_MULTIGATE_DATA where they have no value to take them from. */
export function fitDense(feature: DenseFeature, column: Column): DenseEncoder {
  const { transform, missing } = feature
  const { mean, deviation, low, high, count } = statisticsOf(feature, column)
  const needed = transform === 'standardize' || transform === 'minmax' || missing === 'mean'
  if (count === 0 && needed) {
    const next = 'leave it out, or give it another column'
    throw wrongValue(feature.name, undefined, 'a number in the training rows', null, next)
  }
  const place =
    transform === 'standardize'
      ? { offset: mean, scale: deviation || 1 }
      : transform === 'minmax'
        ? { offset: low, scale: high - low || 1 }
        : { offset: 0, scale: 1 }
  const fill = missing === 'error' ? null : (missing === 'mean' ? mean : transformed(feature, missing)) - place.offset
  return denseEncoder(feature, { ...place, fill: fill === null ? null : fill / place.scale })
}

/** The encoder of a feature with its statistics. */
export function denseEncoder(feature: DenseFeature, { offset, scale, fill }: DenseState): DenseEncoder {
  const { name, width = 1 } = feature
  const rowOf = (position: number): number => Math.floor(position / width)
  return Object.freeze<DenseEncoder>({
    kind: 'dense',
    feature,
    width,
    encode(column) {
      const values = numbersOf(feature, column)
      const data = new Float32Array(values.length)
      for (let position = 0; position < values.length; position += 1) {
        const value = values[position] ?? NaN
        if (Number.isNaN(value) && fill === null)
          throw wrongValue(name, rowOf(position), 'a number', null, "give missing values one with missing: 'mean'")
        const encoded = Number.isNaN(value) ? (fill ?? 0) : (transformed(feature, value, rowOf(position)) - offset) / scale
        if (!(Math.abs(encoded) <= largestFloat32)) {
          if (!Number.isFinite(value)) throw notFinite(name, rowOf(position), value)
          const next = "choose a transform that makes it smaller, such as 'log1p'"
          throw wrongValue(name, rowOf(position), 'a number that float32 can hold', value, next)
        }
        data[position] = encoded
      }
      return { data, width }
    },
    check(data) {
      if (!(data instanceof Float32Array)) {
        throw new DataError(`feature "${name}": expected a Float32Array, found ${describeValue(data)}`, { column: name })
      }
      checkWidth(name, data.length, width)
      const position = data.findIndex((value) => !Number.isFinite(value))
      if (position >= 0) throw wrongValue(name, rowOf(position), 'a finite number', data[position])
      return { data, width }
    },
    toJSON: () => ({ feature, offset, scale, fill }),
  })
}

function transformed({ name, transform }: DenseFeature, value: number, row?: number): number {
  if (transform !== 'log1p') return value
  if (value > -1) return Math.log1p(value)
  throw wrongValue(name, row, 'a number > -1, as log1p takes', value, "choose another transform, such as 'standardize'")
}

/** Statistics of the transformed values; two passes, so that a large mean costs no digits. */
function statisticsOf(feature: DenseFeature, column: Column) {
  const values = numbersOf(feature, column)
  let [count, sum, low, high] = [0, 0, Infinity, -Infinity]
  for (let position = 0; position < values.length; position += 1) {
    const value = values[position] ?? NaN
    if (Number.isNaN(value)) continue
    const row = Math.floor(position / (feature.width ?? 1))
    if (!Number.isFinite(value)) throw notFinite(feature.name, row, value)
    const changed = transformed(feature, value, row)
    count += 1
    sum += changed
    if (changed < low) low = changed
    if (changed > high) high = changed
  }
  // Equal values whose sum rounds would have a mean beside them, and a deviation of rounding errors.
  const mean = low === high ? low : sum / count
  let squares = 0
  for (const value of values) {
    if (!Number.isNaN(value)) squares += (transformed(feature, value) - mean) ** 2
  }
  return { count, mean, low, high, deviation: Math.sqrt(squares / count) }
}

/** Numbers of a column, [rows * width]; NaN is missing. */
function numbersOf({ name, width = 1 }: DenseFeature, column: Column): NumberValues {
  if (width === 1) return scalarsOf(name, column)
  if (column.kind !== 'list') {
    // What no row has has no kind.
    if (isMissing(column)) return new Float64Array(rowsOf(column) * width).fill(NaN)
    const found = column.kind === 'number' ? 'one number' : 'text'
    throw new DataError(`feature "${name}": expected lists of ${width} numbers, found ${found} per row`, { column: name })
  }
  const { offsets } = column
  const items = scalarsOf(name, column.items)
  const rows = offsets.length - 1
  const numbers = new Float64Array(rows * width).fill(NaN)
  for (let row = 0; row < rows; row += 1) {
    const [start, end] = [offsets[row] ?? 0, offsets[row + 1] ?? 0]
    if (start === end) continue
    if (end - start !== width) {
      const next = "say how many a row has with 'width', or leave an incomplete list empty"
      throw wrongValue(name, row, `${width} numbers`, end - start, next)
    }
    numbers.set(items.subarray(start, end), row * width)
  }
  return numbers
}

function isMissing(column: ScalarColumn): boolean {
  return column.kind === 'number' ? column.values.every(Number.isNaN) : column.codes.every((code) => code < 0)
}

/** A column of texts is numbers if every text that occurs spells one. */
function scalarsOf(name: string, column: Column): NumberValues {
  if (column.kind === 'number') return column.values
  if (column.kind === 'list') {
    const next = "say how many numbers they have with 'width'"
    throw new DataError(`feature "${name}": expected one number per row, found lists; ${next}`, { column: name })
  }
  const { dictionary, codes } = column
  const numbers = dictionary.map(numberOf)
  return mapInto(new Float64Array(codes.length), codes, (code, row) => {
    const number = code < 0 ? NaN : numbers[code]
    if (number === undefined) {
      throw wrongValue(
        name,
        row,
        'a number',
        dictionary[code],
        'if it means missing, read it as such (`nullValues` of Dataset.fromCsv)',
      )
    }
    return number
  })
}
