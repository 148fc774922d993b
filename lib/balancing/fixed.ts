// No balancing: the tasks' own weights alone.

import { z } from 'zod'

import { type Filled, method } from './method.js'

export interface FixedOptions {
  readonly method: 'fixed'
}

export type Fixed = Filled<FixedOptions>

export const fixed = method<Fixed>({
  schema: z.strictObject({ method: z.literal('fixed') }),
  needs: { before: 'nothing', after: 'nothing', epochs: false },
  rule: () => ({ weigh: (_, weights) => void weights.fill(1) }),
})
