// The group of each row, for metrics of groups, from rows that may come in parts. Texts are numbered in the order of the rows, so that sums
// over groups have the same bits however a table was read and cut.

import { quote } from '../core/check.js'
import { DataError } from '../core/errors.js'
import { Growing } from '../core/growing.js'
import type { Sliced } from '../core/slices.js'
import type { Dataset } from '../data/dataset.js'
import { groupsOf, type RowGroups } from '../metrics/groups.js'
import { columnOf, partRows } from './source.js'

export class GroupsInParts {
  readonly #column: string
  #numbers: Growing<Float64Array> | undefined
  #codes: Growing<Int32Array> | undefined
  /** The texts of the last part, and the group of each, or -1. */
  #dictionary: readonly string[] | undefined
  #groupOf = new Int32Array(0)
  /** Groups by text, once a second dictionary needs them. */
  #byText: Map<string, number> | undefined
  #count = 0

  constructor(column: string) {
    this.#column = column
  }

  /**
   * Takes in the next rows.
   * @throws ERR_MULTIGATE_DATA if there is no such column, if it has lists, or if its kind is not that of the rows before.
   */
  *add(data: Dataset): Sliced<void> {
    const column = columnOf(data, this.#column, 'metrics of groups', 'groups')
    for (let from = 0; from < data.rows; from += partRows) {
      const part = data.columnPart(column, from, Math.min(from + partRows, data.rows))
      if (part.kind === 'list') {
        const message = `column ${quote(column)}: expected one group per row, found lists; set 'groups' to a column of single values`
        throw new DataError(message, { column })
      }
      if ((part.kind === 'string' ? this.#numbers : this.#codes) !== undefined) {
        const [before, found] = part.kind === 'string' ? ['numbers', 'text'] : ['text', 'numbers']
        throw new DataError(`column ${quote(column)}: expected ${before}, as in the rows before, found ${found}`, { column })
      }
      if (part.kind === 'string') yield* this.#addTexts(part.dictionary, part.codes)
      else (this.#numbers ??= new Growing(this.#what, Float64Array)).pushAll(part.values, part.values.length)
      yield
    }
  }

  /** The groups of all rows. Nothing can be added afterwards. */
  *finish(): Sliced<RowGroups> {
    if (this.#numbers !== undefined) return yield* groupsOf({ values: yield* this.#numbers.joined(), missing: undefined })
    const codes = this.#codes === undefined ? new Int32Array(0) : yield* this.#codes.joined()
    return { codes, count: this.#count }
  }

  get #what(): string {
    return `groups of column ${quote(this.#column)}`
  }

  *#addTexts(dictionary: readonly string[], codes: Int32Array): Sliced<void> {
    if (dictionary !== this.#dictionary) yield* this.#begin(dictionary)
    this.#codes ??= new Growing(this.#what, Int32Array)
    const groupOf = this.#groupOf
    const groups = new Int32Array(codes.length)
    for (const [row, code] of codes.entries()) {
      let group = code < 0 ? -1 : (groupOf[code] ?? -1)
      if (group < 0 && code >= 0) {
        group = this.#groupOfText(dictionary[code] ?? '')
        groupOf[code] = group
      }
      groups[row] = group
    }
    this.#codes.pushAll(groups, groups.length)
  }

  #groupOfText(text: string): number {
    const group = this.#byText?.get(text) ?? this.#count++
    this.#byText?.set(text, group)
    return group
  }

  *#begin(dictionary: readonly string[]): Sliced<void> {
    if (this.#dictionary !== undefined && this.#byText === undefined) {
      this.#byText = new Map()
      for (const [code, group] of this.#groupOf.entries()) {
        if (group >= 0) this.#byText.set(this.#dictionary[code] ?? '', group)
        if (code % partRows === partRows - 1) yield
      }
    }
    this.#dictionary = dictionary
    this.#groupOf = new Int32Array(dictionary.length).fill(-1)
  }
}
