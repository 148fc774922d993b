// Progressive layered extraction (Tang et al., RecSys 2020): levels of customized gate control, one after another.

import { z } from 'zod'
import { fusionNames, fusionParts } from '../core/fusion.js'
import { mostLevels } from '../core/limits.js'
import { frozen } from '../core/schemas.js'
import { topology } from '../core/topology.js'
import { checkSpecificExperts } from './check.js'
import { defineModel, type Written } from './definition.js'
import { layerOptions, levelsBody } from './experts.js'
import { commonOptions, expertCount, expertOptions, numSpecificExperts } from './options.js'

const fusionPart = z.enum(fusionNames)

const schema = z.strictObject({
  ...commonOptions,
  ...expertOptions,
  /** How many levels follow each other. Default 2. */
  numLevels: z.int().min(1).max(mostLevels).default(2),
  /** How many experts of each level all tasks share. */
  numSharedExperts: expertCount,
  /** How many experts of each level are each task's own: one number for all tasks, or one for each task, in the order of `tasks`. */
  numSpecificExperts,
  /** What becomes of a level's outputs before the next level. `'none'`, as in the paper: each output passes on alone. Default `'none'`. */
  fusion: z.union([z.enum(['none', ...fusionNames]), frozen(z.array(fusionPart).min(1))]).default('none'),
})

/** A PLE's options as a user writes them, without features and tasks. */
export type PLENetworkOptions = Written<z.input<typeof schema>>

/** PLE as data: its options and how it is lowered. */
export const ple = defineModel<PLENetworkOptions, z.output<typeof schema>>({
  name: 'PLE',
  schema,
  checkTasks: (tasks, options) => checkSpecificExperts('PLE', tasks, options),
  body(context) {
    const { inputDim, options, tasks } = context
    const { numLevels, numSharedExperts, numSpecificExperts, fusion } = options
    const size = { inputDim, numTasks: tasks.length, numLevels, numSharedExperts, numSpecificExperts, fusion }
    return levelsBody(context, topology.ple({ ...size, ...layerOptions(options) }), fusionParts(fusion))
  },
})
