// Files are replaced whole or not at all, whatever stands in the way and whenever the process ends.

import { execFileSync, spawnSync } from 'node:child_process'
import fs, {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import fsPromises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { writeScores } from '../../lib/cli/scores.js'
import { replaceFile, writeAtomically } from '../../lib/io/atomic.js'
import { temporaryFor } from '../../lib/io/temporaries.js'
import { refusal } from '../support/refusal.js'

const root = process.getuid?.() === 0
const nobody = 65534
let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'multigate-atomic-'))
  path = join(folder, 'file')
})
afterEach(() => {
  vi.restoreAllMocks()
  syncBuiltinESMExports()
  rmSync(folder, { recursive: true })
})

function write(text: string, to: string | URL = path): Promise<void> {
  return writeAtomically(to, (sink) => sink.write(Buffer.from(text)))
}

const read = (from = path): string => readFileSync(from, 'utf8')
const modeOf = (of = path): string => (statSync(of).mode & 0o7777).toString(8)
const temporaries = (): string[] => readdirSync(folder).filter((name) => name.endsWith('.tmp'))

function problem(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: injected`), { code })
}

/** Work as a user who is not root. */
async function asNobody<Result>(work: () => Promise<Result>): Promise<Result> {
  process.setegid?.(nobody)
  process.seteuid?.(nobody)
  try {
    return await work()
  } finally {
    process.seteuid?.(0)
    process.setegid?.(0)
  }
}

it('leaves the old file and nothing else when it fails', async () => {
  writeFileSync(path, 'old')
  const failing = writeAtomically(path, async (sink) => {
    await sink.write(Buffer.from('half'))
    throw new Error('disk on fire')
  })
  await expect(failing).rejects.toThrow('disk on fire')
  expect(read()).toBe('old')
  expect(temporaries()).toEqual([])
})

describe('what stands in the way', () => {
  it.each<[string, () => string, RegExp]>([
    ['a folder that is not there', () => join(folder, 'none', 'x'), /none/],
    ['a file as a folder', () => join(path, 'x'), /not a folder/],
    ['a folder', () => folder, /directory/],
    ['a name too long', () => join(folder, 'x'.repeat(256)), /name/],
    ['links in a circle', () => circle(), /link/],
    ['a link into a folder that is not there', () => link('none/x', 'lost'), /none/],
  ])('is said: %s', async (_, place, message) => {
    writeFileSync(path, 'old')
    const to = place()
    const writing = write('new', to)
    await expect(writing).rejects.toThrow(refusal('WRITE', { file: to, says: message }))
    expect(temporaries()).toEqual([])
  })

  it('is never replaced where it is no file, such as a device', async () => {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    await expect(write('new', pipe)).rejects.toThrow(refusal('WRITE'))
    expect(statSync(pipe).isFIFO()).toBe(true)
  })

  it.each([undefined, '', 3, 'a\0b', new URL('https://example.org/x')])('is said of what is no path: %s', async (wrong) => {
    await expect(writeAtomically(wrong as string, async () => undefined)).rejects.toMatchObject({
      code: 'ERR_MULTIGATE_ARGUMENT',
      field: 'path',
    })
  })
})

function link(to: string, name = 'link'): string {
  const at = join(folder, name)
  symlinkSync(to, at)
  return at
}

function circle(): string {
  link('two', 'one')
  return link('one', 'two')
}

it('takes file: URLs', async () => {
  const named = join(folder, 'ä b#?%41')
  await write('one', pathToFileURL(named))
  expect(read(named)).toBe('one')
  await write('two', pathToFileURL(named).href)
  expect(read(named)).toBe('two')
})

describe('links', () => {
  it('are followed, through folders that are links too', async () => {
    mkdirSync(join(folder, 'deep', 'er'), { recursive: true })
    link('deep/er', 'short')
    symlinkSync('../target', join(folder, 'deep', 'er', 'link'))
    const target = join(folder, 'deep', 'target')
    for (const content of ['made', 'replaced']) {
      await write(content, join(folder, 'short', 'link'))
      expect(read(target)).toBe(content)
    }
    expect(readlinkSync(join(folder, 'deep', 'er', 'link'))).toBe('../target')
  })

  it('that lead to nothing yet are kept, and what they lead to is made', async () => {
    const first = link('second', 'first')
    link(path, 'second')
    await write('new', first)
    expect(read()).toBe('new')
    expect(lstatSync(first).isSymbolicLink()).toBe(true)
  })
})

describe('a file that is replaced', () => {
  it.each([0o600, 0o640, 0o664, 0o400, 0o777])('keeps its permissions: %i', async (mode) => {
    writeFileSync(path, 'old')
    chmodSync(path, mode)
    let meanwhile: string | undefined
    await replaceFile(path, async (temporary, sink) => {
      meanwhile = modeOf(temporary)
      await sink.write(Buffer.from('new'))
    })
    expect([read(), modeOf()]).toEqual(['new', mode.toString(8)])
    // Who may not read the file cannot read it while it is written.
    expect(meanwhile).toBe('600')
  })

  it('has those of any new file where there was none', async () => {
    await write('new')
    writeFileSync(`${path}.other`, '')
    expect(modeOf()).toBe(modeOf(`${path}.other`))
  })

  it.skipIf(!root)('keeps its owner where this process may set it', async () => {
    writeFileSync(path, 'old')
    chownSync(path, nobody, nobody)
    await write('new')
    expect(statSync(path)).toMatchObject({ uid: nobody, gid: nobody })
  })

  it.skipIf(!root)('has a new owner where it may not, and no bits that lend its rights', async () => {
    writeFileSync(path, 'old')
    chmodSync(path, 0o4755)
    chmodSync(folder, 0o777)
    await asNobody(() => write('new'))
    expect([statSync(path).uid, modeOf()]).toEqual([nobody, '755'])
  })
})

describe('folders', () => {
  it.skipIf(!root)('that can be written but not listed take a file', async () => {
    chownSync(folder, nobody, nobody)
    chmodSync(folder, 0o300)
    await asNobody(() => write('new'))
    expect(read()).toBe('new')
  })

  it.each(['EINVAL', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EISDIR', 'EBADF', 'ENOSYS'])(
    'of file systems that cannot sync: %s',
    async (code) => {
      vi.spyOn(fs, 'fsync').mockImplementation((_, done) => done(problem(code)))
      syncBuiltinESMExports()
      await write('new')
      expect(read()).toBe('new')
    },
  )

  it.each(['EACCES', 'EISDIR', 'EPERM', 'EINVAL'])('of file systems that cannot open a folder: %s', async (code) => {
    const open = vi.spyOn(fs, 'open')
    open.mockImplementation(((_path: string, _flags: string, done: (error: Error) => void) => done(problem(code))) as never)
    syncBuiltinESMExports()
    await write('new')
    expect(open).toHaveBeenCalledOnce()
    expect(read()).toBe('new')
  })

  it('whose disk fails are an error', async () => {
    vi.spyOn(fs, 'fsync').mockImplementation((_, done) => done(problem('EIO')))
    syncBuiltinESMExports()
    await expect(write('new')).rejects.toThrow(refusal('WRITE', { says: 'EIO' }))
    expect(readdirSync(folder)).toEqual([])
  })

  it('of which a handle has no sync, as in Yarn, are no matter', async () => {
    const handle = await fsPromises.open(folder, 'r')
    vi.spyOn(Object.getPrototypeOf(handle) as { sync(): void }, 'sync').mockImplementation(() => {
      throw new Error('Method not implemented.')
    })
    await handle.close()
    await write('new')
    expect(read()).toBe('new')
  })
})

it.each([
  ['x', 240],
  ['x', 255],
  ['ä', 127],
  ['👍', 63],
])('takes names as long as names can be: %s, %i times', async (letter, times) => {
  const name = letter.repeat(times)
  const long = join(folder, name)
  await write('one', long)
  await write('two', long)
  expect(read(long)).toBe('two')
})

describe('a file that must stay the same file', () => {
  it('has other names: all have the new content', async () => {
    writeFileSync(path, 'a longer content than the new one')
    const other = join(folder, 'other')
    linkSync(path, other)
    const { ino } = statSync(path)
    await write('new')
    expect([read(), read(other), statSync(path).ino, statSync(other).ino]).toEqual(['new', 'new', ino, ino])
    expect(temporaries()).toEqual([])
  })

  it.each(['EBUSY', 'EPERM', 'EACCES', 'EXDEV'])('has a name that cannot be taken: %s', async (code) => {
    writeFileSync(path, 'a longer content than the new one')
    vi.spyOn(fsPromises, 'rename').mockRejectedValue(problem(code))
    syncBuiltinESMExports()
    await write('new')
    expect(read()).toBe('new')
    expect(temporaries()).toEqual([])
  })

  it('and cannot be written over says so before anything is lost', async () => {
    vi.spyOn(fsPromises, 'rename').mockRejectedValue(problem('EBUSY'))
    syncBuiltinESMExports()
    await expect(write('new')).rejects.toThrow(refusal('WRITE', { says: 'name' }))
    expect(readdirSync(folder)).toEqual([])
  })

  it('and fails half way leaves all of the new content beside it, and says where', async () => {
    writeFileSync(path, 'old')
    linkSync(path, join(folder, 'other'))
    const { open } = fsPromises
    vi.spyOn(fsPromises, 'open').mockImplementation(async (...args) => {
      const handle = await open(...args)
      if (args[1] === 'r+') vi.spyOn(handle, 'truncate').mockRejectedValue(problem('EIO'))
      return handle
    })
    syncBuiltinESMExports()
    const error = await write('new').catch((caught: Error) => caught)
    const [temporary = ''] = temporaries()
    expect(error).toEqual(refusal('WRITE', { says: join(folder, temporary) }))
    expect(read(join(folder, temporary))).toBe('new')
  })
})

describe('what a killed process has left of the same file', () => {
  const hour = 3600
  const day = 24 * hour

  /** A temporary file of another process, host or file, so many seconds old. */
  function leave(seconds: number, change: (name: string) => string = (name) => name, of = path): string {
    const name = change(temporaryFor(of))
    writeFileSync(name, 'half')
    const then = Date.now() / 1000 - seconds
    utimesSync(name, then, then)
    return name
  }
  const by = (pid: number) => (name: string) => name.replace(`-${process.pid}-`, `-${pid}-`)
  const elsewhere = (name: string): string => name.replace(/-[0-9a-f]{12}-(?=\d+-)/, '-0123456789ab-')
  const dead = (): number => spawnSync('true').pid

  it.each<[string, boolean, () => string]>([
    ['a process that has ended', true, () => leave(0, by(dead()))],
    ['one that runs', false, () => leave(hour, by(process.ppid))],
    ['one that has its number again', true, () => leave(2 * day, by(process.ppid))],
    ['this one', false, () => leave(0)],
    ['one that had the number of this one before', true, () => leave(process.uptime() + 10)],
    ['another machine, lately', false, () => leave(hour, (name) => elsewhere(by(dead())(name)))],
    ['another machine, long ago', true, () => leave(2 * day, elsewhere)],
    ['another file', false, () => leave(2 * day, by(dead()), join(folder, 'another'))],
    ['nobody: the name is the user’s', false, () => leave(2 * day, (name) => `${name}.txt`)],
  ])('by %s: removed %s', async (_, removed, make) => {
    const name = make()
    await write('new')
    expect(readdirSync(folder).includes(name.slice(folder.length + 1))).toBe(!removed)
  })

  it('goes by the clock of the file system', async () => {
    const name = leave(2 * day, elsewhere)
    vi.spyOn(Date, 'now').mockReturnValue(0)
    await write('new')
    expect(readdirSync(folder)).toEqual(['file'])
    expect(name).toContain('.file.')
  })
})

it('brings Parquet to the disk before it takes the name, and keeps permissions', async () => {
  const scores = join(folder, 'scores.parquet')
  writeFileSync(scores, 'old')
  chmodSync(scores, 0o600)
  const calls: string[] = []
  const { fsync } = fs
  const { rename } = fsPromises
  vi.spyOn(fs, 'fsync').mockImplementation((descriptor, done) => {
    calls.push(`sync ${fs.fstatSync(descriptor).isDirectory() ? 'folder' : fs.fstatSync(descriptor).size > 100}`)
    fsync(descriptor, done)
  })
  vi.spyOn(fsPromises, 'rename').mockImplementation(async (from, to) => {
    calls.push('rename')
    await rename(from, to)
  })
  syncBuiltinESMExports()
  await writeScores(
    scores,
    (async function* () {
      yield [{ name: 'like', values: Float32Array.of(0.5) }]
    })(),
  )
  expect(calls).toEqual(['sync true', 'rename', 'sync folder'])
  expect(read(scores).slice(0, 4)).toBe('PAR1')
  expect([modeOf(scores), readdirSync(folder)]).toEqual(['600', ['scores.parquet']])
})
