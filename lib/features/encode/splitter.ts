// Splits texts into items, each distinct text once, and notes items that look like mistakes.

import { quote } from '../../core/check.js'
import type { StringColumn } from '../../core/columns.js'
import { Texts } from '../../core/texts.js'

/** What a text is split into. */
interface Lists {
  readonly items: StringColumn
  readonly offsets: Int32Array
}

/** Items that other programs use as padding. */
const paddingWords = /^(?:\[?<?pad>?\]?|none|null|nan)$/i

export class Splitter {
  readonly #separator: string
  readonly #trim: boolean
  readonly #padding: string | undefined
  /** Shared by all parts of a column, so it grows. */
  readonly #items = new Texts('items of a text')
  #dictionary: readonly string[] = []
  #itemsOf: (readonly number[] | undefined)[] = []
  /** Counts of distinct texts and of odd ones, with an example of each. */
  #texts = 0
  readonly #seen = { separated: 0, bracketed: 0, zeros: 0, words: 0 }
  readonly #examples: { bracketed?: string; zeros?: string; words?: string; any?: string } = {}

  constructor(separator: string, { trim, padding }: { readonly trim: boolean; readonly padding: string | undefined }) {
    this.#separator = separator
    this.#trim = trim
    this.#padding = padding
  }

  /** The lists of a column's texts. */
  split({ dictionary, codes }: StringColumn): Lists {
    if (dictionary !== this.#dictionary) {
      this.#dictionary = dictionary
      this.#itemsOf = []
    }
    const offsets = new Int32Array(codes.length + 1)
    for (let row = 0; row < codes.length; row += 1) offsets[row + 1] = (offsets[row] ?? 0) + this.#listOf(codes[row] ?? -1).length
    const items = new Int32Array(offsets[codes.length] ?? 0)
    for (let row = 0; row < codes.length; row += 1) items.set(this.#listOf(codes[row] ?? -1), offsets[row] ?? 0)
    return { items: { kind: 'string', dictionary: this.#items.all, codes: items }, offsets }
  }

  /** Warns about texts that look wrong, and shows how they were read. */
  warn(feature: string, { zeroIsPadding }: { readonly zeroIsPadding: boolean }): void {
    const { separated, bracketed, zeros, words } = this.#seen
    const say = (example: string | undefined, what: string): void => {
      const read = this.#listed(example ?? '')
      process.emitWarning(`feature ${quote(feature)}: ${what}; ${quote(example ?? '')} was read as ${read}`, {
        code: 'MULTIGATE_SEQUENCE_TEXT',
      })
    }
    if (bracketed > 0)
      say(
        this.#examples.bracketed,
        'texts begin with a bracket, which became part of the first item; remove the brackets, or read lists (Dataset.fromQuery, fromParquet)',
      )
    else if (separated === 0 && this.#texts > 1)
      say(this.#examples.any, `the separator ${quote(this.#separator)} occurs in none of ${this.#texts} texts`)
    if (words > 0)
      say(this.#examples.words, `an item that is usually padding counts like any other; set padding: '...' to drop it`)
    else if (!zeroIsPadding && 2 * zeros > this.#texts && this.#texts > 1)
      say(
        this.#examples.zeros,
        'most lists end with the item "0", which counts like any other; if it is padding, set padding: \'0\'',
      )
  }

  #listOf(code: number): readonly number[] {
    if (code < 0) return none
    return (this.#itemsOf[code] ??= this.#splitText(this.#dictionary[code] ?? ''))
  }

  #splitText(text: string): readonly number[] {
    const items = this.#itemsIn(text)
    this.#look(text, items)
    return items.map((item) => this.#items.add(item))
  }

  #itemsIn(text: string): string[] {
    const items = text.split(this.#separator)
    const trimmed = this.#trim ? items.map((item) => item.trim()) : items
    return trimmed.filter((item) => item !== '' && item !== this.#padding)
  }

  #look(text: string, items: readonly string[]): void {
    const last = items.at(-1) ?? ''
    this.#texts += 1
    this.#examples.any ??= text
    if (text.includes(this.#separator)) this.#seen.separated += 1
    if (/^\s*[[({]/.test(text) && /[\])}]\s*$/.test(text)) this.#note('bracketed', text)
    if (last === '0' && items.length > 1) this.#note('zeros', text)
    if (paddingWords.test(last) && items.length > 1) this.#note('words', text)
  }

  #note(what: 'bracketed' | 'zeros' | 'words', text: string): void {
    this.#seen[what] += 1
    this.#examples[what] ??= text
  }

  #listed(text: string): string {
    const items = this.#itemsIn(text)
    const some = items.slice(0, 3).map(quote).join(', ')
    if (items.length === 0) return 'no item'
    return items.length > 3
      ? `${items.length} items, ${some}, ...`
      : items.length === 1
        ? `one item, ${some}`
        : `the items ${some}`
  }
}

const none: readonly number[] = []
