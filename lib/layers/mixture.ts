// The mixture layer lowers a topology to the fused op. One op does all experts, gate logits, softmax and weighted sums, in each
// direction. Hidden layers of experts and gates are dense ops before it, and their outputs become streams.
// With steering the gates' logits are such an output too. The gates of the fused op then only divide by the temperature: their kernels are
// diagonal. So the temperature is a weight, which every program, copy and file has, and noise comes before it.

import { activationCodes, needsPreActivation } from '../core/activation.js'
import { elementsOf, type Layout, type Tensor } from '../core/layout.js'
import type { MixtureTopologyFields, OpFields, OptionalView, View } from '../core/op-fields.js'
import { columnsOf, type ProgramBuilder } from '../core/program.js'
import { expertPositions, gateWidths, type Topology } from '../core/topology.js'
import { type AnyDenseLayer, denseForward, tensorsOf } from './dense.js'
import { declareTensors, type GateSteering, type MixtureOptions, type MixtureTensors } from './mixture-tensors.js'
import { Signal, type Tape, type WatchedGate } from './tape.js'

/** Where forward writes results that the caller needs. */
export interface MixturePlacement {
  /** One per gate, or a single one without gates. Default: activations. */
  readonly outputs?: readonly Signal[] | undefined
  /** [n, sum of experts seen]. Default: an activation if a backward pass follows. */
  readonly gates?: View | undefined
}

/** Inputs of the fused op: experts and gates of one layer each, and the signals they read. */
interface Fused {
  readonly streams: readonly Signal[]
  readonly fields: MixtureTopologyFields
}

export class Mixture {
  readonly topology: Topology
  readonly tensors: MixtureTensors
  readonly #gateNames: readonly string[]
  readonly #steering: GateSteering | undefined

  /** Declares the tensors. */
  constructor(layout: Layout, options: MixtureOptions) {
    this.topology = options.topology
    this.#gateNames = options.gateNames
    this.#steering = options.steering
    this.tensors = declareTensors(layout, options)
  }

  /** One signal per output of the topology. Outputs of one gate are the same signal. */
  forward(tape: Tape, streams: readonly Signal[], placement: MixturePlacement = {}): Signal[] {
    const { gates, units } = this.topology
    const learns = tape.learns(streams, this.#own)
    const sources = placement.outputs ?? Array.from({ length: Math.max(gates.length, 1) }, () => tape.signal(units, learns))
    if (gates.length === 0) this.#passExpert(tape, streams, sources)
    else this.#mix(tape, streams, sources, placement.gates)
    const mixed = placement.outputs === undefined ? sources.map((source) => tape.dropout(source, 'mix')) : sources
    return this.topology.outputs.map((source) => at(mixed, source))
  }

  get #own(): Tensor[] {
    const { expertHidden, expert, gateHidden, gateKernel, gateBias } = this.tensors
    const experts = [...expertHidden, expert].flatMap(({ kernel, bias }) => [...kernel, bias])
    const gates = gateHidden.flat().flatMap(tensorsOf)
    return [...experts.flatMap((tensor) => tensor ?? []), ...gates, ...gateKernel, ...gateBias]
  }

  /** Backward without forward. It recomputes the experts from the streams; `gates` holds the probabilities. */
  backward(tape: Tape, streams: readonly Signal[], doutputs: readonly OptionalView[], gates: View): void {
    const fused = this.#fused(tape, streams)
    tape.record(() => emitBackward(tape, fused, doutputs, { gates, experts: null, pre: null }))
  }

