// Sparse features: one id per row, embedded.

import { z } from 'zod'

import { called, parseOptions } from '../../core/check.js'
import { type IdOptions, idOptions, oneKindOfIds } from './id-options.js'

export const sparseSchema = oneKindOfIds(z.strictObject({ kind: z.literal('sparse'), ...idOptions }))

/** One id per row, embedded. */
export interface SparseFeature<Name extends string = string> extends IdOptions {
  readonly kind: 'sparse'
  readonly name: Name
}

/**
 * One id per row, embedded.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example sparse('userid', { vocabulary: 20_001, dim: 16 })
 */
export function sparse<const Name extends string>(name: Name, options: IdOptions): SparseFeature<Name> {
  const fixed = { kind: 'sparse', name }
  return Object.freeze(parseOptions(called('feature', name), sparseSchema, options, fixed)) as SparseFeature<Name>
}
