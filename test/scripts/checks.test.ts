// The checks of CI can fail: each is shown a tree, or a compiler's words, that break its rule.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it, test } from 'vitest'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const work = mkdtempSync(join(tmpdir(), 'multigate-checks-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

function tree(name: string, files: Record<string, string>): string {
  const folder = join(work, name)
  for (const [path, text] of Object.entries({ 'lib/index.ts': '', 'native/abi/a.h': '', ...files })) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return folder
}

const check = (script: string, argument: string) =>
  spawnSync(process.execPath, [join(root, 'scripts', script), argument], { encoding: 'utf8' })

describe('the ops in TypeScript', () => {
  const generate = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, 'scripts/generate-ops.mjs'), ...args], { encoding: 'utf8' })
  const header = readFileSync(join(root, 'native/abi/ops.h'), 'utf8')

  it('are those of the header', () => {
    expect(generate('--check')).toMatchObject({ status: 0 })
  })

  it.each([
    ['a field that is new', header.replace('  VIEW(bias) /* optional */', '  VIEW(scale) \\\n  VIEW(bias) /* optional */')],
    ['a field that is optional now', header.replace(/ {2}VIEW\(label\) +\\/, '  VIEW(label) /* optional */ \\')],
    ['another phase', header.replace('OP(dropout, ROWS)', 'OP(dropout, STEP)')],
    ['another comment', header.replace('/* y[n,w] = x[n,w]', '/* y[n,w] = 1 x[n,w]')],
  ])('are out of date after %s', (name, changed) => {
    expect(changed).not.toBe(header)
    const folder = tree(name, { 'native/abi/ops.h': changed, 'lib/core/op-fields.ts': '' })
    const current = readFileSync(join(root, 'lib/core/op-fields.ts'), 'utf8')
    writeFileSync(join(folder, 'lib/core/op-fields.ts'), current)
    expect(generate('--check', folder)).toMatchObject({ status: 1, stderr: expect.stringContaining('npm run generate') })
    expect(generate(folder)).toMatchObject({ status: 0 })
    expect(generate('--check', folder)).toMatchObject({ status: 0 })
  })

  it('are refused where a line cannot be read', () => {
    const folder = tree('unreadable', { 'native/abi/ops.h': header.replace('VIEW(kernel)', 'WIEW(kernel)') })
    expect(generate('--check', folder)).toMatchObject({ status: 1, stderr: expect.stringContaining('WIEW(kernel)') })
  })
})

test('the import direction of this tree holds', () => {
  expect(check('check-imports.mjs', root)).toMatchObject({ status: 0 })
})

test.each([
  ['core imports models', { 'lib/core/a.ts': "import { b } from '../models/b.js'\n", 'lib/models/b.ts': '' }, 'lib/core/a.ts:1'],
  ['data imports features', { 'lib/data/a.ts': "\nexport * from '../features/b.js'\n" }, 'lib/data/a.ts:2'],
  [
    'training imports files',
    { 'lib/training/a.ts': "import { b } from '../files/b.js'\n" },
    'lib/training must not import lib/files',
  ],
  [
    'a spec imports its encoder',
    { 'lib/features/spec/a.ts': "import { b } from '../encode/b.js'\n" },
    'lib/features/spec must not import lib/features/encode',
  ],
  [
    'the ops entry imports models',
    { 'lib/ops.ts': "import { b } from './models/b.js'\n" },
    'lib/ops.ts must not import lib/models',
  ],
  ['a folder nobody planned', { 'lib/utils/a.ts': '' }, 'lib/utils is not a folder'],
  ['a second place that names the addon', { 'lib/core/a.ts': "require('./x.node')\n" }, 'only lib/native/loader.ts'],
  ['abi includes cpu', { 'native/abi/b.h': '#include "cpu/plan.h"\n' }, 'native/abi must not include "cpu/plan.h"'],
  ['the engine includes napi', { 'native/engine/a.cc': '#include <napi.h>\n' }, 'only native/addon includes <napi.h>'],
  ['a kernel uses std', { 'native/cpu/kernels/a.h': 'int x = std::max(1, 2);\n' }, 'kernels must not use std::'],
  ['cuda includes the engine', { 'cuda/a.cu': '#include "engine/plan.h"\n' }, 'cuda must not include "engine/plan.h"'],
  [
    'a CUDA op includes the runtime',
    { 'cuda/ops/a.cu': '#include <cuda_runtime.h>\n' },
    'only cuda/device includes <cuda_runtime.h>',
  ],
  ['a CUDA op uses an intrinsic', { 'cuda/ops/a.cu': 'int x = __shfl_sync(~0u, 1, 0);\n' }, 'only cuda/device uses __shfl_sync'],
  ['a kernel includes a library', { 'native/cpu/isa/a.cc': '#include <vector>\n' }, 'kernels must not include <vector>'],
])('%s: refused', (name, files, message) => {
  const { status, stderr } = check('check-imports.mjs', tree(name, files))
  expect(status).toBe(1)
  expect(stderr).toContain(message)
})

const hasCompiler = spawnSync('g++', ['--version']).status === 0 && spawnSync('nm', ['--version']).status === 0
test.skipIf(!hasCompiler)('a weak symbol in an ISA object: refused (needs g++ and nm)', () => {
  const folder = join(work, 'native', 'cpu', 'isa')
  mkdirSync(folder, { recursive: true })
  const source = join(work, 'a.cc')
  writeFileSync(source, 'inline int shared_by_name(int x) { return x + 1; }\nint (*keep)(int) = shared_by_name;\n')
  expect(spawnSync('g++', ['-c', source, '-o', join(folder, 'a.o')]).status).toBe(0)
  const { status, stderr } = check('check-symbols.mjs', work)
  expect(status).toBe(1)
  expect(stderr).toContain('shared_by_name')
})

const kernel = (target: string, local: number, registers: number) =>
  `ptxas info    : Compiling entry function '_ZN7mg_cuda1kEv' for '${target}'
ptxas info    : Function properties for _ZN7mg_cuda1kEv
    ${local > 0 ? 8 : 0} bytes stack frame, ${local} bytes spill stores, ${local} bytes spill loads
ptxas info    : Used ${registers} registers, used 1 barriers, 64 bytes smem, 444 bytes cmem[0]
`

test.each([
  ['no kernel spills', kernel('sm_80', 0, 95) + kernel('sm_90a', 0, 72), 0, '2 kernels, 0 with local memory'],
  ['a kernel spills on one target', kernel('sm_80', 4, 72) + kernel('sm_90a', 0, 80), 1, 'no local memory on sm_80, found'],
  ['a text without kernels', 'nvcc fatal\n', 1, 'found none'],
])('CUDA kernels, %s', (name, text, expected, message) => {
  const log = join(work, `${name}.log`)
  writeFileSync(log, text)
  const { status, stdout, stderr } = check('cuda-resources.mjs', log)
  expect(stdout + stderr).toContain(message)
  expect(status).toBe(expected)
  if (expected === 0) expect(stdout).toMatch(/sm_80 +95 +64 +0\n.*sm_90a +72 +64 +0\n/)
})
