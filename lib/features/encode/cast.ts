// Which values are the same value. A feature's values have one type: numbers are compared by value, texts by bytes, dates as days and
// times. A value of another type is cast if nothing is lost. Else it is refused: two ids could become one, or one id two.

import { dateText, numberOf, numberText, type ScalarColumn, sameNumber, type ValueType, valueTypeOf } from '../../core/columns.js'

/** A value that can have an id: a number, or a text. Booleans are 0 and 1, dates their `dateText`. */
export type Key = number | string

/** Whether keys of a type are numbers. */
export function isNumeric(type: ValueType): boolean {
  return type === 'number' || type === 'boolean'
}

/**
 * How the numbers of a column become keys of a type. Undefined if none of them can. The cast returns undefined for a value that does
 * not fit.
 */
export function castNumbers(to: ValueType, column: ScalarColumn): ((value: number) => Key | undefined) | undefined {
  if (column.kind !== 'number') return undefined
  switch (to) {
    case 'number':
      return sameNumber
    case 'boolean':
      return (value) => (value === 0 || value === 1 ? value + 0 : undefined)
    case 'string':
      return column.asWritten === true ? numberText : undefined
    case 'date':
      return undefined
  }
}

/** Like `castNumbers`, for the texts of a column. */
export function castTexts(to: ValueType, column: ScalarColumn): ((text: string) => Key | undefined) | undefined {
  if (column.kind !== 'string') return undefined
  const dates = column.type === 'date'
  switch (to) {
    case 'string':
      return dates ? undefined : (text) => text
    case 'date':
      return dateText
    case 'number':
      return dates ? undefined : numberOfText
    case 'boolean':
      return dates ? undefined : booleanOfText
  }
}

function numberOfText(text: string): number | undefined {
  const value = numberOf(text)
  return value === undefined || !Number.isFinite(value) ? undefined : sameNumber(value)
}

function booleanOfText(text: string): number | undefined {
  if (/^(true|1)$/i.test(text)) return 1
  return /^(false|0)$/i.test(text) ? 0 : undefined
}

const names: Readonly<Record<ValueType, string>> = {
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  date: 'a date',
}

/** What a feature of this type accepts, for messages. */
export function describeType(type: ValueType): string {
  return names[type]
}

/** The next step if a column does not have the type of the feature. */
export function adviceFor(to: ValueType, column: ScalarColumn): string {
  const from = valueTypeOf(column)
  if (to === 'string') {
    return from === 'number'
      ? "read the column as text (`types: { ...: 'string' }` of Dataset.fromCsv, or the model's `csvOptions()`), cast it to VARCHAR in a query, or pass strings"
      : `the original texts of these ${from === 'date' ? 'dates' : 'booleans'} are lost: cast the column to VARCHAR, as in the training rows`
  }
  const types = [...new Set([from, 'string'])].map((type) => `type: '${type}'`).join(' or ')
  return `set ${types} in the feature before training, or pass values of the feature's type`
}
