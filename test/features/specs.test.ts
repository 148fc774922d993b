// Features as they are written: types, defaults, plain data and wrong options.

import { describe, expect, expectTypeOf, it } from 'vitest'
import { dense } from '../../lib/features/spec/dense.js'
import { parseFeature } from '../../lib/features/spec/feature.js'
import { sequence } from '../../lib/features/spec/sequence.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { refusal } from '../support/refusal.js'

describe('specs', () => {
  it('keep the name as a type and are valid configuration', () => {
    const feature = sparse('userid', { vocabulary: 20_001, dim: 16 })
    expectTypeOf(feature.name).toEqualTypeOf<'userid'>()
    for (const spec of [
      feature,
      sequence('tags', { dim: 16, maxLength: 11, combiner: 'mean' }),
      dense('seconds', { transform: 'log1p' }),
    ]) {
      expect(parseFeature(JSON.parse(JSON.stringify(spec)))).toEqual(spec)
      expect(Object.isFrozen(spec)).toBe(true)
    }
    expect(dense('x')).toEqual({ kind: 'dense', name: 'x', transform: 'standardize', missing: 'mean' })
  })

  it.each<[() => unknown, Error]>([
    [() => sparse('a', {} as never), refusal('ARGUMENT', { field: 'feature "a".dim' })],
    [() => sparse('a', { dim: 0 }), refusal('ARGUMENT', { field: 'feature "a".dim', says: ['1', '0'] })],
    [() => sparse('a', { dim: 2, vocab: 3 } as never), refusal('ARGUMENT', { field: 'feature "a".vocab', says: "'vocabulary'" })],
    [() => sparse('a', { dim: 2, vocabulary: [5, 'a'] as never }), refusal('ARGUMENT', { field: 'feature "a".vocabulary' })],
    [() => sparse('a', { dim: 2, vocabulary: 3, hash: 4 }), refusal('ARGUMENT', { field: 'feature "a".hash' })],
    [() => sparse('a', { dim: 2, vocabulary: 3, minCount: 4 }), refusal('ARGUMENT', { field: 'feature "a".minCount' })],
    [() => sparse('a', { dim: 2, outOfRange: 'oov' }), refusal('ARGUMENT', { field: 'feature "a".outOfRange' })],
    [
      () => sequence('a', { dim: 2, maxLength: 2, combiner: 'max' as 'sum' }),
      refusal('ARGUMENT', { field: 'feature "a".combiner', says: ['"mean"', '"sum"', '"max"'] }),
    ],
    [
      () => dense('a', { missing: 'zero' as 'mean' }),
      refusal('ARGUMENT', { field: 'feature "a".missing', says: ['"mean"', '"error"', '"zero"'] }),
    ],
    [
      () => parseFeature({ kind: 'image', name: 'a' }, 'model.features[3]'),
      refusal('ARGUMENT', { field: 'model.features[3].kind', says: ['"sparse"', '"sequence"', '"dense"', '"image"'] }),
    ],
  ])('name a wrong option %#', (make, message) => {
    expect(make).toThrow(message)
  })
})
