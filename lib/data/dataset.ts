// A dataset: raw columns by name, as they were read. It does not depend on a model and never changes. `slice`, `select` and `split`
// return new datasets that share the columns and store only which rows they have. A column is cut on request. Rows count from 0; a
// header line is not a row.

import { z } from 'zod'

import { goneMemory, isGone } from '../core/arrays.js'
import { checkInteger, checkObject, guarded, invalidArgument, parseOptions, wrongArgument } from '../core/check.js'
import { type Column, rowsOf } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { mostRows } from '../core/limits.js'
import { allocate } from '../core/memory.js'
import type { FilePath } from '../core/path.js'
import { abortSignal } from '../core/schemas.js'
import { atOnce, inSlices, type Signal, type Sliced } from '../core/slices.js'
import { type ArrowTable, readArrow } from './arrow.js'
import { csvParts, readCsv } from './csv.js'
import type { CsvOptions } from './csv-options.js'
import { DatasetStream } from './dataset-stream.js'
import { joinColumns } from './join.js'
import { aDatasetCannotBeClonedPostItsColumnsOrReadItThere, brand, lostDataset } from './lost.js'
import { type ParquetOptions, parquetParts, type QueryOptions, queryParts, readParquet, readQuery } from './query.js'
import { columnsOfRows, type Row } from './rows.js'
import { selectRows, sliceRows } from './select.js'
import { listOf, rangeOf, type Selection } from './selection.js'
import { type Part, type SplitOptions, splitRows } from './split.js'
import { noColumn, noColumns, otherLength } from './table-errors.js'
import { type ColumnValues, columnOfValues } from './values.js'

/** The three parts of a dataset, each with its rows in their order. A part that was not asked for has no rows. */
export interface DatasetSplit {
  readonly train: Dataset
  readonly validation: Dataset
  readonly test: Dataset
  /** Rows in no part. */
  readonly leftOut: number
}

/** Options of a dataset that is read in parts. */
export interface ChunkOptions {
  /** Rows of each part; the last may have fewer. Default 262,144. */
  readonly chunkRows?: number | undefined
}

const howToMake = 'make a Dataset with Dataset.fromColumns, fromRows, fromCsv or fromParquet'

const defaultChunk = 2 ** 18

const runningSchema = z.strictObject({ signal: abortSignal.optional() })

/** What a dataset and its parts share. */
class Table {
  readonly columns: ReadonlyMap<string, Column>
  /** For a part of a stream: the number of rows before it. */
  readonly start: number
  readonly reading: Reading | undefined

  constructor(columns: ReadonlyMap<string, Column>, start: number, reading: Reading | undefined) {
    this.columns = columns
    this.start = start
    this.reading = reading
  }
}

/** The row numbers in the table of rows `from` to `to` of a part. */
interface RowNumbers {
  readonly from: number
  readonly to: number
  readonly list: Int32Array
}

/** How a CSV file was read. */
export type Reading = Readonly<Omit<CsvOptions, 'columns' | 'types' | 'signal'>>

function readingOf(options: CsvOptions): Reading {
  const {
    columns: _columns,
    types: _types,
    signal: _signal,
    ...reading
  } = options as CsvOptions & { readonly signal?: AbortSignal }
  return Object.freeze(reading)
}

/** Options of a stream, with the default filled in. */
function withChunks<Options extends ChunkOptions>(what: string, options: Options): Options & { readonly chunkRows: number } {
  const { chunkRows = defaultChunk, ...rest } = guarded(what, undefined, () => ({
    ...checkObject(what, options, 'an object of options'),
  }))
  checkInteger('chunkRows', chunkRows, { min: 1 })
  return { ...rest, chunkRows } as Options & { readonly chunkRows: number }
}

/** Whether this copy of the package made it. */
export function isDataset(value: unknown): value is Dataset {
  return Dataset.isOne(value)
}

/**
 * Checks that this copy of the package made a dataset.
 * @throws ERR_MULTIGATE_ARGUMENT for anything else. The message tells a dataset of another copy from the remains of a cloned one.
 */
export function checkDataset(field: string, value: unknown): Dataset {
  if (isDataset(value)) return value
  throw lostDataset(field, value) ?? invalidArgument(field, 'a Dataset', value, howToMake)
}

/**
 * Raw columns by name.
 * @example
 * const data = await Dataset.fromCsv('census.csv.gz')
 * const { train, validation, test } = data.split({ rowMod: 10, validation: [8], test: [9] })
 */
