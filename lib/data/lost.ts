// What looks like a dataset and is none of this copy of the package: one of another copy, or what cloning leaves of one.

import { ArgumentError } from '../core/errors.js'
import { guarded } from './guarded.js'

/** Every copy of the package marks its datasets with it. */
export const brand = Symbol.for('multigate.Dataset')

/** No function can be cloned, and the error of `structuredClone` and `postMessage` shows this one. */
export function aDatasetCannotBeClonedPostItsColumnsOrReadItThere(): void {}

/** Why this is no dataset although it was one; undefined for anything else. */
export function lostDataset(field: string, value: unknown): ArgumentError | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const found = guarded(field, undefined, () => {
    if (brand in value) {
      return 'one of another copy of multigate; `npm ls multigate` shows the copies: make and use it with the same one'
    }
    const { rows, columnNames } = value as { readonly rows?: unknown; readonly columnNames?: unknown }
    if (typeof rows !== 'number' || !Array.isArray(columnNames)) return undefined
    return 'what copying leaves of one, without its columns; post those, or read the data where they are used'
  })
  return found === undefined ? undefined : new ArgumentError(`${field}: expected a Dataset, found ${found}`, { field })
}
