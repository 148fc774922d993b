// Ids of rows, in the layout that a network takes. Sparse and sequence encoders share this.

import { isTypedArray } from '../../core/arrays.js'
import { describeValue } from '../../core/check.js'
import type { ScalarColumn } from '../../core/columns.js'
import { DataError } from '../../core/errors.js'
import { wrongValue } from './errors.js'
import type { IdSource } from './ids.js'
import { absent, KeyReader, refused, refusedValue } from './key-reader.js'

/** Values of some rows. Row r has the values from offsets[r] to offsets[r + 1]. Without offsets, each row has one value. */
export interface Values {
  readonly items: ScalarColumn
  readonly offsets?: Int32Array | undefined
}

/** The first position of the values, and the position after the last. */
export function spanOf({ items, offsets }: Values): readonly [number, number] {
  if (offsets !== undefined) return [offsets[0] ?? 0, offsets.at(-1) ?? 0]
  return [0, items.kind === 'number' ? items.values.length : items.codes.length]
}

/** The row that a position belongs to. */
export function rowOfPosition({ offsets }: Values, position: number): number {
  return offsets === undefined ? position : offsets.findIndex((_, row) => (offsets[row + 1] ?? 0) > position)
}

/** Whether every row has `width` values. */
function isFull({ offsets }: Values, width: number): boolean {
  if (offsets === undefined) return width === 1
  const start = offsets[0] ?? 0
  for (let row = 1; row < offsets.length; row += 1) if ((offsets[row] ?? 0) - start !== row * width) return false
  return true
}

/** Encodes the parts of a column in turn. */
export class IdEncoding {
  /** Values that the vocabulary does not know: they got id 0 without being missing. */
  unknown = 0
  /** Values that were not missing. */
  values = 0
  readonly #feature: string
  readonly #source: IdSource
  readonly #reader: KeyReader
  readonly #width: number
  #buffer = new Int32Array(0)
  /** Rows of earlier parts. */
  #rows = 0

  constructor(feature: string, source: IdSource, width: number) {
    this.#feature = feature
    this.#source = source
    this.#width = width
    this.#reader = new KeyReader(
      { of: (key) => source.idOf(key), ofTexts: source.idsOf?.bind(source) },
      source.type,
      source.asIs === true ? source.tableRows : 0,
    )
  }

  /**
   * Writes the ids of every row: those of its last `width` values, then id 0 as padding. Earlier values are checked too.
   * @param missing the id of a missing value, or `refused` for an error.
   * @param data [rows * width], zeros.
   * @throws ERR_MULTIGATE_DATA naming row and value.
   */
  encode(values: Values, missing: number, data: Int32Array): void {
    const [from, to] = spanOf(values)
    // If every row is full, the values are read straight into `data`.
    const full = to - from === data.length && isFull(values, this.#width)
    const ids = full ? data : this.#spare(to - from)
    this.#reader.read(values.items, from, to, ids)
    this.#give(values, missing, ids, from)
    if (ids !== data) this.#layOut(values, ids, data)
    this.#rows += data.length / this.#width
  }

  /** A buffer that all parts reuse. */
  #spare(length: number): Int32Array {
    if (this.#buffer.length < length) this.#buffer = new Int32Array(2 ** Math.ceil(Math.log2(length)))
    return this.#buffer.subarray(0, length)
  }

  /** Gives ids to missing and unknown values, and counts them. */
  #give(values: Values, missing: number, ids: Int32Array, from: number): void {
    const zeroIsKnown = this.#source.zeroIsKnown === true
    let [unknown, absents] = [0, 0]
    for (let at = 0; at < ids.length; at += 1) {
      const found = ids[at] ?? absent
      if (found > 0) continue
      if (found === 0) unknown += 1
      else {
        const id = found === absent ? missing : this.#outside(values.items, from + at)
        if (found === absent) absents += 1
        else if (id === 0) unknown += 1
        if (id === refused) throw this.#refusal(values, from + at)
        ids[at] = id
      }
    }
    this.values += ids.length - absents
    if (!zeroIsKnown) this.unknown += unknown
  }

  /** Writes the last `width` ids of each row. */
  #layOut({ offsets }: Values, ids: Int32Array, data: Int32Array): void {
    const width = this.#width
    const rows = data.length / width
    const start = offsets?.[0] ?? 0
    for (let row = 0; row < rows; row += 1) {
      const begin = offsets === undefined ? row : (offsets[row] ?? 0) - start
      const end = offsets === undefined ? row + 1 : (offsets[row + 1] ?? 0) - start
      const first = Math.max(begin, end - width)
      for (let at = first; at < end; at += 1) data[row * width + at - first] = ids[at] ?? 0
    }
  }

  #refusal(values: Values, position: number): Error {
    return refusedValue(this.#feature, this.#rows + rowOfPosition(values, position), values.items, position, this.#source)
  }

  /** The id of a value that is not of the feature's type, or `refused`. An infinite number is always refused. */
  #outside(items: ScalarColumn, position: number): number {
    const infinite = items.kind === 'number' && !Number.isFinite(items.values[position])
    return infinite ? refused : (this.#source.outside ?? refused)
  }
}

/** Checks encoded ids. @throws ERR_MULTIGATE_DATA naming row and id. */
export function checkIds(feature: string, data: Int32Array, width: number, tableRows: number): void {
  if (!isTypedArray(data, 'Int32Array')) {
    throw new DataError(`feature "${feature}": expected an Int32Array of ids, found ${describeValue(data)}`, { column: feature })
  }
  checkWidth(feature, data.length, width)
  for (let position = 0; position < data.length; position += 1) {
    const id = data[position] ?? 0
    if (id < 0 || id >= tableRows) throw wrongValue(feature, Math.floor(position / width), `an id in [0, ${tableRows})`, id)
  }
}

/** @throws ERR_MULTIGATE_DATA unless `length` is a whole number of rows. */
export function checkWidth(feature: string, length: number, width: number): void {
  if (length % width === 0) return
  throw new DataError(`feature "${feature}": expected rows of ${width} elements, found ${length} elements`, { column: feature })
}
