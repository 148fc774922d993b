// Row-wise Adagrad: its steps against float64, its state, and where it cannot be used.

import { describe, expect, it } from 'vitest'

import { adam, binary, dense, type FitOptions, MMoE, rowwiseAdagrad, sparse } from '../../lib/index.js'
import { places } from '../support/places.js'
import { refusal } from '../support/refusal.js'
import { data } from '../support/small-data.js'
import { runTable, type TableStep } from '../support/table-steps.js'

const noise = (seed: number, count: number): number[] => {
  return Array.from({ length: count }, (_, at) => Math.fround(Math.sin(12.9898 * (at + 1) + 78.233 * seed)))
}

/** The formula of FBGEMM in float64, after equal ids are summed. */
function expected(
  run: { table: readonly number[]; dim: number; exact: boolean; l2: number; clip: number },
  steps: readonly TableStep[],
) {
  const { dim, exact, l2, clip } = run
  const [rate, epsilon, initial] = [0.1, 1e-3, 0.25]
  const table = [...run.table]
  const rows = table.length / dim
  const sums = new Array<number>(rows).fill(initial)
  for (const { ids, gradient } of steps) {
    for (let row = 0; row < rows; row += 1) {
      if (!exact && !ids.includes(row)) continue
      const g = Array.from({ length: dim }, (_, c) => {
        const sum = ids.reduce((all, id, at) => all + (id === row ? (gradient[at * dim + c] ?? NaN) : 0), 0)
        return Math.min(clip, Math.max(-clip, sum + 2 * l2 * (table[row * dim + c] ?? NaN)))
      })
      sums[row] = (sums[row] ?? NaN) + g.reduce((all, one) => all + one * one, 0) / dim
      g.forEach((one, c) => {
        table[row * dim + c] = (table[row * dim + c] ?? NaN) - (rate * one) / (Math.sqrt(sums[row] ?? NaN) + epsilon)
      })
    }
  }
  return { table, sums }
}

describe.each(places)('row-wise Adagrad on $name', (place) => {
  it.each([1, 3, 16, 37, 300])('takes the steps of its formula, with a table %i wide', (dim) => {
    const rows = 12
    // Ids that repeat, one of them over more rows than any kernel adds at once.
    const steps = [1, 2, 3].map((seed): TableStep => {
      const ids = Array.from({ length: 90 }, (_, at) => (at % 3 === 0 ? 5 : (at * seed) % 9))
      return { ids, gradient: noise(seed, 90 * dim) }
    })
    const optimizer = { name: 'rowwiseAdagrad', initialAccumulator: 0.25, epsilon: 1e-3 } as const
    for (const { exact, l2, clip } of [
      { exact: false, l2: 0, clip: Infinity },
      { exact: false, l2: 0.5, clip: 0.75 },
      { exact: true, l2: 0, clip: Infinity },
      { exact: true, l2: 0.5, clip: Infinity },
    ]) {
      const table = noise(9, rows * dim)
      const run = { optimizer, table, dim, learningRate: 0.1, exact, l2, clipValue: Number.isFinite(clip) ? clip : 0 }
      const found = runTable(place, run, steps)
      const want = expected({ table, dim, exact, l2, clip }, steps)
      expect(Object.keys(found).toSorted()).toEqual(['moment1:id', 'table:id'])
      // One number per row.
      expect(found['moment1:id']).toHaveLength(rows)
      found['moment1:id']?.forEach((sum, row) => {
        expect(sum / (want.sums[row] ?? NaN)).toBeCloseTo(1, 5)
      })
      found['table:id']?.forEach((weight, at) => {
        expect(Math.abs(weight - (want.table[at] ?? NaN)), `${at}`).toBeLessThan(2e-6)
      })
      expect(runTable(place, { ...run, threads: 1 }, steps)).toEqual(found)
    }
  })

  it('leaves a row of zero gradients as it is', () => {
    const optimizer = { name: 'rowwiseAdagrad', initialAccumulator: 0, epsilon: 1e-8 } as const
    const run = { optimizer, table: [1, 2, 3, 4], dim: 2, learningRate: 1, exact: true }
    const found = runTable(place, run, [{ ids: [1], gradient: [0, 0] }])
    expect(found).toEqual({ 'table:id': [1, 2, 3, 4], 'moment1:id': [0, 0] })
  })
})

describe('refuses weights without rows', () => {
  const train = data({ rows: 60 })
  const trained = async (options: FitOptions): Promise<unknown> => {
    using model = new MMoE({
      features: [sparse('user', { dim: 4 }), dense('price')],
      tasks: [binary('click')],
      numExperts: 2,
      expertHiddenUnits: [3],
    })
    return await model.fit(train, options)
  }

  it.each<[string, FitOptions]>([
    ['optimizer', { optimizer: rowwiseAdagrad() }],
    ['optimizers.expert', { optimizers: { expert: rowwiseAdagrad() } }],
    ['optimizers.tower.click', { optimizers: { embedding: rowwiseAdagrad(), 'tower.click': rowwiseAdagrad() } }],
  ])('as %s', async (field, options) => {
    const message = refusal('ARGUMENT', {
      field: `fit.${field}`,
      says: ['rowwiseAdagrad', 'optimizers: { embedding: rowwiseAdagrad() }'],
    })
    await expect(trained(options)).rejects.toThrow(message)
  })

  it('but takes embeddings, all or one', async () => {
    await expect(trained({ optimizers: { embedding: rowwiseAdagrad() } })).resolves.toBeDefined()
    await expect(trained({ optimizer: adam(), optimizers: { 'embedding.user': rowwiseAdagrad() } })).resolves.toBeDefined()
  })
})
