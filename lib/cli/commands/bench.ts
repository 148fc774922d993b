// `multigate bench`: the speed of layers, training steps, predictions and serving on this machine, and its share of the machine's peak.

import { Command, InvalidArgumentError, Option } from 'commander'
import { type BenchResult, bench as run, type WorkloadName, workloadNames } from '../../bench/bench.js'
import type { GapResult } from '../../bench/gaps.js'
import { threadsWithin } from '../../core/cgroups.js'
import { checkOneOf } from '../../core/check.js'
import { count } from '../../core/format.js'
import { loadNative } from '../../native/loader.js'
import { table } from '../../report/text.js'
import { exitCodes } from '../exit.js'
import { integer } from '../options.js'
import { print, status } from '../terminal.js'

interface Flags {
  readonly only: readonly WorkloadName[]
  readonly isa?: string | undefined
  readonly precision: 'float32' | 'bfloat16'
  readonly threads?: number | undefined
  readonly seconds: number
  readonly json?: boolean | undefined
}

export function bench(done: (code: number) => void): Command {
  return new Command('bench')
    .description('time layers, training steps, predictions and serving on this machine')
    .option('--only <names>', `of ${workloadNames.join(',')}`, workloads, [...workloadNames])
    .option('--isa <name>', 'one of the CPU instruction sets that `multigate doctor` lists')
    .addOption(
      new Option('--precision <name>', 'precision of matrix products').choices(['float32', 'bfloat16']).default('float32'),
    )
    .option('--threads <n>', 'most threads to use', integer(1))
    .option('--seconds <n>', 'about how many seconds to spend on each measurement', integer(1), 2)
    .option('--json', 'print one JSON object as the last line of stdout')
    .action(async ({ json = false, ...flags }: Flags) => {
      const native = loadNative()
      const { isa = native.isas()[0] ?? '', threads = threadsWithin(native.processors()) } = flags
      checkOneOf('isa', isa, native.isas())
      const results: BenchResult[] = []
      for await (const result of run({ ...flags, isa, threads })) {
        results.push(result)
        status(`${result.workload} ${result.mode}`)
      }
      status('')
      print(`${isa}, ${threads} threads, ${flags.precision}\n${benchTable(results)}`)
      if (json) print(JSON.stringify({ node: process.version, results }))
      done(exitCodes.ok)
    })
}

function workloads(text: string): WorkloadName[] {
  return text.split(',').map((name) => {
    const known = workloadNames.find((one) => one === name)
    if (known === undefined) throw new InvalidArgumentError(`Expected names of ${workloadNames.join(', ')}.`)
    return known
  })
}

/** Three decimals, or four for very small values. */
export function milliseconds(value: number): string {
  return value.toFixed(value < 0.1 ? 4 : value < 10 ? 3 : 1)
}

/** One line per call: how long it blocked the thread at most. */
export function gapTable(results: readonly GapResult[]): string {
  const rows = results.map(({ call, rows, seconds, longest_gap_ms }) => {
    return [call, count(rows), milliseconds(1000 * seconds), milliseconds(longest_gap_ms)]
  })
  return table(['call', 'rows', 'ms', 'longest gap ms'], rows)
}

/** Share of the GEMM rate if products dominate, of a copy's rate if memory does. */
function share({ share_of_gemm_rate, gb_per_s, copy_gb_per_s }: BenchResult): string {
  const found = gb_per_s !== null && copy_gb_per_s !== null ? gb_per_s / copy_gb_per_s : share_of_gemm_rate
  return found === null ? '' : `${(100 * found).toFixed(0)}%`
}

/** One line per measurement. The share refers to 0.78 x the multiply-add peak, or to a copy's rate, each measured alongside. */
export function benchTable(results: readonly BenchResult[]): string {
  const header = [
    'workload',
    'mode',
    'rows',
    'median ms',
    'fastest',
    'slowest 5%',
    'slowest 1%',
    'rows/s',
    'GFLOP/s',
    'FMA peak',
    'GB/s',
    'copy',
    'share',
  ]
  const number = (value: number | null, digits: number): string => (value === null ? '' : value.toFixed(digits))
  return table(
    header,
    results.map((result) => [
      result.workload,
      result.mode,
      count(result.n),
      milliseconds(result.median_ms),
      milliseconds(result.min_ms),
      milliseconds(result.p95_ms),
      milliseconds(result.p99_ms),
      count(result.rows_per_s),
      number(result.gflops, 0),
      number(result.fma_peak_gflops, 0),
      number(result.gb_per_s, 1),
      number(result.copy_gb_per_s, 1),
      share(result),
    ]),
  )
}
