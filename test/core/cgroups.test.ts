// Control groups of both versions, as their files say it: the smallest limit of the whole path counts.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { type GroupLimits, groupLimits, threadsWithin } from '../../lib/core/cgroups.js'
import { availableBytes, totalBytes } from '../../lib/core/memory.js'

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cgroups-'))
})
afterEach(() => {
  rmSync(root, { recursive: true })
})

function files(contents: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(contents)) {
    const path = join(root, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, `${text}\n`)
  }
}

const MiB = 2 ** 20
const none: GroupLimits = { processors: Infinity, memory: Infinity, available: Infinity }

describe('version 2', () => {
  it('in a container, whose group is the root', () => {
    files({
      'proc/self/cgroup': '0::/',
      'sys/fs/cgroup/cpu.max': '150000 100000',
      'sys/fs/cgroup/memory.max': String(1024 * MiB),
      'sys/fs/cgroup/memory.high': 'max',
      'sys/fs/cgroup/memory.current': String(700 * MiB),
      'sys/fs/cgroup/memory.stat': `anon ${500 * MiB}\nfile ${200 * MiB}\ninactive_file ${150 * MiB}\nactive_file ${50 * MiB}\nslab 3`,
    })
    expect(groupLimits(root)).toEqual({ processors: 1.5, memory: 1024 * MiB, available: 524 * MiB })
  })

  it('takes the smallest limit of the path, each of its own group', () => {
    files({
      'proc/self/cgroup': '0::/user.slice/job-1.scope',
      'sys/fs/cgroup/user.slice/cpu.max': '200000 100000',
      'sys/fs/cgroup/user.slice/memory.max': String(2048 * MiB),
      'sys/fs/cgroup/user.slice/memory.current': String(1900 * MiB),
      'sys/fs/cgroup/user.slice/memory.stat': `inactive_file ${100 * MiB}\nactive_file 0`,
      'sys/fs/cgroup/user.slice/job-1.scope/cpu.max': 'max 100000',
      'sys/fs/cgroup/user.slice/job-1.scope/memory.max': 'max',
      'sys/fs/cgroup/user.slice/job-1.scope/memory.high': String(1024 * MiB),
      'sys/fs/cgroup/user.slice/job-1.scope/memory.current': String(100 * MiB),
      'sys/fs/cgroup/user.slice/job-1.scope/memory.stat': 'inactive_file 0\nactive_file 0',
    })
    expect(groupLimits(root)).toEqual({ processors: 2, memory: 1024 * MiB, available: 248 * MiB })
  })
})

describe('version 1', () => {
  const unlimited = '9223372036854771712'

  it('in a container that sees the path of its host', () => {
    files({
      'proc/self/cgroup': '5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/docker/abc',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': String(512 * MiB),
      'sys/fs/cgroup/memory/memory.usage_in_bytes': String(400 * MiB),
      'sys/fs/cgroup/memory/memory.stat': `inactive_file 1\ntotal_inactive_file ${90 * MiB}\ntotal_active_file ${10 * MiB}`,
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '350000',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000',
    })
    expect(groupLimits(root)).toEqual({ processors: 3.5, memory: 512 * MiB, available: 212 * MiB })
    expect(threadsWithin(64, groupLimits(root).processors)).toBe(3)
  })

  it('nested', () => {
    files({
      'proc/self/cgroup': '5:memory:/a/b\n4:cpu:/a/b',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': unlimited,
      'sys/fs/cgroup/memory/a/memory.limit_in_bytes': String(100 * MiB),
      'sys/fs/cgroup/memory/a/memory.usage_in_bytes': String(120 * MiB),
      'sys/fs/cgroup/memory/a/b/memory.limit_in_bytes': unlimited,
      'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1',
      'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
      'sys/fs/cgroup/cpu/a/cpu.cfs_quota_us': '50000',
      'sys/fs/cgroup/cpu/a/cpu.cfs_period_us': '100000',
      'sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us': '400000',
      'sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us': '100000',
    })
    expect(groupLimits(root)).toEqual({ processors: 0.5, memory: 100 * MiB, available: 0 })
    expect(threadsWithin(8, groupLimits(root).processors)).toBe(1)
  })
})

it.each<[string, Readonly<Record<string, string>>]>([
  ['no control groups', {}],
  [
    'groups without limits',
    { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': 'max 100000', 'sys/fs/cgroup/memory.max': 'max' },
  ],
  ['files of another form', { 'proc/self/cgroup': 'what\n0::/', 'sys/fs/cgroup/cpu.max': '', 'sys/fs/cgroup/memory.max': 'x' }],
])('%s: nothing is limited', (_, contents) => {
  files(contents)
  expect(groupLimits(root)).toEqual(none)
  expect(threadsWithin(8, groupLimits(root).processors)).toBe(8)
})

it('a path that leads out of the namespace is not followed', () => {
  files({ 'proc/self/cgroup': '0::/../other', 'sys/fs/other/cpu.max': '1000 100000', 'sys/fs/cgroup/cpu.max': '200000 100000' })
  expect(groupLimits(root).processors).toBe(2)
})

it('memory is what the group leaves, where that is less than what the machine has', () => {
  files({
    'proc/self/cgroup': '0::/',
    'sys/fs/cgroup/memory.max': String(MiB),
    'sys/fs/cgroup/memory.current': String(MiB / 4),
  })
  expect(availableBytes(root)).toBe((MiB * 3) / 4)
  expect(totalBytes(root)).toBe(MiB)
})
