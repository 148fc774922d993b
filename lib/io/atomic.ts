// Replaces a file whole or not at all: what is written goes to a temporary name in the same folder, reaches the disk, and
// then takes the real name. Whoever opens that name sees the old file or the new one, after a crash too. Links are followed;
// the file keeps its permissions and its owner. Only files are replaced: a device such as /dev/null stays what it is.
//
// A file that has other names (hard links), or that something is mounted on, must stay the same file: it is written over in
// place, once all of the new content is on the disk beside it.

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

/** What a path leads to, before it is written. */
interface Target {
  /** As the caller wrote it. */
  readonly path: string
  /** Behind all links. */
  readonly file: string
  /** Undefined where there is nothing yet. */
  readonly found: Stats | undefined
}

/**
 * Checks, without writing, that a file can be replaced or made: before the work whose result it is to hold.
 * @throws ERR_MULTIGATE_ARGUMENT for what is no path, ERR_MULTIGATE_WRITE with what stands in the way.
 */
export async function checkWritable(path: FilePath): Promise<void> {
  await targetOf(path)
}

/**
 * Writes a file atomically. The folder must be there. What a process that was killed while it wrote the same file has left behind is removed.
 * @throws what `write` throws, or as `checkWritable`; the old file is then as it was and nothing is left behind.
 */
export async function writeAtomically(path: FilePath, write: (sink: FileSink) => Promise<void>): Promise<void> {
  await replaceFile(path, (_, sink) => write(sink))
}

/** The same for content that others write: to a file of this name, which is there and empty. */
export async function replaceFile(path: FilePath, write: (temporary: string, sink: FileSink) => Promise<void>): Promise<void> {
  const target = await targetOf(path)
  const failed = failedAt(target.path, target.file)
  const temporary = temporaryFor(target.file)
  const discard = (): Promise<void> => rm(temporary, { force: true }).catch(() => undefined)
  let kept: FileHandle | undefined
  try {
    // Who may not read the file must not read it meanwhile.
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
      `expected a file or nothing there, found ${found.isDirectory() ? 'a directory' : 'a device or a pipe'}`,
    )
  }
  const file = await behindLinks(path)
  const failed = failedAt(path, file)
  // The dot tells a folder from a file of that name.
  await access(`${dirname(file)}${sep}.`, constants.W_OK | constants.X_OK).catch(failed)
  if (found !== undefined && isShared(found)) await access(file, constants.W_OK).catch(failed)
  return { path, file, found }
}

/** The file that a path means, which need not be there: a link to nothing says where to make it. */
async function behindLinks(path: string): Promise<string> {
  let at = path
  for (;;) {
    const folder = await realpath(dirname(at)).catch(failedAt(path, at))
    const here = join(folder, basename(at))
    // Links that lead to each other have no `stat`, so this ends.
    const link = await readlink(here).catch(() => undefined)
    if (link === undefined) return here
    at = isAbsolute(link) ? link : `${folder}${sep}${link}`
  }
}

/** Best effort: a user may not give files away, and some file systems have neither owners nor permissions. */
async function keepOwner(handle: FileHandle, found: Stats | undefined): Promise<void> {
  if (found === undefined) return
  const { uid, gid, mode } = found
  const owned = await handle.chown(uid, gid).then(
    () => true,
    () => false,
  )
  if (!owned) await handle.chown(-1, gid).catch(() => undefined)
  // Bits that lend the owner's rights do not go to another owner.
  await handle.chmod(mode & (owned ? 0o7777 : 0o777)).catch(() => undefined)
}

function isShared({ nlink }: Stats): boolean {
  return nlink > 1
}

/** What a system says of a name that cannot be taken: something is mounted there, or the folder lets no one but the owner do it. */
const nameKept = new Set(['EBUSY', 'EPERM', 'EACCES', 'EXDEV'])

/** Gives the temporary file the real name; where that must stay with the file that has it, that file, to be written over. */
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
    throw new WriteError(path, `${reason}; it is half written, and all of its new content is in ${temporary}`, { cause })
  } finally {
    await source.close()
    await handle.close()
  }
}

/** Turns the system's error into ours. `file` is what `path` leads to. */
function failedAt(path: string, file = path): (cause: unknown) => never {
  return (cause) => {
    if (cause instanceof WriteError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    const folder = dirname(resolve(file))
    const known: Readonly<Record<string, string>> = {
      ENOENT: `there is no folder ${folder}; make it first`,
      ENOTDIR: `${folder} is not a folder`,
      EACCES: `this user may not write in ${folder}`,
      EPERM: `this user may not write in ${folder}`,
      EROFS: `${folder} can only be read`,
      ENOSPC: 'the disk is full',
      EDQUOT: "this user's quota of the disk is used up",
      ELOOP: 'its links lead to each other',
      ENAMETOOLONG: 'its name is longer than names can be here; choose a shorter one',
      EBUSY: 'something else holds this name (a mount, a program that has it open); choose another or free it',
    }
    throw new WriteError(path, known[code ?? ''] ?? message, { cause })
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position?: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await handle.write(bytes, at, bytes.length - at, position === undefined ? null : position + at)).bytesWritten
  }
}
