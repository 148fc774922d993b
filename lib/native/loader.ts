// Finds and loads the native addon. Only this file requires the .node file, and only at the first use.

import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isNativeError } from 'node:util/types'
import type { NativeBinding } from './binding.js'
import { MultigateError } from './error.js'

// dist/native/loader.js and lib/native/loader.ts are both two folders below the package.
const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

let binding: NativeBinding | undefined

/**
 * The native addon, loaded once per environment and bound once per copy of this file.
 * @throws ERR_MULTIGATE_NATIVE if it is not built or cannot be loaded. The message has the command that builds it.
 */
export function loadNative(): NativeBinding {
  binding ??= load(join(packageRoot, 'build', 'Release', 'multigate.node'))
  return binding
}

function load(path: string): NativeBinding {
  try {
    return (createRequire(import.meta.url)(path) as NativeBinding).throwAs(MultigateError)
  } catch (cause) {
    const reason = isNativeError(cause) ? cause.message.split('\n')[0] : String(cause)
    throw new MultigateError(
      'ERR_MULTIGATE_NATIVE',
      `The native part of multigate could not be loaded.\n` +
        `  tried: ${path}\n  found: ${reason}\n` +
        `  here:  Node ${process.version}, ${process.platform}-${process.arch}\n` +
        `Build it with: npx multigate build`,
      { cause },
    )
  }
}
