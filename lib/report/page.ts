// A run as one HTML page without script: what to look at in words, then metrics, training, gates, features and the configuration. The
// same run gives the same bytes, but for its surroundings.

import { count, decimals, duration, rateText } from '../core/format.js'
import { metricText } from '../metrics/metric.js'
import { metricsAmong } from '../metrics/selection.js'
import type { GateWeights } from '../runtime/gates.js'
import type { EpochRecord } from '../training/history.js'
import { colours, type Line, lineChart } from './charts.js'
import { findingsOf, keptEpoch } from './findings.js'
import { type Cell, escaped, figureHtml, nameText, sectionHtml, tableHtml } from './html.js'
import { headingOf, headline, measuredIn } from './results.js'
import type { ReportedRun, Surroundings } from './run.js'
import { styles } from './styles.js'

/** Bytes of a page. */
export const mostBytes = 300 * 1024

/** How much a page shows. What it leaves out is counted in words. */
interface Limits {
  readonly figures: number
  readonly epochs: number
  readonly rows: number
  readonly columns: number
  readonly characters: number
}

/** The first one whose page is small enough is taken. */
const limits: readonly Limits[] = [
  { figures: 12, epochs: 100, rows: 100, columns: 24, characters: 20_000 },
  { figures: 6, epochs: 40, rows: 60, columns: 16, characters: 10_000 },
  { figures: 1, epochs: 20, rows: 20, columns: 8, characters: 2000 },
]

/** Lines of one chart that can be told apart. */
const mostLines = colours

export async function drawPage(run: ReportedRun, surroundings: Surroundings): Promise<string> {
  let page = ''
  for (const limit of limits) {
    page = await pageOf(run, surroundings, limit)
    if (Buffer.byteLength(page) <= mostBytes) break
  }
  return page
}

async function pageOf(run: ReportedRun, surroundings: Surroundings, limit: Limits): Promise<string> {
  const title = `${run.plan.model}: training report`
  const body = [
    `<h1>${escaped(title)}</h1>`,
    factsHtml(run, surroundings),
    toLookAt(run, limit),
    ...resultsHtml(run, limit),
    await trainingHtml(run, limit),
    gatesHtml(run, limit),
    similarityHtml(run, limit),
    opposedHtml(run, limit),
    featuresHtml(run, limit),
    aboutHtml(run, surroundings, limit),
  ]
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>${escaped(title)}</title>
<style>${styles}</style></head>
<body><main>${body.filter((part) => part !== '').join('\n')}</main></body></html>
`
}

function factsHtml({ plan, history }: ReportedRun, { version, date }: Surroundings): string {
  const { epochs, weightsEpoch } = history
  const b = (value: string): string => `<b>${escaped(value)}</b>`
  const facts = [
    `${b(count(plan.parameters))} parameters`,
    `${b(count(plan.trainRows))} training, ${b(count(plan.validationRows))} validation rows`,
    `epoch ${b(String(weightsEpoch))} of ${b(String(epochs.at(-1)?.epoch ?? 0))} kept`,
    b(duration(epochs.reduce((sum, { seconds }) => sum + seconds, 0))),
    `multigate ${b(version)}, ${escaped(plan.device)} (${escaped(plan.isa)})`,
    escaped(date),
  ]
  const stopped = history.stopReason === undefined ? '' : `<p>Training ended early: ${escaped(history.stopReason)}.</p>`
  return `<ul class="facts">${facts.map((fact) => `<li>${fact}</li>`).join('')}</ul>${stopped}`
}

function toLookAt(run: ReportedRun, { rows }: Limits): string {
  const findings = findingsOf(run)
  if (findings.length === 0) return sectionHtml('To look at', ['<div class="card"><p>Nothing stands out.</p></div>'])
  const items = findings.slice(0, rows).map(({ about, text }) => `<li><b>${nameText(about)}</b>: ${escaped(text)}</li>`)
  return sectionHtml('To look at', [
    `<div class="card note"><ul>${items.join('\n')}</ul>${leftOut(findings.length, rows, 'more of these')}</div>`,
  ])
}

function leftOut(all: number, shown: number, what: string): string {
  return all > shown ? `<p>${count(all - shown)} ${escaped(what)} are not shown.</p>` : ''
}

/** A table per part, one line per task. */
function resultsHtml(run: ReportedRun, { rows: most }: Limits): string[] {
  const training = keptEpoch(run)
  const trained = training?.training === undefined ? {} : { training: training.training }
  return Object.entries({ ...run.results, ...trained }).map(([part, { tasks }]) => {
    const lines = Object.entries(tasks)
    const shown = metricsAmong(lines.flatMap(([, result]) => measuredIn(result)))
    const withPositives = lines.some(([, { positives }]) => positives !== undefined)
    const rows = lines
      .slice(0, most)
      .map(([task, result]) => [
        task,
        count(result.rows),
        ...(withPositives ? [result.positives === undefined ? '' : shareText(result.positives / result.rows)] : []),
        decimals(result.loss),
        ...shown.map(({ name, metric }) => (measuredIn(result).includes(name) ? metricText(metric, result[name]) : '')),
      ])
    const titles = ['task', 'rows', ...(withPositives ? ['positive'] : []), 'loss', ...shown.map(headingOf)]
    return sectionHtml(`Tasks, ${part} rows`, [
      `<div class="card">${tableHtml(`Metrics of tasks on ${part} rows`, titles, rows)}${leftOut(lines.length, most, 'tasks')}</div>`,
    ])
  })
}

function shareText(share: number): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)}%` : '-'
}

