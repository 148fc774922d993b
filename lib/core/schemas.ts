// Parts of schemas. Not in check.ts: `multigate/ops` checks its arguments without loading zod.

import { z } from 'zod'

import { describeValue } from './check.js'
import { type FilePath, pathOf } from './path.js'

/** Any number: NaN and infinity too, which the schema of a number leaves out. */
export const anyNumber = z.custom<number>((value) => typeof value === 'number', {
  error: ({ input }) => `expected a number, found ${describeValue(input)}`,
})

/** A list that is frozen once it is known to be one: `readonly()` freezes first, which a typed array does not let itself be. */
export function frozen<Schema extends z.ZodArray>(schema: Schema): z.ZodReadonly<Schema> {
  return schema.overwrite((list) => Object.freeze(list) as typeof list) as unknown as z.ZodReadonly<Schema>
}

/** A path, or a `file:` URL, of which it makes a path. */
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
