// Which columns of a file are read: all, or the named ones.

import { z } from 'zod'

import { quote } from '../core/check.js'
import { nearest } from '../core/did-you-mean.js'
import { DataError } from '../core/errors.js'
import { frozen } from '../core/schemas.js'

/** Options of every kind of file. */
export interface ColumnsOptions {
  /** Reads only these columns. The others may have types that are not numbers, text or lists. Default: all. */
  readonly columns?: readonly string[] | undefined
}

export const columnsSchema = frozen(z.array(z.string().min(1)).min(1)).optional()

/** The columns to read, in the order of the file. @throws ERR_MULTIGATE_DATA for a column that the file does not have. */
export function chosenColumns(path: string, names: readonly string[], columns: readonly string[] = names): string[] {
  const there = new Set(names)
  for (const column of columns) {
    if (there.has(column)) continue
    const near = nearest(column, names).map(quote).join(', ')
    throw new DataError(`no column ${quote(column)} among the ${names.length} of ${path}; the nearest are ${near}`, {
      file: path,
      column,
    })
  }
  const chosen = new Set(columns)
  return names.filter((name) => chosen.has(name))
}
