// Runs only a model's body on one stream of rows. Gives outputs, and the gradients of the rows and of every tensor.

import { elementsOf, Layout, type Tensor } from '../../lib/core/layout.js'
import { ProgramBuilder } from '../../lib/core/program.js'
import { Signal, Tape } from '../../lib/layers/tape.js'
import type { Body } from '../../lib/models/lowering.js'
import type { FloatArray } from '../../lib/native/binding.js'
import { loadNative } from '../../lib/native/loader.js'
import { choiceOf, type TestPlace } from './places.js'

export interface BodyRun {
  readonly place: TestPlace
  readonly rows: number
  readonly x: Float32Array
  /** Upstream gradient of each task's output. */
  readonly upstream: readonly Float32Array[]
  build(layout: Layout, inputDim: number): Body
  /** The values of a tensor in the store. */
  weights(tensor: Tensor): FloatArray
  readonly threads?: number
}

export interface BodyResult {
  readonly outputs: readonly FloatArray[]
  readonly dx: FloatArray
  /** By tensor name. */
  readonly gradients: ReadonlyMap<string, FloatArray>
}

export function runBody({ place, rows, x, upstream, build, weights, threads = 2 }: BodyRun): BodyResult {
  const native = loadNative()
  const layout = new Layout()
  const inputDim = x.length / rows
  const body = build(layout, inputDim)
  const program = new ProgramBuilder(layout, { training: true })
  const tape = new Tape(program)
  const outputs = body.forward(tape, new Signal(program.rowInput('x', inputDim), program.rowOutput('dx', inputDim)), [])
  outputs.forEach((output, task) => {
    const width = output.value.width
    program.op('copy_columns', { x: output.value, y: program.rowOutput(`output ${task}`, width) })
    const { view, accumulate } = output.target()
    if (view === null) throw new Error('an output has no gradient')
    const dy = program.rowInput(`upstream ${task}`, width)
    program.op('fusion_backward', { inputs: [output.value], dy, dinputs: [view], accumulate: [accumulate], kind: 0 })
  })
  tape.backward()
  program.op('reduce_gradients', { gradients: program.gradients() })
  const lowered = program.build()

  const element = place.device === 'reference' ? Float64Array : Float32Array
  const widths = lowered.spec.buffers.filter((buffer) => buffer.class === 'rowOutput').map(({ width }) => width)
  const results = lowered.rowOutputs.map((_, index) => new element(rows * (widths[index] ?? 0)))
  const plan = native.compile(place.device, lowered.spec, choiceOf(place))
  const memories = ['parameters', 'gradients'].map((name) => {
    const memory = native.createMemory(place.device, layout.elements)
    plan.bind(lowered.bindings[name] ?? -1, memory)
    return memory
  })
  const [store, gradient] = memories
  for (const tensor of layout.tensors) store?.write(tensor.offset, weights(tensor))
  const inputs = lowered.rowInputs.map((name) => (name === 'x' ? x : (upstream[Number(name.split(' ')[1])] ?? x)))
  plan.run({ rows, inputs, outputs: results, scalars: new Float64Array(0), threads })
  const gradients = layout.tensors.map((tensor) => {
    return [tensor.name, gradient?.read(tensor.offset, elementsOf(tensor.shape)) ?? new element(0)] as const
  })
  plan.dispose()
  for (const memory of memories) memory.dispose()
  const [dx = new element(0), ...others] = results
  return { outputs: others, dx, gradients: new Map(gradients) }
}
