// A dataset: raw columns under names, as they were read. It knows no model, fits nothing and is never changed: `slice`,
// `select` and `split` give new ones. Rows count from 0; a header line is not a row.

import { checkInteger, invalidArgument, quote } from '../core/check.js'
import { type Column, rowsOf } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { nearest } from '../core/nearest.js'
import { type ArrowTable, readArrow } from './arrow.js'
import type { ColumnsOptions } from './chosen.js'
import { csvParts, readCsv } from './csv.js'
import type { CsvOptions } from './csv-options.js'
import { parquetParts, type QueryOptions, readParquet, readQuery } from './query.js'
import { columnsOfRows, type Row } from './rows.js'
import { selectRows, sliceRows } from './select.js'
import { type Part, rowBeforeSplit, type SplitOptions, splitRows } from './split.js'
import { type ColumnValues, columnOfValues } from './values.js'

/** The three parts of a dataset. A part that was not asked for has no rows. */
export interface DatasetSplit {
  readonly train: Dataset
  readonly validation: Dataset
  readonly test: Dataset
}

/** Rows of a part that is read at a time. */
const defaultPart = 2 ** 18

/**
 * Raw columns under names.
 * @example
 * const data = await Dataset.fromCsv('census.csv.gz')
 * const { train, validation, test } = data.split({ rowMod: 10, validation: [8], test: [9] })
 */
export class Dataset {
  /** Number of rows. */
  readonly rows: number
  /** In the order of the source. */
  readonly columnNames: readonly string[]
  readonly #columns: ReadonlyMap<string, Column>
  readonly #sourceRow: (row: number) => number

  private constructor(columns: ReadonlyMap<string, Column>, rows: number, sourceRow: (row: number) => number) {
    if (!(columns instanceof Map)) {
      const next = 'make a Dataset with Dataset.fromColumns, fromRows, fromCsv or fromParquet'
      throw invalidArgument('columns', 'those that the library makes', columns, next)
    }
    this.rows = rows
    this.columnNames = Object.freeze([...columns.keys()])
    this.#columns = columns
    this.#sourceRow = sourceRow
  }

  /**
   * Reads a CSV file, gzipped or not. The first line names the columns. Text is kept byte for byte, leading blanks too.
   * A column is numbers where every value of the whole file is one, and text otherwise; an empty field is missing.
   * Integers beyond 2^53 stay text, so that no two ids become one. Blank lines are left out.
   * @throws ERR_MULTIGATE_DATA for a missing or malformed file, with its line; ERR_MULTIGATE_MISSING_PACKAGE without
   * `@duckdb/node-api`; ERR_MULTIGATE_ARGUMENT for a wrong option.
   */
  static async fromCsv(path: string | URL, options: CsvOptions = {}): Promise<Dataset> {
    return Dataset.#of(await readCsv(path, options))
  }

  /**
   * Reads a Parquet file. Integers and floats are numbers, dates and times text (moments with a time zone in UTC), lists lists.
   * @throws ERR_MULTIGATE_DATA, ERR_MULTIGATE_MISSING_PACKAGE as `fromCsv`.
   */
  static async fromParquet(path: string, options: ColumnsOptions = {}): Promise<Dataset> {
    return Dataset.#of(await readParquet(path, options))
  }

  /**
   * Reads a CSV file as `fromCsv`, some rows at a time, for files larger than memory. What a column is comes from the whole
   * file, which is read once; what does not fit in memory lies in a temporary file.
   * @param rows of a part; the last one may be smaller.
   * @example for await (const part of Dataset.streamCsv('log.csv')) scores.push(await model.predict(part))
   */
  static async *streamCsv(
    path: string | URL,
    options: CsvOptions = {},
    rows = defaultPart,
  ): AsyncGenerator<Dataset, void, undefined> {
    checkInteger('rows', rows, { min: 1 })
    yield* Dataset.#parts(csvParts(path, options, rows))
  }

  /** Reads a Parquet file as `fromParquet`, some rows at a time. */
  static async *streamParquet(
    path: string,
    rows = defaultPart,
    options: ColumnsOptions = {},
  ): AsyncGenerator<Dataset, void, undefined> {
    checkInteger('rows', rows, { min: 1 })
    yield* Dataset.#parts(parquetParts(path, rows, options))
  }

  /**
   * Runs one SELECT in DuckDB, over files (`FROM 'day-*.parquet'`) or the tables of `database`, a DuckDB file that is
   * opened read-only.
   * @throws ERR_MULTIGATE_DATA with DuckDB's message, ERR_MULTIGATE_MISSING_PACKAGE, ERR_MULTIGATE_ARGUMENT for no SQL at all.
   */
  static async fromQuery(sql: string, options: QueryOptions = {}): Promise<Dataset> {
    return Dataset.#of(await readQuery(sql, options))
  }

  /**
   * Takes a table of the package `apache-arrow`, or bytes in Arrow's IPC format (a stream, or a Feather file).
   * @throws ERR_MULTIGATE_DATA naming the column that is neither numbers, text nor lists of them; ERR_MULTIGATE_MISSING_PACKAGE for
   * bytes without `apache-arrow`.
   */
  static async fromArrow(source: ArrowTable | Uint8Array): Promise<Dataset> {
    return Dataset.#of(await readArrow(source))
  }

