// Shared bottom (Caruana, 1997): one stack of layers for all tasks, then each task's tower.

import { z } from 'zod'

import { frozen } from '../core/schemas.js'
import { defineModel, type Written } from './definition.js'
import { commonOptions, units } from './options.js'

const schema = z.strictObject({
  ...commonOptions,
  /** Widths of the layers that all tasks share. */
  bottomHiddenUnits: frozen(z.array(units).min(1)),
})

/** A shared bottom's options as a user writes them, without features and tasks. */
export type SharedBottomNetworkOptions = Written<z.input<typeof schema>>

/** Shared bottom as data: its options and how it is lowered. */
export const sharedBottom = defineModel<SharedBottomNetworkOptions, z.output<typeof schema>>({
  name: 'SharedBottom',
  schema,
  body: ({ inputDim, tasks }) => ({ outputDim: inputDim, forward: (_, x) => tasks.map(() => x) }),
})
