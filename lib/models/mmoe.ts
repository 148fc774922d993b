// Multi-gate mixture of experts (Ma et al., KDD 2018): every task has its own softmax gate over shared experts.

import { z } from 'zod'

import { topology } from '../core/topology.js'
import { defineModel, type Written } from './definition.js'
import { layerOptions, levelBody } from './experts.js'
import { checkGateFeatures } from './gate-features.js'
import { commonOptions, expertCount, expertOptions } from './options.js'

const schema = z.strictObject({
  ...commonOptions,
  ...expertOptions,
  /** Number of experts, all shared by the tasks. */
  numExperts: expertCount.min(1),
})

/** The options of an MMoE, without features and tasks. */
export type MMoENetworkOptions = Written<z.input<typeof schema>>

/** MMoE as data: its options and its lowering. */
export const mmoe = defineModel<MMoENetworkOptions, z.output<typeof schema>>({
  name: 'MMoE',
  schema,
  check: (parts, options) => checkGateFeatures('MMoE', options.gateFeatures, parts),
  body(context) {
    const { inputDim, options, tasks } = context
    const size = { inputDim, numExperts: options.numExperts, numTasks: tasks.length }
    return levelBody(context, topology.mmoe({ ...size, ...layerOptions(options) }))
  },
})
