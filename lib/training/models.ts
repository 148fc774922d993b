// The models that users make: one class and one line of the table per model of the registry.

import type { TaskName } from '../models/definition.js'
import { type ESMMNetworkOptions, esmm } from '../models/esmm.js'
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

/** Names of the conditional outputs of a funnel: `buy_given_click`. */
type Given<Tasks extends readonly Task[]> = Tasks extends readonly [
  infer First extends Task,
  infer Second extends Task,
  ...infer Rest,
]
  ? `${Second['name']}_given_${First['name']}` | Given<readonly [Second, ...Extract<Rest, readonly Task[]>]>
  : never

/**
 * Entire-space multi-task model: tasks in the order of a funnel, each only possible after the one before. Predicts every task
 * over all rows, as the product of the steps down to it, and each step by itself.
 * @example
 * const model = new ESMM({ features, tasks: [binary('click'), binary('buy')], towerHiddenUnits: [64] })
 * const { click, buy, buy_given_click } = await model.predict(candidates)
 */
export class ESMM<const Tasks extends readonly Task[] = readonly Task[]> extends Model<Tasks, TaskName<Tasks> | Given<Tasks>> {
  constructor(options: ModelInput<ESMMNetworkOptions, Tasks>) {
    super(esmm, options)
  }
}

/** Classes by the name a configuration file and a saved model use. */
export const modelClasses = { MMoE, ESMM } as const satisfies Record<ModelName, unknown>
