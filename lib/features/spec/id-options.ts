// Options of features that are embedded: how wide, and where their ids come from.

import { z } from 'zod'
import type { ValueType } from '../../core/columns.js'
import { largestWidth, mostTableRows } from '../../core/limits.js'
import { nameSchema } from '../../core/name.js'
import { frozen } from '../../core/schemas.js'

const tableRows = z.int().min(1).max(mostTableRows)

const unique = (values: readonly unknown[]): boolean => new Set(values).size === values.length
const twice = { error: 'expected values that differ, found one twice' }
const oneType = (values: readonly unknown[]): boolean => values.every((value) => typeof value === typeof values[0])
const mixed = { error: 'expected all numbers or all strings, as a column has, found both' }
const ascending = (values: readonly number[]): boolean =>
  values.every((value, index) => index === 0 || value > (values[index - 1] ?? value))
const notAscending = { error: 'expected boundaries in ascending order' }

/** Their schema, to be spread into a feature's own. */
export const idOptions = {
  name: nameSchema,
  dim: z.int().min(1).max(largestWidth),
  vocabulary: z
    .union([
      tableRows,
      frozen(
        z
          .array(z.union([z.string(), z.number()]))
          .min(1)
          .refine(unique, twice)
          .refine(oneType, mixed),
      ),
    ])
    .optional(),
  hash: tableRows.min(2).optional(),
  buckets: frozen(z.array(z.number()).min(1).refine(ascending, notAscending)).optional(),
  minCount: z.int().min(1).optional(),
  outOfRange: z.enum(['error', 'oov']).optional(),
  column: z.string().min(1).optional(),
  type: z.enum(['number', 'string', 'boolean', 'date']).optional(),
}

/** Options of ids, of `sparse` and `sequence`. Without `vocabulary`, `hash` and `buckets` the vocabulary is fitted on the training rows. */
export interface IdOptions {
  /** Width of the embedding. */
  readonly dim: number
  /** A number: values are integers in [0, vocabulary), used as they are. A list: these values get ids 1, 2, ..., all others id 0. */
  readonly vocabulary?: number | readonly string[] | readonly number[] | undefined
  /** With a number for `vocabulary`: values outside and missing ones are an error (the default), or id 0. */
  readonly outOfRange?: 'error' | 'oov' | undefined
  /** Values are hashed into ids [1, hash); missing ones are id 0. */
  readonly hash?: number | undefined
  /** Values are numbers; the id says between which of these boundaries one lies: 1 below the first, missing ones are id 0. */
  readonly buckets?: readonly number[] | undefined
  /** Fitted: values that come less often get id 0. Default 1. */
  readonly minCount?: number | undefined
  /** The column it reads. Default: the feature's name. */
  readonly column?: string | undefined
  /**
   * What the values are: numbers are the same by value, texts by their bytes, dates as days and moments. A value that comes as another
   * type is cast where that loses nothing, and refused where it might. Default: what the column is that the feature is fitted on;
   * items of texts that a sequence splits are texts.
   */
  readonly type?: ValueType | undefined
}

interface IdFields {
  readonly type?: ValueType | undefined
  readonly vocabulary?: number | readonly unknown[] | undefined
  readonly hash?: number | undefined
  readonly buckets?: readonly number[] | undefined
  readonly minCount?: number | undefined
  readonly outOfRange?: string | undefined
}

/** Adds what no single field can check: at most one of vocabulary, hash and a fitted vocabulary. */
export function oneKindOfIds<Shape extends z.ZodType<IdFields>>(schema: Shape): Shape {
  return schema.check((context) => {
    const { vocabulary, hash, buckets, minCount, outOfRange, type } = context.value
    const fail = (field: string, message: string): void => {
      context.issues.push({ code: 'custom', path: [field], message, input: context.value })
    }
    const kinds = Object.entries({ vocabulary, hash, buckets }).flatMap(([name, value]) => (value === undefined ? [] : [name]))
    const [first, second] = kinds
    if (second !== undefined) fail(second, `expected either ${first} or ${second}, found both`)
    if (minCount !== undefined && first !== undefined)
      fail('minCount', `expected only for a fitted vocabulary, found it beside ${first}`)
    if (outOfRange !== undefined && typeof vocabulary !== 'number')
      fail('outOfRange', 'expected only beside a vocabulary that is a number, found it alone')
    const numbers = buckets !== undefined || typeof vocabulary === 'number' || typeof (vocabulary as unknown[])?.[0] === 'number'
    if (type !== undefined && type !== 'number' && numbers) fail('type', `expected 'number', as ${first} has, found '${type}'`)
    if (type !== undefined && type !== 'string' && typeof vocabulary === 'object' && typeof vocabulary[0] === 'string')
      fail('type', `expected 'string', as vocabulary has, found '${type}'`)
  })
}
