// Groups of rows, such as those of a user: a code per row, from any column of single values.

import { isTypedArray } from '../core/arrays.js'
import { guarded } from '../core/check.js'
import type { NumberValues, ScalarColumn } from '../core/columns.js'
import { inBlocks, type Sliced } from '../core/slices.js'
import { rankBy } from './order.js'
import { checkNumbers } from './rows.js'

/** The group of each row: a column of a dataset, or one number per row. */
export type Groups = ScalarColumn | NumberValues

/** The group of each row as a code. */
export interface RowGroups {
  /** In [0, count), or -1 for a row without a group. Not every code need occur. */
  readonly codes: Int32Array
  readonly count: number
}

/** A number per row; NaN and `missing` mean no group. */
interface GroupNumbers {
  readonly values: NumberValues
  readonly missing: number | undefined
}

/** @throws ERR_MULTIGATE_ARGUMENT unless it is a column without lists, or numbers. */
export function checkGroups(groups: Groups): GroupNumbers {
  const { values, missing } = guarded('groups', undefined, () => {
    const column: Partial<ScalarColumn> | null = groups as ScalarColumn
    if (column?.kind === 'string') return { values: column.codes, missing: -1 }
    if (column?.kind === 'number') return { values: column.values, missing: undefined }
    return { values: groups as NumberValues, missing: isTypedArray(groups, 'Int32Array') ? -1 : undefined }
  })
  return { values: checkNumbers('groups', values as NumberValues), missing }
}

/** Rows of equal numbers get equal codes. */
export function* groupsOf({ values, missing }: GroupNumbers): Sliced<RowGroups> {
  const { length } = values
  const known = new Int32Array(length)
  let [count, lowest, highest, whole] = [0, Infinity, -Infinity, true]
  yield* inBlocks(0, length, (from, to) => {
    for (let row = from; row < to; row += 1) {
      const value = values[row] ?? NaN
      if (Number.isNaN(value) || value === missing) continue
      known[count++] = row
      if (value < lowest) lowest = value
      if (value > highest) highest = value
      whole &&= Number.isSafeInteger(value)
    }
  })
  const codes = new Int32Array(length)
  yield* inBlocks(0, length, (from, to) => codes.fill(-1, from, to))
  if (count === 0) return { codes, count: 0 }
  if (whole && highest - lowest < 4 * length + 1024) {
    yield* inBlocks(0, count, (from, to) => {
      for (let index = from; index < to; index += 1) {
        const row = known[index] ?? 0
        codes[row] = (values[row] ?? 0) - lowest
      }
    })
    return { codes, count: highest - lowest + 1 }
  }
  const { order, ranks } = yield* rankBy(known.subarray(0, count), values)
  yield* inBlocks(0, count, (from, to) => {
    for (let index = from; index < to; index += 1) codes[order[index] ?? 0] = ranks[index] ?? 0
  })
  return { codes, count: (ranks.at(-1) ?? 0) + 1 }
}
