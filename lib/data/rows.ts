// Columns from rows. Each row is an object. They come from any iterable: arrays, generators, database cursors. Rows are not kept.

import { describeValue, guarded, invalidArgument, unreadable } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { inSlices, Pause } from '../core/slices.js'
import { ColumnBuilder, type Value } from './builder.js'

/** One row: values by column name. */
export type Row = Readonly<Record<string, Value>>

/** Values that are read between two checks of the clock. */
const valuesBetween = 512

/** Columns, in the order in which their names first appear. @throws as `Dataset.fromRows`. */
export async function columnsOfRows(rows: Iterable<Row> | AsyncIterable<Row>): Promise<Map<string, Column>> {
  const source = guarded('rows', undefined, () => sourceOf(rows))
  const builders = new RowBuilder()
  const pause = new Pause()
  let next = valuesBetween
  const isPauseDueAfter = (row: unknown): boolean => {
    builders.add(row)
    if (builders.values < next) return false
    next = builders.values + valuesBetween
    return pause.due
  }
  try {
    // A plain loop if possible: awaiting every row of an array is slow.
    if (Symbol.iterator in source) {
      for (const row of source) if (isPauseDueAfter(row)) await pause.taken()
    } else {
      for await (const row of source) if (isPauseDueAfter(row)) await pause.taken()
    }
  } catch (cause) {
    throw unreadable(`row ${builders.rows}`, { row: builders.rows }, cause)
  }
  return await builders.finish()
}

/** The source of rows. An array is read by index, even if its iterator was replaced. */
function sourceOf(rows: unknown): Iterable<unknown> | AsyncIterable<unknown> {
  if (Array.isArray(rows)) return itemsOf(rows)
  const iterable = typeof rows === 'object' && rows !== null && !ArrayBuffer.isView(rows)
  if (iterable && (Symbol.iterator in rows || Symbol.asyncIterator in rows)) return rows as Iterable<unknown>
  throw invalidArgument('rows', 'an array of objects, or another iterable of them', rows)
}

function* itemsOf(rows: readonly unknown[]): Generator<unknown, void, undefined> {
  for (let index = 0; index < rows.length; index += 1) yield rows[index]
}

class RowBuilder {
  readonly #builders = new Map<string, ColumnBuilder>()
  #rows = 0
  #values = 0

  get rows(): number {
    return this.#rows
  }

  /** Values so far; each row counts as one more. */
  get values(): number {
    return this.#values
  }

  add(row: unknown): void {
    if (typeof row !== 'object' || row === null) {
      throw new DataError(`row ${this.#rows}: expected an object of values by column name, found ${describeValue(row)}`, {
        row: this.#rows,
      })
    }
    for (const name of Object.keys(row)) {
      let builder = this.#builders.get(name)
      if (builder === undefined) this.#builders.set(name, (builder = new ColumnBuilder(name)))
      // Earlier rows may lack this key.
      builder.fill(this.#rows)
      builder.append((row as Row)[name])
      this.#values += 1
    }
    this.#values += 1
    this.#rows += 1
  }

  async finish(): Promise<Map<string, Column>> {
    const columns = new Map<string, Column>()
    for (const [name, builder] of this.#builders) {
      builder.fill(this.#rows)
      columns.set(name, await inSlices(builder.finishing()))
      // Frees the copied values.
      this.#builders.delete(name)
    }
    return columns
  }
}
