// Values that a feature's vocabulary does not know, as results say them: counts, and what share of all values they are.

import { quote } from '../core/check.js'
import type { ValueCounts } from '../features/encode/encoder.js'

export interface UnknownValues {
  /** Values that a feature's vocabulary does not know and that got id 0, by feature that has any. */
  readonly unknownValues: Readonly<Record<string, number>>
  /** The same as a share of all values of the feature: 1 is all of them. */
  readonly unknownShares: Readonly<Record<string, number>>
}

export function unknownIn(counts: ReadonlyMap<string, ValueCounts>): UnknownValues {
  const found = [...counts].filter(([, { unknown }]) => unknown > 0)
  return {
    unknownValues: Object.fromEntries(found.map(([feature, { unknown }]) => [feature, unknown])),
    unknownShares: Object.fromEntries(found.map(([feature, { unknown, values }]) => [feature, unknown / values])),
  }
}

/** From this share of a feature's values on a prediction says so. Some new users or items are no surprise. */
const worthWarning = 0.5

/**
 * Warns, once for each feature, that a prediction knows little of what it is given: scores come all the same.
 * @param warned features that were warned of; grows.
 */
export function warnOfUnknown(counts: ReadonlyMap<string, ValueCounts>, warned: Set<string>): void {
  for (const [feature, { values, unknown }] of counts) {
    if (unknown === 0 || unknown < worthWarning * values || warned.has(feature)) continue
    warned.add(feature)
    process.emitWarning(
      `predict: ${unknown} of ${values} values of feature ${quote(feature)} are unknown to its vocabulary, and count as one value; look at how they are written, and read files with the options of model.csvOptions()`,
      { code: 'MULTIGATE_UNKNOWN_VALUES' },
    )
  }
}
