// Splits into training, validation and test. The form of the options decides how: by row number, by the values of a column, by time, by a
// hash of key columns, or stratified. Only the split by row number depends on the order of rows.

import { z } from 'zod'

import { guarded, invalidArgument, parseOptions, quote, wrongArgument } from '../core/check.js'
import { type Column, type NumberValues, rowsOf, type ScalarColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { allocate } from '../core/memory.js'
import { frozen } from '../core/schemas.js'
import { inBlocks, type Sliced } from '../core/slices.js'
import { sliceRows } from './select.js'
import { listOf, remaindersOf, type Selection } from './selection.js'
import { byHash, byStrata, byTimeShares } from './split-shares.js'
import { byColumn, byTimeRanges } from './split-values.js'

/** `{ rowMod: 10, validation: [8], test: [9] }`: rows whose number modulo 10 is 8 validate, 9 test, all others train. */
export interface RowSplit {
  readonly rowMod: number
  readonly validation?: readonly number[] | undefined
  readonly test?: readonly number[] | undefined
}

/** A value of a column; null is a missing value. Dates are ISO texts. */
export type SplitValue = number | string | boolean | null

/** From one value to another, both inclusive. A day, `2021-05-14`, has all its moments. */
export interface SplitRange {
  readonly from?: number | string | undefined
  readonly to?: number | string | undefined
}

/** The values of a part: one, those `from` and `to` (two in brackets are always a range), or a list of `values`. */
export type SplitValues =
  | SplitValue
  | readonly [from: number | string, to: number | string]
  | SplitRange
  | { readonly values: readonly SplitValue[] }

/**
 * `{ column: 'date_', train: [1, 13], validation: 14, test: 15 }`: by the values of a column. Rows with other values are in no part.
 * Without `train`, all of those train.
 */
export interface ColumnSplit {
  readonly column: string
  readonly train?: SplitValues | undefined
  readonly validation?: SplitValues | undefined
  readonly test?: SplitValues | undefined
}

/**
 * By the values of a column of times: dates, ISO texts or numbers. `{ time: 'day', validation: { from: '2021-05-14' }, test: { from:
 * '2021-05-15' } }` cuts at these times: a part without `to` ends where the next one begins. `{ time: 'day', validation: 0.1, test: 0.1 }`
 * tests on the last tenth of the rows and validates on the tenth before. Rows of one time stay together, so the cut nearest to the
 * share is taken. Rows without a time are in no part.
 */
export interface TimeSplit {
  readonly time: string
  /** With cut points only. Default: all times before the first cut. */
  readonly train?: SplitRange | undefined
  readonly validation?: number | SplitRange | undefined
  readonly test?: number | SplitRange | undefined
}

/**
 * `{ hash: ['userid'], validation: 0.1, test: 0.1, seed: 1 }`: rows with equal values in these columns are in one part, whatever the
 * other rows are. Shares are approximate: they are shares of all keys that there could be. Rows that lack all these values train.
 */
export interface HashSplit {
  readonly hash: string | readonly string[]
  /** In [0, 1). Default 0. */
  readonly validation?: number | undefined
  /** In [0, 1). Default 0. */
  readonly test?: number | undefined
  /** An integer in [0, 2^32). Default 0. */
  readonly seed?: number | undefined
}

/**
 * `{ stratify: 'like', by: ['userid', 'feedid'], validation: 0.1, test: 0.1, seed: 1 }`: the rows of each value of `stratify` (of each
 * combination, for several columns) are shared out in proportion. The hash of the columns `by` says which rows: name columns that tell
 * rows apart. Rows of one value with equal keys stay together, so the cut nearest to the share is taken. Rows that lack all keys train.
 */
export interface StratifiedSplit {
  readonly stratify: string | readonly string[]
  readonly by: string | readonly string[]
  /** In [0, 1). Default 0. */
  readonly validation?: number | undefined
  /** In [0, 1). Default 0. */
  readonly test?: number | undefined
  /** An integer in [0, 2^32). Default 0. */
  readonly seed?: number | undefined
}

/** How a dataset is split. */
export type SplitOptions = RowSplit | ColumnSplit | TimeSplit | HashSplit | StratifiedSplit

export const partNames = ['train', 'validation', 'test'] as const
export type Part = (typeof partNames)[number]

const remainders = frozen(z.array(z.int().min(0)))
const name = z.string().min(1)
const names = z.union([name, frozen(z.array(name).min(1))])
const bound = z.union([z.number(), z.string()])
const range = z
  .strictObject({ from: bound.optional(), to: bound.optional() })
  .refine(({ from, to }) => from !== undefined || to !== undefined, 'expected from, to or both, found neither')
const value = z.union([z.number(), z.string(), z.boolean(), z.null()])

/** Chosen by form, so that a message names one expectation. */
const values = z.unknown().transform((given, context): SplitValues => {
  const isList = Array.isArray(given)
  const isObject = typeof given === 'object' && given !== null && !isList
  const schema = isList ? pair : isObject ? ('values' in given ? listed : range) : value
  const { success, data, error } = schema.safeParse(given)
  if (success) return data as SplitValues
  for (const issue of error.issues) context.issues.push({ ...issue, input: given } as never)
  return z.NEVER
})
/** Its length first: zod makes an issue of each hole, and a sparse list may have four billion. */
const pair = z
  .custom<readonly unknown[]>((given) => (given as readonly unknown[]).length === 2, {
    error: ({ input }) =>
      `expected a range of two, [from, to], found an array of ${(input as readonly unknown[]).length}; write a list of values as { "values": [...] }`,
  })
  .pipe(z.tuple([bound, bound]))
const listed = z.strictObject({ values: frozen(z.array(value).min(1)) })

const share = z.number().min(0).lt(1)
const shares = {
  validation: share.default(0),
  test: share.default(0),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(0),
}
const shareOrRange = z.union([share, range])

const schemas = {
  rowMod: z.strictObject({ rowMod: z.int().min(2), validation: remainders.default([]), test: remainders.default([]) }),
  column: z.strictObject({
    column: name,
    train: values.optional(),
    validation: values.optional(),
    test: values.optional(),
  }),
  time: z.strictObject({
    time: name,
    train: range.optional(),
    validation: shareOrRange.optional(),
    test: shareOrRange.optional(),
  }),
  hash: z.strictObject({ hash: names, ...shares }),
  stratify: z.strictObject({ stratify: names, by: names, ...shares }),
}
type Kind = keyof typeof schemas

function kindOf(what: string, options: unknown): Kind {
  const kinds = Object.keys(schemas) as Kind[]
  const kind = guarded(what, undefined, () => {
    if (typeof options !== 'object' || options === null) return undefined
    return kinds.find((key) => key in options)
  })
  if (kind !== undefined) return kind
  throw invalidArgument(what, `an object with one of the keys ${kinds.join(', ')}`, options)
}

/** @throws ERR_MULTIGATE_ARGUMENT naming the wrong option below `what`. */
export function parseSplit(options: unknown, what = 'split'): SplitOptions {
  const kind = kindOf(what, options)
  const split = parseOptions(what, schemas[kind] as z.ZodType<SplitOptions, unknown>, options)
  if ('rowMod' in split) return split
  const { validation, test } = split
  if (!('column' in split) && (validation ?? 0) === 0 && (test ?? 0) === 0)
    throw wrongArgument(what, 'expected validation or test, found neither; give one of them, such as test: 0.1')
  if (typeof validation === 'number' && typeof test === 'number' && !('column' in split) && validation + test >= 1)
    throw wrongArgument(
      `${what}.test`,
      `expected shares below 1 together, found ${validation} and ${test}; leave some rows to train`,
    )
  if ('time' in split && [split.train, validation, test].some((part) => typeof part === 'object'))
    for (const part of ['validation', 'test'] as const)
      if (typeof split[part] === 'number')
        throw invalidArgument(
          `${what}.${part}`,
          'from and to, as in the other part; give cut points or shares, not both',
          split[part],
        )
  if ('column' in split && split.train === undefined && validation === undefined && test === undefined)
    throw wrongArgument(what, 'expected train, validation or test, found none; give the values of one of them')
  return split
}

/** The columns that a split reads. */
export function splitColumns(split: SplitOptions): readonly string[] {
  if ('column' in split) return [split.column]
  if ('time' in split) return [split.time]
  if ('hash' in split) return listOfNames(split.hash)
  return 'stratify' in split ? [...listOfNames(split.stratify), ...listOfNames(split.by)] : []
}

function listOfNames(columns: string | readonly string[]): readonly string[] {
  return typeof columns === 'string' ? [columns] : columns
}

/** What a split reads: rows of a table. */
export interface SplitSource {
  readonly selection: Selection
  /** A column of the whole table. @throws ERR_MULTIGATE_DATA if there is none of this name. */
  column(name: string): Column
  /** For rows of a stream: how many come before them. Parts may then have no rows. */
  readonly before?: number | undefined
}

/** Rows of each part, in order, and how many are in none. */
export interface SplitRows extends Record<Part, Selection> {
  readonly leftOut: number
}

/**
 * Rows of each part.
 * @throws ERR_MULTIGATE_ARGUMENT naming the wrong option, or the part that has no rows; ERR_MULTIGATE_DATA for a column that is not
 * there or cannot be split by; ERR_MULTIGATE_OUT_OF_MEMORY.
 */
export function* splitRows(source: SplitSource, options: SplitOptions): Sliced<SplitRows> {
  const split = parseSplit(options)
  const { selection } = source
  const { rows } = selection
  if ('rowMod' in split) return byRowNumber(selection, split, source.before)
  const some = source.before === undefined
  const columns = new Map<string, ScalarColumn>()
  for (const name of new Set(splitColumns(split))) columns.set(name, yield* scalarOf(name, source))
  const named = (name: string): [string, ScalarColumn] => [name, columns.get(name) as ScalarColumn]
  const parts = allocate(`the parts of ${rows} rows`, Uint8Array, rows)
  if ('column' in split) yield* byColumn(parts, named(split.column), split, { some })
  else if ('hash' in split) yield* byHash(parts, listOfNames(split.hash).map(named), split, { some })
  else if ('stratify' in split)
    yield* byStrata(parts, listOfNames(split.stratify).map(named), listOfNames(split.by).map(named), split)
  else if (typeof split.validation === 'number' || typeof split.test === 'number')
    yield* byTimeShares(parts, named(split.time), split)
  else yield* byTimeRanges(parts, named(split.time), split, { some })
  return yield* selected(selection, parts)
}

function byRowNumber(rows: Selection, { rowMod, validation = [], test = [] }: RowSplit, before = 0): SplitRows {
  const partOf = new Map<number, 'validation' | 'test'>()
  for (const [part, list] of [
    ['validation', validation],
    ['test', test],
  ] as const) {
    list.forEach((remainder, index) => {
      const field = `split.${part}[${index}]`
      if (remainder >= rowMod) throw wrongArgument(field, `expected a number below rowMod ${rowMod}, found ${remainder}`)
      const other = partOf.get(remainder)
      if (other !== undefined) throw wrongArgument(field, `expected each remainder once, found ${remainder} already in ${other}`)
      partOf.set(remainder, part)
    })
  }
  if (partOf.size === rowMod) {
    throw wrongArgument('split', `expected a remainder below ${rowMod} left for training, found all in validation and test`)
  }
  const here = (remainders: Iterable<number>): number[] => {
    return [...remainders].map((remainder) => (remainder - (before % rowMod) + rowMod) % rowMod)
  }
  return {
    train: remaindersOf(rows, rowMod, here(partOf.keys()), { others: true }),
    validation: remaindersOf(rows, rowMod, here(validation)),
    test: remaindersOf(rows, rowMod, here(test)),
    leftOut: 0,
  }
}

/** The selected rows of a column: without a copy if they are consecutive. */
function* scalarOf(name: string, { selection, column: find }: SplitSource): Sliced<ScalarColumn> {
  const column = find(name)
  if (column.kind === 'list') {
    throw new DataError(`column ${quote(name)}: expected one value per row to split by, found lists; split by another column`, {
      column: name,
    })
  }
  const { first, rows } = selection
  if (first !== undefined) {
    return first === 0 && rows === rowsOf(column) ? column : (sliceRows(name, column, first, first + rows) as ScalarColumn)
  }
  const from = column.kind === 'number' ? column.values : column.codes
  const into = allocate<NumberValues>(
    `column ${quote(name)}, ${rows.toLocaleString('en-US')} rows`,
    from.constructor as Float64ArrayConstructor,
    rows,
  )
  yield* inBlocks(0, rows, (start, end) => {
    for (let row = start; row < end; row += 1) into[row] = from[selection.at(row)] ?? NaN
  })
  return column.kind === 'number' ? { ...column, values: into } : { ...column, codes: into as Int32Array }
}

/** The rows of each part, by its number in `parts`: 1 is that of train, 0 of no part. */
function* selected(selection: Selection, parts: Uint8Array): Sliced<SplitRows> {
  const [count, first, last] = [new Float64Array(4), new Float64Array(4).fill(-1), new Float64Array(4)]
  yield* inBlocks(0, parts.length, (start, end) => {
    for (let row = start; row < end; row += 1) {
      const part = parts[row] as number
      if (count[part] === 0) first[part] = row
      count[part] = (count[part] as number) + 1
      last[part] = row
    }
  })
  const rowsOfPart = function* (part: number): Sliced<Selection> {
    const [rows, from, to] = [count[part] ?? 0, first[part] ?? 0, last[part] ?? 0]
    if (rows === 0) return selection.slice(0, 0)
    if (rows === to - from + 1) return selection.slice(from, to + 1)
    const list = allocate(`the numbers of ${rows} rows`, Int32Array, rows)
    let at = 0
    yield* inBlocks(from, to + 1, (start, end) => {
      for (let row = start; row < end; row += 1) if (parts[row] === part) list[at++] = selection.at(row)
    })
    return listOf(list)
  }
  return {
    train: yield* rowsOfPart(1),
    validation: yield* rowsOfPart(2),
    test: yield* rowsOfPart(3),
    leftOut: count[0] ?? 0,
  }
}
