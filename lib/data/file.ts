// Checks that a file exists, so that the error is ours and not that of another library.

import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { DataError } from '../core/errors.js'
import type { FilePath } from '../core/path.js'
import { pathOf } from '../core/path.js'

/** The path of a file. @throws ERR_MULTIGATE_DATA with the whole path unless it is a file; ERR_MULTIGATE_ARGUMENT for an invalid path. */
export async function fileOf(file: FilePath, field = 'path'): Promise<string> {
  const path = pathOf(field, file)
  const found = await stat(path).catch((cause: unknown) => {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    const what = missing ? 'there is no such file' : String(cause)
    throw new DataError(`${path}: ${what} (looked for ${resolve(path)})`, { file: path, cause })
  })
  if (found.isFile()) return path
  const what = found.isDirectory() ? 'a directory' : 'something else'
  throw new DataError(`${path}: expected a file, found ${what}`, { file: path })
}
