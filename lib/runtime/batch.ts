// Batches for `predictSync`: arrays for the encoded features of some rows, and for their scores. All arrays of a batch share one block
// of memory, which keeps a call short. A batch knows neither the encoders nor whether its model is busy.

/// <reference lib="esnext.disposable" preserve="true" />

import { checkInteger, invalidArgument } from '../core/check.js'
import { ArgumentError, DisposedError } from '../core/errors.js'
import type { ValueCounts } from '../features/encode/encoder.js'
import type { Feature } from '../features/spec/feature.js'
import type { NativePreparedRun } from '../native/binding.js'
import type { EncodedRequest } from './request.js'
import type { NetworkRunner } from './runner.js'

/**
 * A batch for `predictSync`: one array per feature, by name, with encoded rows one after another. A sparse feature has ids [rows]; a
 * sequence has ids [rows * maxLength], each list followed by zeros; a dense feature has transformed numbers [rows * width].
 */
export type Batch<Features extends readonly Feature[] = readonly Feature[]> = {
  readonly [F in Features[number] as F['name']]: F extends { readonly kind: 'dense' } ? Float32Array : Int32Array
} & { [Symbol.dispose](): void }

/** An array in the memory of a batch, with this many elements per row. */
interface Place {
  readonly name: string
  readonly offset: number
  readonly width: number
}

/** The native side of the arrays that a user holds. */
export class BoundBatch {
  /** The model's own mark: a batch works only with the model that made it. */
  readonly owner: object
  /** The weights that it scores with. */
  readonly #runner: object
  /** The most rows that it holds. */
  readonly capacity: number
  readonly inputs: Batch
  /** Of the rows that `write` took last. */
  counts: ReadonlyMap<string, ValueCounts> = new Map()
  readonly #run: NativePreparedRun
  readonly #outputs: readonly Place[]
  readonly #scores = new Map<number, Readonly<Record<string, Float32Array>>>()
  #disposed = false

  constructor(owner: object, capacity: number, runner: Pick<NetworkRunner, 'network' | 'prepareRun'>) {
    const { spec, rowInputs, rowOutputs } = runner.network.predict
    const run = runner.prepareRun(capacity)
    this.owner = owner
    this.#runner = runner
    this.capacity = capacity
    this.#run = run
    const of = (kind: string) => spec.buffers.filter((buffer) => buffer.class === kind)
    const arrays = of('rowInput').map(({ dtype, width }, index) => {
      const elements = dtype === 'i32' ? Int32Array : Float32Array
      return [rowInputs[index] ?? '', new elements(run.memory, run.offsets[index] ?? 0, capacity * width)] as const
    })
    this.#outputs = of('rowOutput').map(({ width }, index) => {
      return { name: rowOutputs[index] ?? '', offset: run.offsets[arrays.length + index] ?? 0, width }
    })
    // Without a prototype: a feature may have any name.
    const inputs = Object.create(null) as Record<string | symbol, unknown>
    for (const [name, array] of arrays) Object.defineProperty(inputs, name, { value: array, enumerable: true })
    Object.defineProperty(inputs, Symbol.dispose, { value: () => this.#dispose() })
    this.inputs = Object.freeze(inputs) as unknown as Batch
    batches.set(inputs, this)
  }

  /** Scores of the first rows. The same number of rows gives the same arrays. */
  predict(rows: number): Readonly<Record<string, Float32Array>> {
    // The run checks that rows is an integer within the batch, and the memory.
    this.#run.run(rows)
    return this.#scores.get(rows) ?? this.#view(rows)
  }

  /** Takes the rows of a request. */
  write({ features, counts }: EncodedRequest): void {
    // A batch has rows, so an array without any has lost its memory.
    if (features.some(([name]) => this.inputs[name]?.length === 0)) {
      const message =
        'fill.batch: expected arrays that stay in place, found some whose memory was transferred away; make a new batch'
      throw new ArgumentError(message, { field: 'fill.batch' })
    }
    for (const [name, data] of features) this.inputs[name]?.set(data as Int32Array<ArrayBuffer>)
    this.counts = counts
  }

  /** @throws ERR_MULTIGATE_DISPOSED; ERR_MULTIGATE_ARGUMENT if the model has other weights now. */
  check(runner: object, field: string): void {
    if (this.#disposed) throw new DisposedError('this batch')
    if (this.#runner === runner) return
    const next = "make a new one with this model's createBatch(rows)"
    throw invalidArgument(field, 'a batch of the weights that the model has now', 'one from before it grew or took a delta', next)
  }

  #view(rows: number): Readonly<Record<string, Float32Array>> {
    const { memory } = this.#run
    const scores = this.#outputs.map(({ name, offset, width }) => [name, new Float32Array(memory, offset, rows * width)] as const)
    const named = Object.freeze(Object.fromEntries(scores))
    this.#scores.set(rows, named)
    return named
  }

  #dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#scores.clear()
    this.#run.dispose()
  }
}

const batches = new WeakMap<object, BoundBatch>()

/**
 * The batch behind the arrays that a model's `createBatch` returned.
 * @throws ERR_MULTIGATE_ARGUMENT for anything else, including a batch of another model.
 */
export function batchOf(inputs: unknown, owner: object, field: string): BoundBatch {
  const batch = typeof inputs === 'object' && inputs !== null ? batches.get(inputs) : undefined
  if (batch?.owner === owner) return batch
  throw batch === undefined
    ? invalidArgument(field, "the result of this model's createBatch(rows)", inputs)
    : invalidArgument(field, 'a batch of this model', 'a batch of another model', "make one with this model's createBatch(rows)")
}

/** @throws ERR_MULTIGATE_ARGUMENT unless it is a number of rows that a batch can hold. */
export function checkRowCount(rows: unknown): number {
  return checkInteger('createBatch.rows', rows, { min: 1, max: 2 ** 31 - 1 })
}
