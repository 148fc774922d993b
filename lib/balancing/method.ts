// What a balancing method is: its options, what it must know, and a rule that makes the weights of a step's tasks. Gradients and losses
// here are those of the losses times the tasks' fixed weights, so that these weights are preferences to every method.

import { z } from 'zod'

import { invalidArgument, wrongArgument } from '../core/check.js'

/** What is known of the batch of a step. A field that the method does not need then is not read. */
export interface Batch {
  /** Number of the step since training began. It goes on after a resume. */
  readonly step: number
  /** [tasks]: the mean loss of each task over the batch, times the task's weight; 0 for a task that is absent. */
  readonly losses: Float64Array
  /** [tasks, tasks]: inner products of the tasks' gradients, of the same losses; 0 for a task that is absent. */
  readonly gram: Float64Array
  /** [tasks]: 1 for a task with a row that counts in this batch, 0 for a task that is absent. */
  readonly present: Uint8Array
}

/** What a method must know, and when. */
export interface Needs {
  /**
   * What `weigh` reads of the batch whose weights it makes: nothing but the number of the step; its losses; or its losses and its Gram
   * matrix.
   */
  readonly before: 'nothing' | 'losses' | 'gram'
  /**
   * What `settle` reads once the step is done. `'nothing'`: it need not be called. `'again'`: the losses before the update, and those of
   * the same batch after it.
   */
  readonly after: 'nothing' | 'losses' | 'gram' | 'again'
  /** Whether `epoch` must be called. */
  readonly epochs: boolean
}

/** Numbers that a rule keeps between steps. They are the state of a checkpoint. */
export interface Kept {
  /** Read and written in place. */
  readonly values: Float64Array
  /** The least value that is possible. Default: any finite number. */
  readonly min?: number
}

/** The mathematics of a method. It makes its memory once, and allocates nothing per step. */
export interface Rule {
  readonly kept?: Readonly<Record<string, Kept>>
  /** Writes the weights, [tasks]: the gradient of the step is the sum of weight times gradient. */
  weigh(batch: Batch, weights: Float64Array): void
  /** Learns from a step. `after`: [tasks], losses of the same batch after the update, where the method needs them. */
  settle?(batch: Batch, after: Float64Array): void
  /** Learns from an epoch. `losses`: [tasks], means over its rows. `present`: tasks with a row that counts. */
  epoch?(losses: Float64Array, present: Uint8Array): void
}

export interface RuleContext<Options> {
  readonly tasks: readonly string[]
  readonly options: Options
  readonly seed: number
}

/** A method: one file, and one line of the registry. */
export interface Method<Options> {
  readonly schema: z.ZodType<Options, unknown>
  readonly needs: Needs
  rule(context: RuleContext<Options>): Rule
}

/** Gives a method its type. */
export function method<Options>(definition: Method<Options>): Method<Options> {
  return definition
}

/** Options with every value filled in. */
export type Filled<Options> = { readonly [Key in keyof Options]-?: Exclude<Options[Key], undefined> }

/** Where the gradients of a gradient-based method are taken. */
export interface GradientOptions {
  /**
   * `'parameters'` (default): gradients of the parameters that tasks share. `'representation'`: gradients of the row that all tasks read,
   * which cost less and stand in for those of the parameters (Sener and Koltun, 2018).
   */
  readonly on?: 'parameters' | 'representation' | undefined
}

export const gradientFields = { on: z.enum(['parameters', 'representation']).default('parameters') }

/** @throws ERR_MULTIGATE_ARGUMENT naming the first present task whose loss is at or below its `least`, which is 0 if left out. */
export function requirePositive(
  name: string,
  tasks: readonly string[],
  { losses, present }: Pick<Batch, 'losses' | 'present'>,
  least?: Float64Array,
): void {
  for (let task = 0; task < tasks.length; task += 1) {
    const limit = least === undefined ? 0 : least[task]!
    if (present[task] === 1 && losses[task]! <= limit)
      throw wrongArgument(
        'balance',
        `expected losses above ${limit} for method '${name}', which takes their logarithm, found ${losses[task]} for task ` +
          `'${tasks[task]}'; choose a method that reads no logarithm, such as 'dwa' or 'upgrad'`,
      )
  }
}

/** [tasks], 0 where no loss is given. @throws ERR_MULTIGATE_ARGUMENT for a name that is no task. */
export function lossesByTask(field: string, tasks: readonly string[], losses: Readonly<Record<string, number>>): Float64Array {
  const unknown = Object.keys(losses).find((name) => !tasks.includes(name))
  if (unknown !== undefined)
    throw invalidArgument(field, `the names of tasks: ${tasks.map((name) => `'${name}'`).join(', ')}`, unknown)
  return Float64Array.from(tasks, (name) => (Object.hasOwn(losses, name) ? losses[name]! : 0))
}
