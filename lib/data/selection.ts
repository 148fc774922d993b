// Which rows of a table a part has, in which order. Row numbers are computed on request: parts with consecutive rows, or with rows in
// a pattern, store none. A part of a part is again a selection.

/** Rows of a table. */
export interface Selection {
  readonly rows: number
  /** The first row, if the rows are consecutive in the table. */
  readonly first?: number | undefined
  /** The row number in the table. `row` is in [0, rows). */
  at(row: number): number
  slice(from: number, to: number): Selection
}

/** Consecutive rows. */
export function rangeOf(first: number, rows: number): Selection {
  return { rows, first, at: (row) => first + row, slice: (from, to) => rangeOf(first + from, to - from) }
}

/** Rows by a list of numbers. */
export function listOf(list: Int32Array): Selection {
  return { rows: list.length, at: (row) => list[row] ?? 0, slice: (from, to) => listOf(list.subarray(from, to)) }
}

/** The rows of a selection whose number modulo `rowMod` is listed. With `others`, the rows where it is not. */
export function remaindersOf(of: Selection, rowMod: number, listed: readonly number[], { others = false } = {}): Selection {
  const sorted = [...listed].sort((one, other) => one - other)
  const each = others ? rowMod - sorted.length : sorted.length
  if (each === rowMod) return of
  const left = of.rows % rowMod
  const listedLeft = sorted.filter((remainder) => remainder < left).length
  const rows = Math.floor(of.rows / rowMod) * each + (others ? left - listedLeft : listedLeft)
  // How many unlisted remainders lie below each listed one. The unlisted remainder of some rank follows from it by binary search.
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
