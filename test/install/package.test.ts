// What a user's first import meets: both module systems, and a loader that says what to do when there is no binary.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const work = mkdtempSync(join(tmpdir(), 'multigate-package-'))
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
const packageCopy = join(work, 'node_modules', 'multigate')

function node(args: string[], cwd = work) {
  return spawnSync(process.execPath, args, { cwd, encoding: 'utf8' })
}

// A package as it is installed, but without its binary.
beforeAll(() => {
  mkdirSync(packageCopy, { recursive: true })
  expect(node([tsc, '-p', join(root, 'tsconfig.json'), '--outDir', join(packageCopy, 'dist')], root)).toMatchObject({ status: 0 })
  cpSync(join(root, 'package.json'), join(packageCopy, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(packageCopy, 'node_modules'))
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

const call = `const { loadNative } = loader; try { loadNative() } catch (error) { console.log(error.code); console.log(error.message) }`

test('the range of DuckDB is one that npm finds a release in', () => {
  const { peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
    string,
    Record<string, string>
  >
  // All of its releases are prereleases by their numbers, 1.5.6-r.1: no other range matches them all.
  expect(peerDependencies?.['@duckdb/node-api']).toBe('*')
})

// A bundler that follows such an import fails where the package is missing.
test('bundlers leave the imports of optional packages alone', () => {
  const { peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    peerDependencies: Record<string, string>
  }
  const compiled = readdirSync(join(packageCopy, 'dist'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.js'))
    .map((path) => readFileSync(join(packageCopy, 'dist', path), 'utf8'))
    .join('\n')
  for (const name of Object.keys(peerDependencies)) {
    const imports = [...compiled.matchAll(/(?:\bimport|\bfrom|\brequire) *(\(?)([^'"()]*)['"]([^'"]+)['"]/g)].filter(
      ([, , , target = '']) => target === name || target.startsWith(`${name}/`),
    )
    expect(imports.length, name).toBeGreaterThan(0)
    for (const [text, parenthesis, comments] of imports) {
      expect(parenthesis, text).toBe('(')
      for (const comment of ['webpackIgnore: true', 'turbopackIgnore: true', '@vite-ignore'])
        expect(comments, text).toContain(comment)
    }
  }
})

test('import and require both give the public names, without loading the binary', () => {
  const names = 'console.log(typeof all.MMoE, typeof ops.mixtureGrad)'
  const imported = node([
    '--input-type=module',
    '-e',
    `import * as all from 'multigate'; import * as ops from 'multigate/ops'; ${names}`,
  ])
  expect(imported.stdout.trim(), imported.stderr).toBe('function function')
  const required = node(['-e', `const all = require('multigate'), ops = require('multigate/ops'); ${names}`])
  expect(required.stdout.trim(), required.stderr).toBe('function function')
})

test('without a binary the error says what was tried and what builds it', () => {
  const { stdout, stderr } = node([
    '--input-type=module',
    '-e',
    `import * as loader from './node_modules/multigate/dist/native/loader.js'; ${call}`,
  ])
  expect(stdout, stderr).toContain('ERR_MULTIGATE_NATIVE')
  expect(stdout).toContain(join('build', 'Release', 'multigate.node'))
  expect(stdout).toContain('npx multigate build')
})

test('a consumer in TypeScript finds the types', () => {
  symlinkSync(join(root, 'node_modules', '@types'), join(work, 'node_modules', '@types'))
  writeFileSync(join(work, 'package.json'), '{"type":"module"}')
  writeFileSync(
    join(work, 'good.ts'),
    `import { topology } from 'multigate/ops'\nexport const e: number = topology.mmoe({ inputDim: 1, numExperts: 2, units: 3, numTasks: 1 }).experts.length\n`,
  )
  writeFileSync(
    join(work, 'bad.ts'),
    `import { topology } from 'multigate/ops'\ntopology.mmoe({ inputDim: 'one', numExperts: 2, units: 3, numTasks: 1 })\n`,
  )
  const options = ['--module', 'nodenext', '--strict', '--noEmit', '--skipLibCheck', '--types', 'node', '--target', 'es2022']
  expect(node([tsc, ...options, 'good.ts'])).toMatchObject({ status: 0 })
  expect(node([tsc, ...options, 'bad.ts']).stdout).toContain("Type 'string' is not assignable to type 'number'")
})

test('the declarations need neither types of Node nor a newer library than es2022', () => {
  writeFileSync(
    join(work, 'bare.ts'),
    `import { MMoE, progress } from 'multigate'\nimport * as ops from 'multigate/ops'\nexport { MMoE, ops, progress }\n`,
  )
  const options = { module: 'nodenext', target: 'es2022', lib: ['es2022'], types: [], strict: true, skipLibCheck: false }
  writeFileSync(
    join(work, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...options, noEmit: true }, files: ['bare.ts'] }),
  )
  // Those of zod want a URL.
  const found = node([tsc, '-p', '.']).stdout.split('\n')
  expect(found.filter((line) => line !== '' && !/\/zod\/.*'URL'/.test(line))).toEqual([])
})
