// The workspace of an op call: one topology on one device, with its memories and compiled plans. A workspace serves one call at a
// time. Concurrent calls (the Async twins) get one each, so that none sees the parameters of another.

import { isTypedArray } from '../core/arrays.js'
import type { LoweredProgram } from '../core/program.js'
import type { Topology } from '../core/topology.js'
import type { DeviceName, FloatArray, NativeMemory, NativePlan, RunRequest } from '../native/binding.js'
import { compilePlan, type PlanTarget } from '../native/compile.js'
import { type BackwardShape, LevelPrograms, type UpstreamCounts } from './programs.js'

/** Where an op runs. */
export interface Place extends PlanTarget {
  readonly threads: number
}

/** Whether a backend computes in float64, which is wider than the float32 of its row inputs. */
export function isDouble(device: DeviceName): boolean {
  return device === 'reference'
}

/** Rows in, by the names in programs.ts. */
export type RowInputs = ReadonlyMap<string, FloatArray>

/** Rows out, by the names in programs.ts, as new arrays. */
export type RowOutputs = ReadonlyMap<string, FloatArray>

interface Prepared {
  readonly request: RunRequest
  readonly outputs: RowOutputs
}

/** Idle workspaces by topology, then by device, ISA and precision. They are freed with their topology. */
const idle = new WeakMap<Topology, Map<string, Workspace[]>>()

/** Takes an idle workspace, or makes one. */
export function takeWorkspace(topology: Topology, { native, device, isa, precision }: Place): Workspace {
  const target = { native, device, isa, precision }
  return shelfOf(topology, target).pop() ?? new Workspace(topology, target)
}

/** Returns a workspace for the next call, also after an error: every call writes everything that it reads. */
export function returnWorkspace(workspace: Workspace): void {
  shelfOf(workspace.programs.topology, workspace.target).push(workspace)
}

function shelfOf(topology: Topology, { device, isa, precision }: PlanTarget): Workspace[] {
  const shelves = idle.get(topology) ?? new Map<string, Workspace[]>()
  idle.set(topology, shelves)
  const key = `${device} ${isa ?? ''} ${precision}`
  const shelf = shelves.get(key) ?? []
  shelves.set(key, shelf)
  return shelf
}

export class Workspace {
  readonly programs: LevelPrograms
  readonly target: PlanTarget
  readonly parameters: NativeMemory
  readonly #passes = new Map<string, Pass>()
  #gradients: NativeMemory | undefined

  constructor(topology: Topology, target: PlanTarget) {
    this.target = target
    this.programs = new LevelPrograms(topology)
    this.parameters = target.native.createMemory(target.device, this.programs.elements)
  }

  get gradients(): NativeMemory {
    this.#gradients ??= this.target.native.createMemory(this.target.device, this.programs.elements)
    return this.#gradients
  }

  forward(): Pass {
    return this.#pass('forward', () => this.programs.forward())
  }

  backward(upstream: UpstreamCounts): Pass {
    const shape: BackwardShape = { upstream, recomputeGates: isDouble(this.target.device) }
    return this.#pass(`backward ${upstream.join()}`, () => this.programs.backward(shape))
  }

  grad(upstream: UpstreamCounts): Pass {
    return this.#pass(`grad ${upstream.join()}`, () => this.programs.grad(upstream))
  }

  #pass(key: string, lower: () => LoweredProgram): Pass {
    const known = this.#passes.get(key)
    if (known !== undefined) return known
    const program = lower()
    const plan = compilePlan(this.target, program.spec)
    const { parameters, gradients } = program.bindings
    if (parameters !== undefined) plan.bind(parameters, this.parameters)
    if (gradients !== undefined) plan.bind(gradients, this.gradients)
    const pass = new Pass(program, plan, isDouble(this.target.device) ? Float64Array : Float32Array)
    this.#passes.set(key, pass)
    return pass
  }
}

/** A compiled program and the arrays of its runs. */
export class Pass {
  readonly plan: NativePlan
  readonly #program: LoweredProgram
  readonly #element: Float32ArrayConstructor | Float64ArrayConstructor

  constructor(program: LoweredProgram, plan: NativePlan, element: Float32ArrayConstructor | Float64ArrayConstructor) {
    this.plan = plan
    this.#program = program
    this.#element = element
  }

  run(rows: number, inputs: RowInputs, threads: number): RowOutputs {
    const { request, outputs } = this.#prepare(rows, inputs, threads)
    this.plan.run(request)
    return outputs
  }

  async runAsync(rows: number, inputs: RowInputs, threads: number): Promise<RowOutputs> {
    const { request, outputs } = this.#prepare(rows, inputs, threads)
    await this.plan.runAsync(request)
    return outputs
  }

  #prepare(rows: number, inputs: RowInputs, threads: number): Prepared {
    const { rowInputs, rowOutputs, spec } = this.#program
    const widths = spec.buffers.filter((buffer) => buffer.class === 'rowOutput').map((buffer) => buffer.width)
    const outputs = rowOutputs.map((name, index) => [name, new this.#element(rows * (widths[index] ?? 0))] as const)
    const request = {
      rows,
      inputs: rowInputs.map((name) => toFloat32(inputs.get(name))),
      outputs: outputs.map(([, array]) => array),
      scalars: new Float64Array(0),
      threads,
    }
    return { request, outputs: new Map(outputs) }
  }
}

/** Row inputs are float32 on every device. */
function toFloat32(rows: FloatArray | undefined): Float32Array {
  if (rows === undefined) throw new Error('a row input of this program was not given')
  return isTypedArray(rows, 'Float32Array') ? rows : Float32Array.from(rows)
}
