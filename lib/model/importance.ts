// Permutation importance: how much worse a model scores when the values of one feature are given to other rows. Breiman (2001) for random
// forests; Fisher, Rudin and Dominici (2019) for any model.

import { z } from 'zod'

import { wrongArgument } from '../core/check.js'
import { Draws } from '../core/draws.js'
import { allocate } from '../core/memory.js'
import { Pause, type Signal } from '../core/slices.js'
import type { Dataset } from '../data/dataset.js'
import { columnNameOf, type Feature } from '../features/spec/feature.js'
import type { MetricName } from '../metrics/registry.js'
import type { Evaluation } from '../runtime/evaluate.js'
import { kindOf, type Task, targetColumnsOf } from '../tasks/task.js'
import { signalOption } from '../training/options.js'

export interface ImportanceOptions {
  /** How often each feature is permuted. The spread is over these. Default 5. */
  readonly repeats?: number | undefined
  /** Seed of the permutations, an integer in [0, 2^53). Default 0. */
  readonly seed?: number | undefined
  /** An `AbortSignal`. */
  readonly signal?: Signal | undefined
}

/** What permuting a feature did to a task. */
export interface TaskImportance {
  /** How much worse the metric became, in its units; the mean over the repeats. Below 0: it became better by chance. */
  readonly mean: number
  /** Standard deviation over the repeats; 0 for a single one. */
  readonly deviation: number
}

/** Importances by feature, and by task. */
export interface Importance {
  /** The headline metric of each task with the values as they are: AUC, accuracy or RMSE. A task without one on these rows is absent. */
  readonly baseline: Readonly<Record<string, { readonly metric: MetricName; readonly value: number }>>
  /** By feature name, then by task name. */
  readonly features: Readonly<Record<string, Readonly<Record<string, TaskImportance>>>>
}

export const importanceSchema = z.strictObject({
  repeats: z.int().min(1).default(5),
  seed: z.int().min(0).default(0),
  signal: signalOption,
})

/** A model, as far as this needs to know it. */
export interface Measured {
  readonly features: readonly Feature[]
  readonly tasks: readonly Task[]
  readonly evaluate: (data: Dataset) => Promise<Evaluation>
}

/** @throws ERR_MULTIGATE_ARGUMENT for a feature that reads a column of labels or weights, and what `evaluate` throws. */
export async function importanceOf(
  { features, tasks, evaluate }: Measured,
  data: Dataset,
  { repeats, seed }: Pick<z.output<typeof importanceSchema>, 'repeats' | 'seed'>,
): Promise<Importance> {
  const targets = targetColumnsOf(tasks)
  const shared = features.find((feature) => targets.includes(columnNameOf(feature)))
  if (shared !== undefined) {
    const problem = `expected features with columns of their own, found '${shared.name}', which reads '${columnNameOf(shared)}', as a task does`
    throw wrongArgument('importance.data', `${problem}; permuting it would change the labels too`)
  }
  const columns = [...new Set([...features.map(columnNameOf), ...targets])].filter((name) => data.has(name))
  const baseline = headlinesOf(tasks, await evaluate(data))
  const found: [string, Importance['features'][string]][] = []
  for (const [number, feature] of features.entries()) {
    const drops = new Map(baseline.map(({ task }) => [task, [] as number[]]))
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      const order = await permutation(data.rows, { seed, number, repeat })
      const result = await evaluate(data.permuted(columnNameOf(feature), order, columns))
      for (const { task, sign, value } of baseline) {
        const now = headlinesOf(tasks, result).find((other) => other.task === task)?.value ?? NaN
        drops.get(task)?.push(sign * (value - now))
      }
    }
    found.push([feature.name, Object.fromEntries([...drops].map(([task, values]) => [task, spreadOf(values)]))])
  }
  return {
    baseline: Object.fromEntries(baseline.map(({ task, metric, value }) => [task, { metric, value }])),
    features: Object.fromEntries(found),
  }
}

/** The headline metrics that have a value. `sign`: 1 if higher values are better. */
function headlinesOf(tasks: readonly Task[], { tasks: results }: Evaluation) {
  return tasks.flatMap((task) => {
    const { headline, metrics } = kindOf(task)
    const value = results[task.name]?.[headline]
    const { better } = metrics.find(({ name }) => name === headline) ?? {}
    return value === undefined ? [] : [{ task: task.name, metric: headline, value, sign: better === 'lower' ? -1 : 1 }]
  })
}

/** Fisher and Yates, in slices. Each permutation has numbers of its own. */
async function permutation(
  rows: number,
  { seed, number, repeat }: { readonly seed: number; readonly number: number; readonly repeat: number },
): Promise<Int32Array> {
  const order = allocate('a permutation of the rows', Int32Array, rows)
  const draws = new Draws()
  draws.begin(seed, number, repeat)
  const pause = new Pause()
  for (let row = 0; row < rows; row += 1) {
    if (row % 65_536 === 0) await pause.taken()
    const other = Math.floor(draws.uniform() * (row + 1))
    order[row] = order[other] ?? 0
    order[other] = row
  }
  return order
}

function spreadOf(values: readonly number[]): TaskImportance {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0 }
}
