// Ids of coded values: what sparse and sequence encoders share. An id is found once per distinct value that occurs.

import { describeValue } from '../core/check.js'
import { DataError } from '../core/errors.js'
import { type CodedColumn, wrongValue } from './distinct.js'
import { type IdSource, refused } from './ids.js'

const unknownYet = -2

/** Ids, and how many of the values were given id 0 without being missing: what a vocabulary does not know. */
export interface FoundIds {
  readonly ids: Int32Array
  readonly unknown: number
}

/**
 * The id of every code, [codes].
 * @param rowOf the row that a position in `codes` belongs to, for messages.
 * @param missing the id of a missing value; `refused` makes it an error.
 */
export function idsOf(
  feature: string,
  { keys, codes }: CodedColumn,
  source: IdSource,
  missing: number,
  rowOf: (position: number) => number = (position) => position,
): FoundIds {
  const idOfCode = new Int32Array(keys.length).fill(unknownYet)
  const ids = new Int32Array(codes.length)
  let unknown = 0
  for (let position = 0; position < codes.length; position += 1) {
    const code = codes[position] ?? -1
    let id = code < 0 ? missing : (idOfCode[code] ?? unknownYet)
    if (id === unknownYet) {
      id = source.idOf(keys[code] ?? 0)
      idOfCode[code] = id
    }
    if (id === refused) throw wrongValue(feature, rowOf(position), source.expected, code < 0 ? null : keys[code], source.next)
    if (id === 0 && code >= 0 && !source.zeroIsKnown) unknown += 1
    ids[position] = id
  }
  return { ids, unknown }
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
