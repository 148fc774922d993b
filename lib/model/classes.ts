// The models that users make: one class and one line of the table per model of the registry.

import type { Feature } from '../features/spec/feature.js'
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

/** What `new MMoE` takes; a part of it that models share is a `Partial<MMoEOptions>`. */
export type MMoEOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<MMoENetworkOptions, Tasks, Features>

/**
 * Multi-gate mixture of experts: every task has its own gate over experts that all share.
 * @example
 * const model = new MMoE({ features, tasks: [binary('like'), binary('share')], numExperts: 8, expertHiddenUnits: [32] })
 */
export class MMoE<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: MMoEOptions<Tasks, Features>) {
    super(mmoe, options)
  }
}

/** What `new PLE` takes; a part of it that models share is a `Partial<PLEOptions>`. */
export type PLEOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<PLENetworkOptions, Tasks, Features>

/**
 * Progressive layered extraction: levels of shared experts and of experts of each task's own.
 * @example
 * const model = new PLE({ features, tasks, numLevels: 2, numSharedExperts: 4, numSpecificExperts: [4, 2], expertHiddenUnits: [32] })
 */
export class PLE<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: PLEOptions<Tasks, Features>) {
    super(ple, options)
  }
}

/** What `new CGC` takes; a part of it that models share is a `Partial<CGCOptions>`. */
export type CGCOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<CGCNetworkOptions, Tasks, Features>

/**
 * Customized gate control: one level of PLE.
 * @example
 * const model = new CGC({ features, tasks, numSharedExperts: 4, numSpecificExperts: 2, expertHiddenUnits: [32] })
 */
export class CGC<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: CGCOptions<Tasks, Features>) {
    super(cgc, options)
  }
}

/** What `new OMoE` takes; a part of it that models share is a `Partial<OMoEOptions>`. */
export type OMoEOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<OMoENetworkOptions, Tasks, Features>

/**
 * One-gate mixture of experts: all tasks share one mix.
 * @example
 * const model = new OMoE({ features, tasks, numExperts: 8, expertHiddenUnits: [32] })
 */
export class OMoE<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: OMoEOptions<Tasks, Features>) {
    super(omoe, options)
  }
}

/** What `new SharedBottom` takes; a part of it that models share is a `Partial<SharedBottomOptions>`. */
export type SharedBottomOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<SharedBottomNetworkOptions, Tasks, Features>

/**
 * Shared bottom: the layers of `bottomHiddenUnits` for all tasks, then a tower each.
 * @example
 * const model = new SharedBottom({ features, tasks, bottomHiddenUnits: [128], towerHiddenUnits: [32] })
 */
export class SharedBottom<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: SharedBottomOptions<Tasks, Features>) {
    super(sharedBottom, options)
  }
}

/** What `new SingleTask` takes; a part of it that models share is a `Partial<SingleTaskOptions>`. */
export type SingleTaskOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<SingleTaskNetworkOptions, Tasks, Features>

/**
 * A network for one task alone: what a multi-task model must beat.
 * @example
 * const model = new SingleTask({ features, tasks: [binary('like')], bottomHiddenUnits: [128], towerHiddenUnits: [32] })
 */
export class SingleTask<
  const Tasks extends readonly Task[] = readonly Task[],
  const Features extends readonly Feature[] = readonly Feature[],
> extends Model<Tasks, TaskName<Tasks>, Features> {
  constructor(options: SingleTaskOptions<Tasks, Features>) {
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

/** What `new ESMM` takes; a part of it that models share is a `Partial<ESMMOptions>`. */
export type ESMMOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<ESMMNetworkOptions, Tasks, Features>

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
  constructor(options: ESMMOptions<Tasks, Features>) {
    super(esmm, options)
  }
}

/** Classes by the name a configuration file and a saved model use. */
export const modelClasses = { MMoE, PLE, CGC, OMoE, SharedBottom, SingleTask, ESMM } as const satisfies Record<ModelName, unknown>
