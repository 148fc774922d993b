// Any feature: plain readonly data, the same in code and in a configuration file. It holds no vocabulary and no mean: fitting makes
// an encoder. A new kind needs its own file, and one row in each table here and in encoders.ts.

import { z } from 'zod'

import { parseOptions } from '../../core/check.js'
import { type DenseFeature, denseSchema } from './dense.js'
import { type SequenceFeature, sequenceSchema } from './sequence.js'
import { type SparseFeature, sparseSchema } from './sparse.js'

export type { DenseFeature, DenseOptions } from './dense.js'
export type { IdOptions } from './id-options.js'
export type { SequenceFeature, SequenceOptions } from './sequence.js'
export type { SparseFeature } from './sparse.js'

export type Feature<Name extends string = string> = SparseFeature<Name> | SequenceFeature<Name> | DenseFeature<Name>

/** Made once, because zod compiles a schema at its first use. */
const kindSchema = z.looseObject({ kind: z.enum(['sparse', 'sequence', 'dense']) })
const schemas = { sparse: sparseSchema, sequence: sequenceSchema, dense: denseSchema }

/** Results of `parseFeature`. They are frozen and not checked again, which halves the load time with thousands of features. */
const parsed = new WeakSet<object>()

/**
 * A feature from plain data, as in a configuration or a saved model: `{ "kind": "sparse", "name": "userid", "dim": 16 }`.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option below `what`.
 */
export function parseFeature(value: unknown, what = 'feature'): Feature {
  if (parsed.has(value as object)) return value as Feature
  const { kind } = parseOptions(what, kindSchema, value)
  const feature = Object.freeze(parseOptions<Feature>(what, schemas[kind] as z.ZodType<Feature, unknown>, value))
  parsed.add(feature)
  return feature
}

/** The column that a feature reads. */
export function columnNameOf({ name, column }: Feature): string {
  return column ?? name
}