export class Dataset {
  /** Number of rows. */
  readonly rows: number
  /** Column names, in the order of the source. */
  readonly columnNames: readonly string[]
  /** For a CSV file and its parts: the options that read it, without `columns`, `types` and `signal`. */
  readonly reading: Reading | undefined
  /** @internal `structuredClone` and `postMessage` cannot copy a function. Their error shows its name, so no empty copy is made. */
  readonly cannotBeCloned = aDatasetCannotBeClonedPostItsColumnsOrReadItThere
  readonly #table: Table
  readonly #selection: Selection
  /** Cut columns that are still in use. Held weakly, so that parts do not keep all rows a second time. */
  readonly #cut = new Map<string, WeakRef<Column>>()
  #numbers: WeakRef<RowNumbers> | undefined

  private constructor(table: Table, selection: Selection) {
    if (!guarded('columns', undefined, () => table instanceof Table))
      throw invalidArgument('columns', 'those that the library makes', table, howToMake)
    this.rows = selection.rows
    this.columnNames = Object.freeze([...table.columns.keys()])
    this.reading = table.reading
    this.#table = table
    this.#selection = selection
  }

  /** @internal Shared by all copies of the package. */
  get [brand](): true {
    return true
  }

  /**
   * Reads a CSV file, gzipped or not. The first line names the columns. Text is kept byte for byte, leading blanks too.
   * A column is numbers if every value of the whole file is a number, else text. An empty field is missing.
   * Integers beyond 2^53 stay text, so that no two ids become one. Blank lines are skipped.
   * @throws ERR_MULTIGATE_DATA for a missing or malformed file, with its line; ERR_MULTIGATE_MISSING_PACKAGE without
   * `@duckdb/node-api`; ERR_MULTIGATE_ARGUMENT for a wrong option.
   */
  static async fromCsv(path: FilePath, options: CsvOptions = {}): Promise<Dataset> {
    return Dataset.#of(await readCsv(path, options), 0, readingOf(options))
  }

  /**
   * Reads a Parquet file. Integers and floats become numbers, booleans 1 and 0, lists lists. Dates and timestamps become dates
   * (`2024-01-02`, `2024-01-02 03:04:05.6`; timestamps with a time zone in UTC). Times of day become text.
   * @throws ERR_MULTIGATE_DATA, ERR_MULTIGATE_MISSING_PACKAGE as `fromCsv`; ERR_MULTIGATE_ABORTED if its signal is aborted.
   */
  static async fromParquet(path: FilePath, options: ParquetOptions = {}): Promise<Dataset> {
    return Dataset.#of(await readParquet(path, options))
  }

  /**
   * Reads a CSV file as `fromCsv` does, in parts, for files larger than memory. The file is read once, as a whole, to decide the kind
   * of each column. What takes more than 1 GiB goes to a temporary file.
   * @throws as `fromCsv`; ERR_MULTIGATE_ARGUMENT for a wrong `chunkRows`.
   * @example for await (const part of Dataset.streamCsv('log.csv')) scores.push(await model.predict(part))
   */
  static streamCsv(path: FilePath, given: CsvOptions & ChunkOptions = {}): DatasetStream {
    return new DatasetStream(async function* () {
      const { chunkRows, ...options } = withChunks('csv', given)
      yield* Dataset.#parts(csvParts(path, options, chunkRows), options)
    })
  }

  /**
   * Reads a Parquet file as `fromParquet` does, in parts. Row groups are read when their rows are asked for.
   * @throws as `fromParquet`; ERR_MULTIGATE_ARGUMENT for a wrong `chunkRows`.
   */
  static streamParquet(path: FilePath, given: ParquetOptions & ChunkOptions = {}): DatasetStream {
    return new DatasetStream(async function* () {
      const { chunkRows, ...options } = withChunks('parquet', given)
      yield* Dataset.#parts(parquetParts(path, chunkRows, options))
    })
  }

  /**
   * Runs a query as `fromQuery` does and gives its rows in parts. What takes more than 1 GiB goes to a temporary file. Every loop runs
   * the query anew.
   * @throws as `fromQuery`; ERR_MULTIGATE_ARGUMENT for a wrong `chunkRows`.
   */
  static streamQuery(sql: string, given: QueryOptions & ChunkOptions = {}): DatasetStream {
    return new DatasetStream(async function* () {
      const { chunkRows, ...options } = withChunks('query', given)
      yield* Dataset.#parts(queryParts(sql, chunkRows, options))
    })
  }

