// A built model on its device: the network, its memories and its compiled plans. Programs compile on first use. The runner knows neither
// datasets nor turns: its caller must run one program at a time.

import { quote } from '../core/check.js'
import { allocate } from '../core/memory.js'
import type { LoweredProgram } from '../core/program.js'
import type { Network } from '../models/network.js'
import type { FloatArray, NativePlan, NativePreparedRun, PlanInfo } from '../native/binding.js'
import { compilePlan } from '../native/compile.js'
import type { Compute } from './compute.js'
import type { EncodedRows } from './encode.js'
import { checkRowsFit, checkWeightsFit } from './memory-budget.js'
import { WeightMemory } from './weights.js'

/** Rows of one run. A run lasts a fraction of a second, because others wait for it. */
export const rowsAtOnce = 2 ** 16

/** Results of all rows: row outputs by task, and the scalar results part by part. */
export interface RunResult {
  readonly outputs: ReadonlyMap<string, FloatArray>
  readonly parts: readonly PartResult[]
}

/** Scalar outputs of a part in the program's order, then denominators. */
export interface PartResult {
  readonly rows: number
  readonly results: Float64Array
}

export class NetworkRunner {
  readonly network: Network
  readonly compute: Compute
  readonly weights: WeightMemory
  readonly #plans = new Map<LoweredProgram, NativePlan>()
  #serving: NativePlan | undefined
  /** Calls that use the runner. */
  #holders = 0
  #retired = false

  constructor(network: Network, compute: Compute) {
    this.network = network
    this.compute = compute
    this.weights = new WeightMemory(compute)
    // Binding creates the memories of the weights.
    this.#planOf(network.predict)
  }

  /**
   * Runs all rows through a program that updates nothing, part by part, so that copying does not block the thread for long.
   * @param check called before each run; an error it throws ends the work.
   */
  async run(program: LoweredProgram, data: EncodedRows, check: () => void = () => undefined): Promise<RunResult> {
    const outputs = this.outputs(program, data.rows)
    const parts: PartResult[] = []
    for (let start = 0; start < data.rows; start += rowsAtOnce) {
      check()
      const rows = Math.min(rowsAtOnce, data.rows - start)
      const own = [...outputs.values()].map((values) => {
        const width = values.length / data.rows
        return values.subarray(start * width, (start + rows) * width)
      })
      parts.push({ rows, results: await this.runPart(program, data, { start, rows, outputs: own }) })
    }
    return { outputs, parts }
  }

  /** Scalar results of some rows of a program that updates nothing; `shuffled`: in the shuffled order. */
  async runPart(
    program: LoweredProgram,
    data: EncodedRows,
    {
      start,
      rows,
      outputs,
      shuffled = false,
    }: { readonly start: number; readonly rows: number; readonly outputs: readonly FloatArray[]; readonly shuffled?: boolean },
  ): Promise<Float64Array> {
    const plan = this.#planOf(program)
    checkRowsFit(rows, plan.info(rows), program, this.compute)
    return await plan.runAsync({
      rows,
      start,
      shuffled,
      columns: data.columns,
      columnOf: data.columnOf(program),
      outputs,
      scalars: new Float64Array(program.spec.scalarInputs),
      threads: this.compute.threads,
    })
  }

  /** Arrays for a program's row outputs, by name. @param rows of all, or of each. */
  outputs({ spec, rowOutputs }: LoweredProgram, rows: number | ((name: string) => number)): Map<string, FloatArray> {
    const widths = spec.buffers.filter((buffer) => buffer.class === 'rowOutput').map((buffer) => buffer.width)
    const array = (name: string, width: number): FloatArray => {
      const own = typeof rows === 'number' ? rows : rows(name)
      return allocate<FloatArray>(`scores of ${quote(name)}, ${own} rows`, this.compute.element, own * width)
    }
    return new Map(rowOutputs.map((name, index) => [name, array(name, widths[index] ?? 0)]))
  }

  /**
   * Compiles a program over the model's memories and fills new ones. The caller disposes of the plan.
   * @throws ERR_MULTIGATE_OUT_OF_MEMORY, ERR_MULTIGATE_DISPOSED.
   */
  async prepare(program: LoweredProgram): Promise<NativePlan> {
    const plan = this.#compile(program)
    try {
      await this.weights.fill()
      return plan
    } catch (error) {
      plan.dispose()
      throw error
    }
  }

  /** A prediction that is bound once, for at most `rows` rows per call. */
  prepareRun(rows: number): NativePreparedRun {
    const { predict } = this.network
    // It has its own plan, so that an asynchronous prediction can run meanwhile.
    this.#serving ??= this.#compile(predict)
    const names = predict.rowInputs.map((name) => `feature ${quote(name)}`)
    return this.#serving.prepare(rows, names, this.compute.threads)
  }

  /** Run options of a program for this many rows. */
  info(rows: number): PlanInfo {
    return this.#planOf(this.network.predict).info(rows)
  }

  /** Keeps a retired runner alive until the result is disposed of. */
  hold(): { [Symbol.dispose](): void } {
    this.#holders += 1
    return {
      [Symbol.dispose]: () => {
        this.#holders -= 1
        if (this.#retired && this.#holders === 0) this.dispose()
      },
    }
  }

  /** Another runner has taken its place: disposes of this one once no call holds it. */
  retire(): void {
    this.#retired = true
    if (this.#holders === 0) this.dispose()
  }

  dispose(): void {
    for (const plan of this.#plans.values()) plan.dispose()
    this.#plans.clear()
    this.#serving?.dispose()
    this.weights.dispose()
  }

  #planOf(program: LoweredProgram): NativePlan {
    const known = this.#plans.get(program)
    if (known !== undefined) return known
    const plan = this.#compile(program)
    this.#plans.set(program, plan)
    return plan
  }

  #compile(program: LoweredProgram): NativePlan {
    checkWeightsFit(this.network, program, this.weights, this.compute)
    const plan = compilePlan(this.compute, program.spec)
    try {
      this.weights.bind(plan, program)
      return plan
    } catch (error) {
      plan.dispose()
      throw error
    }
  }
}
