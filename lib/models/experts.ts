// Bodies of gated experts: one mixture per level of a model, and the connection of the levels.

import type { Fusion } from '../core/fusion.js'
import type { Topology } from '../core/topology.js'
import { fuse } from '../layers/fusion.js'
import { Mixture, sharedGate } from '../layers/mixture.js'
import type { GateSteering } from '../layers/mixture-tensors.js'
import type { Signal, Tape } from '../layers/tape.js'
import { GateInputs } from './gate-features.js'
import type { Body, BodyContext } from './lowering.js'
import type { ExpertOptions } from './options.js'

/** The layers of experts and gates, in the form of a topology. */
export function layerOptions({ expertHiddenUnits, gateHiddenUnits, activation, gateBias, gateTemperature }: ExpertOptions) {
  return {
    units: expertHiddenUnits.at(-1) ?? 0,
    expertHiddenUnits: expertHiddenUnits.slice(0, -1),
    gateHiddenUnits,
    activation: activation.expert,
    gateBias,
    gateTemperature: typeof gateTemperature === 'number' ? gateTemperature : 1,
  }
}

/** How the logits of gates change beyond a constant temperature; undefined: not at all. */
function steeringOf({ gateTemperature, gateNoise, gateDropout }: ExpertOptions): GateSteering | undefined {
  const scheduled = typeof gateTemperature !== 'number'
  if (!scheduled && gateNoise === 0 && gateDropout === 0) return undefined
  return { temperature: scheduled ? gateTemperature : 1, noise: { deviation: gateNoise, dropout: gateDropout } }
}

/** A body of one level. Gates are named after tasks; an extra gate is named `shared`. */
export function levelBody(context: BodyContext<ExpertOptions>, topology: Topology): Body {
  const gates = new GateInputs(context.options.gateFeatures, context.featureWidths)
  const mixture = mixtureOf(context, topology, '', gates)
  return {
    outputDim: topology.units,
    beside: (tape, x) => gates.forward(tape, x),
    forward: (tape, x, beside) => mixture.forward(tape, [x, ...beside]),
  }
}

/** A body of consecutive levels, named `level.0.` and so on. Gates of the first one may read features of their own. */
export function levelsBody(context: BodyContext<ExpertOptions>, levels: readonly Topology[], fusion: readonly Fusion[]): Body {
  const gates = new GateInputs(context.options.gateFeatures, context.featureWidths)
  const mixtures = levels.map((topology, level) => {
    return mixtureOf(context, topology, `level.${level}.`, level === 0 ? gates : undefined)
  })
  const forward = (tape: Tape, x: Signal, beside: readonly Signal[]): Signal[] => {
    let signals = [x]
    mixtures.forEach((mixture, level) => {
      const streams = level > 0 && fusion.length > 0 ? [fuse(tape, signals, fusion)] : signals
      const read = level === 0 ? [...streams, ...beside] : streams
      tape.represent(read)
      signals = mixture.forward(tape, read)
    })
    return signals
  }
  return { outputDim: levels.at(-1)?.units ?? 0, beside: (tape, x) => gates.forward(tape, x), forward }
}

function mixtureOf(
  { layout, tasks, options }: BodyContext<ExpertOptions>,
  level: Topology,
  prefix: string,
  gates: GateInputs | undefined,
): Mixture {
  const gateNames = level.gates.map((_, gate) => tasks[gate]?.name ?? sharedGate)
  return new Mixture(layout, {
    topology: gates?.connect(level, gateNames) ?? level,
    prefix,
    gateStreams: gates?.streams,
    gateNames,
    expertInitializer: options.initializers.expert,
    gateInitializer: options.initializers.gate,
    steering: steeringOf(options),
  })
}
