// The package's own version.

import { readFileSync } from 'node:fs'

/** `0.1.0`. package.json lies two folders above both lib/core and dist/core. */
export function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : 'unknown'
}
