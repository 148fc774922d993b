// Features as users write them: plain readonly data, the same in code and in a configuration file. They hold no
// vocabulary and no mean; what is fitted is an encoder. The name's literal type is kept, so that predictions can be typed.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'

const size = z.int().min(1)
const name = z.string().min(1)

/** How ids are made; at most one of `vocabulary`, `hash` and `minCount`. */
const idOptions = {
  dim: size,
  vocabulary: size.optional(),
  hash: z.int().min(2).optional(),
  minCount: size.optional(),
  outOfRange: z.enum(['error', 'oov']).optional(),
  column: name.optional(),
}

const sparseSchema = oneKindOfIds(z.strictObject({ kind: z.literal('sparse'), name, ...idOptions }))

const sequenceSchema = oneKindOfIds(
  z.strictObject({
    kind: z.literal('sequence'),
    name,
    ...idOptions,
    maxLength: size,
    combiner: z.enum(['mean', 'sum']),
    separator: z.string().min(1).optional(),
  }),
)

const denseSchema = z.strictObject({
  kind: z.literal('dense'),
  name,
  transform: z.enum(['standardize', 'none', 'log1p', 'minmax']).default('standardize'),
  missing: z.union([z.enum(['mean', 'error']), z.number()]).default('mean'),
  column: name.optional(),
})

/** Features by kind: a new kind is one row here, its encoder and one row in encoders.ts. */
const schemas = { sparse: sparseSchema, sequence: sequenceSchema, dense: denseSchema }

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

/** One id per row, embedded. */
export interface SparseFeature<Name extends string = string> extends IdOptions {
  readonly kind: 'sparse'
  readonly name: Name
}

export interface SequenceOptions extends IdOptions {
  /** Ids kept per row: the last ones of a longer list. */
  readonly maxLength: number
  /** How the embeddings of a row become one; id 0 is padding and not counted. */
  readonly combiner: 'mean' | 'sum'
  /** Splits the text of a column of texts into items: `'a|b'` by `'|'`. Empty items are left out. */
  readonly separator?: string
}

/** A list of ids per row, embedded and combined. */
export interface SequenceFeature<Name extends string = string> extends SequenceOptions {
  readonly kind: 'sequence'
  readonly name: Name
}

export interface DenseOptions {
  /**
   * Default `'standardize'`: (x - mean) / deviation of the training rows (population deviation; 1 where it is 0). `'minmax'`:
   * (x - min) / (max - min) of the training rows, not cut; 0 where they are equal. `'log1p'`: log(1 + x), for x > -1. `'none'`: x.
   */
  readonly transform?: 'standardize' | 'none' | 'log1p' | 'minmax'
  /** What a missing value becomes: the mean of the transformed training values (default), an error, or this raw value. */
  readonly missing?: 'mean' | 'error' | number
  /** The column it reads. Default: the feature's name. */
  readonly column?: string
}

/** One number per row. */
export interface DenseFeature<Name extends string = string> {
  readonly kind: 'dense'
  readonly name: Name
  readonly transform: 'standardize' | 'none' | 'log1p' | 'minmax'
  readonly missing: 'mean' | 'error' | number
  readonly column?: string
}

export type Feature<Name extends string = string> = SparseFeature<Name> | SequenceFeature<Name> | DenseFeature<Name>
export type EmbeddedFeature = SparseFeature | SequenceFeature

/**
 * One id per row, embedded.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example sparse('userid', { vocabulary: 20_001, dim: 16 })
 */
export function sparse<const Name extends string>(name: Name, options: IdOptions): SparseFeature<Name> {
  return parse(name, { ...options, kind: 'sparse', name }) as SparseFeature<Name>
}

/**
 * A list of ids per row, embedded and combined.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example sequence('tags', { dim: 16, maxLength: 11, combiner: 'mean', separator: ';' })
 */
export function sequence<const Name extends string>(name: Name, options: SequenceOptions): SequenceFeature<Name> {
  return parse(name, { ...options, kind: 'sequence', name }) as SequenceFeature<Name>
}

/**
 * One number per row.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 * @example dense('videoplayseconds', { transform: 'log1p' })
 */
export function dense<const Name extends string>(name: Name, options: DenseOptions = {}): DenseFeature<Name> {
  return parse(name, { ...options, kind: 'dense', name }) as DenseFeature<Name>
}

/**
 * A feature from plain data, as a configuration or a saved model has it: `{ "kind": "sparse", "name": "userid", "dim": 16 }`.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option below `what`.
 */
export function parseFeature(value: unknown, what = 'feature'): Feature {
  const kind = parseOptions(what, z.looseObject({ kind: z.enum(['sparse', 'sequence', 'dense']) }), value).kind
  return Object.freeze(parseOptions<Feature>(what, schemas[kind] as z.ZodType<Feature, unknown>, value))
}

/** The column that a feature reads. */
export function columnNameOf({ name, column }: Feature): string {
  return column ?? name
}

function parse(name: unknown, value: unknown): Feature {
  return parseFeature(value, typeof name === 'string' && name !== '' ? `feature ${JSON.stringify(name)}` : 'feature')
}

interface IdFields {
  readonly vocabulary?: number | undefined
  readonly hash?: number | undefined
  readonly minCount?: number | undefined
  readonly outOfRange?: string | undefined
}

function oneKindOfIds<Shape extends z.ZodType<IdFields>>(schema: Shape): Shape {
  return schema.check((context) => {
    const { vocabulary, hash, minCount, outOfRange } = context.value
    const fail = (field: string, message: string): void => {
      context.issues.push({ code: 'custom', path: [field], message, input: context.value })
    }
    if (vocabulary !== undefined && hash !== undefined) fail('hash', 'expected either vocabulary or hash, found both')
    if (minCount !== undefined && (vocabulary ?? hash) !== undefined) {
      fail('minCount', 'expected only for a fitted vocabulary, found it beside vocabulary or hash')
    }
    if (outOfRange !== undefined && vocabulary === undefined) fail('outOfRange', 'expected only beside vocabulary, found it alone')
  })
}
