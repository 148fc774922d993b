// The rows that an area counts: those with a label in [0, 1], a weight that is not 0 and, where rows are in groups, a group.

import { isTypedArray } from '../core/arrays.js'
import { invalidArgument } from '../core/check.js'
import type { NumberValues, ScalarColumn } from '../core/columns.js'
import { inBlocks, type Sliced } from '../core/slices.js'
import { checkNumbers, notANumber, noWeight, type ScoredRows, weightOf } from './rows.js'

/** Which rows belong together: a column of a dataset, or one number per row. */
export type Groups = ScalarColumn | NumberValues

/** A number per row; NaN and `missing` are none. */
export interface RowGroups {
  readonly values: NumberValues
  readonly missing: number | undefined
}

/** @throws ERR_MULTIGATE_ARGUMENT for what is neither a column without lists nor numbers. */
export function rowGroups(groups: Groups): RowGroups {
  const column: Partial<ScalarColumn> | null = groups as ScalarColumn
  if (column?.kind === 'string') return { values: (column as { codes: Int32Array }).codes, missing: -1 }
  if (column?.kind === 'number') return { values: (column as { values: NumberValues }).values, missing: undefined }
  return { values: checkNumbers('groups', groups as NumberValues), missing: isTypedArray(groups, 'Int32Array') ? -1 : undefined }
}

/** Finds the rows that count, and how many there are of what. Labels of -1 and 1 would give a number that is no area. */
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

  /** Their numbers, ascending. */
  *counted(): Sliced<Int32Array> {
    const { length } = this.#rows.labels
    const found = new Int32Array(length)
    yield* inBlocks(0, length, (from, to) => {
      for (let row = from; row < to; row += 1) if (this.#counts(row)) found[this.#counted++] = row
    })
    return found.subarray(0, this.#counted)
  }

  /** Why the rows that count give no value, or undefined where they do. */
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
    if (!(label >= 0 && label <= 1))
      throw invalidArgument(`labels[${row}]`, 'a number in [0, 1], or NaN where it is missing', label)
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
