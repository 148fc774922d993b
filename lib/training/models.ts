// The models that users make: one class and one line of the table per model of the registry.

import { type MMoENetworkOptions, mmoe } from '../models/mmoe.js'
import type { ModelName } from '../models/registry.js'
import type { Task } from '../tasks/task.js'
import { Model, type ModelInput } from './model.js'

/**
 * Multi-gate mixture of experts: every task has its own gate over experts that all share.
 * @example
 * const model = new MMoE({ features, tasks: [binary('like'), binary('share')], numExperts: 8, expertHiddenUnits: [32] })
 */
export class MMoE<const Tasks extends readonly Task[] = readonly Task[]> extends Model<Tasks> {
  constructor(options: ModelInput<MMoENetworkOptions, Tasks>) {
    super(mmoe, options)
  }
}

/** Classes by the name a configuration file and a saved model use. */
export const modelClasses = { MMoE } as const satisfies Record<ModelName, unknown>
