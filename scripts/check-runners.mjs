// Packs the package, installs it into a new project with Jest and vitest, and runs one small test there (train, save, load, predict,
// dispose) with each runner. Some runners give every file its own globals, so its arrays are not those of Node. The addon is copied
// from this tree, not compiled again.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const work = mkdtempSync(join(tmpdir(), 'multigate-runners-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true }))

function run(what, command, args, { cwd = work, env = {} } = {}) {
  const result = spawnSync(command, args, { cwd, env: { ...process.env, ...env }, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (result.status === 0) return result.stdout
  console.error(`${what}: failed\n${result.stdout}${result.stderr}`)
  process.exitCode = 1
  return undefined
}

const test = `
import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { binary, checkpoint, Dataset, dense, loadModel, MMoE, sparse } from 'multigate'

const columns = {
  id: ['a', 'b', 'c', 'a'],
  number: Float32Array.of(1, 2, 3, 4),
  long: BigInt64Array.of(1n, 2n, 3n, 1n),
  like: [0, 1, 0, 1],
}

test('trains, saves, loads, predicts and disposes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'multigate-'))
  const features = [sparse('id', { dim: 4 }), sparse('long', { dim: 2 }), dense('number')]
  const model = new MMoE({ features, tasks: [binary('like')], numExperts: 2, expertHiddenUnits: [4] })
  const data = Dataset.fromColumns(columns)
  await model.fit(data, { epochs: 2, callbacks: [checkpoint({ path: join(folder, 'checkpoint.safetensors') })] })
  expect(existsSync(join(folder, 'checkpoint.safetensors'))).toBe(true)
  const path = join(folder, 'model.safetensors')
  await model.save(path)
  const loaded = await loadModel(path)
  const [own, again] = [await model.predict(data), await loaded.predict(data)]
  expect(own.like.length).toBe(4)
  expect([...again.like]).toEqual([...own.like])
  const batch = loaded.createBatch(4)
  expect([...loaded.predictSync(batch, { rows: loaded.fill(batch, columns) }).like]).toEqual([...own.like])
  model.dispose()
  loaded[Symbol.dispose ?? 'dispose']()
  await expect(loaded.predict(data)).rejects.toMatchObject({ code: 'ERR_MULTIGATE_DISPOSED' })
})
`
writeFileSync(join(work, 'model.test.js'), test)
const manifest = { name: 'runners', private: true, type: 'module', jest: { transform: {}, testTimeout: 60_000 } }
writeFileSync(join(work, 'package.json'), JSON.stringify(manifest))

const packed = run('npm pack', 'npm', ['pack', '--ignore-scripts', '--pack-destination', work], { cwd: root })
  ?.trim()
  .split('\n')
  .at(-1)
const installed = ['install', '--ignore-scripts', '--no-fund', '--no-audit', join(work, packed ?? ''), 'jest', 'vitest']
if (packed === undefined || run('npm install', 'npm', installed) === undefined) process.exit(1)
const release = join('build', 'Release')
mkdirSync(join(work, 'node_modules', 'multigate', release), { recursive: true })
cpSync(join(root, release, 'multigate.node'), join(work, 'node_modules', 'multigate', release, 'multigate.node'))

const node = (module, ...args) => [join(work, 'node_modules', module), ...args]
const runners = [
  ['jest', ['--experimental-vm-modules', ...node('jest/bin/jest.js')]],
  ...['forks', 'threads', 'vmForks', 'vmThreads'].map((pool) => [
    `vitest, ${pool}`,
    node('vitest/vitest.mjs', 'run', '--globals', '--pool', pool, '--testTimeout', '60000'),
  ]),
]
for (const [name, args] of runners) {
  if (run(name, process.execPath, args) !== undefined) console.log(`${name}: passed`)
}
