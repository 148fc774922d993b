// Counts the instructions that the hot kernels run per tile, from their machine code for compute capability 9.0. A loop's instructions
// count as often as it runs, which is stated here; of branches the longest path counts. Fails above the ceilings.
//   node scripts/cuda-sass.mjs          compiles the hot sources with nvcc and takes them apart with nvdisasm
//   node scripts/cuda-sass.mjs FILE...  reads what `nvdisasm -c` printed
// nvdisasm is looked for in $NVDISASM, in the PATH, beside nvcc and in Python's triton, which has a copy. Without it, or without nvcc,
// the script says so and passes.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { demangled } from './kernel-names.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

// Depth 128, experts of 32 units, 256 threads a block: the layer L1 and the article's model.
const steps = 128 / 16
const tileFloats = 8 * (128 * 4 + 8)
const copiesOfTile = tileFloats / 4 / 256

const twoExpertsATile = { holds: ['HGMMA.64x64', 'BAR'], tiles: 2, runs: { HGMMA: steps, LDGSTS: copiesOfTile } }

/**
 * The hot loops. `kernel`: how the name begins, without namespaces. `holds`: what the innermost such loop must contain. `tiles`: per round
 * of the loop. `runs`: how many of an instruction run per tile; an inner loop that has it runs as often as that takes.
 */
const hot = [
  {
    loop: 'forward, 4 gates, two experts a tile',
    source: 'cuda/ops/mixture_forward.cu',
    kernel: 'core_forward_kernel<4, false, (Activations)1, true, 8>',
    ...twoExpertsATile,
    ceiling: 400,
  },
  {
    loop: 'dz, 4 gates, two experts a tile',
    source: 'cuda/ops/mixture_backward.cu',
    kernel: 'core_dz_kernel<4, false, (Activations)1, true>',
    ...twoExpertsATile,
    ceiling: 960,
  },
]

