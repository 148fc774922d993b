// The rows that a metric of pairs counts: a label, a weight above 0 and, with groups, a group.

import { invalidArgument } from '../core/check.js'
import { inBlocks, type Sliced } from '../core/slices.js'
import type { RowGroups } from './groups.js'
import { notANumber, noWeight, type ScoredRows, weightOf } from './rows.js'

/** Row numbers, and what was seen on the way. */
export interface CountedRows {
  /** Ascending. */
  readonly rows: Int32Array
  /** Rows with a label, also those of weight 0. */
  readonly labelled: number
  /** Sum of the labels of these rows. */
  readonly positives: number
  /** Rows that lack only the group. */
  readonly missing: number
  /** The first counted row whose score is NaN. */
  readonly wrong: number | undefined
}

/**
 * Finds the rows to count.
 * @param options.binary refuses labels such as -1, of which there are no pairs of a positive and a negative row.
 * @throws ERR_MULTIGATE_ARGUMENT naming the row of a label outside [0, 1] or of a weight that is not a finite number >= 0.
 */
export function* countRows(
  { scores, labels, weights }: ScoredRows,
  { binary, groups }: { readonly binary: boolean; readonly groups?: RowGroups | undefined },
): Sliced<CountedRows> {
  const { length } = labels
  const rows = new Int32Array(length)
  const seen = { counted: 0, labelled: 0, positives: 0, missing: 0, wrong: undefined as number | undefined }
  yield* inBlocks(0, length, (from, to) => {
    let { counted, labelled, positives, missing, wrong } = seen
    for (let row = from; row < to; row += 1) {
      const label = labels[row] ?? NaN
      if (Number.isNaN(label)) continue
      if (binary && !(label >= 0 && label <= 1)) {
        throw invalidArgument(`labels[${row}]`, 'a number in [0, 1], or NaN if it is missing', label)
      }
      labelled += 1
      positives += label
      if (weightOf(weights, row) === 0) continue
      if (groups !== undefined && (groups.codes[row] ?? -1) < 0) {
        missing += 1
        continue
      }
      if (Number.isNaN(scores[row])) wrong ??= row
      rows[counted++] = row
    }
    Object.assign(seen, { counted, labelled, positives, missing, wrong })
  })
  const { counted, ...rest } = seen
  return { rows: rows.subarray(0, counted), ...rest }
}

/** Why these rows give no value; undefined if they do. */
export function unusable({ rows, labelled, missing, wrong }: CountedRows): string | undefined {
  if (labelled === 0) return 'no row has a label'
  if (wrong !== undefined) return notANumber(wrong)
  if (rows.length > 0) return undefined
  return missing > 0 ? 'no labelled row has a group' : noWeight
}

/** Why rows of one class give no value. */
export function oneClass({ labelled, positives }: Pick<CountedRows, 'labelled' | 'positives'>): string {
  if (positives > 0 && positives < labelled) return 'the weights of one class are all 0'
  return `all ${labelled} labelled rows are ${positives > 0 ? 'positive' : 'negative'}`
}
