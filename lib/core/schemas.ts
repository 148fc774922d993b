// Parts of schemas. They are not in check.ts because `multigate/ops` checks its arguments without loading zod.

import { z } from 'zod'

import { describeValue } from './check.js'
import { type FilePath, pathOf } from './path.js'
import type { Signal } from './slices.js'

/** Any number, with NaN and infinity, which zod's number schema refuses. */
export const anyNumber = z.custom<number>((value) => typeof value === 'number', {
  error: ({ input }) => `expected a number, found ${describeValue(input)}`,
})

/** A list that is frozen after its check. `readonly()` freezes first, and a typed array cannot be frozen. */
export function frozen<Schema extends z.ZodArray>(schema: Schema): z.ZodReadonly<Schema> {
  return list(schema.overwrite((items) => Object.freeze(items) as typeof items)) as unknown as z.ZodReadonly<Schema>
}

/** A list whose check ends at the first hole: a sparse list may have four billion, and zod makes an issue of each. */
export function list<Schema extends z.ZodArray>(schema: Schema): Schema {
  return z.preprocess(toFirstHole, schema) as unknown as Schema
}

function toFirstHole(value: unknown): unknown {
  if (!Array.isArray(value)) return value
  // No array is so long, only a proxy of one.
  if (!(value.length < 2 ** 32)) return undefined
  let end = 0
  while (end < value.length && value[end] !== undefined) end += 1
  return end < value.length ? Array.from({ length: end + 1 }, (_, index) => value[index] as unknown) : value
}

/** A path, or a `file:` URL, which becomes a path. */
export const pathSchema = z
  .custom<FilePath>(isPath, {
    error: ({ input }) => `expected the path of a file, or a file: URL, found ${describeValue(input)}`,
  })
  .transform((path) => pathOf('path', path))

function isPath(value: unknown): boolean {
  try {
    pathOf('path', value as string)
    return true
  } catch {
    return false
  }
}

/** Any object with `aborted`, from any realm. */
export const abortSignal = z.custom<Signal>((value) => typeof (value as Signal | null)?.aborted === 'boolean', {
  error: ({ input }) => `expected an AbortSignal, found ${describeValue(input)}`,
})

/**
 * An object of values by name, as a map. Names come from files, and a plain object inherits keys such as `constructor`.
 * `z.record` drops `__proto__`.
 */
export function mapByName<Out, In>(
  values: z.ZodType<Out, In>,
): z.ZodType<ReadonlyMap<string, Out>, Readonly<Record<string, In>>> {
  return z
    .custom<Readonly<Record<string, In>>>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), {
      error: ({ input }) => `expected an object of values by name, found ${describeValue(input)}`,
    })
    .transform((object, context) => {
      const map = new Map<string, Out>()
      for (const [name, value] of Object.entries(object)) {
        const { success, data, error } = values.safeParse(value)
        if (success) map.set(name, data)
        else
          for (const issue of error.issues) context.issues.push({ ...issue, path: [name, ...issue.path], input: value } as never)
      }
      return map
    })
}

const [smallest, largest] = [2 ** -126, (2 - 2 ** -23) * 2 ** 127]
const range = `0, or from ${smallest} to ${largest} in size`

/** A number that stays finite, and does not become 0, in float32. Models compute in float32. */
export const float32 = z.number().refine((value) => value === 0 || (Math.abs(value) >= smallest && Math.abs(value) <= largest), {
  error: ({ input }) => `expected a number that float32 holds, ${range}, found ${describeValue(input)}`,
})

/** A `float32` number >= 0. */
export const amount = float32.min(0)

/** A number in [0, 1) that float32 does not round to 1. */
export const fraction = amount.lt(1).refine((value) => value >= 1 || Math.fround(value) < 1, {
  error: ({ input }) =>
    `expected a number in [0, 1) that float32 does not round to 1, at most ${1 - 2 ** -24}, found ${describeValue(input)}`,
})
