// The mixture layer: a topology lowered to the fused op. All experts, gate logits, softmax and weighted sums are one op
// forward and one back; what the model's data flow looks like is the topology's business, not this file's.

import { activationCodes, needsPreActivation } from '../core/activation.js'
import { type InitializerOption, initializerOf, zeros } from '../core/initializers.js'
import type { Layout, Tensor } from '../core/layout.js'
import type { OptionalView, RowsOps, View } from '../core/op-fields.js'
import type { ProgramBuilder } from '../core/program.js'
import { expertsOf, gateWidths, type Topology } from '../core/topology.js'
import { denseForward } from './dense.js'
import type { Signal, Tape } from './tape.js'

export interface MixtureOptions {
  readonly topology: Topology
  /** Goes before every tensor's name, for models of several levels: `level.0.` */
  readonly prefix?: string
  /** One name per gate. */
  readonly gateNames: readonly string[]
  readonly expertInitializer: InitializerOption
  readonly gateInitializer: InitializerOption
}

/** The tensors of one level, in the form of the op's views. */
export interface MixtureTensors {
  /** One per stream, [experts on it, d, units]; null where no expert reads the stream. */
  readonly expertKernel: readonly (Tensor | null)[]
  /** [e, units]. */
  readonly expertBias: Tensor
  /** One per gate, [d, experts seen]. */
  readonly gateKernel: readonly Tensor[]
  /** One per gate, [experts seen], or none. */
  readonly gateBias: readonly Tensor[]
}

/** Where forward puts things that are wanted outside. */
export interface MixturePlacement {
  /** One per gate (without gates: one). Default: activations. */
  readonly outputs?: readonly Signal[]
  /** [n, sum of experts seen]. Default: an activation if a backward pass follows. */
  readonly gates?: View
}

type TopologyFields = Omit<RowsOps['mixture_forward'], 'outputs' | 'gates' | 'experts' | 'pre'>

export class Mixture {
  readonly topology: Topology
  readonly tensors: MixtureTensors

  /** Declares the tensors: `expert.kernel`, `expert.bias`, `gate.<name>.kernel`, `gate.<name>.bias`. */
  constructor(layout: Layout, options: MixtureOptions) {
    this.topology = options.topology
    this.tensors = declareTensors(layout, options)
  }

  /** One signal per output of the topology; outputs of one gate are the same signal. */
  forward(tape: Tape, streams: readonly Signal[], placement: MixturePlacement = {}): Signal[] {
    const { gates, units } = this.topology
    const sources = placement.outputs ?? Array.from({ length: Math.max(gates.length, 1) }, () => tape.signal(units))
    if (gates.length === 0) this.#passExpert(tape, streams, sources)
    else this.#mix(tape, streams, sources, placement.gates)
    const mixed = placement.outputs === undefined ? sources.map((source) => tape.dropout(source)) : sources
    return this.topology.outputs.map((source) => at(mixed, source))
  }

  /** Backward alone: experts are computed again from the streams, `gates` holds the probabilities. Emits at once. */
  backward(program: ProgramBuilder, streams: readonly Signal[], doutputs: readonly OptionalView[], gates: View): void {
    emitBackward(program, this.#fields(program, streams), streams, doutputs, { gates, experts: null, pre: null })
  }

  #mix(tape: Tape, streams: readonly Signal[], sources: readonly Signal[], placed: View | undefined): void {
    const { program, training } = tape
    const { experts, units, activation } = this.topology
    const fields = this.#fields(program, streams)
    const width = experts.length * units
    const kept = {
      gates: placed ?? (training ? program.activation(this.gateColumns) : null),
      experts: training ? program.activation(width) : null,
      pre: training && needsPreActivation(activation) ? program.activation(width) : null,
    }
    program.rows('mixture_forward', { ...fields, outputs: sources.map(({ value }) => value), ...kept })
    const { gates } = kept
    if (gates === null) return
    tape.record(() => {
      const doutputs = sources.map((source) => source.gradient())
      emitBackward(program, fields, streams, doutputs, { ...kept, gates })
    })
  }