  #mix(tape: Tape, streams: readonly Signal[], sources: readonly Signal[], placed: View | undefined): void {
    const { program, training } = tape
    const { experts, units, activation } = this.topology
    const fused = this.#fused(tape, streams)
    const width = experts.length * units
    const kept = {
      gates:
        placed ??
        tape.watch?.gates(this.#watched(), this.gateColumns) ??
        (training ? program.activation(this.gateColumns) : null),
      experts: training ? program.activation(width) : null,
      pre: training && needsPreActivation(activation) ? program.activation(width) : null,
    }
    program.op('mixture_forward', { ...fused.fields, outputs: sources.map(({ value }) => value), ...kept })
    const watched = tape.watch?.experts?.(expertNames(this.topology, this.#gateNames), units)
    if (watched !== undefined) this.#showExperts(tape, fused, watched)
    const { gates } = kept
    if (gates === null) return
    // The first backward op uses up the experts. Those of other passes compute them again.
    let { experts: left, pre } = kept
    tape.record(() => {
      const doutputs = sources.map((source) => source.gradient())
      if (doutputs.every((doutput) => doutput === null)) return
      emitBackward(tape, fused, doutputs, { gates, experts: left, pre })
      left = pre = null
    })
  }

  /** Computes the experts once more: the fused op keeps their outputs to itself. */
  #showExperts(tape: Tape, { streams, fields }: Fused, place: View): void {
    const { experts, units, activation, expertHiddenUnits } = this.topology
    const { kernel, bias } = this.tensors.expert
    const positions = expertPositions(this.topology)
    experts.forEach(({ stream }, expert) => {
      const own = expertHiddenUnits.length > 0 ? sliceOf(kernel[0], expert) : sliceOf(kernel[stream], at(positions, expert))
      const layer = { kernel: own, bias: sliceOf(bias, expert), units, activation }
      const y = new Signal(columnsOf(place, expert * units, units), null)
      denseForward(tape, at(streams, at(fields.expertStream, expert)), layer, y)
    })
  }

  /** A level without gates is a dense stack: the stacked kernel of one expert has the memory layout of a dense kernel. */
  #passExpert(tape: Tape, streams: readonly Signal[], sources: readonly Signal[]): void {
    const { experts, units, activation } = this.topology
    const { stream } = at(experts, 0)
    const layers = [...this.tensors.expertHidden, this.tensors.expert].map(({ kernel, bias }, layer) => {
      const tensor = kernel[layer === 0 ? stream : 0]
      if (tensor == null) throw new Error(`stream ${stream} has no expert`)
      return { kernel: tensor, bias, units: this.topology.expertHiddenUnits[layer] ?? units, activation }
    })
    layers.reduce(
      (x, layer, index) => {
        const last = index === layers.length - 1
        const y = denseForward(tape, x, layer, last ? at(sources, 0) : undefined)
        return last ? y : tape.dropout(y, 'expert')
      },
      at(streams, stream),
    )
  }

