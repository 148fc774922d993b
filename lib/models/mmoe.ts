// Multi-gate mixture of experts (Ma et al., KDD 2018): every task has its own softmax gate over experts that all share.

import { z } from 'zod'

import { topology } from '../core/topology.js'
import { Mixture } from '../layers/mixture.js'
import { defineModel, type Written } from './definition.js'
import type { Body, BodyContext } from './lowering.js'
import { commonOptions, expertHiddenUnits, gateHiddenUnits } from './options.js'

const schema = z.strictObject({
  ...commonOptions,
  /** Experts that all tasks share. */
  numExperts: z.int().min(1),
  /** Width of an expert: one layer, `[units]`. */
  expertHiddenUnits,
  gateHiddenUnits: gateHiddenUnits.default([]),
  /** Whether gates have a bias; the paper's have none. */
  gateBias: z.boolean().default(false),
})

/** An MMoE's options as a user writes them, without features and tasks. */
export type MMoENetworkOptions = Written<z.input<typeof schema>>

type Options = z.output<typeof schema>

/** MMoE as data: its options and how it is lowered. */
export const mmoe = defineModel<MMoENetworkOptions, Options>({ name: 'MMoE', schema, body })

function body({ layout, options, inputDim, tasks }: BodyContext<Options>): Body {
  const [units = 0] = options.expertHiddenUnits
  const mixture = new Mixture(layout, {
    topology: topology.mmoe({
      inputDim,
      numExperts: options.numExperts,
      units,
      numTasks: tasks.length,
      activation: options.activation.expert,
      gateBias: options.gateBias,
    }),
    gateNames: tasks.map(({ name }) => name),
    expertInitializer: options.initializers.expert,
    gateInitializer: options.initializers.gate,
  })
  return { outputDim: units, forward: (tape, x) => mixture.forward(tape, [x]) }
}
