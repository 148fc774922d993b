// One-gate mixture of experts (the baseline of Ma et al., KDD 2018): all tasks share one gate.

import { z } from 'zod'

import { topology } from '../core/topology.js'
import { defineModel, type Written } from './definition.js'
import { layerOptions, levelBody } from './experts.js'
import { commonOptions, expertCount, expertOptions } from './options.js'

const schema = z.strictObject({
  ...commonOptions,
  ...expertOptions,
  /** Number of experts, all shared by the tasks. */
  numExperts: expertCount.min(1),
})

/** The options of an OMoE, without features and tasks. */
export type OMoENetworkOptions = Written<z.input<typeof schema>>

/** OMoE as data: its options and its lowering. */
export const omoe = defineModel<OMoENetworkOptions, z.output<typeof schema>>({
  name: 'OMoE',
  schema,
  body(context) {
    const { inputDim, options, tasks } = context
    const size = { inputDim, numExperts: options.numExperts, numTasks: tasks.length }
    // The one gate belongs to no task.
    return levelBody({ ...context, tasks: [] }, topology.omoe({ ...size, ...layerOptions(options) }))
  },
})
