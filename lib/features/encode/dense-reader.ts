// Reads the numbers of a dense feature's column: numbers, numbers as texts, lists of either, or texts to split.

import { isTypedArray } from '../../core/arrays.js'
import { type Column, type NumberValues, numberOf, rowsOf, type ScalarColumn, type StringColumn } from '../../core/columns.js'
import { DataError } from '../../core/errors.js'
import type { DenseFeature } from '../spec/dense.js'
import { wrongValue } from './errors.js'

const nextForText = 'if it means missing, list it in `nullValues` of Dataset.fromCsv'

export class DenseReader {
  readonly #feature: DenseFeature
  #dictionary: readonly string[] = []
  /** The numbers of the texts met so far, by code. */
  #numbers = new Float64Array(0)
  #met = new Uint8Array(0)
  #splits: (readonly number[] | undefined)[] = []

  constructor(feature: DenseFeature) {
    this.#feature = feature
  }

  /** [rows * width]; NaN is missing. @param before rows of the parts before, for messages. @throws ERR_MULTIGATE_DATA. */
  numbersOf(column: Column, before: number): NumberValues {
    const { name, width = 1, separator } = this.#feature
    if (column.kind === 'string' && separator !== undefined) return this.#split(column, before)
    if (width === 1) {
      if (column.kind !== 'list') return this.#scalars(column, (position) => before + position)
      const next = "set their length with 'width'"
      throw new DataError(`feature "${name}": expected one number per row, found lists; ${next}`, { column: name })
    }
    if (column.kind === 'list') return this.#lists(column, before)
    // A column without any value has no kind.
    if (isMissing(column)) return new Float64Array(rowsOf(column) * width).fill(NaN)
    const [found, next] =
      column.kind === 'number' ? ['one number', ''] : ['text', "; set how to split it, such as separator: ' '"]
    throw new DataError(`feature "${name}": expected lists of ${width} numbers, found ${found} per row${next}`, { column: name })
  }

  /** Texts are accepted if every text that occurs is a number. */
  #scalars(column: ScalarColumn, rowOf: (position: number) => number): NumberValues {
    if (column.kind === 'number') return column.values
    const { dictionary, codes } = column
    const numbers = new Float64Array(codes.length)
    this.#remember(dictionary)
    for (let position = 0; position < codes.length; position += 1) {
      const code = codes[position] ?? -1
      if (code < 0) {
        numbers[position] = NaN
        continue
      }
      if (this.#met[code] === 0) {
        const number = numberOf(dictionary[code] ?? '')
        if (number === undefined) throw this.#wrongText(column, code, rowOf(position))
        this.#numbers[code] = number
        this.#met[code] = 1
      }
      numbers[position] = this.#numbers[code] ?? NaN
    }
    return numbers
  }

  #lists({ offsets, items }: Column & { readonly kind: 'list' }, before: number): NumberValues {
    const { name, width = 1 } = this.#feature
    const rows = offsets.length - 1
    const scalars = this.#scalars(items, (position) => {
      return before + offsets.findIndex((_, row) => (offsets[row + 1] ?? 0) > position)
    })
    const numbers = (
      isTypedArray(scalars, 'Float32Array') ? new Float32Array(rows * width) : new Float64Array(rows * width)
    ).fill(NaN)
    for (let row = 0; row < rows; row += 1) {
      const [start, end] = [offsets[row] ?? 0, offsets[row + 1] ?? 0]
      if (start === end) continue
      if (end - start !== width) {
        const next = "set the length with 'width', or leave an incomplete list empty"
        throw wrongValue(name, before + row, `${width} numbers`, end - start, next)
      }
      numbers.set(scalars.subarray(start, end), row * width)
    }
    return numbers
  }

  #split({ dictionary, codes }: StringColumn, before: number): NumberValues {
    const { name, width = 1, separator = '' } = this.#feature
    const numbers = new Float64Array(codes.length * width).fill(NaN)
    this.#remember(dictionary)
    for (let row = 0; row < codes.length; row += 1) {
      const code = codes[row] ?? -1
      if (code < 0) continue
      const text = dictionary[code] ?? ''
      const found = (this.#splits[code] ??= numbersIn(text, separator))
      const wrong = found.findIndex(Number.isNaN)
      if (found.length !== width || wrong >= 0) {
        const what = width === 1 ? 'one number' : `${width} numbers`
        const count = wrong >= 0 ? '' : `it has ${found.length}: `
        throw wrongValue(name, before + row, what, text, `${count}check 'separator' and 'width'`)
      }
      numbers.set(found, row * width)
    }
    return numbers
  }

  #remember(dictionary: readonly string[]): void {
    if (dictionary === this.#dictionary) return
    this.#dictionary = dictionary
    this.#numbers = new Float64Array(dictionary.length)
    this.#met = new Uint8Array(dictionary.length)
    this.#splits = []
  }

  #wrongText({ dictionary, type }: StringColumn, code: number, row: number): DataError {
    const next = type === 'date' ? 'make it a number in a query, such as epoch(...)' : nextForText
    return wrongValue(this.#feature.name, row, 'a number', dictionary[code], next)
  }
}

function numbersIn(text: string, separator: string): readonly number[] {
  const items = text.split(separator).map((item) => item.trim())
  return items.filter((item) => item !== '').map((item) => numberOf(item) ?? NaN)
}

function isMissing(column: ScalarColumn): boolean {
  return column.kind === 'number' ? column.values.every(Number.isNaN) : column.codes.every((code) => code < 0)
}
