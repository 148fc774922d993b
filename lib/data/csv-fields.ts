// Cuts the text of a CSV file into fields, as DuckDB does: for the header, and for a file that must be copied before DuckDB can read
// it. Text comes in pieces; a field that may continue in the next piece waits for it.

/** The characters that separate, quote and escape fields. */
export interface Dialect {
  readonly delimiter: string
  /** Empty for none. */
  readonly quote: string
  readonly escape: string
}

export interface Field {
  /** The text in the file, with quotes. */
  readonly raw: string
  readonly value: string
  /** The delimiter or line end after it; empty at the end of the text. */
  readonly end: string
}

/** A quote that is still open after this many characters counts as an ordinary character. */
const longestField = 2 ** 22

/** Takes text in pieces and returns the fields that end in each. */
export class FieldReader {
  readonly #field: RegExp
  readonly #open: RegExp | undefined
  readonly #escaped: RegExp | undefined
  #text = ''

  constructor({ delimiter, quote, escape: escapedBy }: Dialect) {
    const [d, q, e] = [delimiter, quote, escapedBy].map(literally) as [string, string, string]
    const plain = delimiter.length === 1 ? `[^${d}\\r\\n]*` : `(?:(?!${d})[^\\r\\n])*`
    const end = `(${d}|\\r\\n|\\n|\\r|$)`
    if (quote === '') {
      this.#field = new RegExp(`(?!)()|(${plain})${end}`, 'y')
      return
    }
    const blanks = delimiter.includes(' ') ? '' : ' *'
    const inside = escapedBy === quote ? `[^${q}]*(?:${q}${q}[^${q}]*)*` : `[^${q}${e}]*(?:${e}[^][^${q}${e}]*)*`
    this.#field = new RegExp(`(?:${blanks}${q}(${inside})${q}${blanks}|(${plain}))${end}`, 'y')
    this.#open = new RegExp(`${blanks}${q}${inside}$`, 'y')
    this.#escaped = new RegExp(escapedBy === quote ? `${q}(${q})` : `${e}([${q}${e}])`, 'g')
  }

  /** Characters that wait for the end of their field. */
  get waiting(): number {
    return this.#text.length
  }

  /** Whether the waiting text begins a quoted field. */
  get isQuoted(): boolean {
    return this.#opensAt(0)
  }

  /** @param last whether this is the last piece. */
  push(text: string, last = false): Field[] {
    this.#text += text
    const fields: Field[] = []
    let at = 0
    for (let end = 'none'; end !== '' && at < this.#text.length + (last ? 1 : 0); ) {
      this.#field.lastIndex = at
      const match = this.#field.exec(this.#text)
      const [raw = '', quoted, plain = ''] = match ?? []
      end = match?.[3] ?? ''
      const whole = last || this.#text.length - at > longestField
      if (!whole && (end === '' || (end === '\r' && this.#field.lastIndex === this.#text.length))) break
      if (!whole && quoted === undefined && this.#opensAt(at)) break
      const value = quoted === undefined ? plain : this.#escaped === undefined ? quoted : quoted.replace(this.#escaped, '$1')
      fields.push({ raw: raw.slice(0, raw.length - end.length), value, end })
      at += raw.length
    }
    this.#text = this.#text.slice(at)
    return fields
  }

  #opensAt(at: number): boolean {
    if (this.#open === undefined) return false
    this.#open.lastIndex = at
    return this.#open.test(this.#text)
  }
}

/** A line of a file that is not blank. */
export interface Line {
  /** The number of fields. */
  readonly fields: number
  /** The last field. */
  readonly last: string
  /** Empty at the end of the file. */
  readonly end: string
}

/** The lines of a text that comes in pieces. */
export async function* linesOf(texts: AsyncIterable<string>, dialect: Dialect): AsyncGenerator<Line, void, undefined> {
  const reader = new FieldReader(dialect)
  let fields = 0
  const ended = function* (found: readonly Field[]): Generator<Line, void, undefined> {
    for (const { raw, value, end } of found) {
      fields += 1
      if (end === dialect.delimiter) continue
      if (fields > 1 || raw !== '') yield { fields, last: value, end }
      fields = 0
    }
  }
  for await (const text of texts) yield* ended(reader.push(text))
  yield* ended(reader.push('', true))
}

/** A regular expression that matches only this text, inside brackets too. */
function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
