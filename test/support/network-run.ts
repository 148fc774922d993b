// Runs a lowered network on a device as training does: memories have binding names, and its programs share them.

import { elementsOf } from '../../lib/core/layout.js'
import type { LoweredProgram, Network, NetworkTask } from '../../lib/models/network.js'
import type {
  BufferSpec,
  FloatArray,
  Initializer,
  NativeMemory,
  NativePlan,
  NativeStep,
  RunRequest,
  StepPhase,
} from '../../lib/native/binding.js'
import { loadNative } from '../../lib/native/loader.js'
import { choiceOf, type TestPlace } from './places.js'
import type { TestNetwork } from './train-program.js'

export type Rows = Readonly<Record<string, Float32Array | Int32Array>>
export type Scalars = Readonly<Record<string, number>>

export interface RunResult {
  readonly scalars: Scalars
  readonly outputs: Readonly<Record<string, FloatArray>>
  /** All scalar outputs by number, then the denominators. */
  readonly results: Float64Array
}

/** Scalar inputs without a name. */
export type Unnamed = ReadonlyMap<number, number>

/** A memory as long as the flat store. */
type Store = 'parameters' | 'gradients' | `gradients:${string}`

export class NetworkRun {
  readonly network: Network
  readonly program: LoweredProgram
  readonly #tasks: readonly NetworkTask[]
  readonly #place: TestPlace
  readonly #memories = new Map<string, NativeMemory>()
  readonly #plans = new Map<LoweredProgram, NativePlan>()
  readonly #threads: number

  constructor({ network, train, tasks }: TestNetwork, place: TestPlace, threads = 2) {
    this.network = network
    this.program = train
    this.#tasks = tasks
    this.#place = place
    this.#threads = threads
    for (const program of [train, network.evaluate, network.predict]) this.#compile(program)
  }

  /** Writes a tensor by name, or a table by `table:<name>`; `index` picks a slice of a stacked tensor. */
  write(name: string, values: FloatArray, index = 0): void {
    const { memory, offset } = this.#find(name)
    memory.write(offset + index * values.length, values)
  }

  /** Draws a tensor or a table, each slice from its own stream. */
  initialize(name: string, initializer: Initializer, streams: readonly number[], seed = 1): void {
    const { memory, offset, elements } = this.#find(name)
    const size = elements / streams.length
    streams.forEach((stream, slice) => memory.initialize(offset + slice * size, size, initializer, seed, stream))
  }

  /** Reads a tensor or a table by name; `gradients` reads a tensor's gradient. */
  read(name: string, from: Store = 'parameters'): FloatArray {
    const { memory, offset, elements } = this.#find(name, from)
    return memory.read(offset, elements)
  }

  /** Multiplies the gradients of all tensors. */
  scaleGradients(factor: number): void {
    const memory = this.#memories.get('gradients')
    memory?.write(0, memory.read(0, memory.elements).map((value) => factor * value) as FloatArray)
  }

  train(rows: Rows, scalars: Scalars, unnamed?: Unnamed): RunResult {
    return this.#run(this.program, rows, scalars, unnamed)
  }

  /** Like `train`, but phase by phase. `between` is called after each run with the last phase of that run. */
  async trainInPhases(
    rows: Rows,
    scalars: Scalars,
    runs: readonly (readonly [StepPhase, StepPhase])[],
    between: (step: NativeStep, done: StepPhase) => void = () => undefined,
  ): Promise<Scalars> {
    const { outputs: _, ...request } = this.#request(this.program, rows, scalars).request
    const step = this.plan(this.program).begin(request)
    for (const [first, last] of runs) {
      await step.run(first, last)
      between(step, last)
    }
    const results = scalarsOf(this.program, step.results)
    step.end()
    return results
  }

  evaluate(rows: Rows): RunResult {
    return this.#run(this.network.evaluate, rows, {})
  }