/** The functions of a listing: mangled name, instructions { opcode, predicate, to: the label of a branch } and the places of labels. */
function functions(listing) {
  const found = []
  let current
  for (const line of listing.split('\n')) {
    const section = /^\.text\.([^:\s]+):/.exec(line)
    if (section) {
      current = { name: section[1], code: [], labels: new Map() }
      found.push(current)
      continue
    }
    if (/^\t\.section/.test(line)) current = undefined
    if (!current) continue
    const label = /^(\.L[\w.]*):/.exec(line)
    if (label) current.labels.set(label[1], current.code.length)
    const instruction = /^\s+\/\*[0-9a-f]+\*\/\s+(?:\{\s*)?(@!?U?P\w+\s+)?([A-Z][\w.]*)([^;]*);/.exec(line)
    if (!instruction) continue
    const [, predicate, opcode, rest] = instruction
    current.code.push({ opcode, predicate, to: opcode.startsWith('BRA') ? /`\((\.L[\w.]*)\)/.exec(rest)?.[1] : undefined })
  }
  return found
}

/** The loops of a function: { head, tail } as indices of instructions, outer ones first. */
function loopsOf({ code, labels }) {
  const tails = new Map()
  code.forEach(({ to }, i) => {
    const head = to === undefined ? undefined : labels.get(to)
    if (head !== undefined && head < i) tails.set(head, i)
  })
  return [...tails].map(([head, tail]) => ({ head, tail })).sort((a, b) => a.head - b.head || b.tail - a.tail)
}

const within = (inner, outer) => inner !== outer && inner.head >= outer.head && inner.tail <= outer.tail

/** The instructions, as indices, on the path through a loop that has the most of them. */
function longestPath({ code, labels }, { head, tail }, times) {
  const length = new Float64Array(tail + 2)
  const next = new Int32Array(tail + 1)
  for (let i = tail; i >= head; i--) {
    const { predicate, to } = code[i]
    const target = to === undefined ? undefined : labels.get(to)
    const after = predicate === undefined && to !== undefined && target > i ? [] : [i + 1]
    if (target > i && target <= tail) after.push(target)
    next[i] = after.reduce((best, each) => (length[each] > length[best] ? each : best), after[0] ?? tail + 1)
    length[i] = times[i] + length[next[i]]
  }
  const path = []
  for (let i = head; i <= tail; i = next[i]) path.push(i)
  return path
}

function count({ loop, kernel, holds, tiles, runs }, found) {
  const names = demangled(found.map(({ name }) => name))
  const at = names.findIndex((name) => name.startsWith(kernel))
  if (at < 0) throw new Error(`${loop}: expected a kernel ${kernel}, found none of that name`)
  const { code } = found[at]
  const loops = loopsOf(found[at])
  const has = ({ head, tail }, opcode) => code.slice(head, tail + 1).some((one) => one.opcode.startsWith(opcode))
  const candidates = loops.filter((each) => holds.every((opcode) => has(each, opcode)))
  const [tile] = candidates.filter((each) => !candidates.some((other) => within(other, each)))
  if (!tile) throw new Error(`${loop}: expected a loop with ${holds.join(' and ')}, found none`)
  const inner = loops.filter((each) => within(each, tile))
  const times = new Float64Array(code.length)
  times.fill(1, tile.head, tile.tail + 1)
  for (const each of inner) {
    const kind = Object.keys(runs).find((opcode) => has(each, opcode))
    if (kind === undefined) throw new Error(`${loop}: an inner loop has none of ${Object.keys(runs)}; state how often it runs`)
    const trips = runs[kind] / code.slice(each.head, each.tail + 1).filter(({ opcode }) => opcode.startsWith(kind)).length
    for (let i = each.head; i <= each.tail; i++) times[i] *= trips
  }
  const path = longestPath(found[at], tile, times)
  const sum = (matches) => path.reduce((total, i) => total + (matches(code[i].opcode) ? times[i] : 0), 0) / tiles
  return {
    loop,
    all: sum(() => true),
    matrix: sum((opcode) => opcode.startsWith('HGMMA') || opcode.startsWith('HMMA')),
    arithmetic: sum((opcode) => /^(FFMA|FADD|FMUL|FMNMX|F2F|MUFU)/.test(opcode)),
    shared: sum((opcode) => /^(LDS|STS|LDSM)/.test(opcode)),
    global: sum((opcode) => /^(LDG|STG)/.test(opcode)),
    uniform: sum((opcode) => opcode.startsWith('R2UR')),
    arrive: sum((opcode) => opcode === 'WARPGROUP.ARRIVE'),
    local: code.filter(({ opcode }) => /^(LDL|STL)/.test(opcode)).length,
  }
}

function find(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name)
    if (existsSync(path)) return realpathSync(path)
  }
  return undefined
}

function findDisassembler(nvcc) {
  const inTriton =
    'import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec("triton").origin).parent / "backends/nvidia/bin/nvdisasm")'
  const candidates = [
    () => process.env.NVDISASM,
    () => find('nvdisasm'),
    () => join(dirname(nvcc), 'nvdisasm'),
    () => spawnSync('python3', ['-c', inTriton], { encoding: 'utf8' }).stdout?.trim(),
  ]
  for (const candidate of candidates) {
    const path = candidate()
    if (path && existsSync(path)) return path
  }
  return undefined
}

/** The listings of the hot sources, or why there are none. */
function listings() {
  const nvcc = find('nvcc')
  if (!nvcc) return 'no nvcc on this machine'
  const disassembler = findDisassembler(nvcc)
  if (!disassembler) return 'no nvdisasm on this machine; name it with NVDISASM'
  const folder = mkdtempSync(join(tmpdir(), 'multigate-sass-'))
  try {
    return [...new Set(hot.map(({ source }) => source))].map((source) => {
      const cubin = join(folder, `${basename(source)}bin`)
      const options = ['-std=c++17', '-O3', '-arch=sm_90a', '-cubin', '-I', join(root, 'native'), '-I', root]
      execFileSync(nvcc, [...options, join(root, source), '-o', cubin], { stdio: ['ignore', 'ignore', 'pipe'] })
      return execFileSync(disassembler, ['-c', cubin], {
        encoding: 'utf8',
        maxBuffer: 1 << 30,
        stdio: ['ignore', 'pipe', 'ignore'],
      })
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const files = process.argv.slice(2)
const texts = files.length > 0 ? files.map((file) => readFileSync(file, 'utf8')) : listings()
if (typeof texts === 'string') {
  console.log(`cuda-sass: ${texts}: skipped`)
  process.exit(0)
}
const found = texts.flatMap(functions)
const rows = hot.map((each) => ({ ...count(each, found), ceiling: each.ceiling }))
console.table(
  Object.fromEntries(
    rows.map(({ loop, ...numbers }) => [loop, Object.fromEntries(Object.entries(numbers).map(([k, v]) => [k, Math.round(v)]))]),
  ),
)
const above = rows.filter(({ all, ceiling, local }) => all > ceiling || local > 0)
for (const { loop, all, ceiling, local } of above)
  console.error(
    `${loop}: expected at most ${ceiling} instructions a tile and no local memory, found ${Math.round(all)} and ${local} accesses to it`,
  )
if (above.length > 0) process.exit(1)
