// The part of ECharts that charts of a report need. `npm run compile` bundles it into this one file of `dist`, so that the package does not
// depend on ECharts. It is loaded when a report is drawn.

import { LineChart } from 'echarts/charts'
import { GridComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'

use([LineChart, GridComponent, SVGRenderer])

/** Draws a chart as an SVG element. @param option an option object of ECharts. */
export function drawSvg(option: object, width: number, height: number): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  try {
    chart.setOption({ animation: false, ...option })
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}