  predict(rows: Rows): RunResult {
    return this.#run(this.network.predict, rows, {})
  }

  plan(program: LoweredProgram): NativePlan {
    const plan = this.#plans.get(program)
    if (plan === undefined) throw new Error('not a program of this network')
    return plan
  }

  dispose(): void {
    for (const plan of this.#plans.values()) plan.dispose()
    for (const memory of this.#memories.values()) memory.dispose()
  }

  #compile(program: LoweredProgram): void {
    const native = loadNative()
    const { device } = this.#place
    const plan = native.compile(device, program.spec, choiceOf(this.#place))
    for (const [name, buffer] of Object.entries(program.bindings)) {
      const { count, width } = program.spec.buffers[buffer] as BufferSpec
      const known = this.#memories.get(name)
      const memory = known ?? native.createMemory(device, count * width)
      const value = program.initial[name] ?? 0
      if (known === undefined) memory.initialize(0, count * width, { kind: 'constant', value }, 0, 0)
      this.#memories.set(name, memory)
      plan.bind(buffer, memory)
    }
    this.#plans.set(program, plan)
  }

  #request(
    program: LoweredProgram,
    rows: Rows,
    scalars: Scalars,
    unnamed: Unnamed = new Map(),
  ): { request: RunRequest; outputs: RunResult['outputs'] } {
    const inputs = program.rowInputs.map((name) => {
      const input = rows[name]
      if (input === undefined) throw new Error(`no rows for ${name}`)
      return input
    })
    const widthsOf = (kind: string): number[] =>
      program.spec.buffers.filter((buffer) => buffer.class === kind).map(({ width }) => width)
    const count = (inputs[0]?.length ?? 0) / (widthsOf('rowInput')[0] ?? 1)
    const element = this.#place.device === 'reference' ? Float64Array : Float32Array
    const outputWidths = widthsOf('rowOutput')
    const outputs = program.rowOutputs.map((name, index) => [name, new element(count * (outputWidths[index] ?? 1))] as const)
    const given = new Float64Array(program.spec.scalarInputs)
    for (const [name, number] of Object.entries(program.scalars)) given[number] = scalars[name] ?? 0
    for (const { task, scalar } of program.taskWeights) {
      given[scalar] = this.#tasks.find(({ name }) => name === task)?.weight ?? NaN
    }
    for (const [number, value] of unnamed) given[number] = value
    const request = { rows: count, inputs, outputs: outputs.map(([, array]) => array), scalars: given, threads: this.#threads }
    return { request, outputs: Object.fromEntries(outputs) }
  }

  #run(program: LoweredProgram, rows: Rows, scalars: Scalars, unnamed?: Unnamed): RunResult {
    const { request, outputs } = this.#request(program, rows, scalars, unnamed)
    const results = this.plan(program).run(request)
    return { scalars: scalarsOf(program, results), outputs, results }
  }

  #find(name: string, from: Store = 'parameters'): { memory: NativeMemory; offset: number; elements: number } {
    const { tables, parameters } = this.network
    const table = tables.find((candidate) => `table:${candidate.name}` === name)
    const tensor = parameters.tensors.find((candidate) => candidate.name === name)
    const memory = this.#memories.get(table === undefined ? from : name)
    if (memory === undefined || (table === undefined && tensor === undefined)) throw new Error(`no ${name}`)
    return table === undefined
      ? { memory, offset: tensor?.offset ?? 0, elements: elementsOf(tensor?.shape ?? []) }
      : { memory, offset: 0, elements: table.rows * table.dim }
  }
}

function scalarsOf({ losses, penalties }: LoweredProgram, results: Float64Array): Scalars {
  return Object.fromEntries([
    ...losses.map(({ task, output }) => [`loss:${task}`, results[output] ?? NaN] as const),
    ...penalties.map(({ of, output }) => [`penalty:${of}`, results[output] ?? NaN] as const),
  ])
}
