// Prints how well the launches of the benchmark's programs fill a GPU: the share of the multiprocessors' time that blocks take, if all blocks
// of a launch take equally long. Fails below the stated least shares.
//   node scripts/cuda-waves.mjs SELFTEST [MULTIPROCESSORS...]
// SELFTEST: a selftest with the emulated CUDA backend, which lists the launches without running them.

import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { withoutNamespaces } from './kernel-names.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const programs = join(root, 'bench', 'gpu', 'programs.json')

/** Those of an H200 or H100, an A100 and an H20, unless given. */
const multiprocessors = process.argv.length > 3 ? process.argv.slice(3).map(Number) : [132, 108, 78]
const workloads = ['L1', 'L3', 'L4', 'L1-1M']
/** At least this share, in percent, of what may still be divided: chunks of a million rows. 10,240 rows are too few blocks. */
const least = 85
const divided = /^L1-1M .*(core_forward|core_dz|input_gradient)_kernel$/
const hot = /^(core_forward|core_dz|mixture_forward|mixture_dz|input_gradient|weight_gradient)_kernel/

/** Names of functions by their address in the file. */
function namesOf(binary) {
  const listed = execFileSync('nm', ['-C', binary], { encoding: 'utf8', maxBuffer: 1 << 28 })
  return new Map(
    [...listed.matchAll(/^0*([0-9a-f]+) [tTwW] (.*)$/gm)].map(([, address, name]) => [
      address,
      withoutNamespaces(name).replace(/[<(].*$/, ''),
    ]),
  )
}

function launches(binary, names, count) {
  const args = ['--device', 'cuda', '--time', programs, '--only', workloads.join(), '--profile', '--seconds', '0']
  const env = { ...process.env, MULTIGATE_EMULATED_DRY: '1', MULTIGATE_EMULATED_MULTIPROCESSORS: String(count) }
  return execFileSync(binary, args, { encoding: 'utf8', maxBuffer: 1 << 28, env })
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(({ kernel, variant }) => kernel !== undefined && variant.endsWith('bfloat16'))
    .map((launch) => ({ ...launch, kernel: names.get(launch.kernel) ?? launch.kernel }))
    .filter(({ kernel }) => hot.test(kernel))
}

const binary = process.argv[2]
if (binary === undefined) {
  console.error('cuda-waves: expected the path of a selftest with the emulated CUDA backend, found nothing')
  process.exit(2)
}
const names = namesOf(binary)
const rows = new Map()
for (const count of multiprocessors)
  for (const { workload, mode, kernel, blocks } of launches(binary, names, count)) {
    const name = `${workload} ${mode}: ${kernel}`
    const row = rows.get(name) ?? rows.set(name, {}).get(name)
    row[count] ??= { launches: 0, blocks: 0, places: 0 }
    row[count].launches += 1
    row[count].blocks += blocks
    row[count].places += count * Math.ceil(blocks / count)
  }
const share = ({ blocks, places }) => Math.round((100 * blocks) / places)
console.table(
  Object.fromEntries(
    [...rows].map(([name, row]) => [
      name,
      Object.fromEntries(
        multiprocessors.flatMap((count) => [
          [`on ${count}`, row[count] ? `${share(row[count])}%` : '-'],
          [
            `blocks (${count})`,
            row[count] ? `${row[count].launches} x ${Math.round(row[count].blocks / row[count].launches)}` : '-',
          ],
        ]),
      ),
    ]),
  ),
)
let failed = false
for (const [name, row] of rows)
  for (const count of multiprocessors)
    if (divided.test(name) && share(row[count]) < least) {
      console.error(`${name}: expected at least ${least}% of ${count} multiprocessors, found ${share(row[count])}%`)
      failed = true
    }
if (![...rows.keys()].some((name) => divided.test(name))) {
  console.error('cuda-waves: expected kernels of L1-1M among the launches, found none')
  failed = true
}
process.exit(failed ? 1 : 0)