async function trainingHtml(run: ReportedRun, limit: Limits): Promise<string> {
  const { epochs, weightsEpoch } = run.history
  if (epochs.length === 0) return ''
  const validated = epochs.some(({ validation }) => validation !== undefined)
  const loss = (name: string, wide: boolean, training: Values, validation: Values) =>
    historyFigure(run, limit, {
      title: name,
      wide,
      series: [
        { name: 'training', colour: 0, dashed: true, value: training },
        ...(validated ? [{ name: 'validation', colour: 0, value: validation }] : []),
      ],
    })
  const total = await loss(
    'Loss',
    true,
    (epoch) => epoch.loss,
    (epoch) => epoch.validation?.loss,
  )
  const headlines = await headlineFigures(run, limit)
  const tasks = run.plan.tasks.length > 1 ? run.plan.tasks.slice(0, limit.figures) : []
  const own: string[] = []
  for (const task of tasks) {
    own.push(
      await loss(
        `Loss of ${task}`,
        false,
        ({ tasks: losses }) => losses[task]?.loss,
        ({ validation }) => validation?.tasks[task]?.loss,
      ),
    )
  }
  const rates = new Set(epochs.map(({ learningRate }) => learningRate)).size > 1
  const rate = rates
    ? ` The learning rate went from ${rateText(epochs[0]?.learningRate ?? 0)} to ${rateText(epochs.at(-1)?.learningRate ?? 0)}.`
    : ''
  const more = run.plan.tasks.length > 1 ? leftOut(run.plan.tasks.length, limit.figures, 'charts of tasks') : ''
  return (
    sectionHtml('Training', [`<p>The weights of epoch ${weightsEpoch} were kept.${rate}</p>`]) +
    `<div class="grid">${[total, ...headlines, ...own].join('\n')}</div>${more}`
  )
}

type Values = (epoch: EpochRecord) => number | undefined

interface Series {
  readonly name: string
  readonly colour: number
  readonly dashed?: boolean
  readonly value: Values
}

/** A chart per metric that is the headline of some task. */
async function headlineFigures(run: ReportedRun, limit: Limits): Promise<string[]> {
  const validated = run.history.epochs.find(({ validation }) => validation !== undefined)?.validation
  const byMetric = new Map<string, { readonly title: string; readonly tasks: string[] }>()
  for (const [task, result] of Object.entries(validated?.tasks ?? {})) {
    const found = headline(result)
    if (found === undefined) continue
    const { name, display } = found.metric
    const entry = byMetric.get(name) ?? { title: display.title, tasks: [] }
    entry.tasks.push(task)
    byMetric.set(name, entry)
  }
  const figures: string[] = []
  for (const [metric, { title, tasks }] of byMetric) {
    const series = tasks.slice(0, mostLines).map((task, colour) => ({
      name: task,
      colour,
      value: ({ metrics }: EpochRecord) => metrics[`val_${task}_${metric}`],
    }))
    const more = tasks.length > mostLines ? ` The first ${mostLines} of ${tasks.length} tasks.` : ''
    figures.push(await historyFigure(run, limit, { title: `Validation ${title}`, wide: true, series, more }))
  }
  return figures
}

