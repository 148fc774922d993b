// The TypeScript blocks of the guide and of both READMEs, run in their order as one program, as a reader would who copies them.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The blocks of a language. */
function blocks(path: string, language: string): string[] {
  const text = readFileSync(join(root, path), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, code]) => code ?? '')
}

/** Runs a program in a folder that has multigate installed, and these files. */
function run(
  program: string,
  files: Readonly<Record<string, Uint8Array>> = {},
): { status: number | null; stdout: string; stderr: string } {
  const folder = mkdtempSync(join(tmpdir(), 'multigate-guide-'))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules', 'multigate'), 'dir')
  writeFileSync(join(folder, 'main.mjs'), program)
  return spawnSync(process.execPath, ['main.mjs'], { cwd: folder, encoding: 'utf8', env: { ...process.env, FORCE_COLOR: '0' } })
}

it('the guide runs from top to bottom', { timeout: 120_000 }, () => {
  const code = blocks('docs/guide.md', 'ts')
  expect(code.length).toBeGreaterThanOrEqual(9)
  const { status, stdout, stderr } = run(code.join('\n'))
  expect(status, stderr).toBe(0)
  // Two tables of results, in which every target is learned.
  const aucs = [...stdout.matchAll(/^test +(\w+) +([\d.]+)/gm)].map(([, task, auc]) => [task, Number(auc)] as const)
  expect(aucs).toHaveLength(8)
  for (const [task, auc] of aucs) expect(auc, task).toBeGreaterThan(0.65)
  expect(stdout).toMatch(/^level 1 +shared 1/m)
  expect(stdout).toMatch(/Float32Array\(3\)/)
})

it.each(['README.md', 'README.zh-CN.md'])('the example of %s runs', { timeout: 60_000 }, (path) => {
  const tags = ['news', 'sport', 'music', 'film']
  const lines = Array.from({ length: 60_000 }, (_, row) => {
    const user = ((row * 31) % 997) % 40
    const read = (row * 7919) % 101 < 15 + 15 * (user % 5) ? 1 : 0
    return [`u${user}`, [tags[row % 4], tags[(row >> 2) % 4]].join('|'), 18 + (row % 50), read, read * (user % 2)].join(',')
  })
  const log = gzipSync(['user,tags,age,read,like', ...lines].join('\n'))
  const { status, stdout, stderr } = run(blocks(path, 'ts').join('\n'), { 'log.csv.gz': log })
  expect(status, stderr).toBe(0)
  for (const auc of stdout.trim().split(' ')) expect(Number(auc)).toBeGreaterThan(0.55)
})
