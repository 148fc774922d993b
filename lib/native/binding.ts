// The exports of the addon, as TypeScript types. The addon checks memory safety and throws errors shaped like MultigateError
// ({ code, message }). The layers above check meaning, with names that a user knows. After a call has returned, no native pointer
// into a JavaScript buffer is left.

import type { ErrorCode } from './error.js'

/**
 * A backend: `'cpu'` has the SIMD kernels, `'reference'` is the float64 reference, `'cuda'` is the first GPU and `'cuda:1'` the next.
 */
export type DeviceName = 'cpu' | 'reference' | 'cuda' | `cuda:${number}`

export type BufferClass = 'rowInput' | 'rowOutput' | 'activation' | 'stored' | 'parameter' | 'gradient' | 'state' | 'table'

/** One buffer of a program; see `mg_buffer` in native/abi/multigate.h. */
export interface BufferSpec {
  class: BufferClass
  dtype: 'f32' | 'i32'
  width: number
  count: number
}

/** Columns of a row buffer, or elements of another buffer. `null` is an absent view. */
export type ViewSpec = { buffer: number; offset: number; width: number } | null

/** One op: its name, and the fields of its descriptor (native/abi/ops.h) in camelCase. */
export interface OpSpec {
  op: string
  [field: string]: string | number | null | ViewSpec | readonly number[] | readonly ViewSpec[]
}

export interface DenominatorSpec {
  scalar: number
  label: ViewSpec
  weight: ViewSpec
  reduction: 'valid' | 'batch' | 'weighted'
}

export interface ProgramSpec {
  buffers: readonly BufferSpec[]
  ops: readonly OpSpec[]
  scalarInputs: number
  scalarOutputs: number
  denominators: readonly DenominatorSpec[]
}

export type FloatArray = Float32Array | Float64Array

export type Initializer =
  | { kind: 'uniform'; low: number; high: number }
  | { kind: 'normal'; mean: number; deviation: number; truncated: boolean }
  | { kind: 'constant'; value: number }

/** Elements of the backend's type (float64 on the reference, else float32), 64-byte aligned, initially zero. */
export interface NativeMemory {
  readonly elements: number
  /** Copies `values` in and converts the element type if needed. */
  write(offset: number, values: FloatArray): void
  /** A copy of `count` elements, in `into` if given. Float64Array on the reference, else Float32Array. */
  read(offset: number, count: number, into?: FloatArray): FloatArray
  /** Draws from the Philox stream (seed, stream): the same numbers on every backend. Element i uses counter i. */
  initialize(offset: number, count: number, initializer: Initializer, seed: number, stream: number): void
  /**
   * Like `initialize`, off the main thread, with several threads and after earlier runs. The memory is busy until the promise
   * resolves. A range may be drawn in parts: element `offset` is number `first` of the stream.
   */
  initializeAsync(drawing: Drawing): Promise<void>
  dispose(): void
}

export interface Drawing {
  readonly offset: number
  readonly count: number
  readonly initializer: Initializer
  readonly seed: number
  readonly stream: number
  readonly first: number
  readonly threads: number
}

/** Encoded columns of a dataset: initially zero, then written part by part. */
export interface NativeColumns {
  readonly rows: number
  /**
   * Copies rows of every column in, beginning at row `start`: one array [rows * width] per column, all with the same number of rows.
   * @throws ERR_MULTIGATE_ARGUMENT naming column, row, id and limit for an id out of range; ERR_MULTIGATE_BUSY while a run reads the
   *   columns.
   */
  write(start: number, data: readonly (Float32Array | Int32Array)[]): void
  /**
   * Draws the order of epoch `epoch`: a permutation keyed by (seed, epoch). Runs with `shuffled: true` use it. It runs off the main
   * thread, after earlier asynchronous runs and before later ones.
   */
  shuffleAsync(seed: number, epoch: number): Promise<void>
  dispose(): void
}

export interface ColumnSpec {
  readonly type: 'f32' | 'i32'
  /** Elements per row. */
  readonly width: number
  /** Ids must be in [0, limit). Ignored for floats. */
  readonly limit: number
}

/**
 * Where a GPU reads the data set from. `'device'`: the whole set in its memory. `'host'`: batches from host memory. `'auto'`: as
 * `'device'` if the set takes at most half of the free GPU memory, else as `'host'`.
 */
export type DataPlacement = 'auto' | 'device' | 'host'

/**
 * Distinct texts, numbered in order of first appearance. Half of a surrogate pair is in no text: UTF-8 cannot hold it. Numbers that no
 * text has are ERR_MULTIGATE_ARGUMENT.
 */
