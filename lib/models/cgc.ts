// Customized gate control (Tang et al., RecSys 2020): each task's gate sees the shared experts and its own.

import { z } from 'zod'

import { topology } from '../core/topology.js'
import { checkSpecificExperts } from './check.js'
import { defineModel, type Written } from './definition.js'
import { layerOptions, levelBody } from './experts.js'
import { checkGateFeatures } from './gate-features.js'
import { commonOptions, expertCount, expertOptions, numSpecificExperts } from './options.js'

const schema = z.strictObject({
  ...commonOptions,
  ...expertOptions,
  /** Number of experts that all tasks share. */
  numSharedExperts: expertCount,
  /** Number of each task's own experts: one number for all tasks, or one per task in the order of `tasks`. */
  numSpecificExperts,
})

/** The options of a CGC, without features and tasks. */
export type CGCNetworkOptions = Written<z.input<typeof schema>>

/** CGC as data: its options and its lowering. */
export const cgc = defineModel<CGCNetworkOptions, z.output<typeof schema>>({
  name: 'CGC',
  schema,
  check(parts, options) {
    checkSpecificExperts('CGC', parts.tasks, options)
    checkGateFeatures('CGC', options.gateFeatures, parts)
  },
  body(context) {
    const { inputDim, options, tasks } = context
    const counts = { numSharedExperts: options.numSharedExperts, numSpecificExperts: options.numSpecificExperts }
    return levelBody(context, topology.cgc({ inputDim, numTasks: tasks.length, ...counts, ...layerOptions(options) }))
  },
})
