// Shared bottom (Caruana, 1997): one stack of layers for all tasks, then each task's tower.

import { z } from 'zod'

import { frozen } from '../core/schemas.js'
import { defineModel, type Written } from './definition.js'
import { commonOptions, units } from './options.js'

const schema = z.strictObject({
  ...commonOptions,
  /** Widths of the layers that all tasks share, first to last. */
  bottomHiddenUnits: frozen(z.array(units).min(1)),
})

/** The options of a shared bottom, without features and tasks. */
export type SharedBottomNetworkOptions = Written<z.input<typeof schema>>

/** Shared bottom as data: its options and its lowering. */
export const sharedBottom = defineModel<SharedBottomNetworkOptions, z.output<typeof schema>>({
  name: 'SharedBottom',
  schema,
  body: ({ inputDim, tasks }) => ({ outputDim: inputDim, forward: (_, x) => tasks.map(() => x) }),
})
