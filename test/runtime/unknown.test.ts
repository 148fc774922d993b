// What a prediction says of values that no vocabulary knows.

import { afterEach, expect, it, vi } from 'vitest'

import { binary, Dataset, MMoE, sparse } from '../../lib/index.js'

afterEach(() => void vi.restoreAllMocks())

it('a prediction warns once of a feature of which half is unknown, and scores all the same', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockReturnValue(undefined)
  using model = new MMoE({
    features: [sparse('user', { dim: 2 }), sparse('item', { dim: 2, hash: 9 })],
    tasks: [binary('like')],
    numExperts: 1,
    expertHiddenUnits: [2],
  })
  await model.build(Dataset.fromColumns({ user: ['a', 'b'], item: ['x', 'y'], like: [0, 1] }))
  const predict = (user: (string | null)[]) => model.predict({ user, item: user.map(() => 'new') })
  await predict(['a', 'b', 'c', null])
  expect(warned).not.toHaveBeenCalled()
  expect((await predict(['c', 'a'])).like).toHaveLength(2)
  await predict(['c', 'd'])
  expect(warned.mock.calls).toEqual([
    [expect.stringMatching(/^predict: 1 of 2 values of feature "user" are unknown/), { code: 'MULTIGATE_UNKNOWN_VALUES' }],
  ])
})
