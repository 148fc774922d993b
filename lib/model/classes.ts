// The models that users make. Each model of the registry has one class here and one line of the table.

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

/** Options of `new MMoE`. Type a part that several models share as `Partial<MMoEOptions>`. */
export type MMoEOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<MMoENetworkOptions, Tasks, Features>

/**
 * Multi-gate mixture of experts: every task has its own gate over shared experts.
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

/** Options of `new PLE`. Type a part that several models share as `Partial<PLEOptions>`. */
export type PLEOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<PLENetworkOptions, Tasks, Features>

/**
 * Progressive layered extraction: levels of shared experts and of each task's own experts.
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

/** Options of `new CGC`. Type a part that several models share as `Partial<CGCOptions>`. */
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

/** Options of `new OMoE`. Type a part that several models share as `Partial<OMoEOptions>`. */
export type OMoEOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<OMoENetworkOptions, Tasks, Features>

/**
 * One-gate mixture of experts: all tasks share one gate.
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

/** Options of `new SharedBottom`. Type a part that several models share as `Partial<SharedBottomOptions>`. */
export type SharedBottomOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<SharedBottomNetworkOptions, Tasks, Features>

/**
 * Shared bottom: all tasks share the layers of `bottomHiddenUnits`; then each task has its own tower.
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

/** Options of `new SingleTask`. Type a part that several models share as `Partial<SingleTaskOptions>`. */
export type SingleTaskOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<SingleTaskNetworkOptions, Tasks, Features>

/**
 * A network for a single task: the baseline that a multi-task model must beat.
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

/** Options of `new ESMM`. Type a part that several models share as `Partial<ESMMOptions>`. */
export type ESMMOptions<
  Tasks extends readonly Task[] = readonly Task[],
  Features extends readonly Feature[] = readonly Feature[],
> = ModelInput<ESMMNetworkOptions, Tasks, Features>

/**
 * Entire-space multi-task model. The tasks form a funnel, in order: each one is possible only after the one before. The model
 * predicts every task over all rows, as the product of the steps down to it, and also each step by itself.
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

/** Classes by the name that configuration files and saved models use. */
export const modelClasses = { MMoE, PLE, CGC, OMoE, SharedBottom, SingleTask, ESMM } as const satisfies Record<ModelName, unknown>
