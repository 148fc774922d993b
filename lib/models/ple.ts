// Progressive layered extraction (Tang et al., RecSys 2020): consecutive levels of customized gate control.

import { z } from 'zod'
import { fusionNames, fusionParts } from '../core/fusion.js'
import { mostLevels } from '../core/limits.js'
import { frozen } from '../core/schemas.js'
import { topology } from '../core/topology.js'
import { checkSpecificExperts } from './check.js'
import { defineModel, type Written } from './definition.js'
import { layerOptions, levelsBody } from './experts.js'
import { checkGateFeatures } from './gate-features.js'
import { commonOptions, expertCount, expertOptions, numSpecificExperts } from './options.js'

const fusionPart = z.enum(fusionNames)

const schema = z.strictObject({
  ...commonOptions,
  ...expertOptions,
  /** Number of levels. Default 2. */
  numLevels: z.int().min(1).max(mostLevels).default(2),
  /** Number of experts per level that all tasks share. */
  numSharedExperts: expertCount,
  /** Number of each task's own experts per level: one number for all tasks, or one per task in the order of `tasks`. */
  numSpecificExperts,
  /** How outputs of a level enter the next one. `'none'`, as in the paper: each output passes on alone. Default `'none'`. */
  fusion: z.union([z.enum(['none', ...fusionNames]), frozen(z.array(fusionPart).min(1))]).default('none'),
})

/** The options of a PLE, without features and tasks. */
export type PLENetworkOptions = Written<z.input<typeof schema>>

/** PLE as data: its options and its lowering. */
export const ple = defineModel<PLENetworkOptions, z.output<typeof schema>>({
  name: 'PLE',
  schema,
  check(parts, options) {
    checkSpecificExperts('PLE', parts.tasks, options)
    checkGateFeatures('PLE', options.gateFeatures, parts)
  },
  body(context) {
    const { inputDim, options, tasks } = context
    const { numLevels, numSharedExperts, numSpecificExperts, fusion } = options
    const size = { inputDim, numTasks: tasks.length, numLevels, numSharedExperts, numSpecificExperts, fusion }
    return levelsBody(context, topology.ple({ ...size, ...layerOptions(options) }), fusionParts(fusion))
  },
})
