// Columns of a dataset as features and tasks read them, part by part, and the place that an error about them names.

import { quote } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { allocate } from '../core/memory.js'
import type { Sliced } from '../core/slices.js'
import type { Dataset } from '../data/dataset.js'
import { noColumn } from '../data/table-errors.js'

/** Most rows of a part. Encoding one feature of a part is one slice of work. */
export const partRows = 2 ** 14

/** The result of `encode` on a column, part by part. */
export function* numbersOf(
  data: Dataset,
  column: string,
  encode: (values: Column, from: number) => Float32Array,
): Sliced<Float32Array> {
  const numbers = allocate(`column ${quote(column)}, ${data.rows} rows`, Float32Array, data.rows)
  for (let from = 0; from < data.rows; from += partRows) {
    const to = Math.min(from + partRows, data.rows)
    try {
      numbers.set(encode(data.columnPart(column, from, to), from), from)
    } catch (error) {
      // Encode the whole column again: its error has the right row number.
      if (error instanceof DataError && from > 0) encode(data.column(column), 0)
      throw error
    }
    yield
  }
  return numbers
}

/** The name of the column that a feature or task reads; `option` can set it. @throws ERR_MULTIGATE_DATA if there is no such column. */
export function columnOf(data: Dataset, name: string, reader: string, option: string): string {
  if (data.has(name)) return name
  throw missingColumn(name, data.columnNames, reader, option)
}

/** The error for a column that is not among `names`. */
export function missingColumn(name: string, names: readonly string[], reader: string, option: string): unknown {
  return inContext(noColumn(name, names), { before: `${reader}: `, after: `; set '${option}' to the column that it reads` })
}

/** Turns the row number of an error from the part's into the dataset's. */
export async function ofSource<Result>(data: Dataset, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    throw inSource(error, data)
  }
}

/** The same for synchronous work. */
export function withRows<Result>(data: Dataset, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw inSource(error, data)
  }
}

function inSource(error: unknown, data: Dataset): unknown {
  if (!(error instanceof DataError) || error.row === undefined) return error
  const source = data.sourceRow(error.row)
  if (source === error.row) return error
  return inContext(error, { after: `; it is row ${source} of the data that these rows were taken from` })
}

/** An error about data with text added before and after; any other error unchanged. */
export function inContext(
  error: unknown,
  { before = '', after = '', dataset }: { readonly before?: string; readonly after?: string; readonly dataset?: string },
): unknown {
  if (!(error instanceof DataError)) return error
  const { file, row, column, value } = error
  return new DataError(`${before}${error.message}${after}`, { dataset, file, row, column, value, cause: error })
}
