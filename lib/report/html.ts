// Pieces of a page: escaped text, tables and figures. Everything that comes from a user goes through `escaped`.

import { visible } from '../core/visible.js'

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
/** Longer names are cut. */
const mostCharacters = 80

/** Text for the inside of an element or of a quoted attribute. Control characters are made visible. */
export function escaped(text: string): string {
  return visible(text).replace(/[&<>"']/g, (char) => entities[char] ?? char)
}

/** A name, cut where it is long. */
export function nameText(name: string): string {
  const characters = [...name]
  return escaped(characters.length > mostCharacters ? `${characters.slice(0, mostCharacters - 1).join('')}…` : name)
}

/** A cell of a table: text, or HTML that is escaped already. */
export type Cell = string | { readonly html: string }

/** A table whose first column names the rows. Cells from `numbersFrom` on align right. `caption` is read to people who do not see the page. */
export function tableHtml(
  caption: string,
  titles: readonly string[],
  rows: readonly (readonly Cell[])[],
  numbersFrom = 1,
): string {
  const kind = (column: number): string => (column < numbersFrom ? '' : ' class="n"')
  const head = titles.map((title, column) => `<th scope="col"${kind(column)}>${nameText(title)}</th>`).join('')
  const body = rows.map((row) => `<tr>${row.map((cell, column) => cellHtml(cell, column, kind(column))).join('')}</tr>`)
  return (
    `<div class="scroll" tabindex="0" role="region" aria-label="${escaped(caption)}"><table><thead><tr>${head}</tr></thead>` +
    `<tbody>${body.join('\n')}</tbody></table></div>`
  )
}

function cellHtml(cell: Cell, column: number, kind: string): string {
  if (typeof cell !== 'string') return cell.html
  return column === 0 ? `<th scope="row">${nameText(cell)}</th>` : `<td${kind}>${escaped(cell)}</td>`
}

/** A picture with its title, a sentence, and its numbers as a table that opens. */
export function figureHtml({
  title,
  text,
  picture,
  table,
  wide = false,
}: Readonly<Record<'title' | 'text' | 'picture' | 'table', string>> & { readonly wide?: boolean }): string {
  return (
    `<figure${wide ? ' class="wide"' : ''}><figcaption><h3>${nameText(title)}</h3><p>${escaped(text)}</p></figcaption>` +
    `<div class="scroll" tabindex="0" role="region" aria-label="${escaped(title)}">${picture}</div>` +
    `<details><summary>Numbers</summary>${table}</details></figure>`
  )
}

/** A part of the page. Nothing if it has no content. */
export function sectionHtml(title: string, content: readonly string[], grid = false): string {
  if (content.length === 0) return ''
  const inner = content.join('\n')
  return `<section><h2>${escaped(title)}</h2>${grid ? `<div class="grid">${inner}</div>` : inner}</section>`
}
