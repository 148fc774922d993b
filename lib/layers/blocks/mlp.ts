// Dense layers over the row of all fields. Without layers the output is the row itself.

import { denseStack } from '../dense.js'
import type { BlockBuilder } from './block.js'

export const mlp: BlockBuilder = (layout, options) => {
  const stack = denseStack(layout, { name: 'bottom', group: 'bottom', ...options })
  return { outputDim: stack.outputDim, forward: (tape, { row }) => stack.forward(tape, row) }
}
