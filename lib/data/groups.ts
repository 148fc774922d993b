// Columns in groups: DuckDB's time for one SELECT grows with the square of its expressions.

/** Columns of one SELECT. */
const most = 64

/** Items in order, `size` at a time. */
export function* groupsOf<T>(items: readonly T[], size = most): Generator<readonly T[], void, undefined> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size)
}