async function historyFigure(
  run: ReportedRun,
  limit: Limits,
  {
    title,
    wide,
    series,
    more = '',
  }: { readonly title: string; readonly wide: boolean; readonly series: readonly Series[]; readonly more?: string },
): Promise<string> {
  const { weightsEpoch } = run.history
  const epochs = thinned(run.history.epochs, limit.epochs, weightsEpoch)
  const lines: Line[] = series.map(({ value, ...line }) => ({
    ...line,
    points: epochs.map((record) => [record.epoch, finite(value(record))]),
  }))
  const rows = epochs.map((record) => [String(record.epoch), ...series.map(({ value }) => decimals(finite(value(record))))])
  const table = tableHtml(`${title} by epoch`, ['epoch', ...series.map(({ name }) => name)], rows)
  const empty = lines.every(({ points }) => points.every(([, value]) => value === undefined))
  const marked = epochs.length > 1 ? { at: weightsEpoch, name: `epoch ${weightsEpoch}, kept` } : undefined
  const picture = empty
    ? '<p>No value.</p>'
    : await lineChart({ label: `${title} by epoch`, lines, across: 'epoch', marked, wide })
  const some =
    epochs.length < run.history.epochs.length ? ` ${epochs.length} of ${run.history.epochs.length} epochs are shown.` : ''
  return figureHtml({ title, text: `By epoch.${some}${more}`, picture, table, wide })
}

function finite(value: number | undefined): number | undefined {
  return value !== undefined && Number.isFinite(value) ? value : undefined
}

/** At most about `most` epochs, evenly, with the first, the last and the one that was kept. */
function thinned(epochs: readonly EpochRecord[], most: number, kept: number): readonly EpochRecord[] {
  const every = Math.ceil(epochs.length / most)
  return epochs.filter(({ epoch }, index) => index % every === 0 || index === epochs.length - 1 || epoch === kept)
}

/** A table of weights per level, coloured like a heat map. */
function gatesHtml(run: ReportedRun, limit: Limits): string {
  const gates: readonly GateWeights[] = keptEpoch(run)?.gates?.gates ?? run.gates
  const levels = [...new Set(gates.map(({ level }) => level))]
  const figures = levels.map((level) => {
    const own = gates.filter((gate) => gate.level === level)
    const experts = expertsOf(own)
    const shown = experts.slice(0, limit.columns)
    const rows = own.slice(0, limit.rows).map(({ gate, experts: seen }) => {
      const weights = new Map(seen.map(({ name, weight }) => [name, weight]))
      const rest = experts.slice(limit.columns).reduce((sum, name) => sum + (weights.get(name) ?? 0), 0)
      return [gate, ...shown.map((name) => heat(weights.get(name))), ...(experts.length > shown.length ? [heat(rest)] : [])]
    })
    const titles = [
      'gate',
      ...shown,
      ...(experts.length > shown.length ? [`${count(experts.length - shown.length)} others`] : []),
    ]
    const text = `Mean weight of each expert at each gate. Empty: the gate does not see the expert.${experts.length > shown.length ? ` The ${shown.length} experts with the most weight, and the sum of the others.` : ''}`
    const table = tableHtml(`Weights of gates, level ${level + 1}`, titles, rows)
    return `<div class="card wide heats"><h3>Level ${level + 1}</h3><p>${text}</p>${table}${leftOut(own.length, limit.rows, 'gates')}</div>`
  })
  return sectionHtml('Gates', figures, true)
}

/** In their order; if they are too many for the page, the caller shows the first ones, so the most used come first. */
function expertsOf(gates: readonly GateWeights[]): string[] {
  const sums = new Map<string, number>()
  for (const { experts } of gates) for (const { name, weight } of experts) sums.set(name, (sums.get(name) ?? 0) + weight)
  const names = [...sums.keys()]
  return names.length > 8 ? names.toSorted((one, other) => (sums.get(other) ?? 0) - (sums.get(one) ?? 0)) : names
}

/** A cell coloured by a share or a correlation. */
function heat(value: number | undefined, text = value === undefined ? '' : `${Math.round(100 * value)}%`): Cell {
  if (value === undefined || !Number.isFinite(value)) return { html: '<td class="h"></td>' }
  return { html: `<td class="h" style="--v:${Math.min(1, Math.max(0, value)).toFixed(2)}">${escaped(text)}</td>` }
}

