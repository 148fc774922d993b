// The layers that are timed: MMoE and PLE bodies of one block of rows each, forward, and forward with gradients of the rows
// and of all parameters in one pass. Letters: n rows, d input width, e experts, h their width, t tasks.

import { elementsOf, Layout } from '../core/layout.js'
import { type LoweredProgram, ProgramBuilder } from '../core/program.js'
import { type Topology, topology } from '../core/topology.js'
import { Signal, Tape } from '../layers/tape.js'
import { levelBody, levelsBody } from '../models/experts.js'
import type { Body, BodyContext } from '../models/lowering.js'
import { mmoe } from '../models/mmoe.js'
import type { ExpertOptions } from '../models/options.js'
import { ple } from '../models/ple.js'
import type { NativeMemory, NativePlan } from '../native/binding.js'
import { compilePlan, type PlanTarget } from '../native/compile.js'
import { randomArray, randomOf } from '../verify/numbers.js'

export interface LayerShape {
  readonly n: number
  readonly d: number
  readonly h: number
  readonly t: number
  /** Of an MMoE: all experts. */
  readonly e?: number
  /** Of a PLE: each task's own and shared ones, per level. */
  readonly specific?: number
  readonly shared?: number
  readonly levels?: number
}

export const layerShapes = {
  L1: { n: 10_240, d: 128, e: 20, h: 32, t: 4 },
  L2: { n: 10_240, d: 64, e: 4, h: 32, t: 4 },
  L3: { n: 4096, d: 512, e: 8, h: 256, t: 2 },
  L4: { n: 10_240, d: 128, h: 32, t: 4, specific: 4, shared: 8, levels: 2 },
} as const satisfies Record<string, LayerShape>

export type LayerName = keyof typeof layerShapes

/** Both passes of a layer, ready to run. */
export interface LayerRuns {
  readonly forward: () => void
  readonly 'forward+backward': () => void
  dispose(): void
}

/** Experts with relu, gates with a bias. */
function levelsOf({ d, h, t, e, specific = 0, shared = 0, levels = 1 }: LayerShape): readonly Topology[] {
  const common = { inputDim: d, units: h, numTasks: t, activation: 'relu', gateBias: true } as const
  if (e !== undefined) return [topology.mmoe({ ...common, numExperts: e })]
  return topology.ple({ ...common, numLevels: levels, numSharedExperts: shared, numSpecificExperts: specific })
}

/** Forward FLOPs, two per multiply-add: experts, gates and mixes. Forward + backward counts three times as many. */
export function flopsOf(shape: LayerShape): number {
  const perRow = levelsOf(shape).reduce((sum, { streams, experts, gates, units }) => {
    const products = experts.reduce((flops, { stream }) => flops + 2 * (streams[stream] ?? 0) * units, 0)
    const mixes = gates.reduce(
      (flops, { stream, experts: seen }) => flops + 2 * seen.length * ((streams[stream] ?? 0) + units),
      0,
    )
    return sum + products + mixes
  }, 0)
  return shape.n * perRow
}

export function layerRuns(shape: LayerShape, target: PlanTarget, threads: number): LayerRuns {
  const layout = new Layout()
  const body = bodyOf(shape, layout)
  const forward = prepare(lower(body, layout, shape, false), layout, target, shape, threads)
  const both = prepare(lower(body, layout, shape, true), layout, target, shape, threads)
  return {
    forward: forward.run,
    'forward+backward': both.run,
    dispose() {
      forward.dispose()
      both.dispose()
    },
  }
}

/** The program of a layer. */
export function layerProgram(shape: LayerShape, training: boolean): LoweredProgram {
  const layout = new Layout()
  return lower(bodyOf(shape, layout), layout, shape, training)
}

function bodyOf(shape: LayerShape, layout: Layout): Body {
  const tasks = Array.from({ length: shape.t }, (_, task) => ({
    kind: 'binary' as const,
    name: `${task}`,
    weight: 1,
    rowWeights: false,
  }))
  const experts = { expertHiddenUnits: [shape.h], gateBias: true }
  const levels = levelsOf(shape)
  const options: ExpertOptions =
    shape.e === undefined
      ? ple.parse({ ...experts, numSharedExperts: shape.shared ?? 0, numSpecificExperts: shape.specific ?? 0 })
      : mmoe.parse({ ...experts, numExperts: shape.e })
  const context: BodyContext<ExpertOptions> = { layout, options, inputDim: shape.d, tasks }
  const [only] = levels
  return shape.e !== undefined && only !== undefined ? levelBody(context, only) : levelsBody(context, levels, [])
}

function lower(body: Body, layout: Layout, { d, t, h }: LayerShape, training: boolean): LoweredProgram {
  const program = new ProgramBuilder(layout, { training })
  const tape = new Tape(program)
  const outputs = body.forward(tape, new Signal(program.rowInput('x', d), training ? program.rowOutput('dx', d) : null))
  for (let task = 0; task < t; task += 1) {
    const output = outputs[task]
    if (output === undefined) throw new Error('a task has no output')
    program.rows('copy_columns', { x: output.value, y: program.rowOutput(`output ${task}`, h) })
    if (!training) continue
    const { view, accumulate } = output.target()
    const dy = program.rowInput(`upstream ${task}`, h)
    program.rows('fusion_backward', { inputs: [output.value], dy, dinputs: [view], accumulate: [accumulate], kind: 0 })
  }
  if (training) {
    tape.backward()
    program.step('reduce_gradients', { gradients: program.gradients() })
  }
  return program.build()
}

function prepare(
  { spec, bindings, rowInputs, rowOutputs }: LoweredProgram,
  layout: Layout,
  target: PlanTarget,
  { n }: LayerShape,
  threads: number,
): { readonly run: () => void; dispose(): void } {
  const plan: NativePlan = compilePlan(target, spec)
  const memories = new Map<string, NativeMemory>()
  for (const [name, buffer] of Object.entries(bindings)) {
    const memory = target.native.createMemory(target.device, layout.elements)
    memories.set(name, memory)
    plan.bind(buffer, memory)
  }
  for (const { shape, offset, initializer, streams } of layout.tensors) {
    const elements = elementsOf(shape) / streams.length
    streams.forEach((stream, index) => {
      memories.get('parameters')?.initialize(offset + index * elements, elements, initializer, 1, stream)
    })
  }
  const random = randomOf(1)
  const widths = (kind: string): number[] => spec.buffers.filter((buffer) => buffer.class === kind).map(({ width }) => width)
  const inputs = rowInputs.map((_, index) => randomArray(random, n * (widths('rowInput')[index] ?? 0)))
  const outputs = rowOutputs.map((_, index) => new Float32Array(n * (widths('rowOutput')[index] ?? 0)))
  const request = { rows: n, inputs, outputs, scalars: new Float64Array(spec.scalarInputs), threads }
  return {
    run: () => void plan.run(request),
    dispose() {
      plan.dispose()
      for (const memory of memories.values()) memory.dispose()
    },
  }
}
