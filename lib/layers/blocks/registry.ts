// The blocks for a model's bottom, by their name in the option `bottom`. A new block is one file and one line here.

import type { BlockBuilder } from './block.js'
import { mlp } from './mlp.js'

export const blocks = { mlp } as const satisfies Readonly<Record<string, BlockBuilder>>

export type BlockName = keyof typeof blocks

export const blockNames = Object.keys(blocks) as [BlockName, ...BlockName[]]
