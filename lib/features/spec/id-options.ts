// Options of embedded features: the width, and where the ids come from.

import { z } from 'zod'
import type { ValueType } from '../../core/columns.js'
import { largestWidth, mostTableRows } from '../../core/limits.js'
import { nameSchema } from '../../core/name.js'
import { frozen } from '../../core/schemas.js'

const tableRows = z.int().min(1).max(mostTableRows)

const unique = (values: readonly unknown[]): boolean => new Set(values).size === values.length
const twice = { error: 'expected distinct values, found one twice' }
const oneType = (values: readonly unknown[]): boolean => values.every((value) => typeof value === typeof values[0])
const mixed = { error: 'expected only numbers or only strings, found both' }
const ascending = (values: readonly number[]): boolean =>
  values.every((value, index) => index === 0 || value > (values[index - 1] ?? value))
const notAscending = { error: 'expected boundaries in ascending order, found another order' }

/** Schema fields, to spread into the schema of a feature. */
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

/**
 * Options of the ids of `sparse` and `sequence` features. Give at most one of `vocabulary`, `hash` and `buckets`. Without them, the
 * vocabulary is fitted on the training rows.
 */
export interface IdOptions {
  /** Width of the embedding. */
  readonly dim: number
  /** A number: values are integers in [0, vocabulary), used as ids. A list: its values get ids 1, 2, ..., all others id 0. */
  readonly vocabulary?: number | readonly string[] | readonly number[] | undefined
  /** With a number as `vocabulary`: values that are outside or missing are an error (`'error'`, the default) or id 0 (`'oov'`). */
  readonly outOfRange?: 'error' | 'oov' | undefined
  /** Values are hashed into ids [1, hash). Missing values get id 0. */
  readonly hash?: number | undefined
  /** Values are numbers. The id says between which boundaries a value lies: 1 is below the first. Missing values get id 0. */
  readonly buckets?: readonly number[] | undefined
  /** For a fitted vocabulary: rarer values get id 0. Default 1. */
  readonly minCount?: number | undefined
  /** The column it reads. Default: the feature's name. */
  readonly column?: string | undefined
  /**
   * The type of the values. Numbers are compared by value, texts by bytes, dates as days and times. A value of another type is cast if
   * nothing is lost, else refused. Default: the type of the column that the feature is fitted on; the items of a split text are texts.
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

/** Adds the checks that need several fields, such as at most one of vocabulary, hash and buckets. */
export function oneKindOfIds<Shape extends z.ZodType<IdFields>>(schema: Shape): Shape {
  return schema.check((context) => {
    const { vocabulary, hash, buckets, minCount, outOfRange, type } = context.value
    const fail = (field: string, message: string): void => {
      context.issues.push({ code: 'custom', path: [field], message, input: context.value })
    }
    const kinds = Object.entries({ vocabulary, hash, buckets }).flatMap(([name, value]) => (value === undefined ? [] : [name]))
    const [first, second] = kinds
    if (second !== undefined) fail(second, `expected either ${first} or ${second}, found both; leave one out`)
    if (minCount !== undefined && first !== undefined)
      fail('minCount', `expected it only for a fitted vocabulary, found it with ${first}; leave one out`)
    if (outOfRange !== undefined && typeof vocabulary !== 'number')
      fail(
        'outOfRange',
        'expected it only with a number as vocabulary, found none or another kind; leave outOfRange out, or set vocabulary to a number',
      )
    const numbers = buckets !== undefined || typeof vocabulary === 'number' || typeof (vocabulary as unknown[])?.[0] === 'number'
    if (type !== undefined && type !== 'number' && numbers)
      fail('type', `expected 'number', the type of ${first}, found '${type}'`)
    if (type !== undefined && type !== 'string' && typeof vocabulary === 'object' && typeof vocabulary[0] === 'string')
      fail('type', `expected 'string', the type of vocabulary, found '${type}'`)
  })
}
