// Bodies of gated experts: one mixture per level of a model, and the connection of the levels.

import type { Fusion } from '../core/fusion.js'
import type { Layout } from '../core/layout.js'
import type { Topology } from '../core/topology.js'
import { fuse } from '../layers/fusion.js'
import { Mixture, sharedGate } from '../layers/mixture.js'
import type { Signal, Tape } from '../layers/tape.js'
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
    gateTemperature,
  }
}

/** A body of one level. Gates are named after tasks; an extra gate is named `shared`. */
export function levelBody(context: BodyContext<ExpertOptions>, topology: Topology): Body {
  const mixture = mixtureOf(context.layout, context, topology, '')
  return { outputDim: topology.units, forward: (tape, x) => mixture.forward(tape, [x]) }
}

/** A body of consecutive levels, named `level.0.` and so on. */
export function levelsBody(context: BodyContext<ExpertOptions>, levels: readonly Topology[], fusion: readonly Fusion[]): Body {
  const mixtures = levels.map((topology, level) => mixtureOf(context.layout, context, topology, `level.${level}.`))
  const forward = (tape: Tape, x: Signal): Signal[] => {
    let signals = [x]
    mixtures.forEach((mixture, level) => {
      const streams = level > 0 && fusion.length > 0 ? [fuse(tape, signals, fusion)] : signals
      tape.represent(streams)
      signals = mixture.forward(tape, streams)
    })
    return signals
  }
  return { outputDim: levels.at(-1)?.units ?? 0, forward }
}

function mixtureOf(layout: Layout, { tasks, options }: BodyContext<ExpertOptions>, topology: Topology, prefix: string): Mixture {
  return new Mixture(layout, {
    topology,
    prefix,
    gateNames: topology.gates.map((_, gate) => tasks[gate]?.name ?? sharedGate),
    expertInitializer: options.initializers.expert,
    gateInitializer: options.initializers.gate,
  })
}
