// Columns from rows, one object each, from any iterable: arrays, generators, database cursors. Rows are not kept.

import { describeValue, invalidArgument } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { ColumnBuilder, type Value } from './builder.js'

/** One row: values by column name. */
export type Row = Readonly<Record<string, Value>>

/** Columns in the order in which their names first come. @throws as `Dataset.fromRows` says. */
export async function columnsOfRows(rows: Iterable<Row> | AsyncIterable<Row>): Promise<Map<string, Column>> {
  if (
    typeof rows !== 'object' ||
    rows === null ||
    ArrayBuffer.isView(rows) ||
    !(Symbol.iterator in rows || Symbol.asyncIterator in rows)
  ) {
    throw invalidArgument('rows', 'an array of objects, or another iterable of them', rows)
  }
  const builders = new Map<string, ColumnBuilder>()
  let count = 0
  const add = (row: Row): void => {
    if (typeof row !== 'object' || row === null) {
      throw new DataError(`row ${count}: expected an object of values by column name, found ${describeValue(row)}`, {
        row: count,
      })
    }
    for (const name of Object.keys(row)) {
      let builder = builders.get(name)
      if (builder === undefined) builders.set(name, (builder = new ColumnBuilder(name)))
      // A key that rows before lacked.
      builder.fill(count)
      builder.append(row[name])
    }
    count += 1
  }
  // A plain loop where that does: awaiting every row of an array is slow.
  if (Symbol.iterator in rows) for (const row of rows) add(row)
  else for await (const row of rows) add(row)

  const columns = new Map<string, Column>()
  for (const [name, builder] of builders) {
    builder.fill(count)
    columns.set(name, builder.finish())
  }
  return columns
}
