// The limits that Linux control groups set for this process: a container's memory and its share of the processors. A process is in
// a path of nested groups, so the smallest limit on the path counts. Other systems set no limits.

import { readFileSync } from 'node:fs'

/** Infinity means no limit. */
export interface GroupLimits {
  /** Processor time, in processors, such as 1.5. */
  readonly processors: number
  /** Total bytes. */
  readonly memory: number
  /** Bytes that can still be allocated. File caches count as available: the system frees them on demand. */
  readonly available: number
}

/** @param root of the file system to read, for tests. */
export function groupLimits(root = ''): GroupLimits {
  const groups = read(`${root}/proc/self/cgroup`).trim().split('\n')
  const limits = groups.flatMap((group) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(group) ?? []
    return mountsOf(controllers.split(',')).flatMap(({ mount, limitsOf }) => {
      return withAncestors(path).map((folder) => limitsOf(`${root}/sys/fs/cgroup${mount}${folder}`))
    })
  })
  const smallest = (of: (limit: Partial<GroupLimits>) => number | undefined) =>
    Math.min(...limits.map((limit) => of(limit) ?? Infinity))
  return {
    processors: smallest(({ processors }) => processors),
    memory: smallest(({ memory }) => memory),
    available: smallest(({ available }) => available),
  }
}

/** How many threads can run at once when this process may use `processors` processors. */
export function threadsWithin(processors: number, share = quota()): number {
  // Rounded down: a throttled thread makes the others wait.
  return Math.max(1, Math.min(processors, Math.floor(share)))
}

let known: number | undefined

/** This process's share of the processors, read once: every op asks for it. */
function quota(): number {
  known ??= groupLimits().processors
  return known
}

interface Mount {
  readonly mount: string
  readonly limitsOf: (folder: string) => Partial<GroupLimits>
}

/** Where the groups of these controllers are mounted. Groups of version 2 have no list of controllers. */
function mountsOf(controllers: readonly string[]): Mount[] {
  return [
    ...(controllers.includes('') ? ['', '/unified'].map((mount) => ({ mount, limitsOf: ofVersion2 })) : []),
    ...(controllers.includes('memory') ? [{ mount: '/memory', limitsOf: memoryOfVersion1 }] : []),
    ...(controllers.includes('cpu') ? ['/cpu', '/cpu,cpuacct'].map((mount) => ({ mount, limitsOf: processorsOfVersion1 })) : []),
  ]
}

/** `/a/b` is inside `/a`, which is inside the root. In a container only the root may exist: it is the container's own group. */
function withAncestors(path: string): string[] {
  const names = path.split('/').filter((name) => name !== '')
  if (names.includes('..')) return ['']
  return ['', ...names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`)]
}

function ofVersion2(folder: string): Partial<GroupLimits> {
  const [quota, period] = read(`${folder}/cpu.max`).split(' ')
  const limit = Math.min(bytesIn(`${folder}/memory.max`), bytesIn(`${folder}/memory.high`))
  const files = cachedIn(`${folder}/memory.stat`, /^(?:in)?active_file (\d+)$/gm)
  return { processors: share(quota, period), ...memoryWithin(limit, bytesIn(`${folder}/memory.current`), files) }
}

function memoryOfVersion1(folder: string): Partial<GroupLimits> {
  const files = cachedIn(`${folder}/memory.stat`, /^total_(?:in)?active_file (\d+)$/gm)
  return memoryWithin(bytesIn(`${folder}/memory.limit_in_bytes`), bytesIn(`${folder}/memory.usage_in_bytes`), files)
}

function processorsOfVersion1(folder: string): Partial<GroupLimits> {
  return { processors: share(read(`${folder}/cpu.cfs_quota_us`), read(`${folder}/cpu.cfs_period_us`)) }
}

function memoryWithin(limit: number, used: number, files: number): Partial<GroupLimits> {
  if (limit === Infinity) return {}
  return { memory: limit, available: Math.max(0, limit - Math.max(0, (used === Infinity ? 0 : used) - files)) }
}

function share(quota = '', period = ''): number {
  const processors = Number(quota) / Number(period)
  return processors > 0 ? processors : Infinity
}

/** A number of bytes. Infinity for `max`, for a missing file, and for the huge number that stands for no limit. */
function bytesIn(file: string): number {
  const text = read(file).trim()
  const bytes = Number(text)
  return text !== '' && bytes < 2 ** 60 ? bytes : Infinity
}

function cachedIn(file: string, pattern: RegExp): number {
  return [...read(file).matchAll(pattern)].reduce((sum, [, bytes]) => sum + Number(bytes), 0)
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // The file does not exist with another version of control groups or on another system.
    return ''
  }
}
