// A built model on its device: the network, its memories and its compiled plans. Programs compile on first use. It knows
// neither datasets nor turns: whoever calls it sees to it that one program runs at a time.

import { quote } from '../core/check.js'
import type { LoweredProgram } from '../core/program.js'
import type { Network } from '../models/network.js'
import type { FloatArray, NativePlan, NativePreparedRun, PlanInfo } from '../native/binding.js'
import { compilePlan } from '../native/compile.js'
import type { Compute } from './compute.js'
import type { EncodedRows } from './encode.js'
import { Memories } from './memories.js'
import { checkRowsFit, checkWeightsFit } from './room.js'

/** What one run gives: row outputs by task, scalar outputs in the program's order. */
export interface RunResult {
  readonly outputs: ReadonlyMap<string, FloatArray>
  readonly scalars: Float64Array
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

  /** All rows, or some from `start` on, through a program that updates nothing. */
  async run(program: LoweredProgram, data: EncodedRows, start = 0, rows = data.rows - start): Promise<RunResult> {
    const outputs = this.#outputs(program, rows)
    if (rows === 0) return { outputs, scalars: new Float64Array(program.spec.scalarOutputs) }
    const plan = this.#planOf(program)
    checkRowsFit(rows, plan.info(rows), program, this.compute)
    const scalars = await plan.runAsync({
      rows,
      start,
      columns: data.columns,
      columnOf: data.columnOf(program),
      outputs: [...outputs.values()],
      scalars: new Float64Array(program.spec.scalarInputs),
      threads: this.compute.threads,
    })
    return { outputs, scalars }
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

  #outputs({ spec, rowOutputs }: LoweredProgram, rows: number): Map<string, FloatArray> {
    const widths = spec.buffers.filter((buffer) => buffer.class === 'rowOutput').map((buffer) => buffer.width)
    return new Map(rowOutputs.map((name, index) => [name, new this.compute.element(rows * (widths[index] ?? 0))]))
  }
}
