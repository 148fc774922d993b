// A balancer: a rule with checked inputs, weights that float32 holds, and a state that can be saved.

import { z } from 'zod'

import { checkFailed, describeIssues } from '../core/check.js'
import { FormatError } from '../core/errors.js'
import type { Batch, Kept, Needs, Rule } from './method.js'

/** State as plain data: numbers by name. The same bits come back from JSON. */
export interface BalancerState {
  readonly method: string
  readonly [name: string]: string | readonly number[]
}

const largest = (2 - 2 ** -23) * 2 ** 127
const next = 'lower the learning rate'

/** Makes the weights of the steps of one training run. */
export class Balancer {
  readonly needs: Needs
  readonly #method: string
  readonly #tasks: readonly string[]
  readonly #rule: Rule

  constructor(method: string, tasks: readonly string[], needs: Needs, rule: Rule) {
    this.needs = needs
    this.#method = method
    this.#tasks = tasks
    this.#rule = rule
  }

  /** Whether weights depend on the number of the step alone, until the epoch ends: they can be made for many steps at once. */
  get ahead(): boolean {
    return this.needs.before === 'nothing' && this.needs.after === 'nothing'
  }

  /**
   * Writes the weights of a step's tasks, [tasks]: its gradient is the sum of weight times gradient. A rule that reads the batch gives an
   * absent task the weight 0.
   * @throws ERR_MULTIGATE_DIVERGED naming the task whose loss or gradient is not finite.
   * @throws ERR_MULTIGATE_ARGUMENT naming the task whose loss the method cannot use.
   */
  weigh(batch: Batch, weights: Float64Array): void {
    const { before } = this.needs
    if (before !== 'nothing') this.#check('loss', batch.losses, 1)
    if (before === 'gram') this.#check('gradient', batch.gram, this.#tasks.length)
    this.#rule.weigh(batch, weights)
    for (let task = 0; task < weights.length; task += 1) weights[task] = Math.min(Math.max(weights[task]!, -largest), largest)
  }

  /**
   * Learns from a step that is done. `after`: [tasks], losses of the same batch after the update, needed if `needs.after` is `'again'`.
   * @throws as `weigh`
   */
  settle(batch: Batch, after: Float64Array = batch.losses): void {
    const needs = this.needs.after
    if (needs === 'nothing') return
    this.#check('loss', batch.losses, 1)
    if (needs === 'gram') this.#check('gradient', batch.gram, this.#tasks.length)
    if (needs === 'again') this.#check('loss', after, 1)
    this.#rule.settle?.(batch, after)
  }

  /**
   * Learns from an epoch that is over.
   * @param losses [tasks], means over the epoch's rows, times the tasks' weights.
   * @param present [tasks], 1 for a task with a row that counts in the epoch.
   * @throws ERR_MULTIGATE_DIVERGED naming the task whose loss is not finite.
   */
  epoch(losses: Float64Array, present: Uint8Array): void {
    if (!this.needs.epochs) return
    this.#check('loss', losses, 1)
    this.#rule.epoch?.(losses, present)
  }

  /** What must be saved so that training goes on with the same bits. */
  state(): BalancerState {
    return { method: this.#method, ...Object.fromEntries(this.#kept().map(([name, { values }]) => [name, Array.from(values)])) }
  }

  /**
   * Takes a state that `state` gave. If it is refused, nothing has changed.
   * @throws ERR_MULTIGATE_FORMAT naming the field, if it is of another method or number of tasks, or damaged.
   */
  restore(state: unknown): void {
    const kept = this.#kept()
    const numbers = kept.map(([name, { values, min = -Infinity }]) => {
      return [name, z.array(z.number().min(min)).length(values.length)] as const
    })
    const schema = z.strictObject({ method: z.literal(this.#method), ...Object.fromEntries(numbers) })
    const result = schema.safeParse(state)
    if (!result.success) {
      const problems = describeIssues('balance.state', result.error.issues, state)
      throw new FormatError(problems.map(({ message }) => message).join('\n'), { field: problems[0]?.field })
    }
    const restored = result.data as Readonly<Record<string, unknown>>
    for (const [name, { values }] of kept) values.set(restored[name] as readonly number[])
  }

  #kept(): [string, Kept][] {
    return Object.entries(this.#rule.kept ?? {})
  }

  /** `width`: numbers per task. */
  #check(what: string, values: Float64Array, width: number): void {
    for (let at = 0; at < values.length; at += 1) {
      const value = values[at]!
      if (Number.isFinite(value)) continue
      const found = `expected a finite number, found ${value}; ${next}`
      throw checkFailed('ERR_MULTIGATE_DIVERGED', `the ${what} of task '${this.#tasks[Math.floor(at / width)]}': ${found}`)
    }
  }
}
