// Which rows of a table a part of it has, in what order. Worked out when it is asked for: parts of rows that follow one another, or
// that come in a pattern, hold no row numbers. A part of a part is again one of these.

/** Rows of a table. */
export interface Selection {
  readonly rows: number
  /** Of rows that follow one another in the table: the first of them. */
  readonly first?: number | undefined
  /** The table's row. `row` is in [0, rows). */
  at(row: number): number
  slice(from: number, to: number): Selection
}

/** Rows that follow one another. */
export function rangeOf(first: number, rows: number): Selection {
  return { rows, first, at: (row) => first + row, slice: (from, to) => rangeOf(first + from, to - from) }
}

/** Rows one by one. */
export function listOf(list: Int32Array): Selection {
  return { rows: list.length, at: (row) => list[row] ?? 0, slice: (from, to) => listOf(list.subarray(from, to)) }
}

/** Of each `rowMod` rows of a selection those whose number modulo `rowMod` is listed, or with `others` those where it is not. */
export function remaindersOf(of: Selection, rowMod: number, listed: readonly number[], { others = false } = {}): Selection {
  const sorted = [...listed].sort((one, other) => one - other)
  const each = others ? rowMod - sorted.length : sorted.length
  if (each === rowMod) return of
  const left = of.rows % rowMod
  const listedLeft = sorted.filter((remainder) => remainder < left).length
  const rows = Math.floor(of.rows / rowMod) * each + (others ? left - listedLeft : listedLeft)
  // The place of a remainder, less the listed ones before it: where that passes `rank`, the remainder of this rank has been met.
  const unlistedBefore = sorted.map((remainder, index) => remainder - index)
  const remainderOf = others ? (rank: number) => rank + countUpTo(unlistedBefore, rank) : (rank: number) => sorted[rank] ?? 0
  const part = (skipped: number, rows: number): Selection => ({
    rows,
    at(row) {
      const place = skipped + row
      const round = Math.floor(place / each)
      return of.at(round * rowMod + remainderOf(place - round * each))
    },
    slice: (from, to) => part(skipped + from, to - from),
  })
  return part(0, rows)
}

/** How many of ascending numbers are `limit` or less. */
function countUpTo(ascending: readonly number[], limit: number): number {
  let [low, high] = [0, ascending.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] ?? 0) <= limit) low = middle + 1
    else high = middle
  }
  return low
}
