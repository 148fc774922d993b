// Makes encoders: fitted on a column of the training rows, or from saved state. One row per kind of feature.

import { z } from 'zod'

import { describeIssues } from '../../core/check.js'
import { type Column, rowsOf } from '../../core/columns.js'
import { ArgumentError, FormatError, MultigateError } from '../../core/errors.js'
import { atOnce } from '../../core/slices.js'
import { type DenseFeature, type Feature, parseFeature, type SequenceFeature, type SparseFeature } from '../spec/feature.js'
import { denseEncoder, denseFitter } from './dense.js'
import type { DenseEncoder, Encoder, Fitter, SequenceEncoder, SparseEncoder, ValueCounts } from './encoder.js'
import { fittedIds, givenIds } from './ids.js'
import { indexOfKeys, type KeyIndex, NumberIndex } from './key-index.js'
import { sequenceEncoder, sequenceFitter } from './sequence.js'
import { sparseEncoder, sparseFitter } from './sparse.js'

/** The fitter of a feature's encoder. */
export function fitterOf(feature: Feature): Fitter<Encoder> {
  switch (feature.kind) {
    case 'sparse':
      return sparseFitter(feature)
    case 'sequence':
      return sequenceFitter(feature)
    case 'dense':
      return denseFitter(feature)
  }
}

/**
 * Fits a feature's encoder on a raw column of the training rows.
 * @throws ERR_MULTIGATE_DATA naming the feature, the row and the value that does not fit.
 */
export function fitEncoder(feature: SparseFeature, column: Column): SparseEncoder
export function fitEncoder(feature: SequenceFeature, column: Column): SequenceEncoder
export function fitEncoder(feature: DenseFeature, column: Column): DenseEncoder
export function fitEncoder(feature: Feature, column: Column): Encoder
export function fitEncoder(feature: Feature, column: Column): Encoder {
  const fitter = fitterOf(feature)
  atOnce(fitter.add(column))
  return atOnce(fitter.finish())
}

/** Zeros for some encoded rows. */
export function emptyRows(encoder: Encoder, rows: number): Int32Array | Float32Array {
  return new (encoder.kind === 'dense' ? Float32Array : Int32Array)(rows * encoder.width)
}

/** A raw column encoded, [rows * width], row-major. @throws ERR_MULTIGATE_DATA as `Encoding.encode`. */
export function encodeColumn(
  encoder: Encoder,
  column: Column,
): { readonly data: Int32Array | Float32Array; readonly counts: ValueCounts | undefined } {
  const encoding = encoder.begin()
  const data = emptyRows(encoder, rowsOf(column))
  encoding.encode(column, data as never)
  return { data, counts: encoding.counts() }
}

/** A fitted encoder without its vocabulary, as plain JSON. */
export interface EncoderJson {
  readonly feature: object
  readonly [state: string]: unknown
}

/** The JSON of an encoder. Its vocabulary may be large and is saved separately. */
export function encoderToJSON(encoder: Encoder): EncoderJson {
  if (encoder.kind === 'dense') return { feature: encoder.feature, ...encoder.state }
  return { feature: encoder.feature, type: encoder.type ?? null }
}

const typeSchema = z.enum(['number', 'string', 'boolean', 'date']).nullable()

// Made once, because zod compiles a schema at its first use.
const stateSchema = z.looseObject({ feature: z.unknown() })
const noState = z.strictObject({})
const typedState = z.strictObject({ type: typeSchema })

/**
 * Makes an encoder from the result of `encoderToJSON`.
 * @param what names it in messages.
 * @param vocabularyOf reads the vocabulary that was saved separately.
 * @throws ERR_MULTIGATE_FORMAT naming the wrong field.
 */
export async function encoderFromJSON(
  json: unknown,
  what: string,
  vocabularyOf: (feature: Feature, type: z.output<typeof typeSchema>) => Promise<KeyIndex>,
): Promise<Encoder> {
  const { feature: saved, ...state } = parse(what, stateSchema, json)
  const feature = savedFeature(what, saved)
  if (feature.kind === 'dense') return denseEncoder(feature, parse(what, denseState, state))
  const encoderOf = feature.kind === 'sparse' ? sparseEncoder.bind(null, feature) : sequenceEncoder.bind(null, feature)
  // Files of earlier versions have no type: numbers and texts stay as they come. Their vocabularies are JSON.
  const type = 'type' in state ? parse(what, typedState, state).type : undefined
  const given = givenIds(feature, type ?? undefined)
  if (type === undefined && given === undefined)
    return encoderOf(fittedIds(listedKeys(parse(what, fittedState, state).values), undefined))
  if (type === undefined) parse(what, noState, state)
  return encoderOf(given ?? fittedIds(await vocabularyOf(feature, type ?? null), type ?? undefined))
}

// Made once, because the first use of a schema takes longer than most checks.
const denseState = z.strictObject({
  offset: z.number(),
  scale: z.number().refine((scale) => scale !== 0, 'expected a number other than 0, found 0'),
  fill: z.number().nullable(),
})

const unique = (values: readonly unknown[]): boolean => new Set(values).size === values.length
const fittedState = z.strictObject({
  values: z.union([z.array(z.string()), z.array(z.number())]).refine(unique, 'expected each value once, found one twice'),
})

function listedKeys(values: readonly string[] | readonly number[]): KeyIndex {
  if (values.length === 0) return new NumberIndex('vocabulary')
  const type = typeof values[0] === 'string' ? 'string' : 'number'
  const keys = atOnce(indexOfKeys('vocabulary', type, values.length, (at) => values[at] ?? 0))
  if (keys.size === values.length) return keys
  throw new FormatError('vocabulary: expected valid Unicode texts, found half of a surrogate pair in one')
}

function savedFeature(what: string, saved: unknown): Feature {
  try {
    return parseFeature(saved, `${what}.feature`)
  } catch (cause) {
    if (!(cause instanceof MultigateError)) throw cause
    const field = cause instanceof ArgumentError ? cause.field : undefined
    throw new FormatError(cause.message, { field: field ?? `${what}.feature`, cause })
  }
}

function parse<T>(what: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const problems = describeIssues(what, result.error.issues, value)
  throw new FormatError(problems.map(({ message }) => message).join('\n'), { field: problems[0]?.field })
}
