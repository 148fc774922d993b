// An embedding table larger than any cache, read and updated at random ids, and a copy of rows to show the memory's speed.

import { Layout } from '../core/layout.js'
import { ProgramBuilder } from '../core/program.js'
import { updateFields, updateRule } from '../layers/update.js'
import type { NativeMemory } from '../native/binding.js'
import { compilePlan, type PlanTarget } from '../native/compile.js'
import { randomOf } from '../verify/numbers.js'

/** Rows of 64 bytes. The table takes 128 MB, and each moment as much again. */
export const tableShape = { n: 262_144, rows: 2_097_152, dim: 16 } as const

export interface TableRun extends Disposable {
  readonly mode: 'gather' | 'update'
  readonly call: () => void
  /** Bytes that a call must move at least, in and out. */
  readonly bytes: number
}

const learningRate = 0.01

/** Gathers one row per id, or sums the gradients of equal ids and updates their rows with Adam. */
export function tableRun(mode: TableRun['mode'], target: PlanTarget, threads: number): TableRun {
  const { n, rows, dim } = tableShape
  const random = randomOf(1)
  const ids = Int32Array.from({ length: n }, () => Math.floor(rows * random()))
  const program = new ProgramBuilder(new Layout(), { training: mode === 'update' })
  const table = { name: 'rows', rows, dim, initializer: { kind: 'uniform', low: -0.05, high: 0.05 }, stream: 0 } as const
  const view = { table: program.table(table), ids: program.rowInput('ids', 1, 'i32') }
  if (mode === 'gather') {
    program.op('embedding_gather', { ...view, y: program.rowOutput('rows', dim), combiner: 0 })
    return prepared(mode, program, [ids], n * (4 + 2 * 4 * dim), target, threads)
  }
  const gradient = program.stored(dim)
  program.op('copy_columns', { x: program.rowInput('gradient', dim), y: gradient })
  program.op('embedding_update', {
    table: view.table,
    ids: [view.ids],
    gradients: [gradient],
    combiners: [0],
    exact: 0,
    loss: program.penalty(table.name),
    l1: 0,
    l2: 0,
    ...updateFields(
      program,
      updateRule({ name: 'adam', form: 'keras', beta1: 0.9, beta2: 0.999, epsilon: 1e-7 }),
      (number, initial) => program.tableMoment(table, number, { initial, perRow: false }),
    ),
  })
  const gradients = Float32Array.from({ length: n * dim }, () => random() - 0.5)
  // Each gradient is read, stored and read again. Each updated row and its two moments are read and written.
  const moved = new Set(ids).size
  return prepared(mode, program, [ids, gradients], 4 * n + 3 * 4 * dim * n + 6 * 4 * dim * moved, target, threads)
}

/** GB/s in and out of a copy of the same rows, 64 bytes at a time. */
export function copyRate(target: PlanTarget, threads: number, seconds: number): number {
  const { n, dim } = tableShape
  const program = new ProgramBuilder(new Layout(), { training: false })
  program.op('copy_columns', { x: program.rowInput('from', dim), y: program.rowOutput('to', dim) })
  using copy = prepared('gather', program, [new Float32Array(n * dim).fill(1)], 2 * 4 * dim * n, target, threads)
  copy.call()
  let best = Number.POSITIVE_INFINITY
  for (const end = performance.now() + seconds * 1000; performance.now() < end; ) {
    const start = performance.now()
    copy.call()
    best = Math.min(best, performance.now() - start)
  }
  return copy.bytes / (best * 1e6)
}

function prepared(
  mode: TableRun['mode'],
  program: ProgramBuilder,
  inputs: readonly (Float32Array | Int32Array)[],
  bytes: number,
  target: PlanTarget,
  threads: number,
): TableRun {
  const { n, rows, dim } = tableShape
  const { spec, bindings, rowOutputs, scalars: numbers } = program.build()
  const plan = compilePlan(target, spec)
  const memories: NativeMemory[] = []
  for (const [name, buffer] of Object.entries(bindings)) {
    if (spec.buffers[buffer]?.class === 'parameter') continue
    const memory = target.native.createMemory(target.device, rows * dim)
    if (name.startsWith('table:')) memory.initialize(0, rows * dim, { kind: 'uniform', low: -0.05, high: 0.05 }, 1, 0)
    plan.bind(buffer, memory)
    memories.push(memory)
  }
  const scalars = new Float64Array(spec.scalarInputs)
  if (numbers.learningRate !== undefined) scalars[numbers.learningRate] = learningRate
  if (numbers.step !== undefined) scalars[numbers.step] = 1
  const request = { rows: n, inputs, outputs: rowOutputs.map(() => new Float32Array(n * dim)), scalars, threads }
  return {
    mode,
    bytes,
    call: () => void plan.run(request),
    [Symbol.dispose]() {
      plan.dispose()
      for (const memory of memories) memory.dispose()
    },
  }
}
