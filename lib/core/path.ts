// Paths as callers give them: text, or a `file:` URL (an object, or text that starts with `file:`). The result is a plain path.

import { fileURLToPath } from 'node:url'

import { guarded, invalidArgument } from './check.js'

/** A path or a `file:` URL, as text or as a `URL` object. Not every environment has the type `URL`, so it is not named here. */
export type FilePath = string | { readonly href: string }

/** The path of a file. @throws ERR_MULTIGATE_ARGUMENT naming `field` if `path` cannot name a file, such as another kind of URL. */
export function pathOf(field: string, path: FilePath): string {
  // Not `instanceof URL`: it does not know URLs of other realms.
  const text: unknown = typeof path === 'object' && path !== null ? guarded(field, undefined, () => path.href) : path
  if (typeof text !== 'string' || text === '' || text.includes('\0')) throw wrong(field, path)
  if (typeof path === 'string' && !/^file:/i.test(path)) return path
  try {
    return fileURLToPath(text)
  } catch (cause) {
    throw Object.assign(wrong(field, text), { cause })
  }
}

function wrong(field: string, found: unknown): Error {
  return invalidArgument(field, 'the path of a file, or a file: URL', found)
}
