// Columns from rows, one object each, from any iterable: arrays, generators, database cursors. Rows are not kept.

import { describeValue, invalidArgument } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { inSlices, Pause } from '../core/slices.js'
import { ColumnBuilder, type Value } from './builder.js'
import { guarded, unreadable } from './guarded.js'

/** One row: values by column name. */
export type Row = Readonly<Record<string, Value>>

/** Values that are taken between two looks at the clock. */
const valuesBetween = 512

/** Columns in the order in which their names first come. @throws as `Dataset.fromRows` says. */
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
    // A plain loop where that does: awaiting every row of an array is slow.
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

/** What is gone through: an array by its numbers, whatever its iterator may be. */
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

  /** Taken so far; a row counts as one more. */
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
      // A key that rows before lacked.
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
      // Lets go of what was copied.
      this.#builders.delete(name)
    }
    return columns
  }
}
