// Paths as callers give them: text, or a `file:` URL (an object, or text that starts with `file:`). What leaves here is a plain path.

import { fileURLToPath } from 'node:url'

import { invalidArgument } from './check.js'

/** A path, or a `file:` URL: text, or an object of the class `URL`, whose own type is not everywhere. */
export type FilePath = string | { readonly href: string }

/** The path of a file. @throws ERR_MULTIGATE_ARGUMENT naming `field` for what can name no file, such as a URL of another kind. */
export function pathOf(field: string, path: FilePath): string {
  // URLs of other realms too, which `instanceof` does not know.
  const text: unknown = typeof path === 'object' && path !== null ? path.href : path
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
