// The tensors of a level of gated experts: their names, shapes and start values.

import { type InitializerOption, initializerOf, zeros } from '../core/initializers.js'
import type { Layout, ParameterGroup, Tensor } from '../core/layout.js'
import type { Temperature } from '../core/temperature.js'
import { expertsByStream, type Topology } from '../core/topology.js'
import type { Initializer } from '../native/binding.js'
import type { DenseLayer } from './dense.js'
import type { GateNoise } from './tape.js'

export interface MixtureOptions {
  readonly topology: Topology
  /** Prefix of every tensor's name in models of several levels: `level.0.` */
  readonly prefix?: string | undefined
  /** How many of the last streams only gates read. Default 0. */
  readonly gateStreams?: number | undefined
  /** One name per gate. */
  readonly gateNames: readonly string[]
  readonly expertInitializer: InitializerOption
  readonly gateInitializer: InitializerOption
  /** What changes the gates' logits. Default: nothing but the topology's temperature. */
  readonly steering?: GateSteering | undefined
}

/** Logits of gates with noise in training, divided by a temperature that the weights hold. */
export interface GateSteering {
  readonly temperature: Temperature
  readonly noise: GateNoise
}

/** One layer of all experts. */
export interface ExpertLayer {
  /** First layer: one per stream, [experts on it, d, width], or null if no expert reads it. Later layers: one, [e, in, width]. */
  readonly kernel: readonly (Tensor | null)[]
  /** [e, width]. */
  readonly bias: Tensor
}

/** The tensors of one level. */
export interface MixtureTensors {
  /** The experts' hidden layers. */
  readonly expertHidden: readonly ExpertLayer[]
  /** The experts' last layer. */
  readonly expert: ExpertLayer
  /** The hidden layers of each gate. */
  readonly gateHidden: readonly (readonly DenseLayer[])[]
  /** One per gate, [d, experts seen]. */
  readonly gateKernel: readonly Tensor[]
  /** One per gate, [experts seen]; empty without gate biases. */
  readonly gateBias: readonly Tensor[]
  /** One per gate with steering, [experts seen, experts seen]: 1 / temperature on the diagonal. Else empty. */
  readonly gateTemperature: readonly Tensor[]
}

/**
 * Declares `expert.kernel`, `expert.bias`, `gate.<name>.kernel` and `.bias`, and `.temperature` with steering; hidden layers as
 * `expert.hidden.<layer>.kernel`.
 */
export function declareTensors(layout: Layout, options: MixtureOptions): MixtureTensors {
  const { topology, prefix = '', gateNames, gateInitializer, steering } = options
  const { streams, gates, units } = topology
  const widths = [...topology.expertHiddenUnits, units]
  const layers = widths.map((width, layer) => {
    const name = layer === widths.length - 1 ? `${prefix}expert` : `${prefix}expert.hidden.${layer}`
    return declareExpertLayer(layout, options, name, layer === 0 ? streams : widths[layer - 1], width)
  })
  const gateLayers = gates.map(({ stream, experts: seen }, gate) => {
    const name = `${prefix}gate.${gateNames[gate]}`
    const hidden = declareGateHidden(layout, options, `${name}.hidden`, streams[stream] ?? 0)
    const inputDim = topology.gateHiddenUnits.at(-1) ?? streams[stream] ?? 0
    const initializer = initializerOf(gateInitializer, inputDim, seen.length)
    const kernel = declare(layout, 'gate', 'kernel', `${name}.kernel`, [inputDim, seen.length], initializer)
    const bias = topology.gateBias ? [declare(layout, 'gate', 'bias', `${name}.bias`, [seen.length], zeros)] : []
    const temperature = steering ? [declareTemperature(layout, `${name}.temperature`, seen.length, steering.temperature)] : []
    return { hidden, kernel, bias, temperature }
  })
  const expert = layers.pop()
  if (expert === undefined) throw new Error('an expert has no layer')
  return {
    expertHidden: layers,
    expert,
    gateHidden: gateLayers.map(({ hidden }) => hidden),
    gateKernel: gateLayers.map(({ kernel }) => kernel),
    gateBias: gateLayers.flatMap(({ bias }) => bias),
    gateTemperature: gateLayers.flatMap(({ temperature }) => temperature),
  }
}

/** `inputs`: the width of every stream, or of the layer before. Fans are those of one expert, because stacked experts are separate. */
function declareExpertLayer(
  layout: Layout,
  { topology, expertInitializer, gateStreams = 0 }: MixtureOptions,
  name: string,
  inputs: readonly number[] | number | undefined,
  width: number,
): ExpertLayer {
  const count = topology.experts.length
  const stack = (experts: number, inputDim: number, tensor: string): Tensor => {
    const initializer = initializerOf(expertInitializer, inputDim, width)
    return declare(layout, 'expert', 'kernel', tensor, [experts, inputDim, width], initializer, true)
  }
  const readers = expertsByStream(topology)
  const kernel = Array.isArray(inputs)
    ? (inputs as readonly number[]).map((inputDim, stream) => {
        const experts = readers[stream]?.length ?? 0
        if (experts === 0) return null
        return stack(experts, inputDim, inputs.length - gateStreams === 1 ? `${name}.kernel` : `${name}.${stream}.kernel`)
      })
    : [stack(count, inputs as number, `${name}.kernel`)]
  return { kernel, bias: declare(layout, 'expert', 'bias', `${name}.bias`, [count, width], zeros) }
}

function declareGateHidden(
  layout: Layout,
  { topology, gateInitializer }: MixtureOptions,
  name: string,
  streamDim: number,
): DenseLayer[] {
  let inputDim = streamDim
  return topology.gateHiddenUnits.map((units, layer) => {
    const initializer = initializerOf(gateInitializer, inputDim, units)
    const kernel = declare(layout, 'gate', 'kernel', `${name}.${layer}.kernel`, [inputDim, units], initializer)
    const bias = declare(layout, 'gate', 'bias', `${name}.${layer}.bias`, [units], zeros)
    inputDim = units
    return { kernel, bias, units, activation: topology.activation }
  })
}

function declareTemperature(layout: Layout, name: string, experts: number, temperature: Temperature): Tensor {
  return layout.tensor({ name, shape: [experts, experts], group: 'gate', role: 'kernel', initializer: zeros, temperature })
}

function declare(
  layout: Layout,
  group: ParameterGroup,
  role: Tensor['role'],
  name: string,
  shape: readonly number[],
  initializer: Initializer,
  stacked = false,
): Tensor {
  return layout.tensor({ name, shape, group, role, initializer, stacked })
}
