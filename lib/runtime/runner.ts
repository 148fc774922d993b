// A built model on its device: the network, its memories and its compiled plans. Programs compile on first use. It knows
// neither datasets nor turns: whoever calls it sees to it that one program runs at a time.

import { quote } from '../core/check.js'
import { allocate } from '../core/memory.js'
import type { LoweredProgram } from '../core/program.js'
import type { Network } from '../models/network.js'
import type { FloatArray, NativePlan, NativePreparedRun, PlanInfo } from '../native/binding.js'
import { compilePlan } from '../native/compile.js'
import type { Compute } from './compute.js'
import type { EncodedRows } from './encode.js'
import { checkRowsFit, checkWeightsFit } from './memory-budget.js'
import { Memories } from './weights.js'

/** Rows of one run: it lasts a fraction of a second, as others wait for its end. */
export const rowsAtOnce = 2 ** 16

/** What all rows give: row outputs by task, and the scalar results part by part. */
export interface RunResult {
  readonly outputs: ReadonlyMap<string, FloatArray>
  readonly parts: readonly PartResult[]
}

/** Scalar outputs of some rows in the program's order, then denominators. */
export interface PartResult {
  readonly rows: number
  readonly results: Float64Array
}

export class NetworkRunner {
  readonly network: Network
  readonly compute: Compute
  readonly memories: Memories
  readonly #plans = new Map<LoweredProgram, NativePlan>()
  #serving: NativePlan | undefined

  constructor(network: Network, compute: Compute) {
    this.network = network
    this.compute = compute
    this.memories = new Memories(compute)
    // Binding is what makes the memories of the weights.
    this.#planOf(network.predict)
  }

  /**
   * All rows through a program that updates nothing, some at a time, so that nobody who shares the thread waits long for their copies.
   * @param check called before each run: what it throws ends the work.
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

  /** Some rows through a program that updates nothing, in the shuffled order where `shuffled`; its scalar results. */
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

  /** Arrays for the row outputs of a program, by name. */
  outputs({ spec, rowOutputs }: LoweredProgram, rows: number): Map<string, FloatArray> {
    const widths = spec.buffers.filter((buffer) => buffer.class === 'rowOutput').map((buffer) => buffer.width)
    const array = (name: string, width: number): FloatArray =>
      allocate<FloatArray>(`scores of ${quote(name)}, ${rows} rows`, this.compute.element, rows * width)
    return new Map(rowOutputs.map((name, index) => [name, array(name, widths[index] ?? 0)]))
  }

  /**
   * Compiles a program over the model's memories, and fills those that it is the first to need. The plan is the caller's, to be disposed.
   * @throws ERR_MULTIGATE_OUT_OF_MEMORY, ERR_MULTIGATE_DISPOSED.
   */
  async prepare(program: LoweredProgram): Promise<NativePlan> {
    const plan = this.#compile(program)
    try {
      await this.memories.fill()
      return plan
    } catch (error) {
      plan.dispose()
      throw error
    }
  }

  /** A prediction that is bound once, for at most `rows` rows at a time. */
  prepareRun(rows: number): NativePreparedRun {
    const { predict } = this.network
    // A plan of its own: an asynchronous prediction under way does not stand in the way.
    this.#serving ??= this.#compile(predict)
    const names = predict.rowInputs.map((name) => `feature ${quote(name)}`)
    return this.#serving.prepare(rows, names, this.compute.threads)
  }

  /** How a program runs over this many rows. */
  info(rows: number): PlanInfo {
    return this.#planOf(this.network.predict).info(rows)
  }

  dispose(): void {
    for (const plan of this.#plans.values()) plan.dispose()
    this.#plans.clear()
    this.#serving?.dispose()
    this.memories.dispose()
  }

  #planOf(program: LoweredProgram): NativePlan {
    const known = this.#plans.get(program)
    if (known !== undefined) return known
    const plan = this.#compile(program)
    this.#plans.set(program, plan)
    return plan
  }

  #compile(program: LoweredProgram): NativePlan {
    checkWeightsFit(this.network, program, this.memories, this.compute)
    const plan = compilePlan(this.compute, program.spec)
    try {
      this.memories.bind(plan, program)
      return plan
    } catch (error) {
      plan.dispose()
      throw error
    }
  }
}
