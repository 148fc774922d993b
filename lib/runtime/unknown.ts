// Values that a feature's vocabulary does not know, as results report them: counts, and shares of all values.

import { quote } from '../core/check.js'
import type { ValueCounts } from '../features/encode/encoder.js'

export interface UnknownValues {
  /** Counts of values that a vocabulary does not know and that got id 0, for each feature that has any. */
  readonly unknownValues: Readonly<Record<string, number>>
  /** The same as a share of all values of the feature, from 0 to 1. */
  readonly unknownShares: Readonly<Record<string, number>>
}

export function unknownIn(counts: ReadonlyMap<string, ValueCounts>): UnknownValues {
  const found = [...counts].filter(([, { unknown }]) => unknown > 0)
  return {
    unknownValues: Object.fromEntries(found.map(([feature, { unknown }]) => [feature, unknown])),
    unknownShares: Object.fromEntries(found.map(([feature, { unknown, values }]) => [feature, unknown / values])),
  }
}

/** From this share on, unknown values of a feature are worth a look. */
export const manyUnknown = 0.1

/** A prediction warns from this share on. Some new users or items are normal. */
const worthWarning = 0.5

/**
 * Warns, once per feature, that the vocabulary knows few of a prediction's values. The scores are computed all the same.
 * @param warned features that were already warned about; grows.
 */
export function warnOfUnknown(counts: ReadonlyMap<string, ValueCounts>, warned: Set<string>): void {
  for (const [feature, { values, unknown }] of counts) {
    if (unknown === 0 || unknown < worthWarning * values || warned.has(feature)) continue
    warned.add(feature)
    process.emitWarning(
      `predict: ${unknown} of ${values} values of feature ${quote(feature)} are unknown to its vocabulary, and count as one value; check how they are written, and read files with the options of model.csvOptions()`,
      { code: 'MULTIGATE_UNKNOWN_VALUES' },
    )
  }
}
