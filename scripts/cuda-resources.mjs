// Prints the resources of each CUDA kernel, as ptxas reports them for the oldest and the newest target. Fails if a kernel has local
// memory: every access to a spill, or to an array that is indexed at run time, goes to the cache.
//   node scripts/cuda-resources.mjs          reads the log of the install if it covers the current sources for both targets; else
//                                            compiles them; without nvcc it says so and passes
//   node scripts/cuda-resources.mjs FILE     reads what `nvcc -Xptxas -v` printed

import { execFile, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { availableParallelism, devNull } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { demangled } from './kernel-names.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const targets = ['80', '90a']
const precisions = ['float32', 'tf32', 'bfloat16']

/** One entry per function and target of ptxas's text: name, target, registers, and bytes of shared (static) and local memory. */
function resources(text) {
  const found = new Map()
  let target = ''
  let current
  for (const line of text.split('\n')) {
    const entry = /Compiling entry function '(\S+)' for '(\S+)'/.exec(line)
    if (entry) target = entry[2]
    const properties = /Function properties for (\S+)/.exec(line)
    if (properties) {
      current = { name: properties[1], target, registers: 0, shared: 0, local: 0 }
      found.set(`${current.name} ${target}`, current)
    }
    const local = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line)
    if (local && current) current.local = Math.max(...local.slice(1).map(Number))
    const used = /Used (\d+) registers/.exec(line)
    if (used && current) {
      current.registers = Number(used[1])
      current.shared = Number(/(\d+) bytes smem/.exec(line)?.[1] ?? 0)
    }
  }
  return [...found.values()]
}

/** Names as in the sources: without namespaces and parameters, with precisions in words. */
function readable(names) {
  return demangled(names).map((name) =>
    name.replace(/\(Precision\)(\d)/g, (_, number) => precisions[number]).replace(/\(.*$/, ''),
  )
}

/** Compiles a source for all targets and resolves to the output of ptxas. */
function compile(source) {
  const code = targets.flatMap((target) => ['-gencode', `arch=compute_${target},code=sm_${target}`])
  const options = ['-std=c++17', '-O3', '-Xptxas', '-v', '-Xcompiler', '-fPIC', '-I', join(root, 'native'), '-I', root]
  return new Promise((resolve, reject) =>
    execFile(
      'nvcc',
      [...options, ...code, '-c', join(root, source), '-o', devNull],
      { maxBuffer: 1 << 26 },
      (error, stdout, stderr) =>
        error ? reject(new Error(`${source} does not compile:\n${stdout}${stderr}`)) : resolve(stdout + stderr),
    ),
  )
}

/** Compiles all sources, as many at a time as there are processors. */
async function compileAll(sources) {
  const waiting = [...sources]
  const texts = []
  const worker = async () => {
    for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) texts.push(await compile(source))
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
  return texts.join('\n')
}

/** The output of the plug-in's build, if it compiled every source for every target and nothing changed since. */
function installLog(sources) {
  const log = join(root, 'build', 'cuda-install.log')
  if (!existsSync(log)) return undefined
  const inputs = ['cuda', 'native/abi'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)),
  )
  const { mtimeMs } = statSync(log)
  const changed = ['CMakeLists.txt', 'native/sources.json', ...inputs].find(
    (name) => statSync(join(root, name)).mtimeMs > mtimeMs,
  )
  if (changed !== undefined) return stale(`${changed} has changed since`)
  const text = readFileSync(log, 'utf8')
  const missing = sources.find((source) => !text.includes(`multigate_cuda.dir/${source}.o`))
  if (missing !== undefined) return stale(`it does not cover ${missing}`)
  const kernels = resources(text)
  const names = new Set(kernels.map(({ name }) => name))
  for (const name of names)
    for (const target of targets)
      if (!kernels.some((kernel) => kernel.name === name && kernel.target === `sm_${target}`))
        return stale(`no ${name} for sm_${target}`)
  return names.size > 0 ? text : stale('it names no kernel')
}

function stale(reason) {
  console.log(`cuda-resources: not from the install's log (${reason}): compiling`)
  return undefined
}

async function textOf(file) {
  if (file !== undefined) return readFileSync(file, 'utf8')
  if (spawnSync('nvcc', ['--version']).status !== 0) return undefined
  const { cuda } = JSON.parse(readFileSync(join(root, 'native', 'sources.json'), 'utf8'))
  return installLog(cuda) ?? compileAll(cuda)
}

const text = await textOf(process.argv[2])
if (text === undefined) {
  console.log('cuda-resources: no nvcc on this machine: skipped')
  process.exit(0)
}
const kernels = resources(text)
if (kernels.length === 0) {
  console.error('cuda-resources: expected kernels in the output of ptxas, found none; is this the output of nvcc -Xptxas -v?')
  process.exit(1)
}
const names = readable(kernels.map(({ name }) => name))
const rows = kernels
  .map((kernel, i) => ({ ...kernel, name: names[i] }))
  .sort((a, b) => a.name.localeCompare(b.name) || a.target.localeCompare(b.target))
const width = Math.max(...rows.map(({ name }) => name.length))
console.log(`${'kernel'.padEnd(width)}  target  registers  shared  local`)
for (const { name, target, registers, shared, local } of rows)
  console.log(
    `${name.padEnd(width)}  ${target.padEnd(6)}  ${String(registers).padStart(9)}  ${String(shared).padStart(6)}  ${String(local).padStart(5)}`,
  )
const spilling = rows.filter(({ local }) => local > 0)
for (const { name, target, local } of spilling)
  console.error(`${name}: expected no local memory on ${target}, found ${local} bytes`)
console.log(`cuda-resources: ${rows.length} kernels, ${spilling.length} with local memory`)
if (spilling.length > 0) process.exit(1)
