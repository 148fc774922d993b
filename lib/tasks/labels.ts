// What the kinds of tasks share: options about labels, and the error of a label that is wrong.

import { z } from 'zod'

import { quote } from '../core/check.js'
import { type Column, mapInto, numberOf, rowsOf } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { nameSchema } from '../core/name.js'

export interface LabelOptions {
  /** The column of labels. Default: the task's name. */
  readonly label?: string | undefined
  /** Weight of the task in the total loss. Default 1. */
  readonly weight?: number | undefined
  /** A column of weights >= 0, one per row, for loss and metrics. Default: every row counts 1. */
  readonly weightColumn?: string | undefined
}

export const labelOptions = {
  name: nameSchema,
  label: z.string().min(1).optional(),
  weight: z.number().min(0).default(1),
  weightColumn: z.string().min(1).optional(),
}

/** A column with one value per row. */
export type SingleColumn = Exclude<Column, { kind: 'list' }>

interface Labelled {
  readonly name: string
  readonly label?: string | undefined
}

/** @throws ERR_MULTIGATE_DATA where rows have lists. */
export function singleColumn(task: Labelled, column: Column): SingleColumn {
  if (column.kind === 'list')
    throw wrongLabel(task, undefined, "one label per row, found lists; say with 'label' which column has them")
  return column
}

/** Labels that are numbers, or texts that spell one; NaN is missing. `wrong` says what is wrong with one, if anything. */
export function numericLabels(
  task: Labelled,
  column: SingleColumn,
  wrong: (value: number | undefined, found: () => string) => string | undefined,
): Float32Array {
  const check = (value: number | undefined, found: () => string, row: number, raw: unknown): number => {
    const what = wrong(value, found)
    if (what !== undefined) throw wrongLabel(task, row, what, raw)
    return value ?? NaN
  }
  const labels = new Float32Array(rowsOf(column))
  if (column.kind === 'number') {
    return mapInto(labels, column.values, (value, row) => {
      return Number.isNaN(value) ? value : check(value, () => String(value), row, value)
    })
  }
  const { dictionary, codes } = column
  const numbers = dictionary.map(numberOf)
  return mapInto(labels, codes, (code, row) => {
    if (code < 0) return NaN
    const text = dictionary[code] ?? ''
    return check(numbers[code], () => quote(text), row, text)
  })
}

/** How many labels are not missing. */
export function countKnown(labels: Float32Array): number {
  return labels.reduce((count, label) => count + (Number.isNaN(label) ? 0 : 1), 0)
}

/** @throws ERR_MULTIGATE_DATA where no training row has a label. */
export function checkSomeKnown(task: Labelled, labels: Float32Array): number {
  const known = countKnown(labels)
  if (known === 0)
    throw wrongLabel(
      task,
      undefined,
      "a label in the training rows, found only missing ones; say with 'label' which column has them, or leave the task out",
    )
  return known
}

export function wrongLabel({ name, label = name }: Labelled, row: number | undefined, what: string, value?: unknown): DataError {
  const place = row === undefined ? '' : `, row ${row}`
  return new DataError(`task ${quote(name)}, column ${quote(label)}${place}: expected ${what}`, { column: label, row, value })
}
