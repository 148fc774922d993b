// The three programs of one level, for mixtureForward, mixtureBackward and mixtureGrad. Row inputs and outputs get their names here:
// `x:<stream>`, `upstream:<gate>:<round>`, `probabilities:<gate>`, `output:<gate>`, `gate:<gate>`, `dx:<stream>`. Without gates, the
// single expert counts as gate 0.

import { Layout } from '../core/layout.js'
import type { OptionalView, View } from '../core/op-fields.js'
import { columnsOf, type LoweredProgram, ProgramBuilder } from '../core/program.js'
import { gateWidths, type Topology } from '../core/topology.js'
import { Mixture } from '../layers/mixture.js'
import type { MixtureTensors } from '../layers/mixture-tensors.js'
import { Signal, Tape } from '../layers/tape.js'

/** The number of upstream gradients of each gate: more than one if outputs share the gate and were not added before. */
export type UpstreamCounts = readonly number[]

/** What a backward pass starts from. */
export interface BackwardShape {
  readonly upstream: UpstreamCounts
  /**
   * Computes probabilities again instead of reading them from the cache. For backends with wider elements than the float32 of row
   * inputs: the input would round them.
   */
  readonly recomputeGates: boolean
}

/** A level with its layout, and programs over it. */
export class LevelPrograms {
  readonly topology: Topology
  readonly #layout = new Layout()
  readonly #mixture: Mixture

  constructor(topology: Topology) {
    this.topology = topology
    this.#mixture = new Mixture(this.#layout, {
      topology,
      gateNames: topology.gates.map((_, gate) => `${gate}`),
      expertInitializer: 'zeros',
      gateInitializer: 'zeros',
    })
  }

  get tensors(): MixtureTensors {
    return this.#mixture.tensors
  }

  /** Elements of the flat store. */
  get elements(): number {
    return this.#layout.elements
  }

  /** Outputs and probabilities. */
  forward(): LoweredProgram {
    const program = new ProgramBuilder(this.#layout, { training: false })
    const gates = this.#gates(program)
    this.#mixture.forward(new Tape(program), this.#streams(program), {
      outputs: this.#sources.map((source) => new Signal(this.#output(program, source), null)),
      ...(gates && { gates }),
    })
    this.#forEachGate(gates, (gate, columns) => {
      program.op('copy_columns', { x: columns, y: program.rowOutput(`gate:${gate}`, columns.width) })
    })
    return program.build()
  }

  /** Gradients from upstream gradients. Experts are computed again, block by block. */
  backward({ upstream, recomputeGates }: BackwardShape): LoweredProgram {
    const program = new ProgramBuilder(this.#layout, { training: true })
    const tape = new Tape(program)
    const streams = this.#streams(program)
    const gates = this.#gates(program)
    const upstreams = this.#upstreams(program, upstream, 0)
    const outputs = (): Signal[] => upstreams.map((gradient) => signalOf(this.#scratch(program), gradient))
    if (gates === null) {
      this.#mixture.forward(tape, streams, { outputs: outputs() })
      tape.backward()
    } else {
      if (recomputeGates) this.#mixture.forward(new Tape(program), streams, { outputs: outputs(), gates })
      else this.#takeProbabilities(program, gates)
      this.#mixture.backward(tape, streams, upstreams, gates)
      tape.backward()
    }
    this.#furtherRounds(program, streams, upstream)
    program.op('reduce_gradients', { gradients: program.gradients() })
    return program.build()
  }

  /** Outputs and gradients in one pass, without storing expert outputs beyond a block. */
  grad(upstream: UpstreamCounts): LoweredProgram {
    const program = new ProgramBuilder(this.#layout, { training: true })
    const tape = new Tape(program)
    const streams = this.#streams(program)
    const outputs = this.#upstreams(program, upstream, 0).map((gradient, source) => {
      return signalOf(this.#output(program, source), gradient)
    })
    this.#mixture.forward(tape, streams, { outputs })
    tape.backward()
    this.#furtherRounds(program, streams, upstream)
    program.op('reduce_gradients', { gradients: program.gradients() })
    return program.build()
  }

  /** The gates, or the single expert that passes on unchanged. */
  get #sources(): number[] {
    return Array.from({ length: Math.max(this.topology.gates.length, 1) }, (_, source) => source)
  }

  #streams(program: ProgramBuilder): Signal[] {
    return this.topology.streams.map((width, stream) => {
      const dx = program.training ? program.rowOutput(`dx:${stream}`, width) : null
      return new Signal(program.rowInput(`x:${stream}`, width), dx)
    })
  }

  #output(program: ProgramBuilder, source: number): View {
    return program.rowOutput(`output:${source}`, this.topology.units)
  }

  #scratch(program: ProgramBuilder): View {
    return program.activation(this.topology.units)
  }

  /** One more whole pass for each further upstream gradient of a gate. Gradients add to those of the first pass. */
  #furtherRounds(program: ProgramBuilder, streams: readonly Signal[], counts: UpstreamCounts): void {
    for (let round = 1; round < Math.max(...counts); round += 1) {
      const tape = new Tape(program)
      const outputs = this.#upstreams(program, counts, round).map((gradient) => signalOf(this.#scratch(program), gradient))
      this.#mixture.forward(tape, streams, { outputs })
      tape.backward()
    }
  }

  #upstreams(program: ProgramBuilder, counts: UpstreamCounts, round: number): OptionalView[] {
    return counts.map((count, gate) => {
      return round < count ? program.rowInput(`upstream:${gate}:${round}`, this.topology.units) : null
    })
  }

  #gates(program: ProgramBuilder): View | null {
    return this.topology.gates.length === 0 ? null : program.activation(this.#mixture.gateColumns)
  }

  #takeProbabilities(program: ProgramBuilder, gates: View): void {
    this.#forEachGate(gates, (gate, columns) => {
      program.op('copy_columns', { x: program.rowInput(`probabilities:${gate}`, columns.width), y: columns })
    })
  }

  #forEachGate(gates: View | null, visit: (gate: number, columns: View) => void): void {
    if (gates === null) return
    let column = 0
    gateWidths(this.topology).forEach((width, gate) => {
      visit(gate, columnsOf(gates, column, width))
      column += width
    })
  }
}

/** A value whose gradient is given from outside. */
function signalOf(value: View, gradient: OptionalView): Signal {
  const signal = new Signal(value, gradient)
  if (gradient !== null) signal.target()
  return signal
}
