// Encodes a request: one user's values and those of many candidates. It reads values straight from the caller's rows or columns, for a
// dataset would take longer than the scores. The ids are those of a dataset with the same values, and so are the errors.

import { isGone, lengthOf, typedArrayName } from '../core/arrays.js'
import { checkObject, describeValue, guarded, quote, unreadable } from '../core/check.js'
import { type Column, rowsOf } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { Dataset, isDataset } from '../data/dataset.js'
import type { Row } from '../data/rows.js'
import { noColumns, otherLength } from '../data/table-errors.js'
import { type ColumnValues, columnOfValues } from '../data/values.js'
import type { Encoder, ValueCounts } from '../features/encode/encoder.js'
import { emptyRows } from '../features/encode/encoders.js'
import type { Counts } from '../features/encode/few.js'
import { columnNameOf } from '../features/spec/feature.js'
import { inContext, missingColumn, withRows } from './source.js'

/** Candidates of a request: a dataset, columns by name, or one object per candidate. */
export type Candidates = Dataset | Readonly<Record<string, ColumnValues>> | readonly Row[]

/** The encoded rows of a request. The arrays are valid until the next request. */
export interface EncodedRequest {
  readonly rows: number
  /** [rows * width] by feature. */
  readonly features: readonly (readonly [name: string, data: Int32Array | Float32Array])[]
  /** For each feature with ids: its values, and how many of them the vocabulary does not know. */
  readonly counts: ReadonlyMap<string, ValueCounts>
}

/** Columns of some candidates. */
interface Source {
  readonly rows: number
  /**
   * The raw values, or a column. Undefined if there is no such column.
   * @param wanted whether a column counts that has no value but undefined.
   */
  read(name: string, wanted: boolean): Raw | undefined
  /** Raw values as a column, which may take longer than to encode them. @throws ERR_MULTIGATE_DATA for values that do not fit in one. */
  column(name: string, values: unknown): Column
  /** For messages. */
  names(): readonly string[]
}

/** [rows] values, or a column. */
type Raw = { readonly values: unknown } | { readonly column: Column }

/** A feature, and memory for its encoded rows. */
interface Place {
  readonly encoder: Encoder
  readonly name: string
  readonly column: string
  staged: Int32Array | Float32Array
}

/** Values by column name. */
type Values = ReadonlyMap<string, unknown>

const none: Row = Object.freeze({})
const isOwn = Object.prototype.propertyIsEnumerable

export class RequestEncoder {
  readonly #encoders: readonly Encoder[]
  /** Taken while a request is encoded: reading a caller's values may run code that encodes another. */
  #free: Workplace | undefined

  constructor(encoders: readonly Encoder[]) {
    this.#encoders = encoders
  }

  /**
   * Encodes the candidates, each with the shared values.
   * @param most candidates that are taken. @param what names the call in messages.
   * @throws ERR_MULTIGATE_DATA as `DataEncoder.encode`, for too many candidates, and for a column that is in both.
   */
  encode(candidates: Candidates, shared: Row = none, most: number, what: string): EncodedRequest {
    const place = this.#free ?? new Workplace(this.#encoders)
    this.#free = undefined
    try {
      checkObject(`${what}.shared`, shared, 'an object of values by column name')
      const values = entriesOf(`${what}.shared`, shared)
      return isDataset(candidates)
        ? withRows(candidates, () => place.encode(ofDataset(candidates), values, most, what))
        : place.encode(place.sourceOf(candidates), values, most, what)
    } finally {
      this.#free = place
    }
  }
}

/** What one request is encoded in. */
class Workplace {
  readonly #places: readonly Place[]
  /** The values of one column of rows. */
  readonly #gathered: unknown[] = []
  /** The shared values of one column. */
  readonly #one: unknown[] = [undefined]
  readonly #shared: Source = { rows: 1, read: () => undefined, column: columnOf, names: () => [] }

