// Installs the package as a new user would, and loads it: a copy of the tree in a temporary folder, an empty home, no npm settings of
// this user, no nvcc on the PATH. Builds it again with MULTIGATE_CUDA=0 and the real PATH. Then packs it and installs the tarball.

import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const work = mkdtempSync(join(tmpdir(), 'multigate-bare-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true }))

/** The environment without npm's settings. With `hideNvcc`, mirrors without nvcc replace the folders that hold it. */
function bareEnvironment(hideNvcc) {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)))
  env.HOME = join(work, 'home')
  mkdirSync(env.HOME, { recursive: true })
  // The registry belongs to this machine, not to the user.
  env.npm_config_registry = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim()
  if (hideNvcc)
    env.PATH = env.PATH.split(delimiter)
      .map((folder, i) => withoutNvcc(folder, i))
      .join(delimiter)
  return env
}

function withoutNvcc(folder, index) {
  if (!existsSync(join(folder, 'nvcc'))) return folder
  const mirror = join(work, `path-${index}`)
  mkdirSync(mirror)
  for (const name of execFileSync('ls', ['-A', folder], { encoding: 'utf8' }).split('\n').filter(Boolean))
    if (name !== 'nvcc') symlinkSync(join(folder, name), join(mirror, name))
  return mirror
}

function run(command, args, cwd, env) {
  const result = spawnSync(command, args, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (result.status !== 0) {
    console.error(`${command} ${args.join(' ')} failed:\n${result.stdout}${result.stderr}`)
    process.exit(1)
  }
  return result.stdout
}

const copy = join(work, 'multigate')
const files = run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], root, process.env)
  .split('\0')
  .filter(Boolean)
for (const file of files)
  if (existsSync(join(root, file))) cpSync(join(root, file), join(copy, file), { preserveTimestamps: true })
// The object files of this tree, without the addon: make checks them against every source, header and flag of the copy. The tarball
// compiles from scratch.
const withoutAddon = { recursive: true, filter: (path) => !path.endsWith('.node') }
for (const name of ['obj.target', '.deps']) {
  const folder = join('build', 'Release', name)
  if (existsSync(join(root, folder)))
    cpSync(join(root, folder), join(copy, folder), { ...withoutAddon, preserveTimestamps: true })
}

const uses = `
const { loadNative } = await import('./dist/native/loader.js')
const { topology, mixtureForward } = await import('multigate/ops')
const topo = topology.mmoe({ inputDim: 2, numExperts: 1, units: 1, numTasks: 1, activation: 'linear' })
const params = { expertKernel: new Float32Array([1, 2]), expertBias: new Float32Array([0.5]), gateKernel: [new Float32Array(2)] }
const { outputs } = mixtureForward(topo, params, new Float32Array([3, 4]), { device: 'cpu' })
if (outputs[0][0] !== 11.5) throw new Error('wrong result: ' + outputs[0][0])
console.log(loadNative().isas().join(' '))`

const bare = bareEnvironment(true)
run('npm', ['install', '--no-fund', '--no-audit'], copy, bare)
const isas = run(process.execPath, ['--input-type=module', '-e', uses], copy, bare).trim()
console.log(`bare install without nvcc: works (${isas})`)
run(process.execPath, [join('scripts', 'install.mjs')], copy, { ...bareEnvironment(false), MULTIGATE_CUDA: '0' })
run(process.execPath, ['--input-type=module', '-e', uses], copy, bare)
console.log('build with MULTIGATE_CUDA=0: works')

// The published package: only what users need, in an empty folder, with and without install scripts.
const [{ filename, files: packed }] = JSON.parse(
  run('npm', ['pack', '--json', '--pack-destination', work], copy, bare).replace(/^[^[]*/, ''),
)
const folders = [...new Set(packed.map(({ path }) => path.split('/')[0]))].sort()
const expected = [
  'CHANGELOG.md',
  'CMakeLists.txt',
  'CONTRIBUTING.md',
  'LICENSE',
  'README.md',
  'README.zh-CN.md',
  'bench',
  'binding.gyp',
  'cuda',
  'dist',
  'docs',
  'examples',
  'native',
  'package.json',
  'scripts',
]
if (folders.join() !== expected.join()) {
  console.error(`package: expected ${expected.join(', ')}, found ${folders.join(', ')}`)
  process.exit(1)
}
const required = uses
  .replace(/const \{ loadNative \}.*\n/, '')
  .replace(/await import\((.*)\)/, 'require($1)')
  .replace(/console\.log.*/, "console.log('fine')")
const imported = required.replace(/require\((.*)\)/, 'await import($1)')
for (const scripts of [true, false]) {
  const folder = join(work, scripts ? 'with-scripts' : 'without-scripts')
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  const flags = ['--no-fund', '--no-audit', ...(scripts ? [] : ['--ignore-scripts'])]
  run('npm', ['install', join(work, filename), ...flags], folder, bare)
  const built = join(work, 'with-scripts', 'node_modules', 'multigate', 'build')
  if (!scripts) {
    const { stderr } = spawnSync(process.execPath, ['-e', required], { cwd: folder, env: bare, encoding: 'utf8' })
    if (!stderr.includes('ERR_MULTIGATE_NATIVE') || !stderr.includes('npx multigate build')) {
      console.error(`without a binary: expected ERR_MULTIGATE_NATIVE and the command that builds it, found\n${stderr}`)
      process.exit(1)
    }
    // Reuses the object files of the other install: make checks them against this package.
    const build = join(folder, 'node_modules', 'multigate', 'build')
    cpSync(built, build, withoutAddon)
    run('npx', ['multigate', 'build'], folder, bare)
  }
  run(process.execPath, ['-e', required], folder, bare)
  run(process.execPath, ['--input-type=module', '-e', imported], folder, bare)
  run('npx', ['multigate', 'verify', '--levels', '3'], folder, bare)
  console.log(`tarball installed ${scripts ? 'with' : 'without'} install scripts: required, imported and verified`)
}
