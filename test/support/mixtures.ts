// Random levels with parameters, rows and upstream gradients, for gradient checks and parity.

import type { Activation } from '../../lib/core/activation.js'
import { type Topology, topology } from '../../lib/core/topology.js'
import type { MixtureParameters } from '../../lib/ops.js'
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
}

/** A level of 1 to 3 streams, gates that see what they like, sometimes a bias, sometimes no upstream gradient. */
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
  const level = topology.level({
    streams,
    experts,
    gates,
    units: upTo(size.units),
    activation: pick(size.activations),
    gateBias: random() < 0.5,
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

function randomParameters({ streams, experts, gates, units, gateBias }: Topology, random: () => number): MixtureParameters {
  const kernelOf = (width: number, count: number): Float32Array => {
    return randomArray(random, count * width * units, 1.5 / Math.sqrt(width))
  }
  const [first = 1] = streams
  const stacks = streams.map((width, stream) => kernelOf(width, experts.filter((expert) => expert.stream === stream).length))
  return {
    expertKernel: streams.every((width) => width === first) ? kernelOf(first, experts.length) : stacks,
    expertBias: randomArray(random, experts.length * units, 0.5),
    gateKernel: gates.map(({ stream, experts: seen }) => randomArray(random, (streams[stream] ?? 0) * seen.length)),
    ...(gateBias && { gateBias: gates.map(({ experts: seen }) => randomArray(random, seen.length)) }),
  }
}

function describeLevel({ streams, experts, gates, units, activation, gateBias }: Topology): string {
  const seen = gates.map((gate) => gate.experts.length).join('+')
  return `streams ${streams.join('+')}, ${experts.length} experts of ${units}, gates over ${seen}, ${activation}${gateBias ? ', gate bias' : ''}`
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => [random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
}
