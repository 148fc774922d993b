// Which prebuilt addon is for this system.

import { closeSync, openSync, readSync } from 'node:fs'

export type Libc = 'glibc' | 'musl'

/** The system as folders of prebuilds/ are named: `linux-x64-glibc`, `darwin-arm64`. */
export function platformName(libc = libcOf(process.execPath)): string {
  return [process.platform, process.arch, ...(libc === undefined ? [] : [libc])].join('-')
}

/**
 * The C library that a program of Linux uses, by the loader that the program names in its first bytes. Node's own report would tell it too,
 * but takes fifty times as long.
 * @returns undefined on other systems
 */
export function libcOf(program: string): Libc | undefined {
  if (process.platform !== 'linux') return undefined
  const start = Buffer.alloc(4096)
  try {
    const file = openSync(program, 'r')
    try {
      readSync(file, start, 0, start.length, 0)
    } finally {
      closeSync(file)
    }
  } catch {
    // Not readable, under the permission model for instance. Most systems have glibc.
  }
  return start.includes('/ld-musl-') ? 'musl' : 'glibc'
}
