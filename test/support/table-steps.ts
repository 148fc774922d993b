// Steps of one embedding table by itself: given ids and given gradients of their rows.

import { Layout } from '../../lib/core/layout.js'
import { ProgramBuilder } from '../../lib/core/program.js'
import { type OptimizerRule, updateRule } from '../../lib/layers/update.js'
import { loadNative } from '../../lib/native/loader.js'
import { emitTableUpdate } from '../../lib/training/step-program.js'
import { choiceOf, type TestPlace } from './places.js'

export interface TableRun {
  readonly optimizer: OptimizerRule
  /** [rows, dim] */
  readonly table: readonly number[]
  readonly dim: number
  readonly learningRate: number
  readonly exact?: boolean
  readonly l2?: number
  readonly clipValue?: number
  readonly threads?: number
}

/** The ids of a step, and the gradient of each one's row, [ids, dim]. */
export interface TableStep {
  readonly ids: readonly number[]
  readonly gradient: readonly number[]
}

/** The table and the optimizer's moments, by the names of their memories, after some steps. */
export function runTable(place: TestPlace, run: TableRun, steps: readonly TableStep[]): Record<string, number[]> {
  const { optimizer, table, dim, learningRate, exact = false, l2 = 0, clipValue = 0, threads = 2 } = run
  const layout = new Layout()
  const rows = table.length / dim
  const own = layout.table({ name: 'id', rows, dim, initializer: { kind: 'constant', value: 0 } })
  const builder = new ProgramBuilder(layout, { training: true })
  const gradient = builder.stored(dim)
  builder.op('copy_columns', { x: builder.rowInput('gradient', dim), y: gradient })
  const ids = builder.rowInput('id', 1, 'i32')
  const update = { table: own, inputs: [{ ids, gradient, combiner: 0 }] }
  emitTableUpdate(builder, update, updateRule(optimizer, { value: clipValue }), { penalty: { l1: 0, l2 }, exact })
  const { spec, bindings, scalars, initial } = builder.build()
  const native = loadNative()
  const plan = native.compile(place.device, spec, choiceOf(place))
  const memories = Object.entries(bindings).map(([name, buffer]) => {
    const { width = 0, count = 0 } = spec.buffers[buffer] ?? {}
    const memory = native.createMemory(place.device, width * count)
    memory.write(0, name === 'table:id' ? Float64Array.from(table) : new Float64Array(width * count).fill(initial[name] ?? 0))
    plan.bind(buffer, memory)
    return [name, memory] as const
  })
  steps.forEach((step, index) => {
    const given = new Float64Array(spec.scalarInputs)
    given[scalars.learningRate ?? 0] = learningRate
    given[scalars.step ?? 0] = index + 1
    const inputs = [Float32Array.from(step.gradient), Int32Array.from(step.ids)]
    plan.run({ rows: step.ids.length, inputs, outputs: [], scalars: given, threads })
  })
  const results = memories.map(([name, memory]) => {
    const values = Array.from(memory.read(0, memory.elements))
    memory.dispose()
    return [name, values] as const
  })
  plan.dispose()
  return Object.fromEntries(results)
}