  /**
   * Runs one SELECT in DuckDB, over files (`FROM 'day-*.parquet'`) or over the tables of `database`, a DuckDB file that is opened
   * read-only. Values are as in `fromParquet`. The same query on the same data gives the same rows in the same order.
   * @throws ERR_MULTIGATE_DATA with DuckDB's message, and for functions that draw random numbers or read the clock;
   * ERR_MULTIGATE_MISSING_PACKAGE; ERR_MULTIGATE_ARGUMENT for empty SQL; ERR_MULTIGATE_ABORTED if its signal is aborted.
   */
  static async fromQuery(sql: string, options: QueryOptions = {}): Promise<Dataset> {
    return Dataset.#of(await readQuery(sql, options))
  }

  /**
   * Takes a table of the package `apache-arrow`, or bytes in Arrow's IPC format (a stream, or a Feather file). Values are as in
   * `fromParquet`: numbers, booleans, texts, dates and timestamps in UTC, or lists of these. 64-bit integers and decimals are numbers
   * if all of the column are below 2^53, else texts.
   * @throws ERR_MULTIGATE_DATA naming a column of another type; ERR_MULTIGATE_MISSING_PACKAGE for bytes without `apache-arrow`.
   */
  static async fromArrow(source: ArrowTable | Uint8Array): Promise<Dataset> {
    return Dataset.#of(await readArrow(source))
  }

  /**
   * Takes columns from memory: typed arrays, arrays of numbers, booleans, texts or Dates (null or NaN is missing), arrays of arrays,
   * or `{ items, offsets }` for many lists. Everything is copied while the thread waits: typed arrays at the speed of memory, other
   * arrays at about 20 ns a number and 100 ns a text.
   * @example Dataset.fromColumns({ tags: { items: Int32Array.of(7, 9, 4), offsets: Int32Array.of(0, 2, 2, 3) } }) // [7, 9], [], [4]
   * @throws ERR_MULTIGATE_DATA naming the column and row of a value that does not fit, or a column of another length;
   * ERR_MULTIGATE_ARGUMENT unless `columns` is an object of columns; ERR_MULTIGATE_OUT_OF_MEMORY.
   */
  static fromColumns(columns: Readonly<Record<string, ColumnValues>>): Dataset {
    const expected = 'an object of columns by name'
    if (typeof columns !== 'object' || columns === null || isDataset(columns)) {
      throw invalidArgument('columns', expected, columns)
    }
    const lost = lostDataset('columns', columns)
    if (lost !== undefined) throw lost
    const entries = guarded('columns', undefined, () => {
      if (Symbol.iterator in columns) throw invalidArgument('columns', expected, columns, 'pass rows to Dataset.fromRows')
      return Object.entries(columns)
    })
    return Dataset.#of(new Map(entries.map(([name, values]) => [name, columnOfValues(name, values)])))
  }

  /**
   * Takes rows, one object each. A key that a row lacks is a missing value. Other work of this thread runs meanwhile: do not change
   * the rows before the promise resolves.
   * @throws ERR_MULTIGATE_DATA naming the row and column of a value that does not fit; ERR_MULTIGATE_ARGUMENT for what is not iterable.
   */
  static async fromRows(rows: Iterable<Row> | AsyncIterable<Row>): Promise<Dataset> {
    return Dataset.#of(await columnsOfRows(rows))
  }

  /**
   * Joins parts into one dataset, such as those of a stream. All parts must have the columns of the first.
   * @throws ERR_MULTIGATE_DATA naming a column that a part lacks, or has as another kind of values, and if there are no parts;
   * ERR_MULTIGATE_ARGUMENT for parts that are no datasets; ERR_MULTIGATE_OUT_OF_MEMORY.
   * @example const { validation } = Dataset.streamParquet('log.parquet').split({ hash: ['user'], validation: 0.01 })
   * const rows = await Dataset.fromParts(validation)
   */
  static async fromParts(parts: Iterable<Dataset> | AsyncIterable<Dataset>): Promise<Dataset> {
    if (typeof parts !== 'object' || parts === null || !(Symbol.iterator in parts || Symbol.asyncIterator in parts))
      throw invalidArgument('parts', 'an iterable of Datasets', parts)
    const columns = new Map<string, Column[]>()
    let reading: Reading | undefined
    for await (const part of parts as AsyncIterable<Dataset>) {
      checkDataset('parts', part)
      if (columns.size === 0) {
        reading = part.reading
        for (const name of part.columnNames) columns.set(name, [])
      }
      for (const [name, own] of columns) own.push(part.column(name))
    }
    const joined = new Map<string, Column>()
    for (const [name, own] of columns) joined.set(name, await inSlices(joinColumns(name, own)))
    return Dataset.#of(joined, 0, reading)
  }

