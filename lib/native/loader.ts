// Finds and loads the native addon: a local build, else the prebuilt one for this system. Only this file requires .node files, and only
// at the first use.

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isNativeError } from 'node:util/types'
import type { NativeBinding } from './binding.js'
import { MultigateError } from './error.js'
import { platformName } from './platform.js'

let binding: NativeBinding | undefined

/**
 * The native addon, loaded once per environment and bound once per copy of this file.
 * @throws ERR_MULTIGATE_NATIVE if none can be loaded. The message has the paths that were tried, and the command that builds one.
 */
export function loadNative(): NativeBinding {
  binding ??= load()
  return binding
}

function load(): NativeBinding {
  const root = packageRoot()
  const platform = platformName()
  const paths = [join('build', 'Release'), join('prebuilds', platform)].map((folder) => join(root, folder, 'multigate.node'))
  // Not imported: bundlers put something else in the place of an imported createRequire.
  const require = process.getBuiltinModule('node:module').createRequire(join(root, 'package.json'))
  const failures: Failure[] = []
  for (const path of paths) {
    try {
      return (require(path) as NativeBinding).throwAs(MultigateError)
    } catch (cause) {
      failures.push({ path, cause })
    }
  }
  // What is there and does not load says more than what is missing.
  const { cause } = failures.find(({ path }) => existsSync(path)) ?? (failures[0] as Failure)
  throw new MultigateError(
    'ERR_MULTIGATE_NATIVE',
    [
      'The native part of multigate could not be loaded.',
      ...failures.flatMap(({ path, cause }) => [`  tried: ${path}`, `  found: ${reasonOf(cause)}`]),
      `  here:  Node ${process.version}, ${platform}`,
      cure(root, failures),
    ].join('\n'),
    { cause },
  )
}

interface Failure {
  readonly path: string
  readonly cause: unknown
}

const reasonOf = (cause: unknown) => (isNativeError(cause) ? (cause.message.split('\n')[0] ?? '') : String(cause))

/** The next step. A build helps only where this file lies in the package and Node may load addons. */
function cure(root: string, failures: readonly Failure[]): string {
  const codes = failures.map(({ cause }) => (isNativeError(cause) && 'code' in cause ? cause.code : undefined))
  if (codes.includes('ERR_DLOPEN_DISABLED') || codes.includes('ERR_ACCESS_DENIED'))
    return 'permission' in process && process.permission !== undefined
      ? 'Node runs with its permission model: allow addons with --allow-addons, and reading the package with --allow-fs-read'
      : 'Node runs with --no-addons, on its command line or in NODE_OPTIONS: leave that out'
  if (!isPackage(root))
    return (
      `A bundler has moved the code of multigate out of its package, away from its native part. ` +
      `Keep it out of the bundle (external: ['multigate']) and install the package where the bundle runs`
    )
  return 'Build it with: npx multigate build'
}

/** dist/native/loader.js and lib/native/loader.ts are both two folders below the package. A bundle may have no address at all. */
function packageRoot(): string {
  const address: unknown = import.meta.url
  if (typeof address !== 'string' || !address.startsWith('file:')) return process.cwd()
  return join(dirname(fileURLToPath(address)), '..', '..')
}

function isPackage(root: string): boolean {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    return typeof manifest === 'object' && manifest !== null && 'name' in manifest && manifest.name === 'multigate'
  } catch {
    return false
  }
}
