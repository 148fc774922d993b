// The options of training on a further day, its number, and what came of it.

import { z } from 'zod'

import { describeValue, invalidArgument } from '../core/check.js'
import { frozen } from '../core/schemas.js'

/** How a `fit` changes what earlier ones have fitted. */
export interface GrowOptions {
  /**
   * The day of the training rows: a date such as `'2026-11-30'`, or an integer. It may not be before that of the last `fit`. Default: the
   * `fit`s that grow are counted.
   */
  readonly day?: string | number | undefined
  /**
   * Values that the training rows of more than this many days have not had leave the vocabulary, and their rows leave the table. Row 0, for
   * unknown and missing values, stays. Default: none leaves.
   */
  readonly evictAfter?: number | undefined
  /**
   * Means, deviations and ranges of dense features: `'keep'` those that the weights were trained with, or `'refresh'` them from the training
   * rows, which moves the scale that the weights know. Default `'keep'`.
   */
  readonly means?: 'keep' | 'refresh' | undefined
  /** The features whose vocabularies change. Each needs a fitted one. Default: all that have one. */
  readonly features?: readonly string[] | undefined
}

const lastDay = 2 ** 31 - 1

const optionsSchema = z.strictObject({
  day: z
    .union([
      z.int().min(0).max(lastDay),
      z.string().refine((text) => dateNumber(text) !== undefined, {
        error: ({ input }) => `expected a date such as 2026-11-30, found ${describeValue(input)}`,
      }),
    ])
    .optional(),
  evictAfter: z.int().min(1).max(lastDay).optional(),
  means: z.enum(['keep', 'refresh']).optional(),
  features: frozen(z.array(z.string())).optional(),
})

/** The schema of `grow`. */
export const growSchema = z.union([z.boolean(), optionsSchema])

/** What a day is: a `fit` that grows, an integer of the user's, or a date. */
export type DayKind = 'fits' | 'number' | 'date'

/** The days of a model that is trained every day, and what they have drawn. */
export interface Days {
  readonly kind: DayKind
  /** The number of the last day; that of a date counts from 1970-01-01. */
  readonly last: number
  /** How many rows of each grown table have ever been drawn, by feature. New rows continue from there. */
  readonly drawnRows: Readonly<Record<string, number>>
}

/** The options of a `fit` that grows; undefined for one that does not. */
export function growOptions(grow: boolean | GrowOptions | undefined): GrowOptions | undefined {
  return grow === true ? {} : grow === false ? undefined : grow
}

/**
 * The day of a `fit` after those of the model.
 * @throws ERR_MULTIGATE_ARGUMENT for a day of another kind, or one before the last.
 */
export function dayOf({ day }: GrowOptions, before: Days | undefined): Pick<Days, 'kind' | 'last'> {
  const today = typeof day === 'string' ? dateNumber(day) : day
  const kind = day === undefined ? 'fits' : typeof day === 'string' ? 'date' : 'number'
  if (before !== undefined && before.kind !== kind) {
    const next = 'a model counts its days in one way'
    throw invalidArgument('fit.grow.day', `${kindTexts[before.kind]}, as in the fits before`, day, next)
  }
  if (today === undefined) return { kind, last: (before?.last ?? 0) + 1 }
  if (before !== undefined && today < before.last) {
    const last = kind === 'date' ? new Date(before.last * dayMilliseconds).toISOString().slice(0, 10) : before.last
    throw invalidArgument('fit.grow.day', `${last} or later, the day of the last fit`, day)
  }
  return { kind, last: today }
}

const kindTexts = { fits: 'no day', number: 'an integer', date: 'a date' } as const

const dayMilliseconds = 86_400_000

/** Days since 1970-01-01 of a date as YYYY-MM-DD; undefined for any other text. */
function dateNumber(text: string): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return undefined
  const time = Date.parse(`${text}T00:00:00Z`)
  const real = Number.isFinite(time) && time >= 0 && new Date(time).toISOString().startsWith(text)
  return real ? time / dayMilliseconds : undefined
}

/** What a `fit` took over from an earlier one. */
export interface Continuation {
  /** The file; undefined for a model in memory. */
  readonly from: string | undefined
  /** Steps of the optimizer that goes on; undefined if it starts anew. */
  readonly optimizerSteps: number | undefined
  /** Why the optimizer starts anew; undefined if it goes on. */
  readonly freshBecause: string | undefined
  /** Fitted vocabularies that grew or lost values, by feature; empty without `grow`. */
  readonly vocabularies: Readonly<Record<string, VocabularyChange>>
  /** Whether statistics of dense features were fitted anew. */
  readonly meansRefreshed: boolean
}

/** What became of a fitted vocabulary. */
export interface VocabularyChange {
  readonly added: number
  readonly evicted: number
  /** Values that it has now. */
  readonly values: number
}
