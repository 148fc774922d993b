// The click log of the example is learned by both models.

import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

import { loadModel } from '../../lib/model/load.js'

const main = fileURLToPath(new URL('../../examples/click-log/main.js', import.meta.url))

// Of a million rows it takes more than 0.97 of what can be known; the rare tasks of fewer rows know less.
it('the click log is learned by both models', { timeout: 180_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'multigate-'))
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, '300000', folder], { encoding: 'utf8' })
  expect(stderr).toContain('epoch 2/')
  expect(status).toBe(0)
  const shares = [...stdout.matchAll(/^(click|finish|like|share) .* ([\d.]+)%$/gm)].map(([, task, share]) => [
    task,
    Number(share),
  ])
  const tasks = ['click', 'finish', 'like', 'share']
  expect(shares.map(([task]) => task)).toEqual([...tasks, ...tasks])
  for (const [task, share] of shares) expect(share, String(task)).toBeGreaterThan(90)
  expect(stdout.match(/^(gate|level \d) .*(expert|shared) 1/gm)).toHaveLength(3)
  for (const name of ['mmoe', 'ple']) {
    using model = await loadModel(join(folder, `click-log-${name}.safetensors`))
    expect(model.tasks.map(({ name: task }) => task)).toEqual(tasks)
  }
})
