// A print of the values of some columns, to tell whether a second reading gave the same rows. It does not depend on how rows are cut into
// parts, or on how a part stores its values.

import { type Column, rowsOf, type ScalarColumn } from '../core/columns.js'
import { hashBlock, hashText } from '../core/hash.js'
import { inBlocks, type Sliced } from '../core/slices.js'
import type { Dataset } from '../data/dataset.js'

/** Values between two slices. */
const blockValues = 2 ** 14
const blockLists = 2 ** 10
const missing = 0x7fc00000

export class RowsPrint {
  readonly #states = new Map<string, number>()
  #rows = 0

  get rows(): number {
    return this.#rows
  }

  /** Adds the next rows. Columns that they lack do not count. */
  *add(data: Dataset, columns: Iterable<string>): Sliced<void> {
    for (const name of columns) {
      if (!data.has(name)) continue
      for (let from = 0; from < data.rows; from += blockValues) {
        const part = data.columnPart(name, from, Math.min(from + blockValues, data.rows))
        this.#states.set(name, yield* printed(this.#states.get(name) ?? 0, part))
      }
    }
    this.#rows += data.rows
  }

  /** The first column that differs from another print of as many rows. */
  differing(other: RowsPrint): string | undefined {
    const names = new Set([...this.#states.keys(), ...other.#states.keys()])
    return [...names].find((name) => this.#states.get(name) !== other.#states.get(name))
  }
}

function* printed(state: number, column: Column): Sliced<number> {
  const values = column.kind === 'list' ? column.items : column
  const block = values.kind === 'number' ? numbers : texts
  let next = state
  if (column.kind !== 'list') {
    yield* inBlocks(0, rowsOf(column), (from, to) => {
      next = block(next, column as never, from, to)
    })
    return next
  }
  const { offsets } = column
  // A list at a time: where a part ends must not matter.
  const lists = (first: number, end: number): void => {
    for (let row = first; row < end; row += 1) {
      const [from, to] = [offsets[row] ?? 0, offsets[row + 1] ?? 0]
      next = block(hashBlock(next, to - from), values as never, from, to)
    }
  }
  yield* inBlocks(0, rowsOf(column), lists, blockLists)
  return next
}

const float = new Float64Array(1)
const words = new Int32Array(float.buffer)

function numbers(state: number, { values }: ScalarColumn & { readonly kind: 'number' }, from: number, to: number): number {
  let next = state
  for (let row = from; row < to; row += 1) {
    const value = values[row] ?? NaN
    const integer = value | 0
    if (integer === value) next = hashBlock(next, integer)
    else if (Number.isNaN(value)) next = hashBlock(next, missing)
    else {
      float[0] = value
      next = hashBlock(hashBlock(next, words[0] ?? 0), words[1] ?? 0)
    }
  }
  return next
}

/** Parts of a column share a dictionary. */
const hashes = new WeakMap<readonly string[], Float64Array>()

function texts(state: number, column: ScalarColumn & { readonly kind: 'string' }, from: number, to: number): number {
  const { dictionary, codes } = column
  let known = hashes.get(dictionary)
  if (known === undefined) hashes.set(dictionary, (known = new Float64Array(dictionary.length).fill(-1)))
  let next = state
  for (let row = from; row < to; row += 1) {
    const code = codes[row] ?? -1
    if (code < 0) {
      next = hashBlock(next, missing)
      continue
    }
    let hash = known[code] ?? -1
    if (hash < 0) known[code] = hash = hashText(dictionary[code] ?? '')
    next = hashBlock(next, hash | 0)
  }
  return next
}
