// The names of files that are being written, and what becomes of those whose process was killed. A name says for which file, on
// which host and by which process: only so can another process know that nobody writes it any more. It is short, whatever the
// file is called, as names have an end at 255 bytes.

import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'

const pattern = /^\.multigate-([0-9a-f]{12})-([0-9a-f]{12})-(\d{1,10})-[0-9a-f]{12}\.tmp$/

/** In milliseconds: after so long without a change even a process that cannot be asked has given it up. */
const abandonedAfter = 24 * 3_600_000

/** A new name in the folder of the file. */
export function temporaryFor(file: string): string {
  return join(dirname(file), `.multigate-${digest(basename(file))}-${host}-${process.pid}-${randomBytes(6).toString('hex')}.tmp`)
}

/** Removes what killed processes have left of a file that was just written. Best effort: the file itself is there. */
export async function removeAbandoned(file: string): Promise<void> {
  const folder = dirname(file)
  const names = await readdir(folder).catch(() => [])
  const own = names.flatMap((name) => {
    const [, of, by = '', pid = ''] = pattern.exec(name) ?? []
    return of === digest(basename(file)) ? [{ path: join(folder, name), by, pid: Number(pid) }] : []
  })
  if (own.length === 0) return
  // The clock of the file system: in a shared folder it is another machine's.
  const now = (await stat(file).catch(() => undefined))?.mtimeMs ?? 0
  for (const { path, by, pid } of own) {
    const changed = (await stat(path).catch(() => undefined))?.mtimeMs ?? now
    const abandoned = now - changed > abandonedAfter || (by === host && isGone(pid, now - changed))
    if (abandoned) await rm(path, { force: true }).catch(() => undefined)
  }
}

/** Whether a process of this host has ended that changed a file so many milliseconds ago; its number may have come again. */
function isGone(pid: number, ago: number): boolean {
  if (pid === process.pid) return ago > 1000 * process.uptime()
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/** Where process ids mean the same: a host since it was started, a container by itself. */
const host = digest(
  [
    hostname(),
    linux(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')),
    linux(() => readlinkSync('/proc/self/ns/pid')),
  ].join(),
)

function linux(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}
