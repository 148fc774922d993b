// Random levels with parameters, rows and upstream gradients, to verify a machine and for tests.

import type { Activation } from '../core/activation.js'
import { type Topology, topology } from '../core/topology.js'
import type { MixtureParameters } from '../ops.js'
import { randomArray, randomOf } from './numbers.js'

export interface MixtureCase {
  readonly name: string
  readonly topology: Topology
  readonly params: MixtureParameters
  readonly x: Float32Array[]
  readonly upstream: (Float32Array | null)[]
}

export interface CaseSize {
  readonly rows: number
  readonly width: number
  readonly experts: number
  readonly units: number
  readonly activations: readonly Activation[]
  /** Hidden layers of experts and gates. Default 0. */
  readonly hidden?: number | undefined
}

/** A level of 1 to 3 streams with random gates, sometimes a bias, a temperature or a missing upstream gradient. */
export function randomCase(seed: number, size: CaseSize): MixtureCase {
  const random = randomOf(seed)
  const upTo = (most: number): number => 1 + Math.floor(random() * most)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const sameWidth = random() < 0.5
  const width = upTo(size.width)
  const streams = Array.from({ length: upTo(3) }, () => (sameWidth ? width : upTo(size.width)))
  const experts = Array.from({ length: upTo(size.experts) }, () => ({ stream: Math.floor(random() * streams.length) }))
  const gates = Array.from({ length: upTo(4) }, () => ({
    stream: Math.floor(random() * streams.length),
    experts: shuffled(
      experts.map((_, expert) => expert),
      random,
    ).slice(0, upTo(experts.length)),
  }))
  const layers = (): number[] => Array.from({ length: Math.floor(random() * ((size.hidden ?? 0) + 1)) }, () => upTo(size.units))
  const level = topology.level({
    streams,
    experts,
    gates,
    units: upTo(size.units),
    activation: pick(size.activations),
    gateBias: random() < 0.5,
    expertHiddenUnits: layers(),
    gateHiddenUnits: layers(),
    gateTemperature: pick([1, 0.5, 3]),
  })
  return caseOf(`${seed}: ${describeLevel(level)}`, level, size.rows, random)
}

/** Parameters, rows and upstream gradients for a level. */
export function caseOf(name: string, level: Topology, rows: number, random: () => number): MixtureCase {
  const { streams, outputs, units } = level
  const upstream = outputs.map(() => randomArray(random, rows * units))
  return {
    name,
    topology: level,
    params: randomParameters(level, random),
    x: streams.map((width) => randomArray(random, rows * width)),
    upstream: upstream.map((gradient, output) => (output > 0 && random() < 0.2 ? null : gradient)),
  }
}

function randomParameters(level: Topology, random: () => number): MixtureParameters {
  const { streams, experts, gates, units, expertHiddenUnits, gateHiddenUnits } = level
  const kernel = (count: number, inputDim: number, width: number): Float32Array => {
    return randomArray(random, count * inputDim * width, 1.5 / Math.sqrt(inputDim))
  }
  const bias = (elements: number): Float32Array => randomArray(random, elements, 0.5)
  // An expert's first layer: one stack or, if widths differ, one per stream.
  const firstKernel = (width: number): Float32Array | Float32Array[] => {
    const [first = 1] = streams
    if (streams.every((inputDim) => inputDim === first)) return kernel(experts.length, first, width)
    return streams.map((inputDim, stream) => kernel(experts.filter((expert) => expert.stream === stream).length, inputDim, width))
  }
  const layerWidths = [...expertHiddenUnits, units]
  const expertLayers = layerWidths.map((width, layer) => ({
    kernel: layer === 0 ? firstKernel(width) : kernel(experts.length, layerWidths[layer - 1] ?? 0, width),
    bias: bias(experts.length * width),
  }))
  const gateLayers = gates.map(({ stream, experts: seen }) => {
    const inputs = [streams[stream] ?? 0, ...gateHiddenUnits]
    const hidden = gateHiddenUnits.map((width, layer) => ({ kernel: kernel(1, inputs[layer] ?? 0, width), bias: bias(width) }))
    return { hidden, kernel: randomArray(random, (inputs.at(-1) ?? 0) * seen.length), bias: bias(seen.length) }
  })
  const last = expertLayers.at(-1)
  if (last === undefined) throw new Error('an expert has a layer')
  return {
    expertKernel: last.kernel,
    expertBias: last.bias,
    gateKernel: gateLayers.map((gate) => gate.kernel),
    ...(level.gateBias && { gateBias: gateLayers.map((gate) => gate.bias) }),
    ...(expertHiddenUnits.length > 0 && { expertHidden: expertLayers.slice(0, -1) }),
    ...(gateHiddenUnits.length > 0 && { gateHidden: gateLayers.map(({ hidden }) => hidden) }),
  }
}

function describeLevel({
  streams,
  experts,
  gates,
  units,
  expertHiddenUnits,
  gateHiddenUnits,
  activation,
  gateBias,
}: Topology): string {
  const seen = gates.map((gate) => gate.experts.length).join('+')
  const widths = [...expertHiddenUnits, units].join('-')
  const gate = `gates${gateHiddenUnits.map((width) => `-${width}`).join('')} over ${seen}`
  return `streams ${streams.join('+')}, ${experts.length} experts of ${widths}, ${gate}, ${activation}${gateBias ? ', gate bias' : ''}`
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => [random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
}
