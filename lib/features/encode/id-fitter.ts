// Fits what determines the ids of a feature: the type of its values, and a vocabulary if the feature gives none.

import { quote } from '../../core/check.js'
import { type Column, type ScalarColumn, type ValueType, valueTypeOf } from '../../core/columns.js'
import type { Sliced } from '../../core/slices.js'
import type { IdOptions } from '../spec/id-options.js'
import { rowOfPosition, spanOf, type Values } from './encode-ids.js'
import { declaredType, fittedIds, givenIds, type IdSource } from './ids.js'
import { illFormed, KeyCounter, loneSurrogate } from './key-counter.js'
import { type KeyIndex, NumberIndex } from './key-index.js'
import { refusedValue } from './key-reader.js'

/** The values of some rows. */
export interface MetValues {
  /** Undefined if all are missing. */
  readonly type: ValueType | undefined
  /** Each once, the most frequent first. */
  readonly values: KeyIndex
  /** How many of them, the first ones, occur `minCount` times or more. */
  readonly frequent: number
}

/** Collects the values of rows, part by part. */
export interface ValueCollector {
  /** @throws ERR_MULTIGATE_DATA naming the feature, the row and the value that does not fit. */
  add(column: Column): Sliced<void>
  met(): Sliced<MetValues>
}

export class IdFitter {
  readonly #feature: IdOptions & { readonly name: string }
  readonly #open: boolean
  #type: ValueType | undefined
  #counter: KeyCounter | undefined
  #rows = 0

  /** @param type of the values, if it is known without the column. The feature's own type takes precedence. */
  constructor(feature: IdOptions & { readonly name: string }, type?: ValueType) {
    this.#feature = feature
    this.#type = declaredType(feature) ?? type
    this.#open = givenIds(feature, this.#type) === undefined
  }

  /** Adds the values of the next rows. @throws ERR_MULTIGATE_DATA naming row and value. */
  *add(values: Values, rows: number): Sliced<void> {
    this.#type ??= typeOf(values)
    if (this.#open && this.#type !== undefined) yield* this.#count(values, this.#type)
    this.#rows += rows
  }

  /** Whether the options give the ids. */
  get closed(): boolean {
    return !this.#open
  }

  *finish(): Sliced<IdSource> {
    const given = givenIds(this.#feature, this.#type)
    if (given !== undefined) return given
    return fittedIds(yield* this.#counter?.finish(this.#feature.minCount ?? 1) ?? none(), this.#type)
  }

  /** The distinct values, the most frequent first. */
  *met(): Sliced<MetValues> {
    const minCount = this.#feature.minCount ?? 1
    return {
      type: this.#type,
      values: yield* this.#counter?.finish(1) ?? none(),
      frequent: yield* this.#counter?.frequent(minCount) ?? zero(),
    }
  }

  *#count(values: Values, type: ValueType): Sliced<void> {
    const { name } = this.#feature
    const counter = (this.#counter ??= new KeyCounter(`feature ${quote(name)}`, type))
    const wrong = yield* counter.addAll(values.items, ...spanOf(values))
    if (wrong < 0) return
    const row = this.#rows + rowOfPosition(values, wrong)
    const text = values.items.kind === 'string' ? values.items.dictionary[values.items.codes[wrong] ?? -1] : undefined
    if (type === 'string' && text !== undefined && loneSurrogate.test(text)) throw illFormed(name, row, text)
    throw refusedValue(name, row, values.items, wrong, { type })
  }
}

// biome-ignore lint/correctness/useYield: nothing to wait for.
function* none(): Sliced<NumberIndex> {
  return new NumberIndex('a feature without values')
}

// biome-ignore lint/correctness/useYield: nothing to wait for.
function* zero(): Sliced<number> {
  return 0
}

/** The type of the values. Undefined if all are missing. */
function typeOf(values: Values): ValueType | undefined {
  const [from, to] = spanOf(values)
  const { items } = values
  for (let position = from; position < to; position += 1) {
    if (!isMissing(items, position)) return valueTypeOf(items)
  }
  return undefined
}

function isMissing(items: ScalarColumn, position: number): boolean {
  return items.kind === 'number' ? Number.isNaN(items.values[position]) : (items.codes[position] ?? -1) < 0
}
