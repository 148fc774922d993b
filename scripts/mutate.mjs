// Checks that the emulation of the CUDA kernels can fail: switches off every wait, fence and barrier of the kernels, one call at a time, and
// requires that a case of the selftest then fails, by a wrong result, a message of the emulation, a crash or a hang.
//   npm run mutate                               all sites, two at a time
//   npm run mutate -- --jobs 1 --only mixture    one at a time; sites whose name contains "mixture"
//   npm run mutate -- --build FOLDER             a build with MULTIGATE_EMULATED_SITES that is up to date
// A site that no test can catch for a reason says so: "// No test shows this: ..." on its line or the line before. It must then really not be
// caught. The exit code is 1 if a site is not reached, not caught without such a reason, or caught despite one.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const root = join(import.meta.dirname, '..')
const { values: options } = parseArgs({
  options: { jobs: { type: 'string', default: '2' }, only: { type: 'string', default: '' }, build: { type: 'string' } },
})
const work = mkdtempSync(join(tmpdir(), 'multigate-mutate-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true }))

const calls =
  /\b(begin_kernel|block_barrier|warp_barrier|named_barrier|named_arrive|async_commit|async_wait|shared_written|warpgroup_begin|warpgroup_commit|warpgroup_wait|barriers_made|barrier_arrive|barrier_arrive_at|barrier_expect|barrier_wait|bulk_commit|bulk_wait|bulk_wait_read|cluster_arrive|cluster_wait)\s*(<[^;(]*>)?\(/g
const reason = /\/\/ No test shows this: (.*)/

// Random cases of each op; mixtures have most of the sites, and kernels for many shapes.
const casesOf = (op) => (op.startsWith('mixture') ? 24 : op.startsWith('dense') || op === 'embedding_update' ? 12 : 8)
const mostTries = 12 // cases of a site that no test is expected to catch

/** @returns {{ name: string, calls: string, reason: string | undefined }[]} every call in the kernels, by line */
function sitesOfSources() {
  const files = ['cuda', 'cuda/ops', 'cuda/device'].flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => `${folder}/${entry.name}`),
  )
  return files.flatMap((file) => {
    const lines = readFileSync(join(root, file), 'utf8').split('\n')
    return lines.flatMap((line, i) => {
      const code = line.replace(/\/\/.*/, '')
      const found = [...code.matchAll(calls)].map((match) => match[1])
      if (found.length === 0 || /__device__.*\{/.test(code)) return [] // the definition
      return [
        {
          name: `${file}:${i + 1}`,
          calls: found.join(', '),
          reason: reason.exec(line)?.[1] ?? reason.exec(lines[i - 1] ?? '')?.[1],
        },
      ]
    })
  })
}

/** The selftest on one case. Its failure, if there is one, in words. */
function run(selftest, test, env, timeout) {
  return new Promise((resolve) => {
    const start = performance.now()
    const args = ['--device', 'cuda', '--op', test.op, '--cases', `${test.number + 1}`, '--case', `${test.number}`]
    const child = spawn(selftest, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        if (output.length < 1e6) output += text
      })
    }
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, timeout)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const seconds = (performance.now() - start) / 1000
      const message = /^emulation: (.*?) \(block/m.exec(output)?.[1]
      const failed = /^FAILED (.*?):/m.exec(output)?.[1]
      const failure = late ? 'it hangs' : code === 0 ? undefined : (message ?? failed ?? `it ends with ${signal ?? code}`)
      resolve({ failure, seconds })
    })
  })
}

/** Calls work for every item, `jobs` at a time. */
async function each(items, jobs, work) {
  const queue = [...items]
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
    }),
  )
}

function build() {
  const folder = join(root, 'build-mutate')
  const steps = [
    [
      '-S',
      root,
      '-B',
      folder,
      '-DMULTIGATE_EMULATE_CUDA=ON',
      '-DMULTIGATE_EMULATED_SITES=ON',
      '-DCMAKE_BUILD_TYPE=RelWithDebInfo',
    ],
    ['--build', folder, '--target', 'selftest', '-j', options.jobs],
  ]
  for (const step of steps) {
    const { status } = spawnSync('cmake', step, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, MULTIGATE_CUDA: '0' },
    })
    if (status !== 0) process.exit(2)
  }
  return folder
}

const jobs = Math.max(1, Number.parseInt(options.jobs, 10))
const selftest = join(options.build ?? build(), 'selftest')
const sites = sitesOfSources().filter((site) => site.name.includes(options.only))
const ops =
  /expected one of (.*), found/.exec(spawnSync(selftest, ['--op', '?'], { encoding: 'utf8' }).stderr)?.[1].split(' ') ?? []
if (ops.length === 0) throw new Error(`mutate: ${selftest} names no ops; run npm run mutate without --build`)

// Which cases reach which sites.
const tests = ops.flatMap((op) =>
  Array.from({ length: casesOf(op) }, (_, number) => ({ op, number, seconds: 0, sites: new Set() })),
)
const start = performance.now()
await each(tests, jobs, async (test) => {
  const path = join(work, `${test.op}-${test.number}`)
  const { failure, seconds } = await run(selftest, test, { MULTIGATE_EMULATION_SITES: path }, 600_000)
  if (failure !== undefined) throw new Error(`mutate: ${test.op} case ${test.number} fails without a change: ${failure}`)
  test.seconds = seconds
  if (existsSync(path)) test.sites = new Set(readFileSync(path, 'utf8').trim().split('\n'))
})
console.log(
  `${sites.length} sites, ${tests.length} cases: ${((performance.now() - start) / 1000).toFixed(0)} s to see which case reaches which site`,
)

const results = new Map()
await each(sites, jobs, async (site) => {
  const reaching = tests.filter((test) => test.sites.has(site.name)).sort((a, b) => a.seconds - b.seconds)
  let caught
  for (const test of site.reason === undefined ? reaching : reaching.slice(0, mostTries)) {
    const { failure } = await run(selftest, test, { MULTIGATE_EMULATION_WITHOUT: site.name }, 30_000 + test.seconds * 10_000)
    if (failure === undefined) continue
    caught = `${test.op} case ${test.number}: ${failure}`
    break
  }
  results.set(site, { reached: reaching.length > 0, caught })
})

let wrong = 0
let justified = 0
for (const site of sites) {
  const { reached, caught } = results.get(site)
  const words = caught ?? (reached ? 'not caught' : 'not reached')
  const isRight = site.reason === undefined ? caught !== undefined : caught === undefined
  if (!isRight) wrong += 1
  else if (site.reason !== undefined) justified += 1
  console.log(
    `${isRight ? ' ' : '!'} ${site.name.padEnd(36)} ${site.calls.padEnd(18)} ${words}${site.reason ? ` (${site.reason})` : ''}`,
  )
}
console.log(
  `${sites.length} sites: ${sites.length - wrong - justified} caught, ${justified} justified, ${wrong} wrong; ` +
    `${((performance.now() - start) / 1000).toFixed(0)} s with ${jobs} jobs`,
)
process.exit(wrong === 0 ? 0 : 1)
