// Charts of a report as SVG. Colours are variables of the page's style sheet, so that a chart follows the page into the dark. The same
// chart has the same bytes wherever it stands.

import { escaped } from './html.js'

/** A line of a chart; undefined where it has no value. */
export interface Line {
  readonly name: string
  /** Number of its colour. */
  readonly colour: number
  readonly dashed?: boolean | undefined
  readonly points: readonly (readonly [number, number | undefined])[]
}

/** Colours of the style sheet, `--c0` and so on. */
export const colours = 6

export interface ChartOptions {
  readonly label: string
  readonly lines: readonly Line[]
  /** Title of the horizontal axis. */
  readonly across: string
  /** A vertical line. */
  readonly marked?: { readonly at: number; readonly name: string } | undefined
  readonly wide?: boolean | undefined
}

/** Draws lines over a horizontal axis of whole numbers, with a legend above. */
export async function lineChart({ label, lines, across, marked, wide = false }: ChartOptions): Promise<string> {
  const { drawSvg } = await import('./chart-library.js')
  const [width, height] = wide ? [1020, 260] : [500, 230]
  const places = lines.flatMap(({ points }) => points.map(([at]) => at))
  const [first, last] = [Math.min(...places), Math.max(...places)]
  const values = lines.flatMap(({ points }) => points.flatMap(([, value]) => (value === undefined ? [] : [value])))
  const top = Math.max(...values)
  const bottom = Math.min(...values)
  const spread = top - bottom
  const text = { color: 'var(--ink-2)', fontFamily: 'system-ui, sans-serif', fontSize: 12 }
  const axis = {
    axisLabel: text,
    axisLine: { show: true, lineStyle: { color: 'var(--line)' } },
    axisTick: { show: false },
    nameTextStyle: text,
  }
  const style = (line: Line) => ({
    color: `var(--c${line.colour % colours})`,
    width: 2,
    type: line.dashed === true ? 'dashed' : 'solid',
  })
  const series = lines.map((line) => ({
    type: 'line',
    data: line.points.map(([at, value]) => [at, value ?? null]),
    lineStyle: style(line),
    itemStyle: { color: style(line).color },
    showSymbol: line.points.length < 3,
    symbol: 'circle',
    symbolSize: 6,
    silent: true,
  }))
  const mark = marked === undefined ? [] : [markOf(marked.at, bottom, top)]
  const svg = drawSvg(
    {
      grid: { left: 62, right: 18, top: 14, bottom: 42 },
      xAxis: {
        ...axis,
        type: 'value',
        min: first === last ? first - 1 : first,
        max: first === last ? last + 1 : last,
        minInterval: 1,
        name: across,
        nameLocation: 'middle',
        nameGap: 26,
        splitLine: { show: false },
      },
      yAxis: {
        ...axis,
        type: 'value',
        scale: true,
        // A value that never changes gets an axis around it.
        ...(spread === 0 && { min: top - (Math.abs(top) || 1) / 10, max: top + (Math.abs(top) || 1) / 10 }),
        axisLabel: { ...text, formatter: (value: number) => String(Number(value.toPrecision(4))) },
        splitLine: { lineStyle: { color: 'var(--grid)' } },
      },
      series: [...series, ...mark],
    },
    width,
    height,
  )
  return legendOf(lines, marked?.name) + plain(svg, label)
}

function markOf(at: number, bottom: number, top: number) {
  const room = bottom === top ? (Math.abs(top) || 1) / 10 : 0
  return {
    type: 'line',
    data: [
      [at, bottom - room],
      [at, top + room],
    ],
    lineStyle: { color: 'var(--ink-2)', width: 1, type: 'dotted' },
    showSymbol: false,
    silent: true,
  }
}

/** In HTML, so that it breaks over lines on a phone. */
function legendOf(lines: readonly Line[], marked: string | undefined): string {
  const items = lines.map(({ name, colour, dashed }) => {
    return `<li><i class="key${dashed === true ? ' dashed' : ''}" style="--c:var(--c${colour % colours})"></i>${escaped(name)}</li>`
  })
  if (marked !== undefined) items.push(`<li><i class="key dotted"></i>${escaped(marked)}</li>`)
  return `<ul class="legend">${items.join('')}</ul>`
}

/** Without the style sheet and classes of interaction, which a page without script does not need, and without names that count charts. */
function plain(svg: string, label: string): string {
  return svg
    .replace(/<style[\s\S]*?<\/style>/g, '')
    .replace(/ class="[^"]*"/g, '')
    .replace(/<defs[\s\S]*?<\/defs>/g, '')
    .replace(/ clip-path="[^"]*"/g, '')
    .replace(/ (xmlns:xlink|version|baseProfile|pointer-events|ecmeta_\w+)="[^"]*"/g, '')
    .replace('<svg ', `<svg role="img" aria-label="${escaped(label)}" `)
    .replace(/\n+/g, '\n')
}
