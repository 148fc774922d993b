// Builds and runs the fuzz target: programs made from bytes, run on validate(), every backend of this machine and the reference.
//   npm run fuzz                              an hour
//   npm run fuzz -- -max_total_time=600       arguments of libFuzzer
//   npm run fuzz -- --corpus                  rebuilds the corpus of the repository from seeds and from what longer runs found
// Findings are in build-fuzz/. To see one, run `build-fuzz/fuzz FILE`. Needs clang (14 or newer) with libFuzzer.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const build = join(root, 'build-fuzz')
const corpus = join(root, 'native/selftest/fuzz/corpus')
const found = join(build, 'corpus')
/** The rows of MG_OPS, and the program of all ops. */
const choices = readFileSync(join(root, 'native/abi/ops.h'), 'utf8').match(/^ {2}OP\(/gm).length + 1

/** @returns {string | undefined} the first clang++ found */
function compiler() {
  const names = ['clang++', ...[21, 20, 19, 18, 17, 16, 15, 14].map((version) => `clang++-${version}`)]
  return names.find((name) => spawnSync(name, ['--version']).status === 0)
}

/** @param {string} command @param {readonly string[]} args */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: build, stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

/** Writes seeds: each case in four variants, with more changed bytes each. The bytes follow a fixed rule. */
function writeSeeds(folder) {
  let state = 1
  const byte = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24
  for (let op = 0; op < choices; op += 1) {
    for (let variant = 0; variant < 4; variant += 1) {
      const changes = Array.from({ length: variant * 8 }, byte)
      writeFileSync(join(folder, `seed-${op}-${variant}`), Uint8Array.of(op, op + variant, 0, variant, variant, ...changes))
    }
  }
}

const clang = compiler()
if (clang === undefined) {
  console.error(
    'fuzz: expected clang++, found none; run apt-get install clang libclang-rt-dev, or install another LLVM with libFuzzer',
  )
  process.exit(1)
}
mkdirSync(found, { recursive: true })
const configured = [
  '-S',
  root,
  '-B',
  build,
  '-DMULTIGATE_FUZZ=ON',
  '-DCMAKE_BUILD_TYPE=RelWithDebInfo',
  `-DCMAKE_CXX_COMPILER=${clang}`,
]
process.env.MULTIGATE_CUDA = '0'
run('cmake', configured)
run('cmake', ['--build', build, '--target', 'fuzz', '-j', '2'])
const target = join(build, 'fuzz')
const args = process.argv.slice(2)
if (args[0] === '--corpus') {
  const seeds = mkdtempSync(join(tmpdir(), 'multigate-seeds-'))
  writeSeeds(seeds)
  rmSync(corpus, { recursive: true, force: true })
  mkdirSync(corpus)
  run(target, ['-merge=1', '-max_len=256', corpus, seeds, found])
  rmSync(seeds, { recursive: true })
  console.log(`${readdirSync(corpus).length} inputs in ${corpus}`)
} else {
  const limits = ['-max_len=256', '-timeout=120', '-rss_limit_mb=4096']
  run(target, [
    ...limits,
    ...(args.some((arg) => arg.startsWith('-max_total_time')) ? [] : ['-max_total_time=3600']),
    ...args,
    found,
    corpus,
  ])
}
