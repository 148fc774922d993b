// The layers to time: MMoE and PLE bodies of one block of rows each, forward, and forward with gradients of rows and all parameters in
// one pass. Letters: n rows, d input width, e experts, h their width, t tasks.

import { elementsOf, Layout } from '../core/layout.js'
import { type LoweredProgram, ProgramBuilder } from '../core/program.js'
import { type Topology, topology } from '../core/topology.js'
import { Mixture } from '../layers/mixture.js'
import { Signal, Tape } from '../layers/tape.js'
import type { NativeMemory, NativePlan } from '../native/binding.js'
import { compilePlan, type PlanTarget } from '../native/compile.js'
import { randomArray, randomOf } from '../verify/numbers.js'

export interface LayerShape {
  readonly n: number
  readonly d: number
  readonly h: number
  readonly t: number
  /** Number of all experts of an MMoE. */
  readonly e?: number | undefined
  /** Numbers of each task's own and of shared experts per level of a PLE. */
  readonly specific?: number | undefined
  readonly shared?: number | undefined
  readonly levels?: number | undefined
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

/** Forward FLOPs of experts, gates and mixes, two per multiply-add. Forward + backward counts three times as many. */
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
  const mixtures = mixturesOf(shape, layout)
  const forward = prepare(lower(mixtures, layout, shape, false), layout, target, shape, threads)
  const both = prepare(lower(mixtures, layout, shape, true), layout, target, shape, threads)
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
  return lower(mixturesOf(shape, layout), layout, shape, training)
}

function mixturesOf(shape: LayerShape, layout: Layout): Mixture[] {
  return levelsOf(shape).map((level, index) => {
    return new Mixture(layout, {
      topology: level,
      prefix: `level.${index}.`,
      gateNames: level.gates.map((_, gate) => `${gate}`),
      expertInitializer: 'glorotUniform',
      gateInitializer: 'glorotUniform',
    })
  })
}

/** The last level writes directly to the program's outputs, without a copy, as in `mixtureForward` and `mixtureGrad`. */
function lower(mixtures: readonly Mixture[], layout: Layout, { d, t, h }: LayerShape, training: boolean): LoweredProgram {
  const program = new ProgramBuilder(layout, { training })
  const tape = new Tape(program)
  let signals = [new Signal(program.rowInput('x', d), training ? program.rowOutput('dx', d) : null)]
  const outputs = Array.from({ length: t }, (_, task) => {
    const output = new Signal(program.rowOutput(`output ${task}`, h), training ? program.rowInput(`upstream ${task}`, h) : null)
    if (training) output.target()
    return output
  })
  for (const mixture of mixtures) signals = mixture.forward(tape, signals, mixture === mixtures.at(-1) ? { outputs } : {})
  if (training) {
    tape.backward()
    program.op('reduce_gradients', { gradients: program.gradients() })
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
