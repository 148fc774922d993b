// A small data set: two labels that can be learned from three columns (a user, a city as text, a number).

import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { MMoE } from '../../lib/model/classes.js'
import { binary } from '../../lib/tasks/binary.js'
import { randomOf } from '../../lib/verify/numbers.js'

const cities = ['Oslo', 'Rome', 'Lima', 'Pune']

export function columns({
  rows,
  seed = 1,
  missing = 0,
}: {
  rows: number
  seed?: number
  missing?: number
}): Record<string, ColumnValues> {
  const world = randomOf(99)
  const taste = Array.from({ length: 30 }, () => 3 * world() - 1.5)
  const random = randomOf(seed)
  const user = Int32Array.from({ length: rows }, () => Math.floor(30 * random()))
  const city = Array.from({ length: rows }, () => cities[Math.floor(4 * random())] ?? '')
  const price = Float64Array.from({ length: rows }, () => 100 + 20 * random())
  const label = (bias: number, sign: number): number[] =>
    Array.from(user, (id, row) => {
      const logit = bias + (taste[id] ?? 0) + sign * ((price[row] ?? 0) - 110) * 0.2 + (city[row] === 'Rome' ? 1 : 0)
      const drawn = random() < 1 / (1 + Math.exp(-logit)) ? 1 : 0
      return random() < missing ? NaN : drawn
    })
  return { user, city, price, click: label(-1, 1), buy: label(-2, -1) }
}

export function data(options: { rows: number; seed?: number; missing?: number }): Dataset {
  return Dataset.fromColumns(columns(options))
}

/** A model of that set. With batches of 256, the last batch is smaller. */
export function model(options: Partial<Omit<ConstructorParameters<typeof MMoE>[0], 'features' | 'tasks'>> = {}) {
  return new MMoE({
    features: [
      sparse('user', { vocabulary: 30, dim: 4 }),
      sparse('city', { dim: 4 }),
      dense('price', { transform: 'standardize' }),
    ],
    tasks: [binary('click'), binary('buy', { weight: 0.5 })],
    numExperts: 3,
    expertHiddenUnits: [8],
    towerHiddenUnits: [4],
    seed: 5,
    ...options,
  })
}
