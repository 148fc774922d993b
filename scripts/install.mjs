// Run by `npm install`, `npm run build` and `npx multigate build`. Builds the addon with node-gyp, then, if asked, the CUDA plug-in with
// cmake-js. The plug-in takes several minutes, so an install builds it only with MULTIGATE_CUDA=1.
//   --unless-prebuilt   build nothing if the package has an addon that loads here. A checkout is built all the same, and with
//                       MULTIGATE_BUILD=1 or the plug-in so is a package: the plug-in goes with an addon of the same build.
//   --clean             rebuild everything
//   --cuda              build the plug-in too

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(import.meta.url)
const say = (text) => console.log(`multigate: ${text}`)

function binOf(name) {
  const manifest = require.resolve(`${name}/package.json`)
  const { bin } = require(manifest)
  return join(dirname(manifest), typeof bin === 'string' ? bin : bin[name])
}

/** Node's headers beside the running Node, if present. Then nothing is downloaded. */
function headers() {
  const prefix = join(dirname(process.execPath), '..')
  return existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? prefix : undefined
}

/** A path to a folder without blanks: make splits paths at blanks. */
function withoutBlanks(folder) {
  if (!folder || !/\s/.test(folder)) return folder
  const link = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'node')
  symlinkSync(folder, link, 'junction')
  return link
}

/** The next step after a failed build. Tools report their own faults, but not a blank in a path that breaks them. */
function cure() {
  const blank = [root, process.execPath].find((path) => /\s/.test(path))
  const needs = `It needs a C++20 compiler, make and Python 3: see ${join(root, 'docs', 'building.md')}`
  if (!blank) return needs
  return `There is a blank in ${blank}, which can break make and node-gyp: if you see no other fault above, use a path without blanks. ${needs}`
}

function buildAddon() {
  const prefix = withoutBlanks(headers())
  // configure: the list of sources may have changed. Object files are kept.
  const args = [binOf('node-gyp'), 'configure', 'build', '--jobs', String(availableParallelism())]
  if (prefix) args.push('--nodedir', prefix)
  const started = Date.now()
  say(`building the native addon (Node ${process.version}, ${process.platform}-${process.arch})`)
  const env = { ...process.env }
  // This npm setting would override the headers of the running Node.
  if (prefix) delete env.npm_config_nodedir
  const result = spawnSync(process.execPath, args, { cwd: root, env, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (result.status !== 0) {
    process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`)
    say(`the native addon was not built. ${cure()}`)
    process.exit(1)
  }
  say(`built the native addon in ${((Date.now() - started) / 1000).toFixed(0)} s`)
}

function findNvcc() {
  const name = process.platform === 'win32' ? 'nvcc.exe' : 'nvcc'
  const folders = (process.env.PATH ?? '').split(delimiter)
  if (process.env.CUDA_HOME) folders.unshift(join(process.env.CUDA_HOME, 'bin'))
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

const plugin = join(root, 'build', 'Release', 'libmultigate_cuda.so')

function failPlugin(text) {
  say(`CUDA plug-in: ${text} The CPU addon is complete without it.`)
  process.exit(1)
}

const asked = process.argv.includes('--cuda') || process.env.MULTIGATE_CUDA === '1'

/** Builds the plug-in if it is asked for, and renews one that is there: it must be of the same version as the addon. */
function buildPlugin() {
  if (process.env.MULTIGATE_CUDA === '0' && !asked) return
  const nvcc = findNvcc()
  if (!nvcc) {
    if (asked)
      failPlugin('not built: found no nvcc in the PATH or in $CUDA_HOME/bin. Install the CUDA toolkit, or set CUDA_HOME.')
    return
  }
  if (!asked && !existsSync(plugin))
    return say('nvcc is here. To use a GPU, build the CUDA plug-in with: npx multigate build --cuda')
  say('building the CUDA plug-in, which takes several minutes')
  const log = join(root, 'build', 'cuda-install.log')
  const args = [
    binOf('cmake-js'),
    'build',
    '--target',
    'multigate_cuda',
    '--out',
    join('build', 'cuda'),
    '--parallel', // ninja is parallel by default, make is not
    String(availableParallelism()),
    `--CDCMAKE_CUDA_COMPILER=${nvcc}`,
  ]
  const result = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 900_000 })
  mkdirSync(dirname(log), { recursive: true })
  writeFileSync(log, `${result.stdout ?? ''}${result.stderr ?? ''}`)
  if (result.status !== 0) {
    rmSync(plugin, { force: true })
    failPlugin(`not built: see ${log}.`)
  }
  // The addon expects the plug-in beside itself.
  copyFileSync(join(root, 'build', 'cuda', 'Release', 'libmultigate_cuda.so'), plugin)
  say('CUDA plug-in: built')
}

/** Whether the addon that came with the package loads. Only a checkout has lib/. */
async function isPrebuilt() {
  if (asked || process.env.MULTIGATE_BUILD === '1' || existsSync(join(root, 'lib'))) return false
  if (!existsSync(join(root, 'prebuilds'))) return false
  try {
    const { loadNative } = await import('../dist/native/loader.js')
    loadNative()
    return true
  } catch (error) {
    say(`the prebuilt addon does not load here, so it is built anew. ${error.message}`)
    return false
  }
}

if (process.argv.includes('--clean')) rmSync(join(root, 'build'), { recursive: true, force: true })
if (process.argv.includes('--unless-prebuilt') && (await isPrebuilt())) {
  say('the addon for this system came with the package: nothing to build')
} else {
  buildAddon()
  buildPlugin()
}
