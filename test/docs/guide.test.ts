// The TypeScript blocks of the guide and of both READMEs, run in their order as one program, as a reader would who copies them; those of
// the READMEs are checked by the compiler first.

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

interface Ending {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program in a folder that has multigate installed, and nothing else; as TypeScript the compiler looks at it alone. */
function run(program: string, { compile = false } = {}): Ending {
  const folder = mkdtempSync(join(tmpdir(), 'multigate-guide-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules', 'multigate'), 'dir')
  const file = compile ? 'main.mts' : 'main.mjs'
  writeFileSync(join(folder, file), program)
  const checked = [
    join(root, 'node_modules/typescript/bin/tsc'),
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2023',
  ]
  const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types'), '--skipLibCheck']
  const args = compile ? [...checked, ...types, file] : [file]
  return spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', env: { ...process.env, FORCE_COLOR: '0' } })
}

it('the guide runs from top to bottom', { timeout: 300_000 }, () => {
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

it.each(['README.md', 'README.zh-CN.md'])('the example of %s compiles and runs', { timeout: 60_000 }, (path) => {
  const program = blocks(path, 'ts').join('\n')
  expect(run(program, { compile: true })).toMatchObject({ status: 0, stdout: '' })
  const { status, stdout, stderr } = run(program)
  expect(status, stderr).toBe(0)
  const aucs = stdout.trim().split(' ')
  expect(aucs).toHaveLength(2)
  for (const auc of aucs) expect(Number(auc)).toBeGreaterThan(0.55)
})