  constructor(encoders: readonly Encoder[]) {
    this.#places = encoders.map((encoder) => {
      const { feature } = encoder
      return { encoder, name: feature.name, column: columnNameOf(feature), staged: emptyRows(encoder, 0) }
    })
  }

  sourceOf(candidates: Candidates): Source {
    const isList = guarded('columns', undefined, () => Array.isArray(candidates))
    return isList
      ? this.#ofRows(candidates as readonly Row[])
      : this.#ofColumns(candidates as Readonly<Record<string, ColumnValues>>)
  }

  encode(source: Source, shared: Values, most: number, what: string): EncodedRequest {
    const { rows } = source
    if (rows > most) {
      throw new DataError(`${what}: expected at most the ${most} rows that the batch holds, found ${rows}; make a larger batch`)
    }
    const counts = new Map<string, ValueCounts>()
    const features = this.#places.map((place) => {
      const count = this.#encode(place, source, shared)
      if (count !== undefined) counts.set(place.name, count)
      return [place.name, place.staged.subarray(0, rows * place.encoder.width)] as const
    })
    return { rows, features, counts }
  }

  #encode(place: Place, source: Source, shared: Values): ValueCounts | undefined {
    const { encoder, column } = place
    const { width } = encoder
    const { rows } = source
    if (place.staged.length < rows * width) place.staged = emptyRows(encoder, 2 ** Math.ceil(Math.log2(rows)))
    const data = place.staged.subarray(0, rows * width)
    const isShared = shared.has(column)
    const raw = source.read(column, !isShared)
    if (!isShared) {
      if (raw === undefined) throw this.#missing(place, source, shared)
      return encoded(encoder, source, column, raw, data)
    }
    if (raw !== undefined) {
      const message = 'expected in `shared` or in the candidates, found in both; leave it out of one'
      throw new DataError(`column ${quote(column)}: ${message}`, { column })
    }
    this.#one[0] = shared.get(column)
    const one = rows === 0 ? emptyRows(encoder, 1) : data.subarray(0, width)
    const counts = this.#encodeShared(encoder, column, one)
    if (rows > 0 && width === 1) data.fill(data[0] ?? 0)
    else for (let row = 1; row < rows; row += 1) data.copyWithin(row * width, 0, width)
    return counts && { values: counts.values * rows, unknown: counts.unknown * rows }
  }

  #encodeShared(encoder: Encoder, column: string, data: Int32Array | Float32Array): ValueCounts | undefined {
    try {
      return encoded(encoder, this.#shared, column, { values: this.#one }, data)
    } catch (error) {
      throw inContext(error, { before: 'shared: ' })
    }
  }

  #missing({ encoder: { feature }, column }: Place, source: Source, shared: Values): unknown {
    const names = [...shared.keys(), ...source.names()]
    if (names.length === 0) return noColumns()
    return missingColumn(column, names, `feature ${quote(feature.name)}`, 'column')
  }

  #ofColumns(candidates: Readonly<Record<string, ColumnValues>>): Source {
    // It says what is wrong with anything else.
    if (typeof candidates !== 'object' || candidates === null || isIterable(candidates)) Dataset.fromColumns(candidates)
    const columns = entriesOf('columns', candidates)
    const [entry] = columns
    if (entry === undefined) throw noColumns()
    const [first] = entry
    const rows = countOf(...entry)
    const column = (name: string, values: unknown): Column => {
      const found = columnOf(name, values)
      if (rowsOf(found) !== rows) throw otherLength(name, rowsOf(found), first, rows)
      return found
    }
    const read = (name: string): Raw | undefined => {
      if (!columns.has(name)) return undefined
      const values = columns.get(name)
      return hasLength(values, rows) ? { values } : { column: column(name, values) }
    }
    return { rows, read, column, names: () => [...columns.keys()] }
  }

  #ofRows(candidates: readonly Row[]): Source {
    const rows = guarded('candidates', undefined, () => candidates.length)
    const plain = arePlain(candidates, rows)
    const read = (name: string, wanted: boolean): Raw | undefined => {
      const found =
        this.#gather(candidates, rows, name, plain && !(name in Object.prototype)) || (wanted && isKey(candidates, name))
      return found ? { values: this.#gathered } : undefined
    }
    const names = (): string[] => [...new Set(candidates.flatMap((row) => Object.keys(row)))]
    return { rows, read, column: columnOf, names }
  }

  /** Gathers the values of a column. False if all are undefined. */
  #gather(candidates: readonly Row[], rows: number, name: string, plain: boolean): boolean {
    const values = this.#gathered
    values.length = rows
    let [row, found] = [0, false]
    try {
      for (; row < rows; row += 1) {
        const candidate = candidates[row] ?? none
        const value = plain || isOwn.call(candidate, name) ? candidate[name] : undefined
        found ||= value !== undefined
        values[row] = value
      }
      return found
    } catch (cause) {
      throw unreadable(`row ${row}`, { row }, cause)
    }
  }
}

