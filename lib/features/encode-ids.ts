// Ids of a column, laid out as a network is fed them: what sparse and sequence encoders share. Integers that are ids already
// are checked and written in one pass; otherwise an id is found once per distinct value that occurs.

import { describeValue } from '../core/check.js'
import type { NumberValues, ScalarColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { type CodedColumn, codedColumn, notFinite, wrongValue } from './distinct.js'
import { type IdSource, refused } from './ids.js'

/** Values of all rows: row r has those from offsets[r] to offsets[r + 1]; without offsets one value per row. */
export interface IdValues {
  readonly values: CodedColumn | NumberValues
  readonly offsets?: Int32Array
}

export interface EncodedIds {
  /** [rows * width] */
  readonly data: Int32Array
  readonly width: number
  /** How many values were given id 0 without being missing: what a vocabulary does not know. */
  readonly unknown: number
}

/** The values of a column as `encodeIds` takes them. @throws ERR_MULTIGATE_DATA naming an infinite number. */
export function idValues(feature: string, column: ScalarColumn, source: IdSource): CodedColumn | NumberValues {
  return source.asIs && column.kind === 'number' ? column.values : codedColumn(feature, column)
}

const absent = -2
const unknownYet = -3

/**
 * The ids of every row: of its last `width` values, then id 0 as padding. Values before those are checked all the same.
 * @param missing the id of a missing value; `refused` makes it an error.
 * @throws ERR_MULTIGATE_DATA naming row and value.
 */
export function encodeIds(
  feature: string,
  { values, offsets }: IdValues,
  source: IdSource,
  missing: number,
  width: number,
): EncodedIds {
  const idAt = 'codes' in values ? idsOfCodes(values, source) : idsAsTheyAre(values, source)
  const rows = offsets === undefined ? ('codes' in values ? values.codes : values).length : offsets.length - 1
  const data = new Int32Array(rows * width)
  let [unknown, position] = [0, offsets?.[0] ?? 0]
  for (let row = 0; row < rows; row += 1) {
    const end = offsets === undefined ? row + 1 : (offsets[row + 1] ?? 0)
    const first = Math.max(position, end - width)
    for (; position < end; position += 1) {
      const found = idAt(position)
      const id = found === absent ? missing : found
      if (id === refused) throw wrongId(feature, row, values, position, source)
      if (found === 0 && !source.zeroIsKnown) unknown += 1
      if (position >= first) data[row * width + position - first] = id
    }
  }
  return { data, width, unknown }
}

/** Id, `absent` or `refused` of a position, found once per distinct value. */
function idsOfCodes({ keys, codes }: CodedColumn, source: IdSource): (position: number) => number {
  const idOfCode = new Int32Array(keys.length).fill(unknownYet)
  return (position) => {
    const code = codes[position] ?? -1
    if (code < 0) return absent
    const id = idOfCode[code] ?? unknownYet
    return id === unknownYet ? (idOfCode[code] = source.idOf(keys[code] ?? 0)) : id
  }
}

/** The same of integers that are ids already. */
function idsAsTheyAre(values: NumberValues, source: IdSource): (position: number) => number {
  return (position) => {
    const value = values[position] ?? NaN
    const id = value | 0
    if (id === value && id >= 0 && id < source.tableRows) return id
    if (Number.isNaN(value)) return absent
    return Number.isFinite(value) ? source.idOf(value) : refused
  }
}

function wrongId(
  feature: string,
  row: number,
  values: CodedColumn | NumberValues,
  position: number,
  source: IdSource,
): DataError {
  const value = 'codes' in values ? values.keys[values.codes[position] ?? -1] : values[position]
  if (value === undefined || Number.isNaN(value)) return wrongValue(feature, row, source.expected, null, source.next)
  const infinite = value === Infinity || value === -Infinity
  return infinite ? notFinite(feature, row, value) : wrongValue(feature, row, source.expected, value, source.next)
}

/** Checks ids that are encoded already. @throws ERR_MULTIGATE_DATA naming row and id. */
export function checkIds(feature: string, data: Int32Array, width: number, tableRows: number): void {
  if (!(data instanceof Int32Array)) {
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
