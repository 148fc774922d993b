// Values that a feature's vocabulary does not know, as results say them: counts, and what share of all values they are.

import type { ValueCounts } from '../features/encoder.js'

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
