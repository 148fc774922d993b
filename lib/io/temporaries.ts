// The names of temporary files, and the removal of those that killed processes left. A name encodes the file, the host and the
// process, so that another process can tell that nobody writes it any more. It is always short, because names have at most 255 bytes.

import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'

const pattern = /\.([0-9a-f]{12})-([0-9a-f]{12})-(\d{1,10})-[0-9a-f]{12}\.tmp$/

/** In milliseconds. A file that did not change for this long is abandoned, even if its process is on another host. */
const abandonedAfter = 24 * 3_600_000

/** A new name in the folder of the file. */
export function temporaryFor(file: string): string {
  // A character takes at most four bytes; a name has at most 255.
  const start = [...basename(file)].slice(0, 40).join('')
  return join(dirname(file), `.${start}.${digest(basename(file))}-${host}-${process.pid}-${randomBytes(6).toString('hex')}.tmp`)
}

/** Removes what killed processes left of a file that was just written. Best effort: the file itself is complete. */
export async function removeAbandoned(file: string): Promise<void> {
  const folder = dirname(file)
  const names = await readdir(folder).catch(() => [])
  const own = names.flatMap((name) => {
    const [, of, by = '', pid = ''] = pattern.exec(name) ?? []
    return of === digest(basename(file)) ? [{ path: join(folder, name), by, pid: Number(pid) }] : []
  })
  if (own.length === 0) return
  // The clock of the file system: a shared folder uses another machine's clock.
  const now = (await stat(file).catch(() => undefined))?.mtimeMs ?? 0
  for (const { path, by, pid } of own) {
    const changed = (await stat(path).catch(() => undefined))?.mtimeMs ?? now
    const abandoned = now - changed > abandonedAfter || (by === host && isGone(pid, now - changed))
    if (abandoned) await rm(path, { force: true }).catch(() => undefined)
  }
}

/** Whether the process of this host that changed a file `ago` milliseconds ago has ended. Process ids can be reused. */
function isGone(pid: number, ago: number): boolean {
  if (pid === process.pid) return ago > 1000 * process.uptime()
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/** Identifies the space in which process ids are unique: one boot of a host, or one container. */
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
