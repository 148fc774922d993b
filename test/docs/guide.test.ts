// The guide's TypeScript blocks, run in their order as one program, as a reader would who copies them.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The blocks of a language. */
function blocks(path: string, language: string): string[] {
  const text = readFileSync(join(root, path), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, code]) => code ?? '')
}

/** Runs a program in an empty folder that has multigate installed. */
function run(program: string): { status: number | null; stdout: string; stderr: string } {
  const folder = mkdtempSync(join(tmpdir(), 'multigate-guide-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules', 'multigate'), 'dir')
  writeFileSync(join(folder, 'main.mjs'), program)
  return spawnSync(process.execPath, ['main.mjs'], { cwd: folder, encoding: 'utf8' })
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