export interface NativeTexts {
  readonly size: number
  /** The number of a text, or -1. */
  indexOf(text: string): number
  /** The number of a text. A new text gets a new number. -1 for a text with half of a surrogate pair. */
  add(text: string): number
  /** Writes what `indexOf` says of each text. */
  indexOfAll(texts: readonly string[], into: Int32Array): void
  /** Writes what `add` says of each text. */
  addAll(texts: readonly string[], into: Int32Array): void
  at(number: number): string
  /** Adds texts of another index, in this order. */
  addFrom(other: NativeTexts, numbers: Int32Array): void
  /**
   * Adds texts that lie side by side. Text i ends before byte `ends[i]`, where the next one starts.
   * @returns how many texts were added or known before the first that is not UTF-8.
   */
  addBytes(bytes: Uint8Array, ends: Float64Array): number
  /** Writes the bytes of each text from number `first` on. */
  readLengths(first: number, into: Int32Array): void
  /** Writes `count` texts side by side. @returns how many bytes these are. */
  readBytes(first: number, count: number, into: Uint8Array): number
  /** Begins to sort texts by `counts[number]`, the largest first, then by text as JavaScript compares texts. */
  beginOrder(numbers: Int32Array, counts: Float64Array): void
  /** Goes on for about `work` comparisons. @returns whether all is sorted. */
  advanceOrder(work: number): boolean
  /** Ends the sort and writes the numbers in order. */
  endOrder(into: Int32Array): void
}

export interface RunRequest {
  rows: number
  /** One entry per row input buffer, in the program's order: arrays of rows * width ... */
  inputs?: readonly (Float32Array | Int32Array)[]
  /** ... or column numbers of `columns`, from row `start` on (in the shuffled order if `shuffled`). */
  columns?: NativeColumns
  columnOf?: readonly number[]
  start?: number
  shuffled?: boolean
  /**
   * The number of consecutive steps in one call, each over the next `rows` rows of `columns`. Only for programs without row outputs.
   * Scalar inputs and results are listed step after step. Default 1.
   */
  steps?: number
  /** No step begins later than this many milliseconds after the first. Results cover the steps that ran. Default: a day. */
  milliseconds?: number
  /** Where a device with its own memory reads the rows of `columns` from. Default `'auto'`. */
  data?: DataPlacement
  /** One entry per row output buffer, in order: rows * width elements of the backend's type. Written. */
  outputs: readonly FloatArray[]
  /** All scalar inputs. Those of `denominators` are overwritten with the values of the batch. */
  scalars: Float64Array
  threads: number
}

/** A step of one batch. */
export type StepRequest = Omit<RunRequest, 'outputs' | 'steps' | 'milliseconds'>

/** The phases of a step. Each runs once, in this order. */
export type StepPhase = 'rows' | 'gradients' | 'update' | 'tables'

/**
 * A step that runs phase by phase, with the same bits as one run. Between two phases its memories are free: the parameter gradients,
 * complete after 'gradients', can be read and written in their memory. While a phase runs, everything except `denominators` fails
 * with ERR_MULTIGATE_BUSY.
 */
export interface NativeStep {
  /**
   * Runs phases `first` to `last` (default: only `first`), off the main thread and after earlier runs. `first` must be the next phase.
   * @throws ERR_MULTIGATE_ARGUMENT for another phase, and after a failed one; ERR_MULTIGATE_DISPOSED if the plan or a memory was
   *   disposed; ERR_MULTIGATE_BUSY while another run uses a memory.
   */
  run(first: StepPhase, last?: StepPhase): Promise<void>
  /** The divisors of losses, in the program's order: computed from the rows, or set before 'rows' runs. */
  denominators: Float64Array
  /**
   * Replaces the scalar inputs from number `scalar` on for the phases to come. They must be weights, of tasks or of weighted sums.
   * @throws ERR_MULTIGATE_ARGUMENT for another scalar, and unless each weight is a finite float32.
   */
  setWeights(scalar: number, values: Float64Array): void
  /** Scalar outputs so far, then the denominators, as in the result of a run. */
  readonly results: Float64Array
  /**
   * A copy of rows of a stored buffer, [rows, width] of the backend's type, in batch order. Available after 'rows' until the end of
   * 'tables'. Gradients of gathered embeddings are such rows.
   * @throws ERR_MULTIGATE_ARGUMENT for another buffer, for rows that the step does not have, before 'rows' and after 'tables'.
   */
  readStored(buffer: number, firstRow: number, rows: number): FloatArray
  /** Writes whole rows of the backend's type. @throws as `readStored`. */
  writeStored(buffer: number, firstRow: number, values: FloatArray): void
  /** Releases the plan and the rows, in any phase. A second call does nothing. @throws ERR_MULTIGATE_BUSY while a phase runs. */
  end(): void
}

