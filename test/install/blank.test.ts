// A package in a folder whose name has a blank and letters outside ASCII: its addon is built there, and where that fails the blank is named.

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'multigate a b ü '))
afterAll(() => rmSync(folder, { recursive: true }))

/** A package with the install script and one small addon. */
function packageWith(name: string, source: string): string {
  const path = join(folder, name)
  mkdirSync(join(path, 'scripts'), { recursive: true })
  copyFileSync(join(root, 'scripts', 'install.mjs'), join(path, 'scripts', 'install.mjs'))
  symlinkSync(join(root, 'node_modules'), join(path, 'node_modules'), 'junction')
  writeFileSync(join(path, 'package.json'), JSON.stringify({ name: 'small', version: '1.0.0', type: 'module' }))
  writeFileSync(join(path, 'binding.gyp'), JSON.stringify({ targets: [{ target_name: 'small', sources: ['small.c'] }] }))
  writeFileSync(join(path, 'small.c'), source)
  return path
}

function install(path: string) {
  const env = { ...process.env, MULTIGATE_CUDA: '0' }
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(path, 'scripts', 'install.mjs')], {
    env,
    encoding: 'utf8',
  })
  return { status, text: stdout + stderr }
}

const source = `#include <node_api.h>
NAPI_MODULE_INIT() {
  napi_value seven;
  napi_create_int32(env, 7, &seven);
  return seven;
}
`

it('builds an addon that loads', () => {
  const path = packageWith('good', source)
  const { status, text } = install(path)
  expect(text).toContain('multigate: built the native addon')
  expect(status).toBe(0)
  const addon = join(path, 'build', 'Release', 'small.node')
  expect(existsSync(addon)).toBe(true)
  expect(createRequire(import.meta.url)(addon)).toBe(7)
}, 120_000)

it('names the blank where it fails', () => {
  const path = packageWith('bad', '#error no')
  const { status, text } = install(path)
  expect(status).toBe(1)
  expect(text).toContain('#error no')
  const said = `multigate: the native addon was not built. There is a blank in ${path}`
  expect(text).toContain(said)
  expect(text).toMatch(/blank.*compiler.*building\.md/)
}, 120_000)
