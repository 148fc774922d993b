// A file for what does not fit in memory. Its name is removed as soon as it is open. So the system frees its bytes when the process ends,
// also when it is killed, and no other process can find it, change it or take it for an abandoned one.

import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { messageOf, WriteError } from '../core/errors.js'
import { bytesText } from '../core/memory.js'

/** The type of file systems that keep their files in memory, as Linux numbers it. */
const tmpfs = 0x01021994

export class ScratchFile {
  readonly folder: string
  readonly #file: FileHandle
  readonly #next: string

  private constructor(folder: string, file: FileHandle, next: string) {
    this.folder = folder
    this.#file = file
    this.#next = next
  }

  /**
   * @param folder default: that of the system, or `/var/tmp` if the former is in memory.
   * @param option the option that sets the folder, for messages.
   * @throws ERR_MULTIGATE_WRITE naming the folder.
   */
  static async create(folder: string | undefined, option: string): Promise<ScratchFile> {
    const own = folder ?? (await defaultFolder())
    const next = `set ${option} to a folder of another disk`
    const path = join(own, `.multigate-${process.pid}-${randomBytes(6).toString('hex')}.tmp`)
    let file: FileHandle | undefined
    try {
      file = await open(path, 'wx+', 0o600)
      await rm(path)
      return new ScratchFile(own, file, next)
    } catch (cause) {
      await file?.close()
      throw failed(own, messageOf(cause), next, cause)
    }
  }

  /** @throws ERR_MULTIGATE_WRITE if the disk has less free than these bytes. */
  async checkRoom(bytes: number): Promise<void> {
    // Some file systems do not say.
    const system = await statfs(this.folder).catch(() => undefined)
    if (system === undefined || system.blocks === 0) return
    const free = system.bavail * system.bsize
    if (free < bytes)
      throw failed(this.folder, `the encoded rows take ${bytesText(bytes)}, and ${bytesText(free)} are free`, this.#next)
  }

  /** Writes all of these bytes. @throws ERR_MULTIGATE_WRITE, such as for a disk that is full. */
  async write(position: number, bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, position + done)
        done += bytesWritten
      }
    } catch (cause) {
      throw failed(this.folder, `after ${bytesText(position)} of encoded rows: ${messageOf(cause)}`, this.#next, cause)
    }
  }

  /** Fills these bytes. @throws ERR_MULTIGATE_WRITE if the disk does not give back what was written. */
  async read(position: number, bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      let read = 0
      try {
        read = (await this.#file.read(bytes, done, bytes.length - done, position + done)).bytesRead
      } catch (cause) {
        throw failed(this.folder, `cannot read back encoded rows: ${messageOf(cause)}`, this.#next, cause)
      }
      if (read === 0) throw failed(this.folder, 'encoded rows that were written are gone', this.#next)
      done += read
    }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/** The temporary folder. Many systems keep it in memory, where files take what they should save. */
async function defaultFolder(): Promise<string> {
  const own = tmpdir()
  if (process.env['TMPDIR'] !== undefined || !(await isInMemory(own))) return own
  return (await isInMemory('/var/tmp')) ? own : '/var/tmp'
}

/** Also true for a folder that cannot be asked. */
async function isInMemory(folder: string): Promise<boolean> {
  return statfs(folder).then(
    ({ type }) => type === tmpfs,
    () => true,
  )
}

function failed(folder: string, what: string, next: string, cause?: unknown): WriteError {
  return new WriteError(folder, `${what}; ${next}`, cause === undefined ? undefined : { cause })
}
