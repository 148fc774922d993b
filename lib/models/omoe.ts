// One-gate mixture of experts (the baseline of Ma et al., KDD 2018): all tasks share one gate.

import { z } from 'zod'

import { topology } from '../core/topology.js'
import { defineModel, type Written } from './definition.js'
import { layerOptions, levelBody } from './experts.js'
import { checkGateFeatures, featureList } from './gate-features.js'
import { commonOptions, expertCount, expertOptions } from './options.js'

const schema = z.strictObject({
  ...commonOptions,
  ...expertOptions,
  /** Features that the gate reads, side by side and without the bottom, while experts read all. Default: what the experts read. */
  gateFeatures: featureList.optional(),
  /** Number of experts, all shared by the tasks. */
  numExperts: expertCount.min(1),
})

/** The options of an OMoE, without features and tasks. */
export type OMoENetworkOptions = Written<z.input<typeof schema>>

/** OMoE as data: its options and its lowering. */
export const omoe = defineModel<OMoENetworkOptions, z.output<typeof schema>>({
  name: 'OMoE',
  schema,
  check: (parts, options) => checkGateFeatures('OMoE', options.gateFeatures, parts),
  body(context) {
    const { inputDim, options, tasks } = context
    const size = { inputDim, numExperts: options.numExperts, numTasks: tasks.length }
    // The one gate belongs to no task.
    return levelBody({ ...context, tasks: [] }, topology.omoe({ ...size, ...layerOptions(options) }))
  },
})