/** A run that is bound once and called often. JavaScript owns its memory; between calls no native pointer into it is left. */
export interface NativePreparedRun {
  /** Row inputs, then row outputs, in the program's order, with 32-bit elements. Outputs are float32 on every backend. */
  readonly memory: ArrayBuffer
  /** The start of each row input and output, in bytes. */
  readonly offsets: readonly number[]
  /** Runs the first `rows` rows (0 is allowed) on this thread. Ids are copied, and the copy is checked. */
  run(rows: number): void
  /** Releases the plan and detaches the memory. */
  dispose(): void
}

export interface PlanInfo {
  blockRows: number
  slots: number
  arenaBytes: number
  storedBytes: number
  /** Whether the precision is only rounding, without hardware instructions for it. */
  emulated: boolean
  isa: string
}

/**
 * How matrix products are computed; everything else is float32. `bfloat16` rounds rows, kernels of dense layers and experts, and the
 * gradients that reach them. Sums and the softmax layers of gates stay float32. `tf32` is the same with 10 bits of fraction instead
 * of 7, only on GPUs.
 */
export type Precision = 'float32' | 'tf32' | 'bfloat16'

export interface NativePlan {
  /** Binds memory to a parameter, gradient, state or table buffer. Both must have the same number of elements. */
  bind(buffer: number, memory: NativeMemory): void
  /** Runs on this thread. Returns the scalar outputs, then the denominators of the batch, each in the program's order. */
  run(request: RunRequest): Float64Array
  /**
   * Runs off the main thread, after earlier runs, which give way. Inputs are copied before the call returns. Outputs are written just
   * before the promise resolves.
   */
  runAsync(request: RunRequest): Promise<Float64Array>
  /**
   * Opens a step that runs phase by phase, for a program without row outputs. Until `end()` the plan runs nothing else, and columns
   * cannot be written. The step uses the current order of rows and copies its inputs.
   * @throws ERR_MULTIGATE_BUSY while the plan runs or the order of the columns is drawn.
   */
  begin(request: StepRequest): NativeStep
  /**
   * Binds a run of at most `rows` rows to its own memory, for programs without scalar inputs.
   * @param names the name of each row input in errors.
   */
  prepare(rows: number, names: readonly string[], threads: number): NativePreparedRun
  info(rows: number): PlanInfo
  /** Frees the plan. A current run finishes first; later calls throw. */
  dispose(): void
}

export interface DeviceInfo {
  name: DeviceName
  available: boolean
  /** Why it is not available; empty if it is. */
  reason: string
  /** For GPUs: the processor's name, its compute capability and its memory in bytes. Free bytes are unknown before this process uses the GPU. */
  processor?: string | undefined
  capability?: string | undefined
  memoryBytes?: number | undefined
  freeBytes?: number | undefined
}

export interface NativeBinding {
  readonly abiVersion: number
  /** The same addon for one copy of the library. Its errors are `new errorClass(code, message)`, not plain errors with a code. */
  throwAs(errorClass: new (code: ErrorCode, message: string) => Error): NativeBinding
  /** CPU ISAs of this machine, best first. */
  isas(): string[]
  devices(): DeviceInfo[]
  /** Processors this process may use. */
  processors(): number
  /** Asks current asynchronous runs to end soon: of several steps, none begins later than 10 ms after the first. */
  giveWay(): void
  createMemory(device: DeviceName, elements: number): NativeMemory
  /** @throws ERR_MULTIGATE_OUT_OF_MEMORY, before any allocation, if this machine cannot hold the columns. */
  createColumns(columns: readonly ColumnSpec[], rows: number): NativeColumns
  createTexts(): NativeTexts
  /** @throws ERR_MULTIGATE_PROGRAM for a program that is not well formed, ERR_MULTIGATE_UNSUPPORTED for an unknown ISA. */
  compile(device: DeviceName, program: ProgramSpec, options: { isa?: string; precision?: Precision }): NativePlan
  /** The FMA peak of this machine in GFLOP/s, for one ISA and a number of threads. Benchmarks compare with it. */
  peak(isa: string, threads: number): number
}
