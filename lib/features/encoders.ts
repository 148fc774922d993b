// Makes encoders: fitted on a column of the training rows, or from what was saved. One row per kind of feature.

import { z } from 'zod'

import { describeIssues } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { FormatError, MultigateError } from '../core/errors.js'
import { denseEncoder, fitDense } from './dense.js'
import type { DenseEncoder, Encoder, SequenceEncoder, SparseEncoder } from './encoder.js'
import {
  type DenseFeature,
  type Feature,
  type IdOptions,
  parseFeature,
  type SequenceFeature,
  type SparseFeature,
} from './feature.js'
import { fittedIds, givenIds, type IdSource } from './ids.js'
import { fitSequence, sequenceEncoder } from './sequence.js'
import { fitSparse, sparseEncoder } from './sparse.js'

/**
 * Fits a feature's encoder on a raw column of the training rows; nothing else is ever fitted on.
 * @throws ERR_MULTIGATE_DATA naming the feature, row and value that it cannot take.
 */
export function fitEncoder(feature: SparseFeature, column: Column): SparseEncoder
export function fitEncoder(feature: SequenceFeature, column: Column): SequenceEncoder
export function fitEncoder(feature: DenseFeature, column: Column): DenseEncoder
export function fitEncoder(feature: Feature, column: Column): Encoder
export function fitEncoder(feature: Feature, column: Column): Encoder {
  switch (feature.kind) {
    case 'sparse':
      return fitSparse(feature, column)
    case 'sequence':
      return fitSequence(feature, column)
    case 'dense':
      return fitDense(feature, column)
  }
}

/**
 * Makes an encoder from what `toJSON` gave.
 * @param what names it in messages.
 * @throws ERR_MULTIGATE_FORMAT naming the field that is wrong.
 */
export function encoderFromJSON(json: unknown, what = 'encoder'): Encoder {
  const { feature: saved, ...state } = parse(what, stateSchema, json)
  const feature = savedFeature(what, saved)
  switch (feature.kind) {
    case 'sparse':
      return sparseEncoder(feature, savedIds(what, feature, state))
    case 'sequence':
      return sequenceEncoder(feature, savedIds(what, feature, state))
    case 'dense':
      return denseEncoder(feature, parse(what, denseState, state))
  }
}

/** Made once: zod compiles a schema when it is first used. */
const stateSchema = z.looseObject({ feature: z.unknown() })
const noState = z.strictObject({})
const denseState = z.strictObject({
  offset: z.number(),
  scale: z.number().refine((scale) => scale !== 0, 'expected a number other than 0, found 0'),
  fill: z.number().nullable(),
})

const unique = (values: readonly unknown[]): boolean => new Set(values).size === values.length
const fittedState = z.strictObject({
  values: z.union([z.array(z.string()), z.array(z.number())]).refine(unique, 'expected each value once, found one twice'),
})

function savedIds(what: string, feature: IdOptions, state: unknown): IdSource {
  const given = givenIds(feature)
  if (given === undefined) return fittedIds(parse(what, fittedState, state).values)
  parse(what, noState, state)
  return given
}

function savedFeature(what: string, saved: unknown): Feature {
  try {
    return parseFeature(saved, `${what}.feature`)
  } catch (cause) {
    if (!(cause instanceof MultigateError)) throw cause
    throw new FormatError(cause.message, { field: `${what}.feature`, cause })
  }
}

function parse<T>(what: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const problems = describeIssues(what, result.error.issues, value)
  throw new FormatError(problems.map(({ message }) => message).join('\n'), { field: problems[0]?.field })
}
