// The explanation of a row as text tables: what each feature contributed to each task, and how the gates weighed the experts.

import { z } from 'zod'
import { parseOptions } from '../core/check.js'
import { decimals } from '../core/format.js'
import { anyNumber, list } from '../core/schemas.js'
import type { ExplainedFeature, Explanation } from '../model/explain.js'
import { gatesTable } from './gates.js'
import { table } from './text.js'

const numbers = list(z.array(anyNumber))
const oneOrMore = z.union([anyNumber, numbers])
const schema = z.looseObject({
  predictions: z.record(z.string(), oneOrMore),
  features: z.record(
    z.string(),
    z.discriminatedUnion('kind', [
      z.looseObject({ kind: z.literal('sparse'), id: anyNumber, state: z.string() }),
      z.looseObject({ kind: z.literal('sequence'), ids: numbers, unknown: anyNumber }),
      z.looseObject({ kind: z.literal('dense'), numbers }),
    ]),
  ),
  gates: z.array(z.unknown()),
  tasks: z.record(
    z.string(),
    z.looseObject({ logit: oneOrMore, base: oneOrMore, contributions: z.record(z.string(), oneOrMore) }),
  ),
})

/**
 * One line per feature: its value, what became of it, and its contribution to the logit of each task, the largest first. Then the lines of
 * `base`, the logit and the prediction, and the weights of the gates. A multiclass task is shown for its most likely class.
 * @throws ERR_MULTIGATE_ARGUMENT naming what differs from the form of `model.explain`.
 */
export function explainTable(explanation: Explanation): string {
  parseOptions('explanation', schema, explanation)
  const { features, gates, predictions } = explanation
  const columns = columnsOf(explanation)
  const weightOf = (feature: string): number => Math.max(...columns.map((column) => Math.abs(column.contribution(feature))))
  const rows = Object.entries(features)
    .toSorted(([one], [other]) => weightOf(other) - weightOf(one))
    .map(([name, feature]) => [
      name,
      short(valueText(feature.value)),
      short(seenText(feature)),
      ...columns.map(({ contribution }) => signed(contribution(name))),
    ])
  const sums = [
    ['base', '', '', ...columns.map(({ base }) => decimals(base))],
    ['logit', '', '', ...columns.map(({ logit }) => decimals(logit))],
    ['prediction', '', '', ...columns.map(({ prediction }) => decimals(prediction))],
  ]
  const others = Object.keys(predictions)
    .filter((name) => !Object.hasOwn(explanation.tasks, name))
    .map((name) => `${name} ${decimals(at(predictions[name], 0))}`)
  const titles = ['feature', 'value', 'seen as', ...columns.map(({ title }) => title)]
  return [table(titles, [...rows, ...sums]), ...others, ...(gates.length > 0 ? ['', gatesTable(gates)] : [])].join('\n')
}

type Numbers = number | readonly number[] | undefined

function columnsOf({ tasks, predictions }: Explanation) {
  return Object.entries(tasks).flatMap(([task, { logit, base, contributions }]) => {
    const prediction = predictions[task]
    const column = (title: string, place: number) => ({
      title,
      logit: at(logit, place),
      base: at(base, place),
      contribution: (feature: string) => at(contributions[feature], place),
      prediction: at(prediction, typeof prediction === 'number' ? 0 : place),
    })
    if (typeof logit === 'number') return [column(task, 0)]
    if (typeof prediction === 'number') return logit.map((_, place) => column(`${task}[${place}]`, place))
    const likely = logit.indexOf(Math.max(...logit))
    return [column(`${task}[${likely}]`, likely)]
  })
}

function at(values: Numbers, place: number): number {
  return (typeof values === 'number' ? values : values?.[place]) ?? NaN
}

function valueText(value: ExplainedFeature['value'] | undefined): string {
  if (Array.isArray(value)) return `[${value.map((item) => valueText(item)).join(', ')}]`
  return value === null || value === undefined ? '-' : String(value)
}

function seenText(feature: ExplainedFeature): string {
  switch (feature.kind) {
    case 'dense':
      return `${feature.missing ? 'missing, ' : ''}${feature.numbers.map((number) => decimals(number)).join(' ')}`
    case 'sequence':
      return `ids ${feature.ids.join(' ') || 'none'}${feature.unknown > 0 ? `, ${feature.unknown} unknown` : ''}`
    case 'sparse': {
      const { id, state, bucket } = feature
      if (bucket === undefined) return `${state === 'known' ? '' : `${state}, `}id ${id}`
      return `[${bucket.from ?? '-∞'}, ${bucket.to ?? '∞'}), id ${id}`
    }
  }
}

function signed(value: number): string {
  return value >= 0 ? `+${decimals(value)}` : decimals(value)
}

function short(text: string): string {
  return text.length > 32 ? `${text.slice(0, 29)}...` : text
}
