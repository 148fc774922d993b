// Rows per second beside the peers, as an SVG.

import { parse, View } from 'vega'
import { compile } from 'vega-lite'

import { peersOf } from './ratios.mjs'

export function chart(results, peers) {
  const values = results.flatMap((result) => {
    const found = peersOf(result, peers)
    if (found.length === 0) return []
    const workload = result.mode === 'serve' ? `serve ${result.n}` : `${result.workload} ${result.mode}`
    const of = (who, ms) => ({ workload, who, speed: (1000 * result.n) / ms })
    return [of('multigate', result.median_ms), ...found.map(({ peer, median_ms }) => of(peer, median_ms))]
  })
  const order = ['multigate', ...new Set(values.map(({ who }) => who).filter((who) => who !== 'multigate'))]
  // A logarithmic scale has no zero for bars to begin at.
  const least = 10 ** Math.floor(Math.log10(Math.min(...values.map(({ speed }) => speed))))
  const { spec } = compile({
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    title: 'Rows per second, two threads, float32 (log scale)',
    data: { values },
    mark: 'bar',
    width: 640,
    height: { step: 8 },
    encoding: {
      y: { field: 'workload', type: 'nominal', sort: null, title: null },
      yOffset: { field: 'who', sort: order },
      x: { field: 'speed', type: 'quantitative', scale: { type: 'log', domainMin: least }, stack: null, title: 'rows/s' },
      x2: { datum: least },
      color: { field: 'who', type: 'nominal', sort: order, title: null, scale: { scheme: 'tableau10' } },
    },
  })
  return new View(parse(spec), { renderer: 'none' }).toSVG()
}
