// All models: each has one file in this folder and one line here.

import { cgc } from './cgc.js'
import { esmm } from './esmm.js'
import { mmoe } from './mmoe.js'
import { omoe } from './omoe.js'
import { ple } from './ple.js'
import { sharedBottom } from './shared-bottom.js'
import { singleTask } from './single-task.js'

/** Models by their name in configuration files. */
export const models = {
  MMoE: mmoe,
  PLE: ple,
  CGC: cgc,
  OMoE: omoe,
  SharedBottom: sharedBottom,
  SingleTask: singleTask,
  ESMM: esmm,
} as const

export type ModelName = keyof typeof models
