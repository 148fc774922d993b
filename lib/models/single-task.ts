// A network for a single task: the baseline that a multi-task model must beat.

import { z } from 'zod'

import { wrongArgument } from '../core/check.js'
import { defineModel, type Written } from './definition.js'
import { commonOptions } from './options.js'

const schema = z.strictObject(commonOptions)

/** The options of a SingleTask, without features and tasks. */
export type SingleTaskNetworkOptions = Written<z.input<typeof schema>>

/** Single task as data: its options and its lowering. */
export const singleTask = defineModel<SingleTaskNetworkOptions, z.output<typeof schema>>({
  name: 'SingleTask',
  schema,
  check({ tasks }) {
    if (tasks.length === 1) return
    throw wrongArgument(
      'SingleTask.tasks',
      `expected one task, found ${tasks.length}; train one model per task, or a SharedBottom`,
    )
  },
  body: ({ inputDim }) => ({ outputDim: inputDim, forward: (_, x) => [x] }),
})
