// Every test writes below one folder, which goes when all are done.

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Processes that are started after this have the folder as their temporary one. */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'multigate-tests-'))
  // Some tests become another user.
  chmodSync(folder, 0o755)
  process.env.TMPDIR = folder
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}