  static async *#parts(
    parts: AsyncIterable<ReadonlyMap<string, Column>>,
    options?: CsvOptions,
  ): AsyncGenerator<Dataset, void, undefined> {
    let start = 0
    for await (const columns of parts) {
      const part = Dataset.#of(columns, start, options && readingOf(options))
      start += part.rows
      yield part
    }
  }

  static #of(columns: ReadonlyMap<string, Column>, start = 0, reading?: Reading): Dataset {
    const [first] = columns
    if (first === undefined) throw noColumns()
    const rows = rowsOf(first[1])
    if (rows > mostRows) {
      throw new DataError(`dataset: expected at most ${mostRows} rows, found ${rows}; take a part of them`)
    }
    for (const [name, column] of columns) {
      const found = rowsOf(column)
      if (found !== rows) throw otherLength(name, found, first[0], rows)
    }
    return new Dataset(new Table(columns, start, reading), rangeOf(0, rows))
  }

  /** @internal Calls nothing on the value, which may be a proxy. */
  static isOne(value: unknown): value is Dataset {
    return typeof value === 'object' && value !== null && #table in value
  }

  /** Whether there is a column of this name. */
  has(name: string): boolean {
    return this.#table.columns.has(name)
  }

  /**
   * A raw column. It is shared: do not write into it. A part whose rows are not consecutive copies the column, at about 20 ns per
   * row. The part does not keep the copy: it copies again when nobody holds the last one.
   * @throws ERR_MULTIGATE_DATA with the nearest names if there is no such column; ERR_MULTIGATE_OUT_OF_MEMORY.
   */
  column(name: string): Column {
    const known = this.#cut.get(name)?.deref()
    if (known !== undefined) return known
    const whole = this.#whole(name)
    if (this.#selection.first === 0 && this.rows === rowsOf(whole)) return whole
    const cut = this.#rowsOf(name, whole, 0, this.rows)
    this.#cut.set(name, new WeakRef(cut))
    return cut
  }

  /**
   * @internal Rows `from` to `to` (exclusive) of a raw column, for loops over a dataset in parts. The cost depends only on these
   * rows.
   */
  columnPart(name: string, from: number, to: number): Column {
    const whole = this.#whole(name)
    checkInteger('from', from, { min: 0, max: this.rows })
    checkInteger('to', to, { min: from, max: this.rows })
    return this.#rowsOf(name, whole, from, to)
  }

  #whole(name: string): Column {
    const column = this.#table.columns.get(name)
    if (column !== undefined) return column
    if (typeof name !== 'string') throw invalidArgument('name', 'the name of a column', name)
    throw noColumn(name, this.columnNames)
  }

  #rowsOf(name: string, whole: Column, from: number, to: number): Column {
    const { first } = this.#selection
    if (first !== undefined) return sliceRows(name, whole, first + from, first + to)
    return selectRows(name, whole, this.#rowNumbers(from, to))
  }

  /** Computed once for all columns that are read of the same rows. */
  #rowNumbers(from: number, to: number): Int32Array {
    const known = this.#numbers?.deref()
    if (known?.from === from && known.to === to) return known.list
    const list = allocate(`the numbers of ${to - from} rows`, Int32Array, to - from)
    for (let row = from; row < to; row += 1) list[row - from] = this.#selection.at(row)
    this.#numbers = new WeakRef({ from, to, list })
    return list
  }

  /**
   * Rows `start` to `end` (exclusive; default: all to the end), without a copy. Bounds beyond the last row are cut. The part keeps
   * the memory of the whole.
   * @throws ERR_MULTIGATE_ARGUMENT for a bound that is not an integer >= 0.
   */
  slice(start: number, end: number = this.rows): Dataset {
    const from = Math.min(checkInteger('start', start, { min: 0 }), this.rows)
    const to = Math.max(from, Math.min(checkInteger('end', end, { min: 0 }), this.rows))
    return new Dataset(this.#table, this.#selection.slice(from, to))
  }

  /**
   * The rows with these numbers, in this order. A row may occur twice. The numbers are copied, at about 20 ns a row; columns are cut
   * on request, so the part keeps the memory of the whole.
   * @throws ERR_MULTIGATE_ARGUMENT for a row that does not exist; ERR_MULTIGATE_OUT_OF_MEMORY.
   */
  select(rowIndices: ArrayLike<number>): Dataset {
    const wrong = (): Error => invalidArgument('rowIndices', 'a list of row numbers', rowIndices)
    if (typeof rowIndices !== 'object' || rowIndices === null) throw wrong()
    const { rows } = this
    const indices = guarded('rowIndices', undefined, () => {
      if (ArrayBuffer.isView(rowIndices) && isGone(rowIndices))
        throw wrongArgument('rowIndices', `expected a list of row numbers, found ${goneMemory}`)
      const { length } = rowIndices
      if (typeof length !== 'number') throw wrong()
      checkInteger('rowIndices.length', length, { min: 0, max: mostRows })
      const indices = allocate(`a selection of ${length} rows`, Int32Array, length)
      for (let position = 0; position < length; position += 1) {
        const row = rowIndices[position]
        if (typeof row !== 'number' || !Number.isInteger(row) || row < 0 || row >= rows)
          throw invalidArgument(`rowIndices[${position}]`, `a row in [0, ${rows})`, row)
        indices[position] = this.#selection.at(row)
      }
      return indices
    })
    return new Dataset(this.#table, listOf(indices))
  }

  /**
   * Splits by row number (`rowMod`), by the values of a column (`column`), by `time`, by a `hash` of key columns, or stratified
   * (`stratify`). The parts do not depend on the order of rows, except by row number, which reads no data. The others take 30 to 150 ns a
   * row while the thread waits, or 500 ns if a key is a fractional number, and keep 4 bytes a row. `splitAsync` lets other work run
   * meanwhile.
   * @throws ERR_MULTIGATE_ARGUMENT for a wrong option, a value in two parts, or a part without rows; ERR_MULTIGATE_DATA for a column
   * that is not there or has lists, or a text that is no time; ERR_MULTIGATE_OUT_OF_MEMORY.
   * @example data.split({ hash: ['user'], validation: 0.1, test: 0.1 })
   */
  split(options: SplitOptions): DatasetSplit {
    return atOnce(this.#splitting(options))
  }

  /**
   * Splits as `split` does. Other work of this thread runs meanwhile.
   * @throws as `split`; ERR_MULTIGATE_ABORTED if its signal is aborted.
   */
  async splitAsync(options: SplitOptions, running: { readonly signal?: Signal | undefined } = {}): Promise<DatasetSplit> {
    const { signal } = parseOptions('splitAsync', runningSchema, running)
    return await inSlices(this.#splitting(options), { what: 'splitAsync', signal })
  }

  *#splitting(options: SplitOptions): Sliced<DatasetSplit> {
    const source = { selection: this.#selection, column: (name: string) => this.#whole(name) }
    const { train, validation, test, leftOut } = yield* splitRows(source, options)
    const part = (rows: Selection): Dataset => new Dataset(this.#table, rows)
    return { train: part(train), validation: part(validation), test: part(test), leftOut }
  }

  /** @internal The rows of one part of a split that looks at each row alone. The rows of streams count from the first of all. */
  async partOf(options: SplitOptions, part: Part): Promise<Dataset> {
    const source = { selection: this.#selection, column: (name: string) => this.#whole(name), before: this.#table.start }
    const rows = await inSlices(splitRows(source, options))
    return new Dataset(this.#table, rows[part])
  }

  /** @internal The same rows of some columns, with the values of one in another order: row i has those of row `order[i]`. */
  permuted(name: string, order: Int32Array, columns: readonly string[]): Dataset {
    const own = (column: string): Column => (column === name ? selectRows(name, this.column(name), order) : this.column(column))
    const { start, reading } = this.#table
    return new Dataset(new Table(new Map(columns.map((column) => [column, own(column)])), start, reading), rangeOf(0, this.rows))
  }

  /** @internal The number of a row in the original data, before streaming, `slice`, `select` or `split`. */
  sourceRow(row: number): number {
    checkInteger('row', row, { min: 0, max: this.rows - 1 })
    return this.#table.start + this.#selection.at(row)
  }
}
