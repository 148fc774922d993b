// Lines about values that no vocabulary knows: how many there are and, if many, the likely causes. A model treats all of them as one
// value.

import { quote } from '../core/check.js'
import { count } from '../core/format.js'
import { visible } from '../core/visible.js'
import { manyUnknown } from '../runtime/unknown.js'

/** Lines about a dataset, such as `test`; none if every value is known. */
export function unknownLines(
  data: string,
  {
    unknownValues = {},
    unknownShares = {},
  }: {
    readonly unknownValues?: Readonly<Record<string, number>> | undefined
    readonly unknownShares?: Readonly<Record<string, number>> | undefined
  },
): string[] {
  const found = Object.entries(unknownValues).map(([feature, values]) => ({
    feature,
    values,
    share: unknownShares[feature] ?? 0,
  }))
  if (found.length === 0) return []
  const parts = found.map(({ feature, values, share }) => `${feature} ${count(values)}${share > 0 ? ` (${percent(share)})` : ''}`)
  const many = found.filter(({ share }) => share >= manyUnknown)
  const warnings = many.map(({ feature, share }) => {
    return (
      `warning: ${data}: ${percent(share)} of the values of feature ${quote(feature)} are unknown to its vocabulary, and count as one value. ` +
      'They may be written differently from the values that the model was built with (as numbers or texts, leading zeros, blanks, ' +
      'case, separator), come from another column, be new, or be too rare for minCount'
    )
  })
  return [`${data}: values that no vocabulary knows: ${parts.join(', ')}`, ...warnings].map(visible)
}

/** Rounds, but shows 0% only for none and 100% only for all. */
function percent(share: number): string {
  if (share > 0 && share < 0.01) return '< 1%'
  return `${share > 0.99 && share < 1 ? 99 : Math.round(100 * share)}%`
}
