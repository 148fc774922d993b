// Shared by all kinds of tasks: options about labels, missing labels, and the error for a wrong label.

import { z } from 'zod'

import { describeValue, quote } from '../core/check.js'
import { type Column, mapInto, numberOf, rowsOf } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { nameSchema } from '../core/name.js'
import { amount, frozen } from '../core/schemas.js'
import { type Where, whereSchema } from './condition.js'

export interface LabelOptions {
  /** The column of labels. Default: the task's name. */
  readonly label?: string | undefined
  /** Weight of the task in the total loss. Default 1. */
  readonly weight?: number | undefined
  /** A column of weights >= 0, one per row, for loss and metrics. Default: every row has weight 1. */
  readonly weightColumn?: string | undefined
  /**
   * Values that mean a missing label, such as `[-1, 'NULL']`. Numbers compare by value, texts by their bytes. A text that spells a number
   * also equals that number.
   */
  readonly missing?: readonly (number | string)[] | undefined
  /**
   * The task's sample space: conditions on columns, or on the labels of other tasks, by their names. All must hold. Rows outside are as if
   * their label were missing, unless they have `outsideWeight`. A row without the value that a condition needs is outside. Other tasks see
   * this task's label only inside. The label of a task with `positive` is 1 or 0.
   * @example { click: 1, country: ['NO', 'SE'], age: { min: 18, max: 65 } }
   */
  readonly where?: Where | undefined
  /** With `where`: a factor of the row weights inside, for loss and metrics. Default 1. */
  readonly insideWeight?: number | undefined
  /** With `where`: a factor of the row weights outside, for loss and metrics. Default: rows outside do not count. */
  readonly outsideWeight?: number | undefined
}

type Refinement = [check: (options: LabelOptions) => boolean, problem: { path: string[]; error: string }]

/** A refinement of every kind's schema: weights of a sample space need one. */
export const needsWhere: Refinement = [
  ({ where, insideWeight, outsideWeight }: LabelOptions): boolean =>
    where !== undefined || (insideWeight === undefined && outsideWeight === undefined),
  { path: ['where'], error: 'expected conditions, because insideWeight or outsideWeight is given, found none' },
]

export const labelOptions = {
  name: nameSchema,
  label: z.string().min(1).optional(),
  weight: amount.default(1),
  weightColumn: z.string().min(1).optional(),
  missing: frozen(z.array(z.union([z.string(), z.number()])).min(1)).optional(),
  where: whereSchema.optional(),
  insideWeight: amount.optional(),
  outsideWeight: amount.optional(),
}

/** A column with one value per row. */
export type SingleColumn = Exclude<Column, { kind: 'list' }>

interface Labelled {
  readonly name: string
  readonly label?: string | undefined
  readonly missing?: LabelOptions['missing'] | undefined
}

/** Whether a list has a value. */
export function isListed(listed: readonly (number | string)[] | undefined, value: number | string | boolean): boolean {
  return listed?.some((one) => one === value || (!areTexts(one, value) && numberIn(one) === numberIn(value))) === true
}

function areTexts(one: unknown, other: unknown): boolean {
  return typeof one === 'string' && typeof other === 'string'
}

/** The value as a number. NaN, which equals nothing, if it is not a number. */
function numberIn(value: number | string | boolean): number {
  return typeof value === 'string' ? (numberOf(value) ?? NaN) : Number(value)
}

/** The labels, with those that mean a missing label made missing. */
export function knownLabels({ missing }: Labelled, column: Column): Column {
  if (missing === undefined || column.kind === 'list') return column
  if (column.kind === 'number') {
    const numbers = missing.map(numberIn)
    const values = new Float64Array(column.values.length)
    return { ...column, values: mapInto(values, column.values, (value) => (numbers.includes(value) ? NaN : value)) }
  }
  const listed = column.dictionary.map((text) => isListed(missing, text))
  return { ...column, codes: column.codes.map((code) => (listed[code] === true ? -1 : code)) }
}

/** The column with the values of rows outside (0 in `inside`) made missing. */
export function onlyInside(column: Column, inside: Uint8Array): Column {
  if (column.kind === 'list') return column
  if (column.kind === 'string') return { ...column, codes: column.codes.map((code, row) => (inside[row] === 1 ? code : -1)) }
  const values = new Float64Array(column.values.length)
  return { ...column, values: mapInto(values, column.values, (value, row) => (inside[row] === 1 ? value : NaN)) }
}

/** The next step for a value that is not a label. */
export function orMissing({ name, label = name }: Labelled, value: unknown): string {
  const found = describeValue(value)
  return `if ${found} means a missing label, set missing: [${found}], or read the file with nullValues: { ${quote(label)}: [${quote(String(value))}] }`
}

/** @throws ERR_MULTIGATE_DATA if rows have lists. */
export function singleColumn(task: Labelled, column: Column): SingleColumn {
  if (column.kind === 'list')
    throw wrongLabel(task, undefined, "one label per row, found lists; set 'label' to a column of single values")
  return column
}

/** Labels that are numbers, or texts that spell one; NaN is missing. `wrong` returns the problem of a label, if any. */
export function numericLabels(
  task: Labelled,
  column: SingleColumn,
  wrong: (value: number | undefined, raw: number | string) => string | undefined,
): Float32Array {
  const check = (value: number | undefined, row: number, raw: number | string): number => {
    const what = wrong(value, raw)
    if (what !== undefined) throw wrongLabel(task, row, what, raw)
    return value ?? NaN
  }
  const labels = new Float32Array(rowsOf(column))
  if (column.kind === 'number') {
    return mapInto(labels, column.values, (value, row) => {
      return Number.isNaN(value) ? value : check(value, row, value)
    })
  }
  const { dictionary, codes } = column
  const numbers = numbersOf(dictionary)
  return mapInto(labels, codes, (code, row) => {
    if (code < 0) return NaN
    const text = dictionary[code] ?? ''
    return check(numbers[code], row, text)
  })
}

/** Cached, because the parts of a column share a dictionary. */
const spelled = new WeakMap<readonly string[], readonly (number | undefined)[]>()

function numbersOf(dictionary: readonly string[]): readonly (number | undefined)[] {
  const known = spelled.get(dictionary) ?? dictionary.map(numberOf)
  spelled.set(dictionary, known)
  return known
}

/** How many labels are not missing. */
export function countKnown(labels: Float32Array): number {
  return labels.reduce((count, label) => count + (Number.isNaN(label) ? 0 : 1), 0)
}

/** @throws ERR_MULTIGATE_DATA if no training row has a label. */
export function checkSomeKnown(task: Labelled, labels: Float32Array): number {
  const known = countKnown(labels)
  if (known === 0)
    throw wrongLabel(
      task,
      undefined,
      "a label in the training rows, found only missing ones; set 'label' to the column that has them, or leave the task out",
    )
  return known
}

export function wrongLabel({ name, label = name }: Labelled, row: number | undefined, what: string, value?: unknown): DataError {
  const place = row === undefined ? '' : `, row ${row}`
  return new DataError(`task ${quote(name)}, column ${quote(label)}${place}: expected ${what}`, { column: label, row, value })
}
