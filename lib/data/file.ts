// Whether there is a file to read, said in our words before another library says it in its own.

import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'

import { checkPath } from '../core/check.js'
import { DataError } from '../core/errors.js'

/** @throws ERR_MULTIGATE_DATA naming the whole path, unless it is a file; ERR_MULTIGATE_ARGUMENT for what is no path. */
export async function checkFile(path: string): Promise<void> {
  checkPath('path', path)
  const found = await stat(path).catch((cause: unknown) => {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    const what = missing ? 'there is no such file' : String(cause)
    throw new DataError(`${path}: ${what} (looked for ${resolve(path)})`, { file: path, cause })
  })
  if (!found.isFile())
    throw new DataError(`${path}: expected a file, found ${found.isDirectory() ? 'a directory' : 'something else'}`, {
      file: path,
    })
}
