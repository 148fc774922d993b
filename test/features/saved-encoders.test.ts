// Encoders in saved files: what comes back, and what is refused.

import { describe, expect, it } from 'vitest'
import type { Column } from '../../lib/core/columns.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { encodeColumn, encoderFromJSON, encoderToJSON, fitEncoder } from '../../lib/features/encode/encoders.js'
import { dense } from '../../lib/features/spec/dense.js'
import type { Feature } from '../../lib/features/spec/feature.js'
import { sequence } from '../../lib/features/spec/sequence.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { refusal } from '../support/refusal.js'
import { column, savedAndRead } from './encoding.js'

describe('encoders', () => {
  const features: readonly [Feature, ColumnValues, ColumnValues][] = [
    [sparse('f', { dim: 2 }), ['b', 'a', 'b', ' a'], ['a', ' a', 'b', 'c']],
    [sparse('f', { dim: 2, minCount: 2 }), [0.1, 3, 3, 0.1, 7], [3, 0.1, 7, 8]],
    [sparse('f', { dim: 2 }), [null, null], [null, 'x']],
    [sparse('f', { dim: 2, vocabulary: 9, outOfRange: 'oov', column: 'x' }), [1], [8, 9]],
    [sparse('f', { dim: 2, hash: 7 }), ['a'], ['b', 'c', null]],
    [sequence('f', { dim: 2, maxLength: 2, combiner: 'sum', separator: ' ' }), ['a b', 'b'], ['b a b', 'c']],
    [dense('f'), [1, 2, 4], [3, NaN]],
    [dense('f', { transform: 'minmax', missing: 'error' }), [1, 2, 4], [3, 9]],
    [
      dense('f', { width: 2 }),
      [
        [1, 2],
        [4, 5],
      ],
      [[3, NaN], null],
    ],
  ]

  it.each(features)('come back from JSON: %j', async (feature, train, values) => {
    const encoder = fitEncoder(feature, column(train))
    const again = await savedAndRead(encoder)
    expect(again.feature).toEqual(feature)
    expect(encodeColumn(again, column(values))).toEqual(encodeColumn(encoder, column(values)))
    expect(encoderToJSON(again)).toEqual(encoderToJSON(encoder))
  })

  it.each<[string, object, Error]>([
    ['a value twice', { feature: sparse('f', { dim: 2 }), values: ['a', 'a'] }, refusal('FORMAT', { field: 'encoder.values' })],
    ['no values', { feature: sparse('f', { dim: 2 }) }, refusal('FORMAT', { field: 'encoder.values' })],
    ['two kinds', { feature: sparse('f', { dim: 2 }), values: ['a', 1] }, refusal('FORMAT', { field: 'encoder.values[1]' })],
    [
      'values too many',
      { feature: sparse('f', { dim: 2, hash: 3 }), values: ['a'] },
      refusal('FORMAT', { field: 'encoder.values' }),
    ],
    [
      'a scale of 0',
      { feature: dense('f'), offset: 0, scale: 0, fill: 0 },
      refusal('FORMAT', { field: 'encoder.scale', says: '0' }),
    ],
    [
      'a wrong feature',
      { feature: { kind: 'sparse', name: 'f' } },
      refusal('FORMAT', { field: 'encoder.feature.dim', says: 'encoder.feature.dim' }),
    ],
    ['no feature', {}, refusal('FORMAT', { field: 'encoder.feature' })],
  ])('refuse %s in a saved file', async (_, json, message) => {
    await expect(encoderFromJSON(json, 'encoder', () => Promise.reject(new Error('none')))).rejects.toThrow(message)
  })

  it('check what is encoded already and give the same array', () => {
    const encoder = fitEncoder(sequence('f', { dim: 2, maxLength: 2, combiner: 'mean', vocabulary: 5 }), column([[1]]))
    const data = Int32Array.of(1, 0, 4, 2)
    expect(encoder.check(data).data).toBe(data)
    expect(() => encoder.check(Int32Array.of(1, 0, 5, 2))).toThrow(
      refusal('DATA', { column: 'f', row: 1, value: 5, says: '[0, 5)' }),
    )
    expect(() => encoder.check(Int32Array.of(1, 0, 1))).toThrow(refusal('DATA', { column: 'f', says: ['2', '3'] }))
    expect(() => encoder.check(new Float32Array(2) as never)).toThrow(
      refusal('DATA', { column: 'f', says: ['Int32Array', 'Float32Array(2)'] }),
    )
    const number = fitEncoder(dense('f'), column([1, 2]))
    expect(() => number.check(Float32Array.of(1, NaN))).toThrow(refusal('DATA', { column: 'f', row: 1, says: 'NaN' }))
  })

  it('are fast on texts: per dictionary entry, not per row', () => {
    const codes = Int32Array.from({ length: 1_000_000 }, (_, row) => row % 1000)
    const texts: Column = { kind: 'string', dictionary: Array.from({ length: 1000 }, (_, code) => `value ${code}`), codes }
    const started = performance.now()
    const { data } = encodeColumn(fitEncoder(sparse('f', { dim: 1 }), texts), texts)
    const spent = performance.now() - started
    // All come equally often, so ids go by value.
    expect(data[2234]).toBe(1 + [...texts.dictionary].sort().indexOf('value 234'))
    console.info(`fit and encode of 1,000,000 texts: ${Math.round(spent)} ms`)
    expect(spent).toBeLessThan(3000)
  })
})
