// Importances as a text table: one line per feature, the most important ones first.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { anyNumber } from '../core/schemas.js'
import type { Importance } from '../model/importance.js'
import { table } from './text.js'

const schema = z.looseObject({
  baseline: z.record(z.string(), z.looseObject({ metric: z.string(), value: anyNumber })),
  features: z.record(z.string(), z.record(z.string(), z.looseObject({ mean: anyNumber, deviation: anyNumber }))),
})

/**
 * How much each task's metric becomes worse, with the standard deviation. Features are in the order of their largest share of any task's sum.
 * @throws ERR_MULTIGATE_ARGUMENT naming what differs from the form of `model.importance`.
 */
export function importanceTable(importance: Importance): string {
  parseOptions('importance', schema, importance)
  const tasks = Object.entries(importance.baseline)
  const features = Object.entries(importance.features)
  const sumOf = (task: string): number => features.reduce((sum, [, own]) => sum + Math.abs(own[task]?.mean ?? 0), 0)
  const rankOf = (own: Importance['features'][string]): number => {
    return Math.max(...tasks.map(([task]) => (own[task]?.mean ?? 0) / Math.max(sumOf(task), Number.MIN_VALUE)))
  }
  const rows = features
    .toSorted(([, one], [, other]) => rankOf(other) - rankOf(one))
    .map(([feature, own]) => [feature, ...tasks.map(([task]) => cell(own[task]))])
  const titles = tasks.map(([task, { metric, value }]) => `${task} (${metric} ${value.toFixed(4)})`)
  return table(['feature', ...titles], rows)
}

function cell(found: { readonly mean: number; readonly deviation: number } | undefined): string {
  return found === undefined ? '-' : `${found.mean.toFixed(4)} ± ${found.deviation.toFixed(4)}`
}