  /**
   * Takes columns from memory: typed arrays, arrays of numbers or of texts (null or NaN is missing), arrays of arrays or, for
   * many lists, `{ items, offsets }`. Everything is copied.
   * @example Dataset.fromColumns({ tags: { items: Int32Array.of(7, 9, 4), offsets: Int32Array.of(0, 2, 2, 3) } }) // [7, 9], [], [4]
   * @throws ERR_MULTIGATE_DATA naming the column and row of a value that does not fit, or a column of another length;
   * ERR_MULTIGATE_ARGUMENT for what is no object of columns.
   */
  static fromColumns(columns: Readonly<Record<string, ColumnValues>>): Dataset {
    if (typeof columns !== 'object' || columns === null) {
      throw invalidArgument('columns', 'an object of columns by name', columns)
    }
    if (Symbol.iterator in columns) {
      throw invalidArgument('columns', 'an object of columns by name', columns, 'rows are for Dataset.fromRows')
    }
    return Dataset.#of(new Map(Object.entries(columns).map(([name, values]) => [name, columnOfValues(name, values)])))
  }

  /**
   * Takes rows, one object each. A key that a row lacks is missing there.
   * @throws ERR_MULTIGATE_DATA naming the row and column of a value that does not fit; ERR_MULTIGATE_ARGUMENT for what is not iterable.
   */
  static async fromRows(rows: Iterable<Row> | AsyncIterable<Row>): Promise<Dataset> {
    return Dataset.#of(await columnsOfRows(rows))
  }

  static async *#parts(parts: AsyncIterable<ReadonlyMap<string, Column>>): AsyncGenerator<Dataset, void, undefined> {
    let start = 0
    for await (const columns of parts) {
      const part = Dataset.#of(columns, start)
      start += part.rows
      yield part
    }
  }

  static #of(columns: ReadonlyMap<string, Column>, start = 0): Dataset {
    const [first] = columns
    if (first === undefined) throw new DataError('a dataset needs at least one column, found none')
    const rows = rowsOf(first[1])
    for (const [name, column] of columns) {
      const found = rowsOf(column)
      if (found === rows) continue
      throw new DataError(`column ${quote(name)}: expected ${rows} rows, as ${quote(first[0])} has, found ${found}`, {
        column: name,
      })
    }
    return new Dataset(columns, rows, (row) => start + row)
  }

  /** Whether there is a column of this name. */
  has(name: string): boolean {
    return this.#columns.has(name)
  }

  /**
   * A raw column. It is shared: do not write into it.
   * @throws ERR_MULTIGATE_DATA listing the nearest names where there is none of this name.
   */
  column(name: string): Column {
    const column = this.#columns.get(name)
    if (column !== undefined) return column
    if (typeof name !== 'string') throw invalidArgument('name', 'the name of a column', name)
    const near = nearest(name, this.columnNames).map(quote).join(', ')
    throw new DataError(`no column ${quote(name)} among the ${this.columnNames.length}; the nearest are ${near}`, {
      column: name,
    })
  }

  /** Rows `start` to `end` (exclusive), without a copy where that can be. Bounds beyond the rows are cut. */
  slice(start: number, end: number = this.rows): Dataset {
    const from = Math.min(checkInteger('start', start, { min: 0 }), this.rows)
    const to = Math.max(from, Math.min(checkInteger('end', end, { min: 0 }), this.rows))
    return this.#part(
      (column) => sliceRows(column, from, to),
      to - from,
      (row) => from + row,
    )
  }

  /**
   * The rows of these numbers, in this order; a row may come twice.
   * @throws ERR_MULTIGATE_ARGUMENT for a row that is not there.
   */
  select(rowIndices: ArrayLike<number>): Dataset {
    if (!Number.isInteger(rowIndices?.length)) throw invalidArgument('rowIndices', 'a list of row numbers', rowIndices)
    const indices = new Int32Array(rowIndices.length)
    for (let position = 0; position < indices.length; position += 1) {
      const row = rowIndices[position] ?? NaN
      if (!Number.isInteger(row) || row < 0 || row >= this.rows)
        throw invalidArgument(`rowIndices[${position}]`, `a row in [0, ${this.rows})`, row)
      indices[position] = row
    }
    return this.#select(indices, (row) => indices[row] ?? row)
  }

  /**
   * Splits by row number modulo `rowMod`: rows whose remainder is listed under `validation` or `test` go there, all
   * others to `train`. Order is kept; the same file always splits the same.
   * @throws ERR_MULTIGATE_ARGUMENT for a remainder out of range or listed twice, or where nothing is left to train on.
   */
  split(options: SplitOptions): DatasetSplit {
    const rows = splitRows(this.rows, options)
    const part = (name: Part): Dataset => this.#select(rows[name], rowBeforeSplit(this.rows, options, name))
    return { train: part('train'), validation: part('validation'), test: part('test') }
  }

  /** @internal The number of a row in the data that this was streamed, sliced, selected or split from: its own in a whole dataset. */
  sourceRow(row: number): number {
    return this.#sourceRow(row)
  }

  #select(rows: Int32Array, rowHere: (row: number) => number): Dataset {
    return this.#part((column) => selectRows(column, rows), rows.length, rowHere)
  }

  #part(change: (column: Column) => Column, rows: number, rowHere: (row: number) => number): Dataset {
    const columns = new Map<string, Column>()
    for (const [name, column] of this.#columns) columns.set(name, change(column))
    // Not `this`, whose columns would live as long as the part.
    const sourceRow = this.#sourceRow
    return new Dataset(columns, rows, (row) => sourceRow(rowHere(row)))
  }
}
