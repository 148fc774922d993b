// Tables as text: aligned columns without colours and box drawing, so that they survive a log file.

import { visible } from '../core/visible.js'

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

function pad(text: string, width: number, right: boolean): string {
  return right ? text.padStart(width) : text.padEnd(width)
}
