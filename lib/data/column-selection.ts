// Which columns of a file are read: all, or those that are named.

import { z } from 'zod'

import { quote } from '../core/check.js'
import { nearest } from '../core/did-you-mean.js'
import { DataError } from '../core/errors.js'
import { frozen } from '../core/schemas.js'

/** Whichever file it is. */
export interface ColumnsOptions {
  /** Reads these columns alone. Others are left out, and may be of types that are neither numbers, text nor lists. Default: all. */
  readonly columns?: readonly string[] | undefined
}

export const columnsSchema = frozen(z.array(z.string().min(1)).min(1)).optional()

/** Those of a file's columns that are read, in its order. @throws ERR_MULTIGATE_DATA for one that it has not. */
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
