// Flushes written data to the disk. Some file systems (FUSE, SMB, some NFS) lack this call, above all for folders; then nothing more
// can be done.

import { close, fsync, open } from 'node:fs'
import { promisify } from 'node:util'

/** Error codes of file systems that do not support the call. */
const noSuchCall = new Set(['EINVAL', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EISDIR', 'EBADF', 'ENOSYS', 'ENOTTY'])

/** Flushes an open file to the disk. @throws the system's error if the disk failed. */
export async function syncFile(descriptor: number): Promise<void> {
  // By descriptor: file handles of some patched file systems (Yarn's) have no sync.
  await promisify(fsync)(descriptor).catch(passed(noSuchCall))
}

/** Flushes the names in a folder to the disk. Skips a folder that this user may not list. @throws as `syncFile`. */
export async function syncFolder(folder: string): Promise<void> {
  const descriptor = await promisify(open)(folder, 'r').catch(passed(new Set([...noSuchCall, 'EACCES'])))
  if (descriptor === undefined) return
  try {
    await syncFile(descriptor)
  } finally {
    await promisify(close)(descriptor)
  }
}

function passed(codes: ReadonlySet<string>): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (!codes.has(error.code ?? '')) throw error
  }
}