  /** A level without gates is one dense layer: a stacked kernel of one expert lies in memory as the kernel itself. */
  #passExpert(tape: Tape, streams: readonly Signal[], sources: readonly Signal[]): void {
    const { experts, units, activation } = this.topology
    const { stream } = at(experts, 0)
    const kernel = this.tensors.expertKernel[stream]
    if (kernel == null) throw new Error(`stream ${stream} has no expert`)
    denseForward(tape, at(streams, stream), { kernel, bias: this.tensors.expertBias, units, activation }, at(sources, 0))
  }

  /** Columns of the probabilities of all gates side by side. */
  get gateColumns(): number {
    return gateWidths(this.topology).reduce((sum, width) => sum + width, 0)
  }

  #fields(program: ProgramBuilder, streams: readonly Signal[]): TopologyFields {
    const { experts, gates, units, activation } = this.topology
    const { expertKernel, expertBias, gateKernel, gateBias } = this.tensors
    const offsets = [0]
    for (const width of gateWidths(this.topology)) offsets.push((offsets.at(-1) ?? 0) + width)
    return {
      streams: streams.map(({ value }) => value),
      expertStream: experts.map(({ stream }) => stream),
      gateStream: gates.map(({ stream }) => stream),
      gateOffset: offsets,
      gateExpert: gates.flatMap((gate) => gate.experts),
      expertKernel: expertKernel.map((tensor) => tensor && program.parameter(tensor)),
      expertBias: program.parameter(expertBias),
      gateKernel: gateKernel.map((tensor) => program.parameter(tensor)),
      gateBias: gateBias.map((tensor) => program.parameter(tensor)),
      units,
      activation: activationCodes[activation],
      temperature: 1,
    }
  }
}

function emitBackward(
  program: ProgramBuilder,
  fields: TopologyFields,
  streams: readonly Signal[],
  doutputs: readonly OptionalView[],
  kept: Pick<RowsOps['mixture_backward'], 'gates' | 'experts' | 'pre'>,
): void {
  const targets = streams.map((stream) => stream.target())
  program.rows('mixture_backward', {
    ...fields,
    doutputs,
    dstreams: targets.map(({ view }) => view),
    accumulate: targets.map(({ accumulate }) => accumulate),
    ...kept,
  })
}

function declareTensors(layout: Layout, options: MixtureOptions): MixtureTensors {
  const { topology, prefix = '', gateNames, gateInitializer } = options
  const { streams, experts, gates, units } = topology
  const expertKernel = streams.map((_, stream) => declareExpertKernel(layout, options, stream))
  const expertBias = layout.tensor({
    name: `${prefix}expert.bias`,
    shape: [experts.length, units],
    group: 'expert',
    role: 'bias',
    initializer: zeros,
  })
  const gateKernel = gates.map(({ stream, experts: seen }, gate) =>
    layout.tensor({
      name: `${prefix}gate.${gateNames[gate]}.kernel`,
      shape: [at(streams, stream), seen.length],
      group: 'gate',
      role: 'kernel',
      initializer: initializerOf(gateInitializer, at(streams, stream), seen.length),
    }),
  )
  const gateBias = (topology.gateBias ? gates : []).map(({ experts: seen }, gate) =>
    layout.tensor({
      name: `${prefix}gate.${gateNames[gate]}.bias`,
      shape: [seen.length],
      group: 'gate',
      role: 'bias',
      initializer: zeros,
    }),
  )
  return { expertKernel, expertBias, gateKernel, gateBias }
}

/** The stacked kernel of the experts on one stream. Fans are those of ONE expert: the stack is not a wider layer. */
function declareExpertKernel(
  layout: Layout,
  { topology, prefix = '', expertInitializer }: MixtureOptions,
  stream: number,
): Tensor | null {
  const { streams, units } = topology
  const count = expertsOf(topology, stream).length
  if (count === 0) return null
  const inputDim = at(streams, stream)
  return layout.tensor({
    name: streams.length === 1 ? `${prefix}expert.kernel` : `${prefix}expert.${stream}.kernel`,
    shape: [count, inputDim, units],
    group: 'expert',
    role: 'kernel',
    initializer: initializerOf(expertInitializer, inputDim, units),
    stacked: true,
  })
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index]
  if (item === undefined) throw new Error(`no item ${index} among ${items.length}`)
  return item
}
