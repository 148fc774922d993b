// Dense features: one float32 per row, or a vector of them, transformed with statistics of the training rows.

import { z } from 'zod'

import { called, parseOptions } from '../../core/check.js'
import { largestWidth } from '../../core/limits.js'
import { nameSchema } from '../../core/name.js'

const transforms = ['standardize', 'none', 'log1p', 'log1pStandardize', 'minmax'] as const
type Transform = (typeof transforms)[number]

export const denseSchema = z.strictObject({
  kind: z.literal('dense'),
  name: nameSchema,
  transform: z.enum(transforms).default('standardize'),
  missing: z.union([z.enum(['mean', 'error']), z.number()]).default('mean'),
  column: z.string().min(1).optional(),
  width: z.int().min(1).max(largestWidth).optional(),
  separator: z.string().min(1).optional(),
})

export interface DenseOptions {
  /**
   * Statistics come from the training rows. Default `'standardize'`: (x - mean) / deviation (population deviation; 1 if it is 0).
   * `'minmax'`: (x - min) / (max - min), not clipped; 0 if all are equal. `'log1p'`: log(1 + x), for x > -1.
   * `'log1pStandardize'`: log1p, then standardized. `'none'`: x.
   */
  readonly transform?: Transform | undefined
  /** What a missing value becomes: the mean of the transformed training values (`'mean'`, the default), an error, or this raw value. */
  readonly missing?: 'mean' | 'error' | number | undefined
  /** The column it reads. Default: the feature's name. */
  readonly column?: string | undefined
  /**
   * Numbers per row. Default 1. With 2 or more, the column holds lists of that many numbers, such as an embedding of another model.
   * All numbers of the feature share one mean and deviation, or one range.
   */
  readonly width?: number | undefined
  /** With `width`: splits each text of a column of texts into numbers: `'0.1 0.2'` by `' '`. Blanks around a number are ignored. */
  readonly separator?: string | undefined
}

/** One number per row, or `width` of them. */
export interface DenseFeature<Name extends string = string> {
  readonly kind: 'dense'
  readonly name: Name
  readonly transform: Transform
  readonly missing: 'mean' | 'error' | number
  readonly column?: string | undefined
  readonly width?: number | undefined
  readonly separator?: string | undefined
}

/**
 * One number per row, or a vector of them.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example dense('videoplayseconds', { transform: 'log1p' })
 * @example dense('cover', { width: 128, transform: 'none' })
 */
export function dense<const Name extends string>(name: Name, options: DenseOptions = {}): DenseFeature<Name> {
  const fixed = { kind: 'dense', name }
  return Object.freeze(parseOptions(called('feature', name), denseSchema, options, fixed)) as DenseFeature<Name>
}