/** Encodes rows of a column. @param data [rows * width]; overwritten. */
function encoded(
  encoder: Encoder,
  source: Source,
  name: string,
  raw: Raw,
  data: Int32Array | Float32Array,
): ValueCounts | undefined {
  const counts = { values: 0, unknown: 0 }
  if ('values' in raw && isEncodedFew(encoder, source.rows, name, raw.values, data, counts))
    return encoder.kind === 'dense' ? undefined : counts
  const column = 'values' in raw ? source.column(name, raw.values) : raw.column
  const encoding = encoder.begin()
  encoding.encode(column, (data as Int32Array).fill(0) as never)
  const found = encoding.counts()
  return found && { values: found.values, unknown: found.unknown }
}

function isEncodedFew(
  encoder: Encoder,
  rows: number,
  name: string,
  values: unknown,
  data: Int32Array | Float32Array,
  counts: Counts,
): boolean {
  try {
    return encoder.encodeFew(values as ArrayLike<unknown>, rows, data as never, counts)
  } catch (cause) {
    throw unreadable(`column ${quote(name)}`, { column: name }, cause)
  }
}

/** Whether a row has this key, or there are no rows. */
function isKey(candidates: readonly Row[], name: string): boolean {
  return guarded('candidates', undefined, () => candidates.length === 0 || candidates.some((row) => isOwn.call(row, name)))
}

function columnOf(name: string, values: unknown): Column {
  return columnOfValues(name, values as ColumnValues)
}

function ofDataset(data: Dataset): Source {
  const read = (name: string): Raw | undefined => (data.has(name) ? { column: data.column(name) } : undefined)
  return { rows: data.rows, read, column: columnOf, names: () => data.columnNames }
}

/** Whether it is an array or a typed array of this length. */
function hasLength(values: unknown, length: number): boolean {
  if (typedArrayName(values) !== undefined) return !isGone(values as Int32Array) && lengthOf(values as Int32Array) === length
  return Array.isArray(values) && values.length === length
}

/** How many rows a column has. @throws as `columnOfValues`. */
function countOf(name: string, values: unknown): number {
  return Array.isArray(values) ? values.length : rowsOf(columnOf(name, values))
}

/** Whether all rows are objects that inherit nothing of their own. @throws ERR_MULTIGATE_DATA for what is no object. */
function arePlain(candidates: readonly unknown[], rows: number): boolean {
  let [row, plain] = [0, true]
  try {
    for (; row < rows; row += 1) {
      const candidate = candidates[row]
      if (typeof candidate !== 'object' || candidate === null) {
        const found = describeValue(candidate)
        throw new DataError(`row ${row}: expected an object of values by column name, found ${found}`, { row })
      }
      const parent: unknown = Object.getPrototypeOf(candidate)
      if (parent !== Object.prototype && parent !== null) plain = false
    }
    return plain
  } catch (cause) {
    throw unreadable(`row ${row}`, { row }, cause)
  }
}

/** The object's own values by name. */
function entriesOf(what: string, object: object): Values {
  return guarded(what, undefined, () => new Map(Object.entries(object)))
}

function isIterable(value: object): boolean {
  return guarded('columns', undefined, () => Symbol.iterator in value)
}
