// Brings what was written to the disk. Not every file system has such a call, least of all for folders (FUSE, SMB, some NFS); where
// there is none, nothing is left to be done.

import { close, fsync, open } from 'node:fs'
import { promisify } from 'node:util'

/** What file systems answer to a call that they do not have, or not for this. */
const noSuchCall = new Set(['EINVAL', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EISDIR', 'EBADF', 'ENOSYS', 'ENOTTY'])

/** Brings an open file to the disk. @throws the system's error where the disk has failed. */
export async function syncFile(descriptor: number): Promise<void> {
  // By its number: the handles of some patched file systems (Yarn's) have no sync.
  await promisify(fsync)(descriptor).catch(passed(noSuchCall))
}

/** Brings the names in a folder to the disk; of one that may not be listed, nobody can. @throws as `syncFile`. */
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
