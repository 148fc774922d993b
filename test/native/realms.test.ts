// Realms: test runners and Electron load the library in others than Node's own, several at a time in one thread.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

it('trains, predicts and throws errors of its own class in every realm of a thread', () => {
  const script = fileURLToPath(new URL('realms.mjs', import.meta.url))
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--experimental-vm-modules', script], { encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  const seen = {
    epochs: 2,
    scores: true,
    sync: true,
    ops: true,
    wide: true,
    foreign: true,
    symbols: true,
    messages: [
      expect.stringMatching(/^the query: .*random\(\)/) as string,
      expect.stringMatching(/^the query: Binder Error/) as string,
    ],
    errors: ['ERR_MULTIGATE_ARGUMENT', 'ERR_MULTIGATE_OUT_OF_MEMORY'],
  }
  const disposed = 'ERR_MULTIGATE_DISPOSED'
  expect(JSON.parse(stdout)).toEqual({ seen: [seen, seen, seen, seen], own: true, ends: [disposed, disposed] })
})