  #watched(): WatchedGate[] {
    const { gates } = this.topology
    const names = expertNames(this.topology, this.#gateNames)
    return gates.map((gate, index) => ({
      name: at(this.#gateNames, index),
      experts: gate.experts.map((expert) => at(names, expert)),
    }))
  }

  /** Columns of the probabilities of all gates, side by side. */
  get gateColumns(): number {
    return gateWidths(this.topology).reduce((sum, width) => sum + width, 0)
  }

  /** Emits the hidden layers. Whatever experts and gates then read becomes a stream, each signal once. */
  #fused(tape: Tape, streams: readonly Signal[]): Fused {
    const { experts, gates, expertHiddenUnits, gateHiddenUnits } = this.topology
    const read: Signal[] = []
    const numbers = new Map<string, number>()
    const numberOf = (name: string, signal: Signal): number => {
      const known = numbers.get(name) ?? read.push(signal) - 1
      numbers.set(name, known)
      return known
    }
    // Without hidden layers streams keep their numbers, including those that nothing reads.
    if (expertHiddenUnits.length + gateHiddenUnits.length === 0 && this.#steering === undefined)
      streams.forEach((signal, stream) => numberOf(`stream ${stream}`, signal))
    const positions = expertPositions(this.topology)
    const expertStream = experts.map(({ stream }, expert) => {
      const input = this.#expertInput(tape, streams, expert, at(positions, expert))
      return numberOf(expertHiddenUnits.length > 0 ? `expert ${expert}` : `stream ${stream}`, input)
    })
    const gateStream = gates.map(({ stream }, gate) => {
      const layers = at(this.tensors.gateHidden, gate)
      const input = layers.reduce((x, layer) => tape.dropout(denseForward(tape, x, layer), 'gate'), at(streams, stream))
      if (this.#steering === undefined) return numberOf(gateHiddenUnits.length > 0 ? `gate ${gate}` : `stream ${stream}`, input)
      return numberOf(`gate ${gate}`, tape.gateNoise(denseForward(tape, input, this.#logits(gate)), this.#steering.noise))
    })
    return { streams: read, fields: this.#fields(tape.program, read, expertStream, gateStream) }
  }

  /** The layer that makes a gate's logits. */
  #logits(gate: number): AnyDenseLayer {
    const { gateKernel, gateBias } = this.tensors
    return {
      kernel: at(gateKernel, gate),
      bias: gateBias[gate],
      units: at(gateWidths(this.topology), gate),
      activation: 'linear',
    }
  }

  /** Input of an expert's last layer: its stream, or its own hidden layers. `first`: its index among the experts of its stream. */
  #expertInput(tape: Tape, streams: readonly Signal[], expert: number, first: number): Signal {
    const { stream } = at(this.topology.experts, expert)
    return this.tensors.expertHidden.reduce(
      (x, { kernel, bias }, layer) => {
        const units = at(this.topology.expertHiddenUnits, layer)
        const position = layer === 0 ? first : expert
        const slices = { kernel: sliceOf(kernel[layer === 0 ? stream : 0], position), bias: sliceOf(bias, expert) }
        return tape.dropout(denseForward(tape, x, { ...slices, units, activation: this.topology.activation }), 'expert')
      },
      at(streams, stream),
    )
  }

  #fields(
    program: ProgramBuilder,
    streams: readonly Signal[],
    expertStream: number[],
    gateStream: number[],
  ): MixtureTopologyFields {
    const { gates, units, activation, gateTemperature } = this.topology
    const { expert, gateKernel, gateBias, gateTemperature: diagonals } = this.tensors
    const steered = this.#steering !== undefined
    const offsets = [0]
    for (const width of gateWidths(this.topology)) offsets.push((offsets.at(-1) ?? 0) + width)
    const firstOn = new Map<number, number>()
    expertStream.forEach((stream, expert) => {
      if (!firstOn.has(stream)) firstOn.set(stream, expert)
    })
    return {
      streams: streams.map(({ value }) => value),
      expertStream,
      gateStream,
      gateOffset: offsets,
      gateExpert: gates.flatMap((gate) => gate.experts),
      expertKernel: streams.map((_, stream) => this.#expertKernel(program, firstOn.get(stream))),
      expertBias: program.parameter(expert.bias),
      gateKernel: (steered ? diagonals : gateKernel).map((tensor) => program.parameter(tensor)),
      gateBias: (steered ? [] : gateBias).map((tensor) => program.parameter(tensor)),
      units,
      activation: activationCodes[activation],
      temperature: gateTemperature,
    }
  }

  /**
   * The kernels of the experts that read a stream of the op; `first` is one of these experts. The stack of a topology stream, or one
   * expert's kernel if there are hidden layers.
   */
  #expertKernel(program: ProgramBuilder, first: number | undefined): OptionalView {
    const { kernel } = this.tensors.expert
    if (first === undefined) return null
    if (this.topology.expertHiddenUnits.length > 0) return program.parameter(sliceOf(kernel[0], first))
    const tensor = kernel[at(this.topology.experts, first).stream]
    return tensor == null ? null : program.parameter(tensor)
  }
}

/** The gate of a PLE level that belongs to no task. */
export const sharedGate = 'shared'

/** An expert seen by the gate of one task alone is named after it. Others are `shared`, or `expert` if no task has its own. */
function expertNames({ experts, gates }: Topology, gateNames: readonly string[]): string[] {
  const ofTasks = gates.flatMap((gate, index) => (gateNames[index] === sharedGate ? [] : [{ gate, name: gateNames[index] }]))
  const owners: (string | undefined)[] = experts.map(() => undefined)
  const seers = experts.map(() => 0)
  for (const { gate, name } of ofTasks) {
    for (const expert of gate.experts) {
      seers[expert] = (seers[expert] ?? 0) + 1
      owners[expert] = ofTasks.length > 1 && seers[expert] === 1 ? name : undefined
    }
  }
  const common = owners.every((owner) => owner === undefined) ? 'expert' : 'shared'
  const numbers = new Map<string | undefined, number>()
  return owners.map((owner) => {
    const number = (numbers.get(owner) ?? 0) + 1
    numbers.set(owner, number)
    return `${owner ?? common} ${number}`
  })
}

/** One slice of a stacked tensor, as a tensor. */
function sliceOf(tensor: Tensor | null | undefined, index: number): Tensor {
  if (tensor == null) throw new Error('a stream has no expert')
  const [, ...shape] = tensor.shape
  return { ...tensor, shape, offset: tensor.offset + index * elementsOf(shape) }
}

function emitBackward(
  tape: Tape,
  { streams, fields }: Fused,
  doutputs: readonly OptionalView[],
  kept: Pick<OpFields['mixture_backward'], 'gates' | 'experts' | 'pre'>,
): void {
  const read = streamsRead(fields, doutputs)
  const targets = streams.map((stream, number) => (read.has(number) ? stream.target() : undefined))
  tape.program.op('mixture_backward', {
    ...fields,
    doutputs,
    dstreams: targets.map((target) => target?.view ?? null),
    accumulate: targets.map((target) => target?.accumulate ?? 0),
    gradients: tape.gradients(),
    ...kept,
  })
}

/** Numbers of the streams that outputs with a gradient depend on: the others have none, and the layers before them need no backward. */
function streamsRead(
  { expertStream, gateStream, gateOffset, gateExpert }: MixtureTopologyFields,
  doutputs: readonly OptionalView[],
): Set<number> {
  const gates = [...gateStream.keys()].filter((gate) => doutputs[gate] != null)
  return new Set(
    gates.flatMap((gate) => {
      const experts = gateExpert.slice(gateOffset[gate], gateOffset[gate + 1])
      return [at(gateStream, gate), ...experts.map((expert) => at(expertStream, expert))]
    }),
  )
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index]
  if (item === undefined) throw new Error(`no item ${index} among ${items.length}`)
  return item
}
