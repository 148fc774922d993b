// Replaces a file whole or not at all. The new content goes to a temporary file in the same folder, reaches the disk, and then takes
// the real name. A reader sees the old file or the new one, even after a crash. Links are followed. The file keeps its permissions
// and its owner. Only files are replaced: a device such as /dev/null is refused.
//
// A file with other names (hard links) or with a mount on it must stay the same file. It is overwritten in place, after all of the
// new content is on the disk beside it.

import { constants, type Stats } from 'node:fs'
import { access, type FileHandle, open, readlink, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve, sep } from 'node:path'

import { WriteError } from '../core/errors.js'
import { type FilePath, pathOf } from '../core/path.js'
import { syncFile, syncFolder } from './sync.js'
import { removeAbandoned, temporaryFor } from './temporaries.js'

/** Where the new content goes, in order. */
export interface FileSink {
  write(bytes: Uint8Array): Promise<void>
}

/** What a path leads to before the write. */
interface Target {
  /** As the caller wrote it. */
  readonly path: string
  /** The path after all links. */
  readonly file: string
  /** Undefined if nothing exists yet. */
  readonly found: Stats | undefined
}

/**
 * Checks, without writing, that a file can be replaced or made. Call it before the work whose result the file will hold.
 * @throws ERR_MULTIGATE_ARGUMENT for an invalid path, ERR_MULTIGATE_WRITE with the obstacle.
 */
export async function checkWritable(path: FilePath): Promise<void> {
  await targetOf(path)
}

/**
 * Writes a file atomically. The folder must exist. Also removes what killed processes left behind when they wrote the same file.
 * @throws what `write` throws, or as `checkWritable`. The old file is then unchanged and nothing is left behind.
 */
export async function writeAtomically(path: FilePath, write: (sink: FileSink) => Promise<void>): Promise<void> {
  await replaceFile(path, (_, sink) => write(sink))
}

/** Like `writeAtomically`, for content that other code writes to the empty file `temporary`. */
export async function replaceFile(path: FilePath, write: (temporary: string, sink: FileSink) => Promise<void>): Promise<void> {
  const target = await targetOf(path)
  const failed = failedAt(target.path, target.file)
  const temporary = temporaryFor(target.file)
  const discard = (): Promise<void> => rm(temporary, { force: true }).catch(() => undefined)
  let kept: FileHandle | undefined
  try {
    // Users who may not read the file must not read the temporary one either.
    const handle = await open(temporary, 'wx', target.found === undefined ? 0o666 : 0o600).catch(failed)
    try {
      await write(temporary, { write: (bytes) => writeAll(handle, bytes).catch(failed) })
      await keepOwner(handle, target.found)
      await syncFile(handle.fd).catch(failed)
    } finally {
      await handle.close().catch(failed)
    }
    kept = await takeName(temporary, target).catch(failed)
  } catch (error) {
    await discard()
    throw error
  }
  if (kept !== undefined) {
    await writeOver(kept, temporary, target)
    await discard()
  }
  await syncFolder(dirname(target.file)).catch(failed)
  await removeAbandoned(target.file)
}

async function targetOf(given: FilePath): Promise<Target> {
  const path = pathOf('path', given)
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') return failedAt(path)(cause)
  })
  if (found?.isFile() === false) {
    throw new WriteError(
      path,
      `expected a file or nothing at this path, found ${found.isDirectory() ? 'a directory' : 'a device or a pipe'}`,
    )
  }
  const file = await behindLinks(path)
  const failed = failedAt(path, file)
  // The dot makes this fail if the folder is a file.
  await access(`${dirname(file)}${sep}.`, constants.W_OK | constants.X_OK).catch(failed)
  if (found !== undefined && isShared(found)) await access(file, constants.W_OK).catch(failed)
  return { path, file, found }
}

/** The file that a path means. It need not exist: a dangling link says where to make it. */
async function behindLinks(path: string): Promise<string> {
  let at = path
  for (;;) {
    const folder = await realpath(dirname(at)).catch(failedAt(path, at))
    const here = join(folder, basename(at))
    // The loop ends: `stat` has already refused links that lead to each other.
    const link = await readlink(here).catch(() => undefined)
    if (link === undefined) return here
    at = isAbsolute(link) ? link : `${folder}${sep}${link}`
  }
}

/** Best effort: users may not give files away, and some file systems have no owners or permissions. */
async function keepOwner(handle: FileHandle, found: Stats | undefined): Promise<void> {
  if (found === undefined) return
  const { uid, gid, mode } = found
  const owned = await handle.chown(uid, gid).then(
    () => true,
    () => false,
  )
  if (!owned) await handle.chown(-1, gid).catch(() => undefined)
  // A file with another owner must not keep the setuid and setgid bits.
  await handle.chmod(mode & (owned ? 0o7777 : 0o777)).catch(() => undefined)
}

function isShared({ nlink }: Stats): boolean {
  return nlink > 1
}

/** The system's codes for a name that cannot be taken: something is mounted there, or only the owner may do it in this folder. */
const nameKept = new Set(['EBUSY', 'EPERM', 'EACCES', 'EXDEV'])

/** Gives the temporary file the real name. If the old file must keep that name, the result is the old file, to be overwritten. */
async function takeName(temporary: string, { file, found }: Target): Promise<FileHandle | undefined> {
  if (found !== undefined && isShared(found)) return await open(file, 'r+')
  try {
    await rename(temporary, file)
    return undefined
  } catch (error) {
    if (found === undefined || !nameKept.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    return await open(file, 'r+').catch(() => {
      throw error
    })
  }
}

async function writeOver(handle: FileHandle, temporary: string, { path }: Target): Promise<void> {
  const source = await open(temporary, 'r')
  try {
    const buffer = new Uint8Array(2 ** 20)
    let size = 0
    for (;;) {
      const { bytesRead } = await source.read(buffer, 0, buffer.length, size)
      if (bytesRead === 0) break
      await writeAll(handle, buffer.subarray(0, bytesRead), size)
      size += bytesRead
    }
    await handle.truncate(size)
    await syncFile(handle.fd)
  } catch (cause) {
    const reason = (cause as Error).message
    throw new WriteError(path, `${reason}; it is half written: copy its whole new content from ${temporary}`, { cause })
  } finally {
    await source.close()
    await handle.close()
  }
}

/** Turns the system's error into a WriteError. `file` is what `path` leads to. */
export function failedAt(path: string, file = path): (cause: unknown) => never {
  return (cause) => {
    if (cause instanceof WriteError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    const folder = dirname(resolve(file))
    const known: Readonly<Record<string, string>> = {
      ENOENT: `there is no folder ${folder}; make it first`,
      ENOTDIR: `${folder} is not a folder; choose another path`,
      EACCES: `this user may not write in ${folder}; change its permissions or choose another folder`,
      EPERM: `this user may not write in ${folder}; change its permissions or choose another folder`,
      EROFS: `${folder} is read-only; choose another folder`,
      ENOSPC: 'the disk is full; free some space',
      EDQUOT: "this user's disk quota is used up; free some space",
      ELOOP: 'its links lead to each other; remove one of them',
      ENAMETOOLONG: 'its name is too long for this file system; choose a shorter one',
      EBUSY: 'a mount or a program holds this name; choose another name or free it',
    }
    throw new WriteError(path, known[code ?? ''] ?? message, { cause })
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position?: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await handle.write(bytes, at, bytes.length - at, position === undefined ? null : position + at)).bytesWritten
  }
}