function similarityHtml(run: ReportedRun, { columns }: Limits): string {
  const levels = keptEpoch(run)?.gates?.similarity ?? []
  const tables = levels.flatMap((pairs, level) => {
    const names = [...new Set(Object.entries(pairs).flatMap(([one, others]) => [one, ...Object.keys(others)]))]
    if (names.length < 2) return []
    const shown = names.slice(0, columns)
    const rows = shown.map((one) => [
      one,
      ...shown.map((other) => {
        const value = one === other ? undefined : (pairs[one]?.[other] ?? pairs[other]?.[one])
        return heat(value, value?.toFixed(2))
      }),
    ])
    const table = tableHtml(`Correlation of experts, level ${level + 1}`, ['expert', ...shown], rows)
    const text = 'Correlation of the outputs of two experts. At 0.99 and above they do the same.'
    return [
      `<div class="card wide heats"><h3>Level ${level + 1}</h3><p>${text}</p>${table}${leftOut(names.length, columns, 'experts')}</div>`,
    ]
  })
  return sectionHtml('Likeness of experts', tables, true)
}

function opposedHtml(run: ReportedRun, { rows: most }: Limits): string {
  const balance = keptEpoch(run)?.balance
  if (balance === undefined) return ''
  const weights = Object.entries(balance.weights)
  const titles = ['task', 'weight', ...(balance.norms === undefined ? [] : ['gradient length'])]
  const rows = weights
    .slice(0, most)
    .map(([task, weight]) => [task, decimals(weight), ...(balance.norms === undefined ? [] : [decimals(balance.norms[task])])])
  const text = '<p>Means over the steps of the kept epoch.</p>'
  return sectionHtml('Balance of tasks', [
    `<div class="card">${text}${tableHtml('Weights of tasks', titles, rows)}${leftOut(weights.length, most, 'tasks')}</div>`,
  ])
}

function featuresHtml(run: ReportedRun, { rows: most }: Limits): string {
  const parts = Object.entries({ training: run.history.unknownShares, ...unknownOf(run) })
  const names = [...new Set(parts.flatMap(([, shares]) => Object.keys(shares)))]
  if (names.length === 0)
    return sectionHtml('Unknown values', ['<div class="card"><p>The vocabularies know every value of every feature.</p></div>'])
  const worst = (name: string): number => Math.max(...parts.map(([, shares]) => shares[name] ?? 0))
  const sorted = names.toSorted((one, other) => worst(other) - worst(one))
  const rows = sorted.slice(0, most).map((name) => [name, ...parts.map(([, shares]) => barCell(shares[name] ?? 0))])
  return sectionHtml('Unknown values', [
    `<div class="card"><p>Share of the values of a feature that its vocabulary does not know. Features that are not listed have none.</p>${tableHtml('Unknown values of features', ['feature', ...parts.map(([part]) => `${part} rows`)], rows)}${leftOut(names.length, most, 'features')}</div>`,
  ])
}

function unknownOf(run: ReportedRun): Record<string, Readonly<Record<string, number>>> {
  return Object.fromEntries(Object.entries(run.results).map(([part, { unknownShares }]) => [part, unknownShares]))
}

function barCell(share: number): Cell {
  return { html: `<td class="n"><i class="bar" style="--v:${share.toFixed(3)}"></i>${escaped(shareText(share))}</td>` }
}

function aboutHtml({ plan, configuration }: ReportedRun, surroundings: Surroundings, { characters }: Limits): string {
  const { version, node, machine, commit, date } = surroundings
  const rows = [
    ['multigate', version],
    ['Node.js', node],
    ['machine', machine],
    ['computes on', `${plan.device} (${plan.isa}), ${plan.threads} ${plan.threads === 1 ? 'thread' : 'threads'}`],
    ['batch size', count(plan.batchSize)],
    ['steps per epoch', count(plan.stepsPerEpoch)],
    ['tasks', count(plan.tasks.length)],
    ...(commit === undefined ? [] : [['commit', commit]]),
    ['date', date],
  ]
  const about = `<div class="card">${tableHtml('Machine and versions', ['what', 'value'], rows, 2)}</div>`
  if (configuration === undefined) return sectionHtml('Machine and versions', [about])
  const json = JSON.stringify(configuration, null, 2) ?? ''
  const text = json
    .slice(0, characters)
    .split('\n')
    .map((line) => escaped(line))
    .join('\n')
  const cut = json.length > characters ? `<p>The first ${count(characters)} characters.</p>` : ''
  const card = `<div class="card"><details><summary>Show</summary>${cut}<pre tabindex="0" role="region" aria-label="Configuration">${text}</pre></details></div>`
  return sectionHtml('Machine and versions', [about]) + sectionHtml('Configuration', [card])
}
