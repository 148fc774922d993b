// Sequence features: up to maxLength ids per row, embedded and combined.

import { z } from 'zod'

import { called, parseOptions } from '../../core/check.js'
import { largestWidth } from '../../core/limits.js'
import { type IdOptions, idOptions, oneKindOfIds } from './id-options.js'

export const sequenceSchema = oneKindOfIds(
  z.strictObject({
    kind: z.literal('sequence'),
    ...idOptions,
    maxLength: z.int().min(1).max(largestWidth),
    combiner: z.enum(['mean', 'sum']),
    separator: z.string().min(1).optional(),
    padding: z.string().min(1).optional(),
  }),
)

export interface SequenceOptions extends IdOptions {
  /** The most ids per row. Longer lists keep their last ids. */
  readonly maxLength: number
  /** How the embeddings of a row become one. Id 0 is padding and does not count. */
  readonly combiner: 'mean' | 'sum'
  /** Splits each text of a column of texts into items: `'a|b'` by `'|'`. Blanks around items and empty items are dropped. */
  readonly separator?: string | undefined
  /** With a separator: an item that is only a filler and is dropped, such as `'0'` in `'3,4,0,0'`. */
  readonly padding?: string | undefined
}

/** A list of ids per row, embedded and combined. */
export interface SequenceFeature<Name extends string = string> extends SequenceOptions {
  readonly kind: 'sequence'
  readonly name: Name
}

/**
 * A list of ids per row, embedded and combined.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example sequence('tags', { dim: 16, maxLength: 11, combiner: 'mean', separator: ';' })
 */
export function sequence<const Name extends string>(name: Name, options: SequenceOptions): SequenceFeature<Name> {
  const fixed = { kind: 'sequence', name }
  return Object.freeze(parseOptions(called('feature', name), sequenceSchema, options, fixed)) as SequenceFeature<Name>
}
