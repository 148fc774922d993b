// Fails if a file imports against the direction in docs/architecture.md. It reads import and #include statements, not lists of names,
// so it stays up to date.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const side = ['data', 'features', 'tasks', 'optimizers', 'balancing', 'metrics', 'io']
const inner = ['core', 'native']
const trained = ['training', 'runtime', 'models', 'layers', ...inner, ...side]
/** What a model is made of. */
const held = ['import', 'onnx', 'files', ...trained]
/** What each folder of lib may import besides itself. */
const lib = {
  native: [],
  core: ['native'],
  ...Object.fromEntries(side.map((folder) => [folder, inner])),
  tasks: ['metrics', ...inner],
  layers: [...inner, ...side],
  models: ['layers', ...inner, ...side],
  ops: ['layers', ...inner],
  runtime: ['models', 'layers', ...inner, ...side],
  training: ['runtime', 'models', 'layers', ...inner, ...side],
  files: ['training', 'runtime', 'models', 'layers', ...inner, ...side],
  import: ['runtime', 'models', 'layers', ...inner, ...side],
  onnx: ['runtime', 'models', 'layers', ...inner, ...side],
  model: held,
  report: ['model', ...held],
  verify: ['model', ...held],
  bench: ['verify', 'model', ...held],
  cli: ['bench', 'verify', 'report', 'model', ...held],
}
/** What an entry point may import. Entry points that are not listed may import anything. */
const entries = { 'ops.ts': ['ops', ...lib.ops] }
/** Folders inside a folder, lowest first. Each may import those before it. */
const floors = { features: ['spec', 'encode'] }
/** Folders that may import the entry points, as users do. */
const users = ['verify', 'bench']
/** The same for the native folders. */
const native = {
  abi: [],
  engine: ['abi'],
  addon: ['engine', 'abi'],
  cpu: ['abi'],
  reference: ['abi'],
  selftest: ['engine', 'abi', 'cuda'],
}
/** The folders of GPU intrinsics and of their emulation. */
const deviceFolders = new Set(['device', 'emulation'])
const kernelHeaders = new Set(['immintrin.h', 'arm_neon.h', 'stdint.h', 'stddef.h', 'math.h', 'string.h'])

function* files(folder, pattern) {
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) yield* files(path, pattern)
    else if (pattern.test(name)) yield path
  }
}

function* statements(path, pattern) {
  const lines = readFileSync(path, 'utf8').split('\n')
  for (const [index, line] of lines.entries())
    for (const match of line.matchAll(pattern)) yield { line: index + 1, target: match[1] }
}

/** Whether an import goes from one floor of a folder to a higher one. */
function climbs(order = [], from, to) {
  return order.indexOf(from[1]) < order.indexOf(to[1])
}

/** Every violation below `root`, as { file, line, problem }. */
export function violations(root) {
  const found = []
  const report = (path, line, problem) => found.push({ file: relative(root, path), line, problem })

  const libRoot = join(root, 'lib')
  for (const path of files(libRoot, /\.ts$/)) {
    const parts = relative(libRoot, path).split(sep)
    const folder = parts[0]
    const isEntry = parts.length === 1
    if (isEntry && !(folder in entries)) continue
    if (!isEntry && !(folder in lib)) report(path, 1, `lib/${folder} is not a folder of the architecture`)
    for (const { line, target } of statements(path, /(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]/g)) {
      const to = relative(libRoot, resolve(dirname(path), target)).split(sep)
      if (isEntry) {
        if (!entries[folder].includes(to[0])) report(path, line, `lib/${folder} must not import lib/${to[0]}`)
      } else if (to.length === 1) {
        if (!users.includes(folder)) report(path, line, `lib/${folder} imports the entry point ${to[0]}`)
      } else if (to[0] !== folder && !lib[folder]?.includes(to[0]))
        report(path, line, `lib/${folder} must not import lib/${to[0]}`)
      else if (to[0] === folder && climbs(floors[folder], parts, to))
        report(path, line, `lib/${folder}/${parts[1]} must not import lib/${folder}/${to[1]}`)
    }
    for (const { line, target } of statements(path, /['"]([^'"]*\.node)['"]/g))
      if (path !== join(libRoot, 'native', 'loader.ts')) report(path, line, `only lib/native/loader.ts names ${target}`)
  }

  const nativeRoot = join(root, 'native')
  for (const path of files(nativeRoot, /\.(h|cc|cpp)$/)) {
    const parts = relative(nativeRoot, path).split(sep)
    const folder = parts[0]
    const isKernel = folder === 'cpu' && (parts[1] === 'kernels' || parts[1] === 'isa')
    for (const { line, target } of statements(path, /^\s*#\s*include\s*"([^"]+)"/g)) {
      const to = target.split('/')[0]
      if (to !== folder && !native[folder]?.includes(to)) report(path, line, `native/${folder} must not include "${target}"`)
    }
    for (const { line, target } of statements(path, /^\s*#\s*include\s*[<"](napi\.h|node_api\.h|js_native_api\.h|uv\.h)[>"]/g))
      if (folder !== 'addon') report(path, line, `only native/addon includes <${target}>`)
    if (!isKernel) continue
    for (const { line, target } of statements(path, /^\s*#\s*include\s*<([^>]+)>/g))
      if (!kernelHeaders.has(target)) report(path, line, `kernels must not include <${target}>`)
    for (const { line } of statements(path, /^(?!\s*\/\/).*?\b(std)::/g)) report(path, line, 'kernels must not use std::')
  }

  const cudaRoot = join(root, 'cuda')
  if (!existsSync(cudaRoot)) return found
  for (const path of files(cudaRoot, /\.(cu|h|cc)$/)) {
    const [folder] = relative(cudaRoot, path).split(sep)
    for (const { line, target } of statements(path, /^\s*#\s*include\s*"([^"]+)"/g))
      if (!/^(cuda|abi)\//.test(target)) report(path, line, `cuda must not include "${target}"`)
    if (deviceFolders.has(folder)) continue
    for (const { line, target } of statements(path, /^\s*#\s*include\s*<(cuda[^>]*)>/g))
      report(path, line, `only cuda/device includes <${target}>`)
    for (const { line, target } of statements(
      path,
      /^(?!\s*\/\/).*?(\basm\b|\b__(?:sync|shfl|ballot|match|popc)\w*|\batomic[A-Z]\w*)/g,
    ))
      report(path, line, `only cuda/device uses ${target}`)
  }
  return found
}

function main() {
  const found = violations(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..'))
  for (const { file, line, problem } of found) console.error(`${file}:${line}: ${problem}`)
  console.log(`check-imports: ${found.length} violations`)
  if (found.length > 0) process.exit(1)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main()
