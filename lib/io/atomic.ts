// Replaces a file whole or not at all: what is written goes to a temporary name in the same folder, reaches the disk, and
// then takes the real name. Whoever opens that name sees the old file or the new one, after a crash too. Only files are
// replaced: a device such as /dev/null stays what it is.

import { randomBytes } from 'node:crypto'
import { access, constants, type FileHandle, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve, sep } from 'node:path'

import { checkPath } from '../core/check.js'
import { WriteError } from '../core/errors.js'

/** Where the new content goes, in order. */
export interface FileSink {
  write(bytes: Uint8Array): Promise<void>
}

/** A file to replace, and the name that its new content has until then. */
export interface Replacement {
  /** The file itself, where the path is a link. */
  readonly target: string
  /** In the same folder; no file has it. */
  readonly temporary: string
}

/**
 * Checks, without writing, that a file can be replaced or made: before the work whose result it is to hold.
 * @throws ERR_MULTIGATE_ARGUMENT for what is no path, ERR_MULTIGATE_WRITE with what stands in the way.
 */
export async function checkWritable(path: string): Promise<Replacement> {
  checkPath('path', path)
  const target = await realpath(path).catch(() => path)
  const found = await stat(target).catch(() => undefined)
  if (found?.isFile() === false) {
    throw new WriteError(
      path,
      `expected a file or nothing there, found ${found.isDirectory() ? 'a directory' : 'a device or a pipe'}`,
    )
  }
  const folder = dirname(resolve(target))
  // The dot tells a folder from a file of that name.
  await access(`${folder}${sep}.`, constants.W_OK | constants.X_OK).catch(failedAt(path))
  return { target, temporary: join(folder, `.${basename(target)}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`) }
}

/** After so long without a change a temporary file is one that a killed process has left. */
const abandonedAfter = 3_600_000

/**
 * Writes a file atomically. A link is followed; the folder must be there. What a process that was killed while it wrote the
 * same file has left behind is removed, once it is an hour old.
 * @throws what `write` throws, or as `checkWritable`; the old file is then as it was and nothing is left behind.
 */
export async function writeAtomically(path: string, write: (sink: FileSink) => Promise<void>): Promise<void> {
  const { target, temporary } = await checkWritable(path)
  const failed = failedAt(path)
  const handle = await open(temporary, 'wx').catch(failed)
  try {
    try {
      await write({ write: (bytes) => writeAll(handle, bytes).catch(failed) })
      await handle.sync().catch(failed)
    } finally {
      await handle.close()
    }
    await rename(temporary, target).catch(failed)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(temporary))
  await removeAbandoned(target)
}

/** Best effort: the file itself is written. */
async function removeAbandoned(target: string): Promise<void> {
  const folder = dirname(resolve(target))
  const [start, end] = [`.${basename(target)}.`, /^\d+\.[0-9a-f]{12}\.tmp$/]
  const names = await readdir(folder).catch(() => [])
  for (const name of names.filter((name) => name.startsWith(start) && end.test(name.slice(start.length)))) {
    const path = join(folder, name)
    const changed = await stat(path).catch(() => undefined)
    if (changed !== undefined && Date.now() - changed.mtimeMs > abandonedAfter)
      await rm(path, { force: true }).catch(() => undefined)
  }
}

/** Turns the system's error into ours. */
export function failedAt(path: string): (cause: unknown) => never {
  return (cause) => {
    const { code, message } = cause as NodeJS.ErrnoException
    const folder = dirname(resolve(path))
    const known: Readonly<Record<string, string>> = {
      ENOENT: `there is no folder ${folder}; make it first`,
      ENOTDIR: `${folder} is not a folder`,
      EACCES: `this user may not write in ${folder}`,
      EPERM: `this user may not write in ${folder}`,
      EROFS: `${folder} can only be read`,
      ENOSPC: 'the disk is full',
    }
    throw new WriteError(path, known[code ?? ''] ?? message, { cause })
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten
}

/** The new name is on the disk only when its folder is. Windows has no such call and needs none. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
