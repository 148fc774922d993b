// What is said where the package of DuckDB is not there, or does not load.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it, vi } from 'vitest'

import { loadDuckDB, usingDuckDB } from '../../lib/data/duckdb.js'
import { refusal } from '../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-duckdb-'))
afterAll(() => rmSync(folder, { recursive: true }))

function failing(message: string, code?: string): () => Promise<never> {
  return () => Promise.reject(Object.assign(new Error(message), { code }))
}

const esm = `Cannot find package '@duckdb/node-api' imported from ${join(folder, 'multigate.js')}`
const yarn = "multigate tried to access @duckdb/node-api (a peer dependency) but it isn't provided by your application"

it.each([
  ['by import', failing(esm, 'ERR_MODULE_NOT_FOUND')],
  ['by Yarn', failing(yarn, 'MODULE_NOT_FOUND')],
  ['by require', async () => createRequire(join(folder, 'x.js'))('@duckdb/node-api')],
])('a package that is not installed, %s: says the command that installs it', async (_, load) => {
  await expect(loadDuckDB('reading x.csv', load)).rejects.toThrow(
    refusal('MISSING_PACKAGE', { packageName: '@duckdb/node-api', says: ['x.csv', 'npm install @duckdb/node-api'] }),
  )
})

/** Node's own error for a package that is there and requires what is not. */
async function withoutBinary(): Promise<never> {
  const there = join(folder, 'node_modules', '@duckdb', 'node-api')
  mkdirSync(there, { recursive: true })
  writeFileSync(join(there, 'index.js'), "require('@duckdb/node-bindings-linux-x64/duckdb.node')")
  return createRequire(join(folder, 'x.js'))('@duckdb/node-api') as never
}

it.each([
  ['without its binary', withoutBinary, "Cannot find module '@duckdb/node-bindings-linux-x64/duckdb.node'"],
  [
    'for another C library',
    failing('Error loading shared library ld-linux-x86-64.so.2', 'ERR_DLOPEN_FAILED'),
    'ld-linux-x86-64.so.2',
  ],
  [
    'cut short',
    failing(`Cannot find module '${folder}/node_modules/@duckdb/node-api/lib/index.js'`, 'ERR_MODULE_NOT_FOUND'),
    'lib/index.js',
  ],
  ['for another processor', failing('Error loading duckdb native binding: unsupported arch'), 'unsupported arch'],
])('a package that is installed %s: says why it does not load', async (_, load, reason) => {
  const says = [`${process.platform}-${process.arch}`, reason, 'npm install --include=optional']
  await expect(loadDuckDB('reading x.csv', load)).rejects.toThrow(refusal('MISSING_PACKAGE', { says }))
})

it('gives memory back before it closes, which would hold this thread', async () => {
  const order: string[] = []
  const read = usingDuckDB('the test', {}, async function* (given) {
    await given.connection.run('CREATE TEMP TABLE "a ""b""" AS SELECT range AS x, range::VARCHAR AS y FROM range(5_000_000)')
    const [run, close] = [given.connection.run.bind(given.connection), given.connection.closeSync.bind(given.connection)]
    vi.spyOn(given.connection, 'run').mockImplementation((sql) => {
      order.push(sql)
      return run(sql)
    })
    vi.spyOn(given.connection, 'closeSync').mockImplementation(() => {
      order.push('close')
      close()
    })
    yield 1
  })
  for await (const one of read) expect(one).toBe(1)
  expect(order.slice(-3)).toEqual(['DROP TABLE temp."a ""b"""', "SET memory_limit = '1MB'", 'close'])
})
