// The models there are: one file in this folder and one line here.

import { esmm } from './esmm.js'
import { mmoe } from './mmoe.js'

/** Models by the name a configuration file uses. */
export const models = { MMoE: mmoe, ESMM: esmm } as const

export type ModelName = keyof typeof models
