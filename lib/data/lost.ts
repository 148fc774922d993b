// Recognizes values that look like a dataset but are not one: a dataset of another copy of the package, or the remains of a clone.

import { guarded } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'

/** Marks the datasets of every copy of the package. */
export const brand = Symbol.for('multigate.Dataset')

/** A function cannot be cloned, so the error of `structuredClone` and `postMessage` shows this name. */
export function aDatasetCannotBeClonedPostItsColumnsOrReadItThere(): void {}

/** The error for a value that was a dataset; undefined for anything else. */
export function lostDataset(field: string, value: unknown): ArgumentError | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const found = guarded(field, undefined, () => {
    if (brand in value) {
      return 'one of another copy of multigate; make and use it with the same copy (`npm ls multigate` shows the copies)'
    }
    const { rows, columnNames } = value as { readonly rows?: unknown; readonly columnNames?: unknown }
    if (typeof rows !== 'number' || !Array.isArray(columnNames)) return undefined
    return 'a clone of one, without its columns; post the columns, or read the data where they are used'
  })
  return found === undefined ? undefined : new ArgumentError(`${field}: expected a Dataset, found ${found}`, { field })
}
