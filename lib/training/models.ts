// The models that users make: one class and one line of the table per model of the registry.

import type { Feature } from '../features/feature.js'
import { type CGCNetworkOptions, cgc } from '../models/cgc.js'
import type { TaskName } from '../models/definition.js'
import { type ESMMNetworkOptions, esmm } from '../models/esmm.js'
import { type MMoENetworkOptions, mmoe } from '../models/mmoe.js'
import { type OMoENetworkOptions, omoe } from '../models/omoe.js'
import { type PLENetworkOptions, ple } from '../models/ple.js'
import type { ModelName } from '../models/registry.js'
import { type SharedBottomNetworkOptions, sharedBottom } from '../models/shared-bottom.js'
import { type SingleTaskNetworkOptions, singleTask } from '../models/single-task.js'
import type { Task } from '../tasks/task.js'
import { Model, type ModelInput } from './model.js'

/**
 * Multi-gate mixture of experts: every task has its own gate over experts that all share.
 * @example
 * const model = new MMoE({ features, tasks: [binary('like'), binary('share')], numExperts: 8, expertHiddenUnits: [32] })
 */
export class MMoE<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: ModelInput<MMoENetworkOptions, Tasks, Features>) {
    super(mmoe, options)
  }
}

/**
 * Progressive layered extraction: levels of shared experts and of experts of each task's own.
 * @example
 * const model = new PLE({ features, tasks, numLevels: 2, numSharedExperts: 4, numSpecificExperts: [4, 2], expertHiddenUnits: [32] })
 */
export class PLE<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: ModelInput<PLENetworkOptions, Tasks, Features>) {
    super(ple, options)
  }
}

/**
 * Customized gate control: one level of PLE.
 * @example
 * const model = new CGC({ features, tasks, numSharedExperts: 4, numSpecificExperts: 2, expertHiddenUnits: [32] })
 */
export class CGC<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: ModelInput<CGCNetworkOptions, Tasks, Features>) {
    super(cgc, options)
  }
}

/**
 * One-gate mixture of experts: all tasks share one mix.
 * @example
 * const model = new OMoE({ features, tasks, numExperts: 8, expertHiddenUnits: [32] })
 */
export class OMoE<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: ModelInput<OMoENetworkOptions, Tasks, Features>) {
    super(omoe, options)
  }
}

/**
 * Shared bottom: the layers of `bottomHiddenUnits` for all tasks, then a tower each.
 * @example
 * const model = new SharedBottom({ features, tasks, bottomHiddenUnits: [128], towerHiddenUnits: [32] })
 */
export class SharedBottom<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: ModelInput<SharedBottomNetworkOptions, Tasks, Features>) {
    super(sharedBottom, options)
  }
}

/**
 * A network for one task alone: what a multi-task model must beat.
 * @example
 * const model = new SingleTask({ features, tasks: [binary('like')], bottomHiddenUnits: [128], towerHiddenUnits: [32] })
 */
export class SingleTask<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: ModelInput<SingleTaskNetworkOptions, Tasks, Features>) {
    super(singleTask, options)
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
export class ESMM<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks> | Given<Tasks>, Features> {
  constructor(options: ModelInput<ESMMNetworkOptions, Tasks, Features>) {
    super(esmm, options)
  }
}

/** Classes by the name a configuration file and a saved model use. */
export const modelClasses = { MMoE, PLE, CGC, OMoE, SharedBottom, SingleTask, ESMM } as const satisfies Record<ModelName, unknown>
