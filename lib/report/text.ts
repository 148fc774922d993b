// Numbers and tables as text: aligned columns without colours and box drawing, so that they survive a log file.

import { visible } from '../core/visible.js'
import type { Metric } from '../metrics/metric.js'

/** Rows of cells, the header first. Numbers align right, text left. Control characters in a cell are made visible. */
export function table(titles: readonly string[], cells: readonly (readonly string[])[]): string {
  const [header = [], ...rows] = [titles, ...cells].map((row) => row.map(visible))
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)))
  const numeric = header.map((_, column) => rows.every((row) => /^[-\d.,%e+]*$/.test(row[column] ?? '')))
  const line = (row: readonly string[]): string =>
    widths
      .map((width, column) => pad(row[column] ?? '', width, numeric[column] ?? false))
      .join('  ')
      .trimEnd()
  return all.map(line).join('\n')
}

/** The number with 4 decimals; empty if undefined. */
export function decimals(value: number | undefined, digits = 4): string {
  return value === undefined ? '-' : value.toFixed(digits)
}

/** The value of a metric in the metric's own form. */
export function metricText({ display: { format } }: Metric, value: number | undefined): string {
  if (value === undefined || format === 'decimals') return decimals(value)
  return format === 'percent' ? `${decimals(100 * value, 1)}%` : String(value)
}

/** A learning rate with three digits: `0.001`, `1.25e-7`. */
export function rateText(rate: number): string {
  return String(Number(rate.toPrecision(3)))
}

/** `12,345`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** `8.2 s`, `3 min 05 s`, `2 h 07 min`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
  const whole = Math.round(seconds)
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${padded(whole % 60)} s`
  return `${Math.floor(whole / 3600)} h ${padded(Math.floor((whole % 3600) / 60))} min`
}

function padded(value: number): string {
  return String(value).padStart(2, '0')
}

function pad(text: string, width: number, right: boolean): string {
  return right ? text.padStart(width) : text.padEnd(width)
}
