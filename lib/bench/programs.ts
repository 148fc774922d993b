// The workloads as plain data, for machines with a GPU but without Node: lowered programs, with what it takes to judge their times.
// `selftest --time` runs them.

import type { LoweredProgram } from '../core/program.js'
import { builtOf, stepProgramOf } from '../model/model.js'
import type { NetworkTask } from '../models/network.js'
import type { OpSpec, ProgramSpec, ViewSpec } from '../native/binding.js'
import { adam } from '../optimizers/adam.js'
import { flopsOf, type LayerShape, layerProgram, layerShapes } from './layers.js'
import { batchSize, type FeedModel, feedModel, feedRows } from './models.js'

/** A program to time. */
export interface DeviceWorkload {
  readonly workload: string
  readonly mode: 'forward' | 'forward+backward' | 'train'
  readonly n: number
  /** FLOPs of products and mixes, 2 per multiply-add; three times as many with backward. Null for training. */
  readonly flops: number | null
  /** Bytes that must cross the device's memory at least once: row inputs, row outputs and weights. */
  readonly bytes: number
  readonly program: PackedProgram
}

/** A program with its views as [buffer, offset, width]. */
export interface PackedProgram {
  readonly buffers: ProgramSpec['buffers']
  readonly ops: readonly Readonly<Record<string, unknown>>[]
  readonly scalars: readonly number[]
  readonly scalarOutputs: number
}

const million = 1_048_576

/** L1 to L4, L1 and L3 with a million rows, and the feed models' training steps. */
export async function deviceWorkloads(): Promise<DeviceWorkload[]> {
  const { L1, L2, L3, L4 } = layerShapes
  return [
    ...layer('L1', L1),
    ...layer('L2', L2),
    ...layer('L3', L3),
    ...layer('L4', L4),
    ...layer('L1-1M', { ...L1, n: million }),
    ...layer('L3-1M', { ...L3, n: million }),
    await training('mmoe'),
    await training('ple'),
  ]
}

function layer(workload: string, shape: LayerShape): DeviceWorkload[] {
  return (['forward', 'forward+backward'] as const).map((mode) => {
    const training = mode === 'forward+backward'
    const lowered = layerProgram(shape, training)
    const flops = flopsOf(shape) * (training ? 3 : 1)
    return { workload, mode, n: shape.n, flops, bytes: bytesOf(lowered.spec, shape.n), program: packed(lowered) }
  })
}

async function training(kind: FeedModel): Promise<DeviceWorkload> {
  using model = feedModel(kind, { threads: 1, sparseUpdate: 'lazy' })
  await model.build(feedRows(batchSize))
  const lowered = stepProgramOf(model, adam())
  const { spec } = lowered
  return {
    workload: `train-${kind}`,
    mode: 'train',
    n: batchSize,
    flops: null,
    bytes: bytesOf(spec, batchSize),
    program: packed(lowered, builtOf(model).encoder.tasks),
  }
}

function bytesOf({ buffers }: ProgramSpec, n: number): number {
  const elements = buffers.map(({ class: kind, width, count }) => {
    if (kind === 'rowInput' || kind === 'rowOutput') return n * width
    return kind === 'parameter' || kind === 'gradient' ? count : 0
  })
  return 4 * elements.reduce((sum, count) => sum + count, 0)
}

/** Denominators are the batch size, as if every row counted for a loss. */
function packed({ spec, ...lowered }: LoweredProgram, tasks: readonly NetworkTask[] = []): PackedProgram {
  const scalars = Array.from({ length: spec.scalarInputs }, () => 0)
  for (const { scalar } of spec.denominators) scalars[scalar] = batchSize
  for (const { task, scalar } of lowered.taskWeights) scalars[scalar] = tasks.find(({ name }) => name === task)?.weight ?? 1
  const { learningRate, step, draw } = lowered.scalars
  if (learningRate !== undefined) scalars[learningRate] = 0.01
  for (const count of [step, draw]) if (count !== undefined) scalars[count] = 1
  return { buffers: spec.buffers, ops: spec.ops.map(packedOp), scalars, scalarOutputs: spec.scalarOutputs }
}

function packedOp(op: OpSpec): Record<string, unknown> {
  return Object.fromEntries(Object.entries(op).map(([name, value]) => [name, packedValue(value)]))
}

function packedValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(packedValue)
  if (typeof value !== 'object' || value === null) return value
  const { buffer, offset, width } = value as NonNullable<ViewSpec>
  return [buffer, offset, width]
}
