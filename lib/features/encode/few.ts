// Encodes the few values of a request, straight from JavaScript's values: a column would take longer. It takes numbers, texts and lists of
// them that are of the feature's type and fit. For any other value it returns false, and a column says what becomes of it.

import { dateText, sameNumber, type ValueType } from '../../core/columns.js'
import type { Key } from './cast.js'
import { largestFloat32 } from './dense.js'
import type { DenseState } from './encoder.js'
import type { IdSource } from './ids.js'
import { absent, refused } from './key-reader.js'

/** Counts that grow. */
export interface Counts {
  values: number
  unknown: number
}

/** Ids of one value a row. @param data [rows]; overwritten. */
export function idsOfFew(source: IdSource, values: ArrayLike<unknown>, rows: number, data: Int32Array, counts: Counts): boolean {
  const { missing, type } = source
  if (type === 'string' && source.idsOf !== undefined && areTexts(values, rows)) {
    source.idsOf(rows === values.length ? (values as string[]) : (values as string[]).slice(0, rows), data)
    return count(source, data, rows, 0, counts)
  }
  let absents = 0
  for (let row = 0; row < rows; row += 1) {
    let id = idOf(source, values[row])
    if (id === absent) {
      absents += 1
      id = missing
    }
    if (id === refused) return false
    data[row] = id
  }
  return count(source, data, rows, absents, counts)
}

/** Ids of a list a row: those of its last `width` values. @param data [rows * width]; overwritten. */
export function idsOfFewLists(
  source: IdSource,
  lists: ArrayLike<unknown>,
  rows: number,
  width: number,
  data: Int32Array,
  counts: Counts,
): boolean {
  data.fill(0, 0, rows * width)
  let [met, unknown] = [0, 0]
  for (let row = 0; row < rows; row += 1) {
    const list = lists[row]
    if (list === null || list === undefined) continue
    if (!Array.isArray(list)) return false
    const first = Math.max(0, list.length - width)
    for (let at = 0; at < list.length; at += 1) {
      const id = idOf(source, list[at])
      if (id === absent) continue
      if (id === refused) return false
      met += 1
      if (id === 0) unknown += 1
      if (at >= first) data[row * width + at - first] = id
    }
  }
  counts.values += met
  if (source.zeroIsKnown !== true) counts.unknown += unknown
  return true
}

/** Transformed numbers, one a row. @param data [rows]; overwritten. */
export function numbersOfFew(
  { offset, scale, fill }: DenseState,
  log1p: boolean,
  values: ArrayLike<unknown>,
  rows: number,
  data: Float32Array,
): boolean {
  const filled = fill !== null && Math.abs(fill) <= largestFloat32
  for (let row = 0; row < rows; row += 1) {
    const value = values[row]
    if (typeof value === 'number' && !Number.isNaN(value)) {
      const encoded = ((log1p ? Math.log1p(value) : value) - offset) / scale
      if (!(Math.abs(encoded) <= largestFloat32)) return false
      data[row] = encoded + 0
    } else {
      if (!filled || (value !== null && value !== undefined && typeof value !== 'number')) return false
      data[row] = fill + 0
    }
  }
  return true
}

/** The id of a value, `absent` if it is missing, or `refused`: it is not as usual. */
function idOf(source: IdSource, value: unknown): number {
  const { type } = source
  if (typeof value === 'number') {
    if (Number.isNaN(value)) return absent
    if (source.asIs === true && (value | 0) === value && value >= 0 && value < source.tableRows) return value
    return type === 'number' && Number.isFinite(value) ? source.idOf(sameNumber(value)) : refused
  }
  if (typeof value === 'string') {
    const key = keyOfText(type, value)
    return key === undefined ? refused : source.idOf(key)
  }
  return value === null || value === undefined ? absent : refused
}

function keyOfText(type: ValueType | undefined, text: string): Key | undefined {
  if (type === 'string') return text
  return type === 'date' ? dateText(text) : undefined
}

function areTexts(values: ArrayLike<unknown>, rows: number): boolean {
  for (let row = 0; row < rows; row += 1) if (typeof values[row] !== 'string') return false
  return true
}

function count(source: IdSource, data: Int32Array, rows: number, absents: number, counts: Counts): boolean {
  counts.values += rows - absents
  if (source.zeroIsKnown === true) return true
  // A missing value has id 0 too.
  let zeros = -absents
  for (let row = 0; row < rows; row += 1) if (data[row] === 0) zeros += 1
  counts.unknown += zeros
  return true
}
