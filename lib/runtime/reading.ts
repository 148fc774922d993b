// How a model needs a file to be read: which of its columns are texts, whatever they look like.

import type { Encoder } from '../features/encode/encoder.js'
import { declaredType } from '../features/encode/ids.js'
import { columnNameOf, type Feature } from '../features/spec/feature.js'

/** Columns to read as text, even if the values look like numbers. */
export function textColumns(features: readonly (Encoder | Feature)[]): Record<string, 'string'> {
  const columns = features.flatMap((one): string[] => {
    const feature = 'feature' in one ? one.feature : one
    if (feature.kind === 'dense') return []
    const split = feature.kind === 'sequence' && feature.separator !== undefined
    const type = 'type' in one && 'feature' in one ? one.type : (declaredType(feature) ?? (split ? 'string' : undefined))
    return type === undefined || type === 'number' ? [] : [columnNameOf(feature)]
  })
  return Object.fromEntries(columns.map((column) => [column, 'string']))
}
