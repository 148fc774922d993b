// The addon that comes with the package: which one is loaded, when an install compiles all the same, and what is said where none loads.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'

import { libcOf, platformName } from '../../lib/native/platform.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'multigate-prebuilds-'))
afterAll(() => rmSync(work, { recursive: true }))

const addon = join(root, 'build', 'Release', 'multigate.node')
const local = join('build', 'Release', 'multigate.node')
const prebuilt = join('prebuilds', platformName(), 'multigate.node')

let packages = 0

/** A package as a tarball leaves it: no sources in TypeScript, and those of the files given. */
function packageWith(files: Record<string, string | 'addon'>): string {
  const path = join(work, `package-${packages++}`)
  cpSync(join(root, 'dist', 'native'), join(path, 'dist', 'native'), { recursive: true })
  cpSync(join(root, 'package.json'), join(path, 'package.json'))
  cpSync(join(root, 'scripts', 'install.mjs'), join(path, 'scripts', 'install.mjs'))
  // In place of node-gyp: an attempt to compile fails at once.
  mkdirSync(join(path, 'node_modules', 'node-gyp'), { recursive: true })
  writeFileSync(join(path, 'node_modules', 'node-gyp', 'package.json'), '{ "bin": "gyp.js" }')
  writeFileSync(join(path, 'node_modules', 'node-gyp', 'gyp.js'), 'process.exit(1)')
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, file)), { recursive: true })
    if (content === 'addon') cpSync(addon, join(path, file))
    else writeFileSync(join(path, file), content)
  }
  return path
}

function node(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, ...env } })
  return { status, text: stdout + stderr }
}

/** Loads the addon of a package. Prints which file it is, or the error. */
function load(path: string, flags: readonly string[] = []): string {
  const script = `
    import { createRequire } from 'node:module'
    import { loadNative } from ${JSON.stringify(join(path, 'dist', 'native', 'loader.js'))}
    try {
      loadNative()
      console.log(Object.keys(createRequire('/').cache).find((file) => file.endsWith('.node')))
    } catch (error) {
      console.log(error.code + ': ' + error.message)
    }`
  return node([...flags, '--input-type=module', '-e', script]).text.trim()
}

it('a local build comes before the prebuilt addon', () => {
  const path = packageWith({ [local]: 'addon', [prebuilt]: 'addon' })
  expect(load(path)).toBe(join(path, local))
})

it.each([
  ['no local build', {}],
  ['a local build that does not load', { [local]: 'of another machine' }],
])('the prebuilt addon serves where there is %s', (_, files) => {
  const path = packageWith({ ...files, [prebuilt]: 'addon' })
  expect(load(path)).toBe(join(path, prebuilt))
})

it('an addon of another libc is not tried', () => {
  const other = platformName().endsWith('-musl') ? 'glibc' : 'musl'
  const path = packageWith({ [join('prebuilds', `${process.platform}-${process.arch}-${other}`, 'multigate.node')]: 'addon' })
  expect(load(path)).toMatch(/^ERR_MULTIGATE_NATIVE/)
})

it('without any addon the error has the system, both paths, and what builds one', () => {
  const path = packageWith({})
  const said = load(path)
  expect(said).toMatch(/^ERR_MULTIGATE_NATIVE/)
  for (const text of [join(path, local), join(path, prebuilt), `Node ${process.version}, ${platformName()}`])
    expect(said).toContain(text)
  expect(said).toMatch(/Build it with: npx multigate build$/)
})

const permission = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission'
it.each([
  ['--no-addons', ['--no-addons'], /--no-addons.*leave that out/],
  ['the permission model', [permission, '--allow-fs-read=*'], /permission model.*--allow-addons/],
])('where %s is the cause, the error says so and not to build', (_, flags, cause) => {
  const said = load(packageWith({ [local]: 'addon' }), flags)
  expect(said).toMatch(/ERR_MULTIGATE_NATIVE/)
  expect(said).toMatch(cause)
  expect(said).not.toContain('multigate build')
})

it('code that a bundler moved says so and not to build', () => {
  const path = packageWith({})
  writeFileSync(join(path, 'package.json'), '{ "name": "service", "type": "module" }')
  const said = load(path)
  expect(said).toMatch(/bundler.*external: \['multigate'\]/)
  expect(said).not.toContain('multigate build')
})

const install = (path: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  node([join(path, 'scripts', 'install.mjs'), ...args], { MULTIGATE_CUDA: '0', MULTIGATE_BUILD: '', ...env })

it('an install compiles nothing where the prebuilt addon loads', () => {
  const path = packageWith({ [prebuilt]: 'addon' })
  expect(install(path, ['--unless-prebuilt'])).toMatchObject({
    status: 0,
    text: expect.stringContaining('nothing to build') as string,
  })
  expect(existsSync(join(path, 'build'))).toBe(false)
})

it.each([
  ['a checkout', { 'lib/index.ts': '' }, ['--unless-prebuilt'], {}],
  ['MULTIGATE_BUILD=1', {}, ['--unless-prebuilt'], { MULTIGATE_BUILD: '1' }],
  ['MULTIGATE_CUDA=1', {}, ['--unless-prebuilt'], { MULTIGATE_CUDA: '1' }],
  ['a prebuilt addon that does not load', { [prebuilt]: 'of another machine' }, ['--unless-prebuilt'], {}],
  ['multigate build', {}, [], {}],
])('with %s the addon is compiled all the same', (_, files, args, env) => {
  const path = packageWith({ [prebuilt]: 'addon', ...files })
  expect(install(path, args, env)).toMatchObject({ status: 1, text: expect.stringContaining('was not built') as string })
})

it('the install script of the package takes a prebuilt addon, and the package has them', () => {
  const { scripts, files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
    files: string[]
  }
  expect(scripts.install).toBe('node scripts/install.mjs --unless-prebuilt')
  expect(files).toContain('prebuilds')
})

it.runIf(process.platform === 'linux')('the libc is that of the program', () => {
  const report = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  expect(libcOf(process.execPath)).toBe(report.header.glibcVersionRuntime === undefined ? 'musl' : 'glibc')
  const program = join(work, 'program')
  writeFileSync(program, '\x7fELF\0\0/lib/ld-musl-aarch64.so.1\0')
  expect(libcOf(program)).toBe('musl')
  expect(libcOf(join(work, 'missing'))).toBe('glibc')
})
