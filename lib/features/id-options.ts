// Options of features that are embedded: how wide, and where their ids come from.

import { z } from 'zod'

const size = z.int().min(1)

/** Their schema, to be spread into a feature's own. */
export const idOptions = {
  name: z.string().min(1),
  dim: size,
  vocabulary: size.optional(),
  hash: z.int().min(2).optional(),
  minCount: size.optional(),
  outOfRange: z.enum(['error', 'oov']).optional(),
  column: z.string().min(1).optional(),
}

/** Options of ids, of `sparse` and `sequence`. Without `vocabulary` and `hash` the vocabulary is fitted on the training rows. */
export interface IdOptions {
  /** Width of the embedding. */
  readonly dim: number
  /** Values are integers in [0, vocabulary), used as they are. */
  readonly vocabulary?: number
  /** With `vocabulary`: values outside and missing ones are an error (the default), or id 0. */
  readonly outOfRange?: 'error' | 'oov'
  /** Values are hashed into ids [1, hash); missing ones are id 0. */
  readonly hash?: number
  /** Fitted: values that come less often get id 0. Default 1. */
  readonly minCount?: number
  /** The column it reads. Default: the feature's name. */
  readonly column?: string
}

interface IdFields {
  readonly vocabulary?: number | undefined
  readonly hash?: number | undefined
  readonly minCount?: number | undefined
  readonly outOfRange?: string | undefined
}

/** Adds what no single field can check: at most one of vocabulary, hash and a fitted vocabulary. */
export function oneKindOfIds<Shape extends z.ZodType<IdFields>>(schema: Shape): Shape {
  return schema.check((context) => {
    const { vocabulary, hash, minCount, outOfRange } = context.value
    const fail = (field: string, message: string): void => {
      context.issues.push({ code: 'custom', path: [field], message, input: context.value })
    }
    if (vocabulary !== undefined && hash !== undefined) fail('hash', 'expected either vocabulary or hash, found both')
    if (minCount !== undefined && (vocabulary ?? hash) !== undefined) {
      fail('minCount', 'expected only for a fitted vocabulary, found it beside vocabulary or hash')
    }
    if (outOfRange !== undefined && vocabulary === undefined)
      fail('outOfRange', 'expected only beside vocabulary, found it alone')
  })
}
