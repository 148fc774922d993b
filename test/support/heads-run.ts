// Runs only heads: signals are row inputs, gradients and predictions are row outputs.

import { Layout } from '../../lib/core/layout.js'
import { ProgramBuilder } from '../../lib/core/program.js'
import { Signal, Tape } from '../../lib/layers/tape.js'
import type { FloatArray } from '../../lib/native/binding.js'
import { loadNative } from '../../lib/native/loader.js'
import type { TestPlace } from './places.js'

export interface HeadsRun {
  readonly place: TestPlace
  readonly rows: number
  /** Row inputs by name: `x:<name>` of the signals, `label:<task>`, `weight:<task>`. */
  readonly inputs: Readonly<Record<string, Float32Array>>
  /** Width of each signal by name. */
  readonly signals: Readonly<Record<string, number>>
  /** Scalar inputs: `draw`, and for dropout `rate` and `seed`. */
  readonly scalars?: Readonly<Record<string, number>>
  /** The weights of tasks whose weight is not 1. */
  readonly weights?: Readonly<Record<string, number>>
  readonly threads?: number
  emit(tape: Tape, signals: Readonly<Record<string, Signal>>): void
}

export interface HeadsResult {
  /** Losses by `loss:<task>`. */
  readonly scalars: Readonly<Record<string, number>>
  /** `dx:<name>` of the signals, and all other row outputs. */
  readonly outputs: Readonly<Record<string, FloatArray>>
}

export function runHeads({ place, rows, inputs, signals, scalars = {}, weights = {}, threads = 2, emit }: HeadsRun): HeadsResult {
  const program = new ProgramBuilder(new Layout(), { training: true })
  const tape = new Tape(program, { rate: scalars.rate ?? 0, seed: scalars.seed ?? 0 })
  const made = Object.entries(signals).map(([name, width]) => {
    return [name, new Signal(program.rowInput(`x:${name}`, width), program.rowOutput(`dx:${name}`, width))] as const
  })
  emit(tape, Object.fromEntries(made))
  tape.backward()
  const { spec, rowInputs, rowOutputs, scalars: numbers, taskWeights, losses } = program.build()
  const widths = spec.buffers.filter((buffer) => buffer.class === 'rowOutput').map(({ width }) => width)
  const element = place.device === 'reference' ? Float64Array : Float32Array
  const outputs = rowOutputs.map((_, index) => new element(rows * (widths[index] ?? 0)))
  const given = new Float64Array(spec.scalarInputs)
  for (const [name, number] of Object.entries(numbers)) given[number] = scalars[name] ?? 0
  for (const { task, scalar } of taskWeights) given[scalar] = weights[task] ?? 1
  const plan = loadNative().compile(place.device, spec, place.isa === undefined ? {} : { isa: place.isa })
  const rowData = rowInputs.map((name) => inputs[name] ?? new Float32Array(rows))
  const results = plan.run({ rows, inputs: rowData, outputs, scalars: given, threads })
  plan.dispose()
  return {
    scalars: Object.fromEntries(losses.map(({ task, output }) => [`loss:${task}`, results[output] ?? NaN])),
    outputs: Object.fromEntries(rowOutputs.map((name, index) => [name, outputs[index] ?? new element(0)])),
  }
}
