// Permutation importance: which features it finds, its numbers, and what it refuses.

import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sequence } from '../../lib/features/spec/sequence.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { SharedBottom } from '../../lib/model/classes.js'
import { adam } from '../../lib/optimizers/adam.js'
import { importanceTable } from '../../lib/report/importance.js'
import { binary } from '../../lib/tasks/binary.js'
import { regression } from '../../lib/tasks/regression.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'

const rows = 3000
const random = randomOf(1)
const x = Float32Array.from({ length: rows }, () => 2 * random() - 1)
const city = Array.from({ length: rows }, () => ['Oslo', 'Rome', 'Lima'][Math.floor(3 * random())] ?? '')
const tags = Array.from({ length: rows }, () => [1 + Math.floor(5 * random()), 1 + Math.floor(5 * random())])
const noise = Int32Array.from({ length: rows }, () => Math.floor(9 * random()))
// The first depends on the city and a little on x, the second on tags alone.
const like = Float32Array.from(x, (value, row) => Number((city[row] === 'Rome' ? 1 : -1) + 0.5 * value > 0.2 * random()))
const watch = Float32Array.from(tags, ([one = 0, two = 0]) => one + two)
const data = Dataset.fromColumns({ x, city, tags, noise, like, watch })

async function built() {
  const model = new SharedBottom({
    features: [
      dense('x'),
      sparse('city', { dim: 4 }),
      sequence('tags', { dim: 4, maxLength: 2, combiner: 'sum' }),
      sparse('noise', { dim: 2 }),
    ],
    tasks: [binary('like'), regression('watch')],
    bottomHiddenUnits: [16],
    seed: 1,
  })
  await model.fit(data, { epochs: 40, batchSize: 256, optimizer: adam({ learningRate: 0.02 }) })
  return model
}

describe('importance', () => {
  it('finds what each task depends on, whatever the kind of column', async () => {
    using model = await built()
    const { baseline, features } = await model.importance(data, { repeats: 3 })
    const { tasks } = await model.evaluate(data)
    expect(baseline).toEqual({
      like: { metric: 'auc', value: tasks.like.auc },
      watch: { metric: 'rmse', value: tasks.watch.rmse },
    })
    expect(Object.keys(features)).toEqual(['x', 'city', 'tags', 'noise'])
    const [like, watch] = ['like', 'watch'].map((task) => Object.entries(features).map(([, own]) => own[task]?.mean ?? NaN))
    expect(like?.[1]).toBeGreaterThan(0.2)
    expect(watch?.[2]).toBeGreaterThan(1)
    for (const [task, means] of Object.entries({ like, watch }))
      for (const at of task === 'like' ? [2, 3] : [0, 1, 3])
        expect(Math.abs(means?.[at] ?? NaN), `${task} ${at}`).toBeLessThan(0.05)
    for (const own of Object.values(features))
      for (const { deviation } of Object.values(own)) expect(deviation).toBeGreaterThanOrEqual(0)
    const text = importanceTable({ baseline, features }).split('\n')
    expect(text[0]).toMatch(/feature +like \(auc \d\.\d{4}\) +watch \(rmse \d\.\d{4}\)/)
    expect(
      text
        .slice(1, 3)
        .map((line) => line.split(' ')[0])
        .sort(),
    ).toEqual(['city', 'tags'])
  })

  it('is the drop of the metric on rows whose values are those of other rows', async () => {
    using model = await built()
    const part = data.split({ rowMod: 3, test: [1] }).test
    const { features, baseline } = await model.importance(part, { repeats: 1, seed: 7 })
    // A permutation keeps the column's values: with one value per column nothing can change.
    const constant = Dataset.fromColumns({ x: x.map(() => 0.5), city, tags, noise, like, watch })
    const none = await model.importance(constant, { repeats: 2 })
    expect(none.features['x']).toEqual({ like: { mean: 0, deviation: 0 }, watch: { mean: 0, deviation: 0 } })
    expect(features['city']?.['like']).toMatchObject({ deviation: 0 })
    expect(features['city']?.['like']?.mean).toBeLessThanOrEqual(baseline['like']?.value ?? NaN)
  })

  it('repeats itself for a seed, and differs for another', async () => {
    using model = await built()
    const of = (seed: number) => model.importance(data, { repeats: 2, seed })
    const one = await of(1)
    expect(await of(1)).toEqual(one)
    expect(await of(2)).not.toEqual(one)
  })

  it('refuses what it cannot permute, and wrong options', async () => {
    using model = await built()
    await expect(model.importance(data, { repeats: 0 })).rejects.toThrow(refusal('ARGUMENT', { field: 'importance.repeats' }))
    await expect(model.importance(3 as never)).rejects.toThrow(refusal('ARGUMENT', { field: 'importance.data' }))
    await expect(model.importance(data, { signal: AbortSignal.abort() })).rejects.toThrow()
    using self = new SharedBottom({ features: [dense('watch')], tasks: [regression('watch')], bottomHiddenUnits: [2] })
    await self.fit(data)
    await expect(self.importance(data)).rejects.toThrow(refusal('ARGUMENT', { field: 'importance.data', says: "'watch'" }))
    using fresh = new SharedBottom({ features: [dense('x')], tasks: [binary('like')], bottomHiddenUnits: [2] })
    await expect(fresh.importance(data)).rejects.toThrow(refusal('NOT_BUILT'))
    expect(() => importanceTable({} as never)).toThrow(refusal('ARGUMENT'))
  })
})
