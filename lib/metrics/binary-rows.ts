// The rows that an area counts: a label in [0, 1], a weight above 0 and, with groups, a group.

import { isTypedArray } from '../core/arrays.js'
import { guarded, invalidArgument } from '../core/check.js'
import type { NumberValues, ScalarColumn } from '../core/columns.js'
import { inBlocks, type Sliced } from '../core/slices.js'
import { checkNumbers, notANumber, noWeight, type ScoredRows, weightOf } from './rows.js'

/** The group of each row: a column of a dataset, or one number per row. */
export type Groups = ScalarColumn | NumberValues

/** A number per row; NaN and `missing` mean no group. */
export interface RowGroups {
  readonly values: NumberValues
  readonly missing: number | undefined
}

/** @throws ERR_MULTIGATE_ARGUMENT unless it is a column without lists, or numbers. */
export function rowGroups(groups: Groups): RowGroups {
  const { values, missing } = guarded('groups', undefined, () => {
    const column: Partial<ScalarColumn> | null = groups as ScalarColumn
    if (column?.kind === 'string') return { values: column.codes, missing: -1 }
    if (column?.kind === 'number') return { values: column.values, missing: undefined }
    return { values: groups as NumberValues, missing: isTypedArray(groups, 'Int32Array') ? -1 : undefined }
  })
  return { values: checkNumbers('groups', values as NumberValues), missing }
}

/** Finds and counts the rows that an area uses. It refuses labels such as -1: the result would not be an area. */
export class BinaryRows {
  readonly #rows: ScoredRows
  readonly #groups: RowGroups | undefined
  #labelled = 0
  #counted = 0
  #wrong: number | undefined
  positives = 0
  missing = 0

  constructor(rows: ScoredRows, groups?: RowGroups) {
    this.#rows = rows
    this.#groups = groups
  }

  get negatives(): number {
    return this.#labelled - this.positives
  }

  /** Row numbers, ascending. */
  *counted(): Sliced<Int32Array> {
    const { length } = this.#rows.labels
    const found = new Int32Array(length)
    yield* inBlocks(0, length, (from, to) => {
      for (let row = from; row < to; row += 1) if (this.#counts(row)) found[this.#counted++] = row
    })
    return found.subarray(0, this.#counted)
  }

  /** Why these rows give no value; undefined if they do. */
  unusable(): string | undefined {
    if (this.#labelled === 0) return 'no row has a label'
    if (this.#wrong !== undefined) return notANumber(this.#wrong)
    if (this.#counted > 0) return undefined
    return this.missing > 0 ? 'no labelled row has a group' : noWeight
  }

  oneClass(): string {
    const { positives, negatives } = this
    if (positives > 0 && negatives > 0) return 'the weights of one class are all 0'
    return `all ${positives + negatives} labelled rows are ${positives > 0 ? 'positive' : 'negative'}`
  }

  #counts(row: number): boolean {
    const { scores, labels, weights } = this.#rows
    const label = labels[row] ?? NaN
    if (Number.isNaN(label)) return false
    if (!(label >= 0 && label <= 1)) throw invalidArgument(`labels[${row}]`, 'a number in [0, 1], or NaN if it is missing', label)
    this.#labelled += 1
    this.positives += label
    if (weightOf(weights, row) === 0) return false
    const group = this.#groups?.values[row]
    if (this.#groups !== undefined && (Number.isNaN(group) || group === this.#groups.missing)) {
      this.missing += 1
      return false
    }
    if (Number.isNaN(scores[row])) this.#wrong ??= row
    return true
  }
}
