// Splits by row number into training, validation and test. It reads no data and lists no rows.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import { frozen } from '../core/schemas.js'
import { remaindersOf, type Selection } from './selection.js'

const remainders = frozen(z.array(z.int().min(0)))

/** The schema of `split` in a configuration. */
export const splitSchema = z.strictObject({
  rowMod: z.int().min(2),
  validation: remainders.default([]),
  test: remainders.default([]),
})

/** `{ rowMod: 10, validation: [8], test: [9] }`: rows whose number modulo 10 is 8 validate, 9 test, all others train. */
export interface SplitOptions {
  readonly rowMod: number
  readonly validation?: readonly number[] | undefined
  readonly test?: readonly number[] | undefined
}

export type Part = 'train' | 'validation' | 'test'

/** Rows of each part, in order. @throws ERR_MULTIGATE_ARGUMENT naming the wrong remainder. */
export function splitRows(rows: Selection, options: SplitOptions): Record<Part, Selection> {
  const { rowMod, validation, test } = parseOptions('split', splitSchema, options)
  const partOf = new Map<number, 'validation' | 'test'>()
  for (const [part, list] of [
    ['validation', validation],
    ['test', test],
  ] as const) {
    list.forEach((remainder, index) => {
      const field = `split.${part}[${index}]`
      if (remainder >= rowMod)
        throw new ArgumentError(`${field}: expected a number below rowMod ${rowMod}, found ${remainder}`, { field })
      const other = partOf.get(remainder)
      if (other !== undefined)
        throw new ArgumentError(`${field}: expected each remainder once, found ${remainder} already in ${other}`, { field })
      partOf.set(remainder, part)
    })
  }
  if (partOf.size === rowMod) {
    throw new ArgumentError(`split: expected a remainder below ${rowMod} left for training, found all in validation and test`, {
      field: 'split',
    })
  }
  return {
    train: remaindersOf(rows, rowMod, [...partOf.keys()], { others: true }),
    validation: remaindersOf(rows, rowMod, validation),
    test: remaindersOf(rows, rowMod, test),
  }
}
