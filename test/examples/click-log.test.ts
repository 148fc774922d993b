import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

import { loadModel } from '../../lib/training/load.js'

const main = fileURLToPath(new URL('../../examples/click-log/main.js', import.meta.url))

// With a million rows it reaches more than 0.97 of what can be known; with a fifth of them the rare tasks know less.
it('the click log is learned', { timeout: 120_000 }, async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, '200000', path], { encoding: 'utf8' })
  expect(stderr).toContain('epoch 2/')
  expect(status).toBe(0)
  const shares = [...stdout.matchAll(/^(click|finish|like|share) .* ([\d.]+)%$/gm)].map(([, task, share]) => [
    task,
    Number(share),
  ])
  expect(shares.map(([task]) => task)).toEqual(['click', 'finish', 'like', 'share'])
  for (const [task, share] of shares) expect(share, String(task)).toBeGreaterThan(85)
  using model = await loadModel(path)
  expect(model.built).toBe(true)
})
