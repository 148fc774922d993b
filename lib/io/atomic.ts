// Replaces a file whole or not at all: what is written goes to a temporary name in the same folder, reaches the disk, and
// then takes the real name. Whoever opens that name sees the old file or the new one, after a crash too.

import { randomBytes } from 'node:crypto'
import { type FileHandle, open, realpath, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Where the new content goes, in order. */
export interface FileSink {
  write(bytes: Uint8Array): Promise<void>
}

/**
 * Writes a file atomically. A link is followed; the folder must be there.
 * @throws what `write` throws, or the system's error; the old file is then as it was and nothing is left behind.
 */
export async function writeAtomically(path: string, write: (sink: FileSink) => Promise<void>): Promise<void> {
  const target = await realpath(path).catch(() => path)
  const folder = dirname(target)
  const temporary = join(folder, `.${basename(target)}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`)
  const handle = await open(temporary, 'wx')
  try {
    try {
      await write({ write: (bytes) => writeAll(handle, bytes) })
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(folder)
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
