// Builds a column from JavaScript values, one at a time. The first value that is not missing gives the kind of the column. A value of
// another kind is an error that names its row; nothing is converted. No ordinary arrays grow here.

import { types } from 'node:util'

import { goneMemory, isGone, lengthOf, typedArrayName } from '../core/arrays.js'
import { describeValue, quote } from '../core/check.js'
import { type Column, dateText, type NumberValues, type ScalarColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { Growing } from '../core/growing.js'
import { mostItems, mostRows } from '../core/limits.js'
import { allocate } from '../core/memory.js'
import { atOnce, type Sliced } from '../core/slices.js'
import { Texts } from '../core/texts.js'
import { Numbers } from './numbers.js'

/** One value. Null, undefined and NaN are missing. Booleans become 1 and 0; Dates become days or times in UTC. */
export type ScalarValue = number | bigint | boolean | string | Date | null | undefined

/** One value, or the items of a list. */
export type Value = ScalarValue | ArrayLike<ScalarValue>

type Kind = 'number' | 'string' | 'date' | 'list'

interface Limits {
  readonly rows: number
  /** Items of all lists together. */
  readonly items: number
}

/** A column that grows. */
export class ColumnBuilder {
  readonly #name: string
  readonly #limits: Limits
  #kind: Kind | undefined
  #rows = 0
  readonly #numbers: Numbers
  /** Whether all numbers so far were true or false. */
  #booleans = true
  readonly #codes: Growing<Int32Array>
  #texts: Texts | undefined
  readonly #offsets: Growing<Int32Array>
  #items: ColumnBuilder | undefined
  /** For messages: the row of the list that holds these items. */
  #row: number | undefined

  constructor(name: string, limits: Limits = { rows: mostRows, items: mostItems }) {
    const what = `column ${quote(name)}`
    this.#name = name
    this.#limits = limits
    this.#numbers = new Numbers(what)
    this.#codes = new Growing(what, Int32Array)
    this.#offsets = new Growing(what, Int32Array)
  }

  get rows(): number {
    return this.#rows
  }

  /**
   * Adds the value of the next row.
   * @throws ERR_MULTIGATE_DATA naming the row of a value that does not fit; ERR_MULTIGATE_OUT_OF_MEMORY.
   */
  append(value: Value): void {
    if (this.#rows >= this.#limits.rows) throw this.#tooMany()
    if (value === null || value === undefined || Number.isNaN(value)) this.#appendMissing()
    else if (typeof value === 'number') this.#appendNumber(value)
    else if (typeof value === 'string') this.#appendText('string', value, value)
    else if (typeof value === 'boolean') this.#appendBoolean(value)
    else if (typeof value === 'bigint') this.#appendNumber(this.#numberOf(value))
    else if (types.isDate(value)) this.#appendText('date', this.#dateTextOf(value), value)
    else if (typeof value === 'object') this.#appendList(value)
    else throw this.#wrong('a number, a string or null', value)
    this.#rows += 1
  }

  /** Adds missing values until there are `rows`. */
  fill(rows: number): void {
    if (this.#kind === undefined) this.#rows = Math.max(this.#rows, rows)
    while (this.#rows < rows) this.append(null)
  }

  /** The column. A column without any value holds numbers, all missing. @throws ERR_MULTIGATE_OUT_OF_MEMORY. */
  finish(): Column {
    return atOnce(this.finishing())
  }

  /** Like `finish`, slice by slice. */
  *finishing(): Sliced<Column> {
    if (this.#kind !== 'list') return yield* this.#finishScalar()
    const items = this.#items ?? new ColumnBuilder(this.#name)
    const ends = yield* this.#offsets.joined()
    const offsets = allocate(`column ${quote(this.#name)}`, Int32Array, ends.length + 1)
    offsets.set(ends, 1)
    return { kind: 'list', offsets, items: yield* items.#finishScalar() }
  }

  *#finishScalar(): Sliced<ScalarColumn> {
    if (this.#kind === 'string' || this.#kind === 'date') {
      const codes = yield* this.#codes.joined()
      return { kind: 'string', ...(this.#kind === 'date' && { type: 'date' }), dictionary: this.#texts?.all ?? [], codes }
    }
    if (this.#kind === undefined) {
      return { kind: 'number', values: allocate(`column ${quote(this.#name)}`, Float64Array, this.#rows).fill(NaN) }
    }
    return { kind: 'number', ...(this.#booleans && { type: 'boolean' }), values: yield* this.#numbers.joined() }
  }

  #appendMissing(): void {
    if (this.#kind === 'number') this.#numbers.push(NaN)
    else if (this.#kind === 'list') this.#offsets.push(this.#items?.rows ?? 0)
    else if (this.#kind !== undefined) this.#codes.push(-1)
  }

  #appendNumber(value: number): void {
    this.#become('number', value)
    this.#booleans = false
    this.#numbers.push(value)
  }

  #appendBoolean(value: boolean): void {
    this.#become('number', value)
    this.#numbers.push(Number(value))
  }

  #numberOf(value: bigint): number {
    const number = Number(value)
    if (Number.isSafeInteger(number)) return number
    throw this.#wrong('an integer up to 2^53', value, 'pass larger ids as strings')
  }

  #dateTextOf(value: Date): string {
    const time = Date.prototype.getTime.call(value)
    const text = Number.isNaN(time) ? undefined : dateText(new Date(time).toISOString().replace(/^\+0*/, ''))
    if (text !== undefined) return text
    const found = Number.isNaN(time) ? 'an invalid Date' : `a Date in the year ${new Date(time).getUTCFullYear()}`
    throw this.#error(`expected a date from the year 0 on, found ${found}`, value)
  }

  #appendText(kind: 'string' | 'date', text: string, value: string | Date): void {
    this.#become(kind, value)
    this.#texts ??= new Texts(`column ${quote(this.#name)}`)
    this.#codes.push(this.#texts.add(text))
  }

  #appendList(value: ArrayLike<ScalarValue>): void {
    const typed = typedArrayName(value)
    if (this.#row !== undefined || !(Array.isArray(value) || typed !== undefined)) {
      throw this.#wrong('a number, a string, a date or null', value)
    }
    this.#become('list', value)
    const items = (this.#items ??= new ColumnBuilder(this.#name, { ...this.#limits, rows: this.#limits.items }))
    items.#row = this.#rows
    if (typed !== undefined && isGone(value as NumberValues)) {
      throw this.#error(`expected an array, found ${goneMemory}`, value)
    }
    if (typed === undefined || typed.startsWith('Big')) {
      const { length } = value
      // Checked first, so that no time is lost.
      if (items.rows + length > this.#limits.items) throw items.#tooMany()
      for (let index = 0; index < length; index += 1) items.append(value[index])
    } else items.#appendAll(value as NumberValues)
    this.#offsets.push(items.rows)
  }

  /** Adds all values of a typed array of numbers. */
  #appendAll(values: NumberValues): void {
    const length = lengthOf(values)
    if (length === 0) return
    if (this.#rows + length > this.#limits.rows) throw this.#tooMany()
    this.#become('number', values)
    this.#booleans = false
    this.#numbers.pushAll(values, length)
    this.#rows += length
  }

  #become(kind: Kind, value: unknown): void {
    if (this.#kind === kind) return
    if (this.#kind !== undefined) {
      throw this.#wrong(`a ${this.#kind}, as in the rows before`, value, 'make the whole column one or the other')
    }
    this.#kind = kind
    const missing = this.#rows
    for (let row = 0; row < missing; row += 1) this.#appendMissing()
  }

  #tooMany(): DataError {
    if (this.#row === undefined) return this.#error(`expected at most ${this.#limits.rows} rows, found more`, undefined)
    return this.#error(`expected at most ${this.#limits.items} items in all lists together, found more`, undefined)
  }

  #wrong(expected: string, value: unknown, next?: string): DataError {
    const message = `expected ${expected}, found ${describeValue(value)}`
    return this.#error(next === undefined ? message : `${message}; ${next}`, value)
  }

  #error(message: string, value: unknown): DataError {
    const row = this.#row ?? this.#rows
    return new DataError(`column ${quote(this.#name)}, row ${row}: ${message}`, { column: this.#name, row, value })
  }
}
