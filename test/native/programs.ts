// Small programs for the boundary tests, the arrays that run them, and what every bad call must do: throw a coded error.
import { expect } from 'vitest'

import type {
  DeviceName,
  FloatArray,
  NativeColumns,
  NativeMemory,
  NativePlan,
  OpSpec,
  ProgramSpec,
  RunRequest,
} from '../../lib/native/binding.js'
import { loadNative } from '../../lib/native/loader.js'

export const binding = loadNative()

export const devices: readonly DeviceName[] = ['reference', 'cpu']

export function view(buffer: number, offset: number, width: number): { buffer: number; offset: number; width: number } {
  return { buffer, offset, width }
}

export function floats(device: DeviceName, values: number | readonly number[]): FloatArray {
  if (device === 'reference') return typeof values === 'number' ? new Float64Array(values) : new Float64Array(values)
  return typeof values === 'number' ? new Float32Array(values) : new Float32Array(values)
}

/** Columns that are written at once. */
export function columnsOf(
  columns: readonly { readonly data: Float32Array | Int32Array; readonly width: number; readonly limit: number }[],
  rows: number,
): NativeColumns {
  const specs = columns.map(({ data, width, limit }) => {
    return { type: data instanceof Int32Array ? ('i32' as const) : ('f32' as const), width, limit }
  })
  const made = binding.createColumns(specs, rows)
  made.write(
    0,
    columns.map(({ data }) => data),
  )
  return made
}

/** y[n,2] = x[n,3] kernel + bias; 8 parameters. Buffers: 0 x, 1 copy of x, 2 parameters, 3 y. */
export function denseProgram(): ProgramSpec {
  return {
    buffers: [
      { class: 'rowInput', dtype: 'f32', width: 3, count: 0 },
      { class: 'activation', dtype: 'f32', width: 3, count: 0 },
      { class: 'parameter', dtype: 'f32', width: 1, count: 8 },
      { class: 'rowOutput', dtype: 'f32', width: 2, count: 0 },
    ],
    ops: [
      { op: 'copy_columns', x: view(0, 0, 3), y: view(1, 0, 3) },
      {
        op: 'dense_forward',
        x: view(1, 0, 3),
        kernel: view(2, 0, 6),
        bias: view(2, 6, 2),
        z: null,
        y: view(3, 0, 2),
        activation: 0,
      },
    ],
    scalarInputs: 0,
    scalarOutputs: 0,
    denominators: [],
  }
}

export const denseParameters = [1, 2, 3, 4, 5, 6, 10, 20]

/** Two experts of 2 units on one stream of width 2, two gates: one sees both, one the second only. */
export function mixtureProgram(): ProgramSpec {
  return {
    buffers: [
      { class: 'rowInput', dtype: 'f32', width: 2, count: 0 },
      { class: 'parameter', dtype: 'f32', width: 1, count: 20 },
      { class: 'rowOutput', dtype: 'f32', width: 2, count: 0 },
      { class: 'rowOutput', dtype: 'f32', width: 2, count: 0 },
      { class: 'rowOutput', dtype: 'f32', width: 3, count: 0 },
      { class: 'activation', dtype: 'f32', width: 2, count: 0 },
      { class: 'activation', dtype: 'f32', width: 3, count: 0 },
    ],
    ops: [
      { op: 'copy_columns', x: view(0, 0, 2), y: view(5, 0, 2) },
      {
        op: 'mixture_forward',
        streams: [view(5, 0, 2)],
        expertStream: [0, 0],
        gateStream: [0, 0],
        gateOffset: [0, 2, 3],
        gateExpert: [0, 1, 1],
        expertKernel: [view(1, 0, 8)],
        expertBias: view(1, 8, 4),
        gateKernel: [view(1, 12, 4), view(1, 16, 2)],
        gateBias: [],
        units: 2,
        activation: 0,
        temperature: 1,
        outputs: [view(2, 0, 2), view(3, 0, 2)],
        gates: view(6, 0, 3),
        experts: null,
        pre: null,
      },
      { op: 'copy_columns', x: view(6, 0, 3), y: view(4, 0, 3) },
    ],
    scalarInputs: 0,
    scalarOutputs: 0,
    denominators: [],
  }
}

const sgd = {
  moment1: null,
  moment2: null,
  moment3: null,
  rule: 0,
  form: 0,
  nesterov: 0,
  centered: 0,
  learningRate: 1,
  step: 2,
  beta1: 0,
  beta2: 0,
  epsilon: 0,
  momentum: 0,
  weightDecay: 0,
  ftrlL1: 0,
  ftrlL2: 0,
  ftrlL2Shrinkage: 0,
  ftrlPower: 0,
  ftrlBeta: 0,
  average: null,
  squares: 0,
  averageScale: null,
  clipNorm: 0,
  clipValue: 0,
}

/**
 * One training step of a logistic model on an embedding and a float: every op class at once.
 * Buffers: 0 ids, 1 x, 2 label, 3 row, 4 logit, 5 dlogit, 6 stored gradient, 7 parameters [3+1], 8 gradients, 9 table [5,2].
 * Scalar inputs: 0 denominator, 1 learning rate, 2 step, 3 task weight. Scalar outputs: 0 loss, 1 penalty of the table.
 */
