// Splits by row number: which rows are for training, validation and test. It reads no data.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import { frozen } from '../core/schemas.js'

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
  readonly validation?: readonly number[]
  readonly test?: readonly number[]
}

export type Part = 'train' | 'validation' | 'test'

/** Row numbers of each part, ascending. @throws ERR_MULTIGATE_ARGUMENT naming the remainder that is wrong. */
export function splitRows(rows: number, options: SplitOptions): Record<Part, Int32Array> {
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
  const parts: Record<Part, number[]> = { train: [], validation: [], test: [] }
  for (let row = 0; row < rows; row += 1) parts[partOf.get(row % rowMod) ?? 'train'].push(row)
  return { train: Int32Array.from(parts.train), validation: Int32Array.from(parts.validation), test: Int32Array.from(parts.test) }
}

/** Which row of all a row of a part is; worked out anew when it is asked for, so that a part does not hold its row numbers. */
export function rowBeforeSplit(rows: number, options: SplitOptions, part: Part): (row: number) => number {
  const kept = structuredClone(options)
  return (row) => splitRows(rows, kept)[part][row] ?? row
}
