// Times this library and compares it with what the processor can do. Speed drifts on shared machines: compare within one run, and mind
// the spread.

import type { Precision } from '../native/binding.js'
import { loadNative } from '../native/loader.js'
import { flopsOf, type LayerName, layerRuns, layerShapes } from './layers.js'
import { batchSize, feedModel, feedRows, stepTimes } from './models.js'
import { servedRows, server } from './serve.js'
import { copyRate, tableRun, tableShape } from './tables.js'

/** The rate of the best libraries' plain matrix product, as a share of the multiply-add peak. */
export const gemmShare = 0.78

export const workloadNames = [
  ...(Object.keys(layerShapes) as LayerName[]),
  'mmoe',
  'mmoe-exact',
  'ple',
  'ple-exact',
  'predict',
  'serve',
  'tables',
] as const
export type WorkloadName = (typeof workloadNames)[number]

export interface BenchOptions {
  readonly only: readonly WorkloadName[]
  readonly isa: string
  readonly precision: Precision
  readonly threads: number
  /** About how many seconds to spend on each measurement. */
  readonly seconds: number
}

export interface BenchResult {
  readonly workload: string
  readonly mode: 'forward' | 'forward+backward' | 'train' | 'predict' | 'serve' | 'gather' | 'update'
  /** Rows per call. */
  readonly n: number
  readonly isa: string
  readonly precision: Precision
  readonly threads: number
  readonly median_ms: number
  readonly min_ms: number
  readonly p95_ms: number
  readonly p99_ms: number
  readonly reps: number
  readonly rows_per_s: number
  readonly gflops: number | null
  /** The multiply-add peak, measured beside this row. */
  readonly fma_peak_gflops: number | null
  readonly share_of_gemm_rate: number | null
  /** GB/s moved at least, in and out; and GB/s of a plain copy of rows, measured beside this row. */
  readonly gb_per_s: number | null
  readonly copy_gb_per_s: number | null
}

/** Runs the chosen workloads one after another. */
export async function* bench(options: BenchOptions): AsyncGenerator<BenchResult, void, undefined> {
  for (const name of options.only) {
    if (name in layerShapes) yield* layer(name as LayerName, options)
    else if (name === 'predict') yield* predictions(options)
    else if (name === 'serve') yield* serving(options)
    else if (name === 'tables') yield* tables(options)
    else yield* training(name as Exclude<WorkloadName, LayerName | 'predict' | 'serve' | 'tables'>, options)
  }
}

function* layer(name: LayerName, options: BenchOptions): Generator<BenchResult, void, undefined> {
  const { isa, precision, threads, seconds } = options
  const shape = layerShapes[name]
  const native = loadNative()
  const runs = layerRuns(shape, { native, device: 'cpu', isa, precision }, threads)
  for (const mode of ['forward', 'forward+backward'] as const) {
    const times = measure(runs[mode], seconds)
    const flops = flopsOf(shape) * (mode === 'forward' ? 1 : 3)
    const peak = native.peak(isa, threads)
    const gflops = flops / (quantile(times, 0.5) * 1e6)
    const found = { gflops, fma_peak_gflops: peak, share_of_gemm_rate: gflops / (gemmShare * peak) }
    yield { ...result(name, mode, shape.n, times, options), ...found }
  }
  runs.dispose()
}

async function* training(name: string, options: BenchOptions): AsyncGenerator<BenchResult, void, undefined> {
  const [kind = 'mmoe', exact] = name.split('-') as ['mmoe' | 'ple', 'exact' | undefined]
  const { isa, precision, threads, seconds } = options
  using model = feedModel(kind, { isa, precision, threads, sparseUpdate: exact ?? 'lazy' })
  const data = feedRows()
  const [first = 100] = await stepTimes(model, data, 1)
  const times = await stepTimes(model, data, Math.max(1, Math.ceil((seconds * 1000) / (10 * first))))
  yield result(name, 'train', batchSize, times, options)
}

async function* predictions(options: BenchOptions): AsyncGenerator<BenchResult, void, undefined> {
  const { isa, precision, threads, seconds } = options
  using model = feedModel('mmoe', { isa, precision, threads, sparseUpdate: 'lazy' })
  const data = feedRows(batchSize)
  await model.build(data)
  for (const n of [1, 32, 256, 1024]) {
    const part = data.slice(0, n)
    const times: number[] = []
    const end = performance.now() + seconds * 1000
    for (let call = 0; call < 20 || performance.now() < end; call += 1) {
      const start = performance.now()
      await model.predict(part)
      if (call >= 5) times.push(performance.now() - start)
    }
    yield result(
      'predict',
      'predict',
      n,
      times.sort((a, b) => a - b),
      options,
    )
  }
}

async function* serving(options: BenchOptions): AsyncGenerator<BenchResult, void, undefined> {
  for (const n of servedRows) {
    using served = await server(n, options)
    // Warm up as a running server: code compiled, helper threads awake.
    for (let call = 0; call < 200; call += 1) served.call()
    yield result('serve', 'serve', n, measure(served.call, options.seconds), options)
  }
}

function* tables(options: BenchOptions): Generator<BenchResult, void, undefined> {
  const { isa, precision, threads, seconds } = options
  const target = { native: loadNative(), device: 'cpu', isa, precision } as const
  for (const mode of ['gather', 'update'] as const) {
    using run = tableRun(mode, target, threads)
    const times = measure(run.call, seconds)
    const found = { gb_per_s: run.bytes / (quantile(times, 0.5) * 1e6), copy_gb_per_s: copyRate(target, threads, seconds / 4) }
    yield { ...result('tables', mode, tableShape.n, times, options), ...found }
  }
}

function result(
  workload: string,
  mode: BenchResult['mode'],
  n: number,
  times: readonly number[],
  options: BenchOptions,
): BenchResult {
  const { isa, precision, threads } = options
  const median = quantile(times, 0.5)
  return {
    workload,
    mode,
    n,
    isa,
    precision,
    threads,
    median_ms: median,
    min_ms: times[0] ?? Number.NaN,
    p95_ms: quantile(times, 0.95),
    p99_ms: quantile(times, 0.99),
    reps: times.length,
    rows_per_s: (1000 * n) / median,
    gflops: null,
    fma_peak_gflops: null,
    share_of_gemm_rate: null,
    gb_per_s: null,
    copy_gb_per_s: null,
  }
}

/** Sorted milliseconds of the calls of at least `seconds`, after two warm-up calls. */
function measure(call: () => void, seconds: number): number[] {
  call()
  call()
  const times: number[] = []
  const end = performance.now() + seconds * 1000
  while (performance.now() < end || times.length < 5) {
    const start = performance.now()
    call()
    times.push(performance.now() - start)
  }
  return times.sort((a, b) => a - b)
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}