export function trainingProgram(): ProgramSpec {
  const rows = (dtype: 'f32' | 'i32'): ProgramSpec['buffers'][number] => ({ class: 'rowInput', dtype, width: 1, count: 0 })
  const dense = { x: view(3, 0, 3), kernel: view(7, 0, 3), bias: view(7, 3, 1), z: null, y: view(4, 0, 1), activation: 0 }
  return {
    buffers: [
      rows('i32'),
      rows('f32'),
      rows('f32'),
      { class: 'activation', dtype: 'f32', width: 3, count: 0 },
      { class: 'activation', dtype: 'f32', width: 1, count: 0 },
      { class: 'activation', dtype: 'f32', width: 1, count: 0 },
      { class: 'stored', dtype: 'f32', width: 2, count: 0 },
      { class: 'parameter', dtype: 'f32', width: 1, count: 4 },
      { class: 'gradient', dtype: 'f32', width: 1, count: 4 },
      { class: 'table', dtype: 'f32', width: 2, count: 5 },
    ],
    ops: [
      { op: 'embedding_gather', table: view(9, 0, 2), ids: view(0, 0, 1), y: view(3, 0, 2), combiner: 0 },
      { op: 'copy_columns', x: view(1, 0, 1), y: view(3, 2, 1) },
      { op: 'dense_forward', ...dense },
      {
        op: 'binary_loss',
        logit: view(4, 0, 1),
        label: view(2, 0, 1),
        weight: null,
        dlogit: view(5, 0, 1),
        gamma: 0,
        denominator: 0,
        loss: 0,
        taskWeight: 3,
      },
      { op: 'dense_backward', ...dense, dy: view(5, 0, 1), dx: view(6, 0, 2), gradients: view(8, 0, 4), accumulate: 0 },
      { op: 'reduce_gradients', gradients: view(8, 0, 4) },
      { op: 'optimize', parameters: view(7, 0, 4), gradients: view(8, 0, 4), ...sgd },
      {
        op: 'embedding_update',
        table: view(9, 0, 2),
        ids: [view(0, 0, 1)],
        gradients: [view(6, 0, 2)],
        combiners: [0],
        exact: 0,
        loss: 1,
        l1: 0,
        l2: 0,
        ...sgd,
      },
    ],
    scalarInputs: 4,
    scalarOutputs: 2,
    denominators: [{ scalar: 0, label: view(2, 0, 1), weight: null, reduction: 'valid' }],
  }
}

/** A compiled program with fresh zeroed memory on all its buffers. */
export function boundPlan(device: DeviceName, program: ProgramSpec): { plan: NativePlan; memories: Map<number, NativeMemory> } {
  const plan = binding.compile(device, program, {})
  const memories = new Map<number, NativeMemory>()
  program.buffers.forEach((buffer, number) => {
    if (!['parameter', 'gradient', 'state', 'table'].includes(buffer.class)) return
    const memory = binding.createMemory(device, buffer.width * buffer.count)
    plan.bind(number, memory)
    memories.set(number, memory)
  })
  return { plan, memories }
}

/** Zeros of the right lengths for every row buffer. */
export function requestFor(device: DeviceName, program: ProgramSpec, rows: number): RunRequest {
  const inputs = program.buffers.filter((buffer) => buffer.class === 'rowInput')
  const outputs = program.buffers.filter((buffer) => buffer.class === 'rowOutput')
  return {
    rows,
    inputs: inputs.map(({ dtype, width }) => (dtype === 'i32' ? new Int32Array(rows * width) : new Float32Array(rows * width))),
    outputs: outputs.map(({ width }) => floats(device, rows * width)),
    scalars: new Float64Array(program.scalarInputs),
    threads: 1,
  }
}

/** A dense plan with known parameters, ready to run. */
export function densePlan(device: DeviceName): { plan: NativePlan; parameters: NativeMemory } {
  const { plan, memories } = boundPlan(device, denseProgram())
  const parameters = memories.get(2)
  if (parameters === undefined) throw new Error('no parameters')
  parameters.write(0, new Float32Array(denseParameters))
  return { plan, parameters }
}

/** The same program with one op's fields replaced. */
export function withOp(program: ProgramSpec, number: number, fields: Partial<Record<string, unknown>>): ProgramSpec {
  const ops = program.ops.map((op, index) => (index === number ? ({ ...op, ...fields } as OpSpec) : op))
  return { ...program, ops }
}

/** For values that no type allows. */
export function anything<T>(value: unknown): T {
  return value as T
}

/** The call throws an error of this code, whose text has every one of `parts`. */
export function expectCode(call: () => unknown, code: string, ...parts: readonly string[]): void {
  let thrown: unknown
  try {
    call()
  } catch (error) {
    thrown = error
  }
  expect(thrown, 'nothing was thrown').toBeInstanceOf(Error)
  const { message } = thrown as Error
  expect((thrown as { code?: unknown }).code, message).toBe(`ERR_MULTIGATE_${code}`)
  for (const part of parts) expect(message).toContain(part)
}
