// Optimizers by name, for configurations and saved models. A new optimizer is one file, one member of the type and one row.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { type Adagrad, adagradSchema } from './adagrad.js'
import { type Adam, adamSchema } from './adam.js'
import { type AdamW, adamwSchema } from './adamw.js'
import { type Ftrl, ftrlSchema } from './ftrl.js'
import { type RMSprop, rmspropSchema } from './rmsprop.js'
import { type RowwiseAdagrad, rowwiseAdagradSchema } from './rowwise-adagrad.js'
import { type Sgd, sgdSchema } from './sgd.js'

/** An optimizer with every number filled in, as plain readonly data. */
export type Optimizer = Adagrad | Adam | AdamW | Ftrl | RMSprop | RowwiseAdagrad | Sgd

const schemas: { readonly [Name in Optimizer['name']]: z.ZodType<Extract<Optimizer, { name: Name }>, unknown> } = {
  adam: adamSchema,
  adamw: adamwSchema,
  adagrad: adagradSchema,
  sgd: sgdSchema,
  rmsprop: rmspropSchema,
  ftrl: ftrlSchema,
  rowwiseAdagrad: rowwiseAdagradSchema,
}

export const optimizerNames = Object.keys(schemas) as readonly Optimizer['name'][]
const nameSchema = z.looseObject({ name: z.enum(optimizerNames) })

/**
 * An optimizer from its name, or from plain data with a name: `'adam'`, `{ "name": "adam", "learningRate": 0.01 }`.
 * @param what the prefix of the field in errors.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 */
export function parseOptimizer(value: unknown, what = 'optimizer'): Optimizer {
  const options = typeof value === 'string' ? { name: value } : value
  const { name } = parseOptions(what, nameSchema, options)
  return Object.freeze(parseOptions<Optimizer>(what, schemas[name], options))
}
