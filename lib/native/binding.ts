// What the addon exports, as TypeScript sees it. The addon checks memory safety and throws MultigateError-shaped errors
// ({ code, message }); meaning, with names that a user knows, is checked above it. Nothing here holds a pointer into a
// JavaScript buffer after a call has returned.

import type { ErrorCode } from './error.js'

/** A backend: the SIMD kernels, the float64 spec, or the plug-in. */
/** `'cuda'` is the first GPU, `'cuda:1'` the next. */
export type DeviceName = 'cpu' | 'reference' | 'cuda' | `cuda:${number}`

export type BufferClass = 'rowInput' | 'rowOutput' | 'activation' | 'stored' | 'parameter' | 'gradient' | 'state' | 'table'

/** One buffer of a program; see `mg_buffer` in native/abi/multigate.h. */
export interface BufferSpec {
  class: BufferClass
  dtype: 'f32' | 'i32'
  width: number
  count: number
}

/** Columns of a row buffer or elements of another; `null` is an absent view. */
export type ViewSpec = { buffer: number; offset: number; width: number } | null

/** One op: its name and the fields of its descriptor by name (native/abi/ops.h, camelCase here). */
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

/** Elements of the backend's type (float32; float64 for the reference), 64-byte aligned, zero at first. */
export interface NativeMemory {
  readonly elements: number
  /** Copies `values` in, converting where the element types differ. */
  write(offset: number, values: FloatArray): void
  /** A copy of `count` elements. Float64Array on the reference, else Float32Array. */
  read(offset: number, count: number): FloatArray
  /** Draws from the Philox stream (seed, stream): the same numbers on every backend. Element i takes counter i. */
  initialize(offset: number, count: number, initializer: Initializer, seed: number, stream: number): void
  /**
   * The same off the main thread, by several threads and after the runs before it; the memory is busy until it resolves. A range may be drawn in
   * parts: element `offset` is number `first` of the stream.
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

/** Encoded columns of a dataset: zero at first, then written part by part. */
export interface NativeColumns {
  readonly rows: number
  /**
   * Copies the next rows of every column in, from row `start` on: one array per column, [rows * width] each, all of as many rows.
   * @throws ERR_MULTIGATE_ARGUMENT naming column, row, id and limit: ids are range-checked in the copy. ERR_MULTIGATE_BUSY while a run
   *   reads the columns.
   */
  write(start: number, data: readonly (Float32Array | Int32Array)[]): void
  /**
   * Draws the order of epoch `epoch`: a permutation keyed by (seed, epoch), used by runs with `shuffled: true`. Off the main thread, after
   * the asynchronous runs before it and before those after it.
   */
  shuffleAsync(seed: number, epoch: number): Promise<void>
  dispose(): void
}

export interface ColumnSpec {
  readonly type: 'f32' | 'i32'
  /** Elements of a row. */
  readonly width: number
  /** Ids must lie in [0, limit); ignored for floats. */
  readonly limit: number
}

/** On a GPU: the whole data set in its memory, batches from the host's memory, or the first where it takes half of what is free at most. */
export type DataPlacement = 'auto' | 'device' | 'host'

export interface RunRequest {
  rows: number
  /** One entry per row input buffer, in the program's order: arrays of rows * width ... */
  inputs?: readonly (Float32Array | Int32Array)[]
  /** ... or column numbers of `columns`, from row `start` on (of the shuffled order where `shuffled`). */
  columns?: NativeColumns
  columnOf?: readonly number[]
  start?: number
  shuffled?: boolean
  /**
   * Steps that follow each other in one call, each over the next `rows` rows of `columns`, for programs without row outputs. Scalars, inputs and
   * results, come step after step. Default 1.
   */
  steps?: number
  /** No step begins later than this after the first one: the results are of as many as were done. Default a day. */
  milliseconds?: number
  /** Where a device with memory of its own reads the rows of `columns` from. Default `'auto'`. */
  data?: DataPlacement
  /** One entry per row output buffer, in order: rows * width elements of the backend's type. Written. */
  outputs: readonly FloatArray[]
  /** All scalar inputs; those named by `denominators` are overwritten with what the batch gives. */
  scalars: Float64Array
  threads: number
}

/** A step of one batch. */
export type StepRequest = Omit<RunRequest, 'outputs' | 'steps' | 'milliseconds'>

/** What a step can be cut at: each phase is run once, in this order. */
export type StepPhase = 'rows' | 'gradients' | 'update' | 'tables'

/**
 * A step that is run phase by phase: the same bits as one run. Between two phases its memories are free: the gradients of parameters, whole
 * after 'gradients', are read and written where they are bound. While a phase is run all but `denominators` fails with ERR_MULTIGATE_BUSY.
 */
export interface NativeStep {
  /**
   * Runs phases `first` to `last`, default `first` alone, off the main thread after the runs before it. `first` is the phase after the last one.
   * @throws ERR_MULTIGATE_ARGUMENT for another phase, and after one that has failed; ERR_MULTIGATE_DISPOSED where the plan or a memory was
   *   disposed; ERR_MULTIGATE_BUSY while another run uses a memory.
   */
  run(first: StepPhase, last?: StepPhase): Promise<void>
  /** What losses are divided by, in the program's order: what the rows give, or what was set before 'rows' was run. */
  denominators: Float64Array
  /** Scalar outputs so far, then the denominators, as a run gives them. */
  readonly results: Float64Array
  /**
   * A copy of rows of a stored buffer, [rows, width] of the backend's type, in the order of the batch. Between 'rows' and the end of 'tables':
   * the gradients of what was gathered from embedding tables are such rows.
   * @throws ERR_MULTIGATE_ARGUMENT for another buffer, for rows that the step does not have, before 'rows' and after 'tables'.
   */
  readStored(buffer: number, firstRow: number, rows: number): FloatArray
  /** Writes whole rows of the backend's type. @throws as `readStored`. */
  writeStored(buffer: number, firstRow: number, values: FloatArray): void
  /** Lets go of the plan and the rows, whatever was run. A second call does nothing. @throws ERR_MULTIGATE_BUSY while a phase is run. */
  end(): void
}

/** A run that is bound once and called often. Its memory is JavaScript's; between calls nothing native points into it. */
export interface NativePreparedRun {
  /** Row inputs, then row outputs, in the program's order: 32-bit elements each, outputs float32 on every backend. */
  readonly memory: ArrayBuffer
  /** Where each of them begins, in bytes. */
  readonly offsets: readonly number[]
  /** Runs the first `rows` rows, or none, on this thread. Ids are copied and checked in the copy. */
  run(rows: number): void
  /** Lets go of the plan and detaches the memory. */
  dispose(): void
}

export interface PlanInfo {
  blockRows: number
  slots: number
  arenaBytes: number
  storedBytes: number
  /** Whether the precision is rounding alone, without instructions for it. */
  emulated: boolean
  isa: string
}

/**
 * How matrix products are computed; all else is float32. `bfloat16`: rows, kernels of dense layers and experts, and the
 * gradients that reach them are rounded to it, sums are float32, and softmax layers of gates stay float32. `tf32`: the same
 * with 10 bits of fraction instead of 7, on GPUs alone.
 */
export type Precision = 'float32' | 'tf32' | 'bfloat16'

export interface NativePlan {
  /** Binds memory to a parameter, gradient, state or table buffer; it must have exactly as many elements. */
  bind(buffer: number, memory: NativeMemory): void
  /** Runs on this thread; the scalar outputs, then the denominators that the batch gave, each in the program's order. */
  run(request: RunRequest): Float64Array
  /**
   * Runs off the main thread, after the runs before it, which give way. Inputs are copied before it returns, outputs written just before the
   * promise resolves.
   */
  runAsync(request: RunRequest): Promise<Float64Array>
  /**
   * Opens a step that is run phase by phase, of a program without row outputs. Until `end()` the plan runs nothing else, and columns cannot
   * be written; the rows' order is the one of now, and inputs are copied.
   * @throws ERR_MULTIGATE_BUSY while the plan runs or the order of the columns is being drawn.
   */
  begin(request: StepRequest): NativeStep
  /**
   * Binds a run of at most `rows` rows to memory of its own, for programs without scalar inputs.
   * @param names what the row inputs are called in errors, one each.
   */
  prepare(rows: number, names: readonly string[], threads: number): NativePreparedRun
  info(rows: number): PlanInfo
  /** Frees it; a run under way finishes first, later calls throw. */
  dispose(): void
}

export interface DeviceInfo {
  name: DeviceName
  available: boolean
  /** Why it is not available; empty where it is. */
  reason: string
  /** Of GPUs: the processor's name, its compute capability, and its memory. */
  processor?: string | undefined
  capability?: string | undefined
  memoryBytes?: number | undefined
  freeBytes?: number | undefined
}

export interface NativeBinding {
  readonly abiVersion: number
  /** The same addon for one copy of the library, whose errors are each a `new errorClass(code, message)`; here they are plain ones with a code. */
  throwAs(errorClass: new (code: ErrorCode, message: string) => Error): NativeBinding
  /** CPU ISAs of this machine, best first. */
  isas(): string[]
  devices(): DeviceInfo[]
  /** Processors this process may use. */
  processors(): number
  /** Somebody waits for the asynchronous runs under way: of several steps, none begins later than 10 ms after the first one. */
  giveWay(): void
  createMemory(device: DeviceName, elements: number): NativeMemory
  /** @throws ERR_MULTIGATE_OUT_OF_MEMORY, before anything is allocated, where this machine cannot hold them. */
  createColumns(columns: readonly ColumnSpec[], rows: number): NativeColumns
  /** @throws ERR_MULTIGATE_PROGRAM for a program that is not well formed, ERR_MULTIGATE_UNSUPPORTED for an unknown ISA. */
  compile(device: DeviceName, program: ProgramSpec, options: { isa?: string; precision?: Precision }): NativePlan
  /** The FMA peak of this machine in GFLOP/s for one ISA and a number of threads: what benchmarks are a share of. */
  peak(isa: string, threads: number): number
}
