// Joins the columns of parts, one after the other.

import { quote } from '../core/check.js'
import {
  type Column,
  type NumberColumn,
  type NumberValues,
  rowsOf,
  type ScalarColumn,
  type StringColumn,
} from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { allocate } from '../core/memory.js'
import type { Sliced } from '../core/slices.js'

/** One column of the values of all. @throws ERR_MULTIGATE_DATA for columns of different kinds; ERR_MULTIGATE_OUT_OF_MEMORY. */
export function* joinColumns(name: string, columns: readonly Column[]): Sliced<Column> {
  const { kind } = columns[0] as Column
  const other = columns.find((column) => column.kind !== kind)
  if (other !== undefined) {
    const message = `column ${quote(name)}: expected ${kinds[kind]} in all parts, as in the first, found ${kinds[other.kind]}`
    throw new DataError(message, { column: name })
  }
  if (kind === 'number') return yield* joinNumbers(name, columns as readonly NumberColumn[])
  if (kind === 'string') return yield* joinTexts(name, columns as readonly StringColumn[])
  const lists = columns as readonly (Column & { readonly kind: 'list' })[]
  const offsets = allocate(`column ${quote(name)}`, Int32Array, 1 + rowsOfAll(columns))
  let [row, before] = [0, 0]
  for (const part of lists) {
    const first = part.offsets[0] ?? 0
    for (let at = 1; at < part.offsets.length; at += 1) offsets[++row] = before + (part.offsets[at] ?? 0) - first
    before = offsets[row] ?? 0
    yield
  }
  const items = lists.map(({ items: all, offsets: own }) => itemsBetween(all, own[0] ?? 0, own.at(-1) ?? 0))
  return { kind: 'list', offsets, items: (yield* joinColumns(name, items)) as ScalarColumn }
}

const kinds: Readonly<Record<Column['kind'], string>> = { number: 'numbers', string: 'text', list: 'lists' }

function* joinNumbers(name: string, columns: readonly NumberColumn[]): Sliced<NumberColumn> {
  const type = [Int32Array, Float32Array].find((one) => columns.every(({ values }) => values instanceof one)) ?? Float64Array
  const values = allocate<NumberValues>(`column ${quote(name)}`, type as Float64ArrayConstructor, rowsOfAll(columns))
  let row = 0
  for (const part of columns) {
    values.set(part.values, row)
    row += part.values.length
    yield
  }
  const isBoolean = columns.every(({ type: own }) => own === 'boolean')
  const asWritten = columns.every((part) => part.asWritten === true)
  return { kind: 'number', values, ...(isBoolean && { type: 'boolean' }), ...(asWritten && { asWritten }) }
}

function* joinTexts(name: string, columns: readonly StringColumn[]): Sliced<StringColumn> {
  const codes = allocate(`column ${quote(name)}`, Int32Array, rowsOfAll(columns))
  const places = new Map<string, number>()
  let row = 0
  for (const part of columns) {
    const placeOf = Int32Array.from(part.dictionary, (text) => {
      const known = places.get(text)
      if (known !== undefined) return known
      places.set(text, places.size)
      return places.size - 1
    })
    yield
    for (const code of part.codes) codes[row++] = placeOf[code] ?? -1
    yield
  }
  const isDate = columns.every(({ type }) => type === 'date')
  return { kind: 'string', codes, dictionary: [...places.keys()], ...(isDate && { type: 'date' }) }
}

function itemsBetween(items: ScalarColumn, from: number, to: number): ScalarColumn {
  if (items.kind === 'number') return { ...items, values: items.values.subarray(from, to) }
  return { ...items, codes: items.codes.subarray(from, to) }
}

function rowsOfAll(columns: readonly Column[]): number {
  return columns.reduce((sum, column) => sum + rowsOf(column), 0)
}
