// What a search chooses from: a range per name, as plain data, and the choices that a seed draws from it.

import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'

import { invalidArgument, wrongArgument } from '../core/check.js'
import { Draws } from '../core/draws.js'

/** One of some values. */
export interface OneOf<Value = unknown> {
  readonly kind: 'oneOf'
  readonly values: readonly Value[]
}

/** A number from `low` to `high`. */
export interface Numbers {
  readonly kind: 'uniform' | 'logUniform' | 'integers'
  readonly low: number
  readonly high: number
}

/** Ranges by name. */
export type Space = Readonly<Record<string, OneOf | Numbers>>

/** A value per range, by name. */
export type ChoiceOf<Ranges extends Space> = {
  readonly [Name in keyof Ranges]: Ranges[Name] extends OneOf<infer Value> ? Value : number
}

/** Plain data, as JSON has them. */
export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [key: string]: Plain }

/**
 * One of these values, each as likely as the others: plain data, as JSON has them.
 * @throws ERR_MULTIGATE_ARGUMENT without values, or for one that JSON does not keep.
 * @example oneOf(16, 32, 64)
 */
export function oneOf<const Value extends Plain>(...values: readonly Value[]): OneOf<Value> {
  if (values.length === 0) throw wrongArgument('oneOf', 'expected at least one value, found none')
  const wrong = values.find((value) => !isDeepStrictEqual(value, copied(value)))
  if (wrong !== undefined || values.includes(undefined as never)) throw invalidArgument('oneOf', 'plain data, as in JSON', wrong)
  return Object.freeze({ kind: 'oneOf', values: Object.freeze([...values]) })
}

/** A number in [low, high], all equally likely, with 4 digits. @throws ERR_MULTIGATE_ARGUMENT unless low <= high. */
export function uniform(low: number, high: number): Numbers {
  return range('uniform', low, high)
}

/** A number in [low, high] whose logarithm is uniform, with 4 digits. @throws ERR_MULTIGATE_ARGUMENT unless 0 < low <= high. */
export function logUniform(low: number, high: number): Numbers {
  if (!(low > 0)) throw invalidArgument('logUniform.low', 'a number > 0', low)
  return range('logUniform', low, high)
}

/** An integer in [low, high], all equally likely. @throws ERR_MULTIGATE_ARGUMENT unless both are integers and low <= high. */
export function integers(low: number, high: number): Numbers {
  if (!Number.isSafeInteger(low)) throw invalidArgument('integers.low', 'an integer', low)
  if (!Number.isSafeInteger(high)) throw invalidArgument('integers.high', 'an integer', high)
  return range('integers', low, high)
}

function range(kind: Numbers['kind'], low: number, high: number): Numbers {
  if (!Number.isFinite(low)) throw invalidArgument(`${kind}.low`, 'a finite number', low)
  if (!(Number.isFinite(high) && high >= low)) throw invalidArgument(`${kind}.high`, `a finite number >= ${low}`, high)
  return Object.freeze({ kind, low, high })
}

const finite = z.number()
const numbers = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('uniform'), low: finite, high: finite }),
    z.strictObject({ kind: z.literal('logUniform'), low: finite.positive(), high: finite }),
    z.strictObject({ kind: z.literal('integers'), low: z.int(), high: z.int() }),
  ])
  .refine(({ low, high }) => low <= high, { path: ['high'], error: 'expected a number that is not below low' })
const values = z.strictObject({ kind: z.literal('oneOf'), values: z.array(z.unknown()).min(1) })

/** The schema of ranges by name, as the functions above make them and a configuration has them. */
export const spaceSchema = z
  .record(z.string(), z.union([numbers, values]))
  .refine((ranges) => Object.keys(ranges).length > 0, { error: 'expected at least one range, found none' })

/** How many choices in a row must be known ones before the space counts as searched. */
const manyKnown = 100

/** Distinct choices, `count` of them or all that there are. The first ones do not depend on how many follow. */
export function choicesOf<Ranges extends Space>(space: Ranges, count: number, seed: number): ChoiceOf<Ranges>[] {
  const found = new Map<string, ChoiceOf<Ranges>>()
  const draws = new Draws()
  for (let [draw, known] = [0, 0]; found.size < count && known < manyKnown; draw += 1) {
    draws.begin(seed, draw, 0)
    const choice = Object.fromEntries(Object.entries(space).map(([name, one]) => [name, drawn(one, draws.uniform())]))
    const key = JSON.stringify(choice)
    known = found.has(key) ? known + 1 : 0
    found.set(key, choice as ChoiceOf<Ranges>)
  }
  return [...found.values()]
}

/** The value of a range at `place` in (0, 1). */
function drawn(one: OneOf | Numbers, place: number): unknown {
  if (one.kind === 'oneOf') return one.values[Math.floor(place * one.values.length)]
  const { kind, low, high } = one
  if (kind === 'integers') return low + Math.floor(place * (high - low + 1))
  const value = kind === 'uniform' ? low + place * (high - low) : low * (high / low) ** place
  return Math.min(Math.max(Number(value.toPrecision(4)), low), high)
}

function copied(value: unknown): unknown {
  const text = JSON.stringify(value) as string | undefined
  return text === undefined ? undefined : JSON.parse(text)
}
