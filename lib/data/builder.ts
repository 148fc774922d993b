// Builds a column from JavaScript values, one at a time. A column has one kind, given by its first value that is not
// missing; a value of another kind is an error that names its row, never a conversion.

import { describeValue, quote } from '../core/check.js'
import { type Column, narrowed, type ScalarColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'

/** One value: null, undefined and NaN are missing; true and false are 1 and 0. */
export type ScalarValue = number | bigint | boolean | string | null | undefined

/** One value, or the items of a list. */
export type Value = ScalarValue | ArrayLike<ScalarValue>

type Kind = 'number' | 'string' | 'list'

/** A column that grows. */
export class ColumnBuilder {
  readonly #name: string
  #kind: Kind | undefined
  #rows = 0
  readonly #numbers: number[] = []
  readonly #codes: number[] = []
  readonly #dictionary = new Map<string, number>()
  readonly #offsets: number[] = [0]
  #items: ColumnBuilder | undefined
  /** For messages: the row of the list that these are the items of. */
  #row: number | undefined

  constructor(name: string) {
    this.#name = name
  }

  get rows(): number {
    return this.#rows
  }

  /** Adds the value of the next row. @throws ERR_MULTIGATE_DATA naming the row of a value that does not fit. */
  append(value: Value): void {
    if (value === null || value === undefined || Number.isNaN(value)) this.#appendMissing()
    else if (typeof value === 'string') this.#appendText(value)
    else if (typeof value === 'object') this.#appendList(value)
    else if (typeof value === 'function' || typeof value === 'symbol') throw this.#wrong('a number, a string or null', value)
    else this.#appendNumber(value)
    this.#rows += 1
  }

  /** Adds missing values until there are `rows`. */
  fill(rows: number): void {
    while (this.#rows < rows) this.append(null)
  }

  /** The column. One with no value at all is numbers, all missing. */
  finish(): Column {
    if (this.#kind !== 'list') return this.#finishScalar()
    const items = this.#items ?? new ColumnBuilder(this.#name)
    return { kind: 'list', offsets: Int32Array.from(this.#offsets), items: items.#finishScalar() }
  }

  #finishScalar(): ScalarColumn {
    if (this.#kind === 'string') {
      return { kind: 'string', dictionary: [...this.#dictionary.keys()], codes: Int32Array.from(this.#codes) }
    }
    const missing = new Float64Array(this.#kind === undefined ? this.#rows : 0).fill(NaN)
    return { kind: 'number', values: this.#kind === undefined ? missing : narrowed(Float64Array.from(this.#numbers)) }
  }

  #appendMissing(): void {
    if (this.#kind === 'number') this.#numbers.push(NaN)
    else if (this.#kind === 'string') this.#codes.push(-1)
    else if (this.#kind === 'list') this.#offsets.push(this.#offsets.at(-1) ?? 0)
  }

  #appendNumber(value: number | bigint | boolean): void {
    this.#become('number', value)
    const number = Number(value)
    if (typeof value === 'bigint' && !Number.isSafeInteger(number)) {
      throw this.#wrong('an integer up to 2^53', value, 'pass ids beyond that as strings')
    }
    this.#numbers.push(number)
  }

  #appendText(value: string): void {
    this.#become('string', value)
    let code = this.#dictionary.get(value)
    if (code === undefined) this.#dictionary.set(value, (code = this.#dictionary.size))
    this.#codes.push(code)
  }

  #appendList(value: ArrayLike<ScalarValue>): void {
    if (this.#row !== undefined || !(Array.isArray(value) || ArrayBuffer.isView(value)) || value instanceof DataView) {
      throw this.#wrong('a number, a string or null', value)
    }
    this.#become('list', value)
    const items = (this.#items ??= new ColumnBuilder(this.#name))
    items.#row = this.#rows
    for (let index = 0; index < value.length; index += 1) items.append(value[index])
    this.#offsets.push(items.rows)
  }

  #become(kind: Kind, value: Value): void {
    if (this.#kind === kind) return
    if (this.#kind !== undefined) {
      throw this.#wrong(`a ${this.#kind}, as in the rows before`, value, 'make the whole column one or the other')
    }
    this.#kind = kind
    const missing = this.#rows
    for (let row = 0; row < missing; row += 1) this.#appendMissing()
  }

  #wrong(expected: string, value: unknown, next?: string): DataError {
    const row = this.#row ?? this.#rows
    const message = `column ${quote(this.#name)}, row ${row}: expected ${expected}, found ${describeValue(value)}`
    return new DataError(next === undefined ? message : `${message}; ${next}`, { column: this.#name, row, value })
  }
}
