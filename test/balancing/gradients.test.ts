// Methods that read gradients, against solutions found another way, and against values that TorchJD's documentation prints for
// J = [[-4, 1, 1], [6, 1, 1]].

import { describe, expect, it } from 'vitest'

import { refusal } from '../support/refusal.js'
import { batchOf, combined, dot, leastOnSimplex, made, randomGradients, weightsOf } from './support.js'

const example = [
  [-4, 1, 1],
  [6, 1, 1],
]

const length = (vector: readonly number[]) => Math.sqrt(dot(vector, vector))

function combination(balance: unknown, gradients: readonly (readonly number[])[]): number[] {
  return combined(weightsOf(made(balance, gradients.length), { gradients }), gradients)
}

function expectClose(found: readonly number[], expected: readonly number[], digits = 4): void {
  expect(found.length).toBe(expected.length)
  found.forEach((value, at) => expect(value).toBeCloseTo(expected[at] ?? NaN, digits))
}

describe('mgda', () => {
  it('is what TorchJD prints', () => {
    expectClose(combination('mgda', example), [0, 1, 1])
  })

  it('is the shortest convex combination of a grid search', () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const gradients = randomGradients(2 + (seed % 3), 5, seed)
      const weights = weightsOf(made('mgda', gradients.length), { gradients })
      expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12)
      expect(Math.min(...weights)).toBeGreaterThanOrEqual(0)
      const least = leastOnSimplex(gradients.length, (own) => length(combined(own, gradients)))
      expect(length(combined(weights, gradients))).toBeLessThanOrEqual(least.value + 1e-9)
    }
  })

  it.each([
    [8, 30],
    [8, 4],
    [64, 100],
    [64, 20],
  ])('of %i gradients of width %i makes no task worse', (tasks, width) => {
    const gradients = randomGradients(tasks, width, tasks + width)
    const found = combination('mgda', gradients)
    const products = gradients.map((gradient) => dot(gradient, found))
    expect(Math.min(...products)).toBeGreaterThanOrEqual(dot(found, found) - 1e-8)
  })

  it('has the closed form of two gradients, however different their lengths', () => {
    for (const [a = 1, b = 1] of [
      [1, 1],
      [1e-15, 1],
      [1, 1e12],
      [1e-15, 1e15],
    ]) {
      // At a right angle: w_1 |g_1|^2 = w_2 |g_2|^2.
      const [first = 0, second = 0] = weightsOf(made('mgda', 2), {
        gradients: [
          [a, 0],
          [0, b],
        ],
      })
      expect(first / (b ** 2 / (a ** 2 + b ** 2))).toBeCloseTo(1, 8)
      expect(second / (a ** 2 / (a ** 2 + b ** 2))).toBeCloseTo(1, 8)
    }
    expect(
      weightsOf(made('mgda', 2), {
        gradients: [
          [1, 0],
          [5, 0],
        ],
      }),
    ).toEqual([1, 0])
  })

  it('divides gradients as it is told', () => {
    const gradients = randomGradients(3, 6, 5)
    const losses = [0.5, 3, 1.5]
    const divided = {
      l2: gradients.map((gradient) => gradient.map((value) => value / length(gradient))),
      loss: gradients.map((gradient, task) => gradient.map((value) => value / (losses[task] ?? 1))),
      'loss+': gradients.map((gradient, task) => gradient.map((value) => value / (losses[task] ?? 1) / length(gradient))),
    }
    for (const [normalization, own] of Object.entries(divided)) {
      const plain = weightsOf(made('mgda', 3), { gradients: own, losses })
      expectClose(weightsOf(made({ method: 'mgda', normalization }, 3), { gradients, losses }), plain, 9)
    }
    const byLoss = made({ method: 'mgda', normalization: 'loss' }, ['click', 'buy', 'like'])
    expect(() => weightsOf(byLoss, { gradients, losses: [1, 0, 1] })).toThrow(refusal('ARGUMENT', { says: ['mgda', "'buy'"] }))
  })

  it('stands still where a gradient is 0 or two cancel', () => {
    expect(
      weightsOf(made('mgda', 3), {
        gradients: [
          [1, 2],
          [0, 0],
          [0, 0],
        ],
      }),
    ).toEqual([0, 0.5, 0.5])
    expectClose(
      combination('mgda', [
        [1, 2],
        [-3, -6],
        [4, 0],
      ]),
      [0, 0],
      5,
    )
  })
})

describe('upgrad', () => {
  it('is what TorchJD prints', () => {
    expectClose(combination('upgrad', example), [0.2929, 1.9004, 1.9004])
  })

  /** The projection onto the cone { y : g . y >= 0 for every g }, over every set of gradients that y may be at a right angle to. */
  function projected(gradient: readonly number[], gradients: readonly (readonly number[])[]): number[] {
    let best: { readonly y: readonly number[]; readonly distance: number } | undefined
    for (let set = 0; set < 2 ** gradients.length; set += 1) {
      const basis: number[][] = []
      for (const [at, other] of gradients.entries()) {
        if (!(set & (2 ** at))) continue
        const rest = basis.reduce((left, unit) => left.map((value, k) => value - dot(unit, left) * (unit[k] ?? 0)), [...other])
        if (length(rest) > 1e-9) basis.push(rest.map((value) => value / length(rest)))
      }
      const y = basis.reduce((left, unit) => left.map((value, k) => value - dot(unit, left) * (unit[k] ?? 0)), [...gradient])
      const distance = length(y.map((value, at) => value - (gradient[at] ?? 0)))
      const isInside = gradients.every((other) => dot(other, y) >= -1e-9)
      if (isInside && (best === undefined || distance < best.distance)) best = { y, distance }
    }
    return [...(best?.y ?? [])]
  }

  it('is the mean of the projections that an enumeration finds', () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const gradients = randomGradients(2 + (seed % 4), 4 + (seed % 3), seed)
      const own = gradients.map((gradient) => projected(gradient, gradients))
      const mean = combined(Array<number>(own.length).fill(1 / own.length), own)
      expectClose(combination({ method: 'upgrad', regEps: 1e-11 }, gradients), mean, 6)
    }
  })

  it('makes no task worse, up to its regularization', () => {
    for (const [tasks = 0, width = 0] of [
      [8, 20],
      [64, 100],
    ]) {
      const gradients = randomGradients(tasks, width, tasks)
      const found = combination({ method: 'upgrad', regEps: 1e-10 }, gradients)
      for (const gradient of gradients) expect(dot(gradient, found)).toBeGreaterThanOrEqual(-1e-5)
    }
  })

  it('averages gradients that agree, and short ones', () => {
    expectClose(
      weightsOf(made('upgrad', 2), {
        gradients: [
          [1, 0],
          [1, 2],
        ],
      }),
      [0.5, 0.5],
      12,
    )
    expect(weightsOf(made({ method: 'upgrad', normEps: 100 }, 2), { gradients: example })).toEqual([0.5, 0.5])
  })
})

describe('cagrad', () => {
  it('is what TorchJD prints', () => {
    expectClose(combination({ method: 'cagrad', rescale: 'none' }, example), [0.1835, 1.2041, 1.2041])
  })

  it('divides by what it is told', () => {
    const [none, square, sum] = ['none', 'square', 'sum'].map((rescale) =>
      combination({ method: 'cagrad', c: 0.4, rescale }, example),
    )
    expectClose(
      (square ?? []).map((value) => value * 1.16),
      none ?? [],
      12,
    )
    expectClose(
      (sum ?? []).map((value) => value * 1.4),
      none ?? [],
      12,
    )
  })

  it('is the mean with c = 0', () => {
    expect(weightsOf(made({ method: 'cagrad', c: 0 }, 2), { gradients: example })).toEqual([0.5, 0.5])
  })

  it('minimizes g_w . g_0 + c |g_0| |g_w|, as a grid search finds', () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const gradients = randomGradients(2 + (seed % 3), 5, seed)
      const count = gradients.length
      const c = 0.1 + 0.2 * (seed % 4)
      const mean = combined(Array<number>(count).fill(1 / count), gradients)
      const objective = (own: readonly number[]) => {
        const vector = combined(own, gradients)
        return dot(vector, mean) + c * length(mean) * length(vector)
      }
      const weights = weightsOf(made({ method: 'cagrad', c, rescale: 'none' }, count), { gradients })
      const added = weights.map((weight) => weight - 1 / count)
      const sum = added.reduce((total, weight) => total + weight, 0)
      expect(objective(added.map((weight) => weight / sum))).toBeLessThanOrEqual(leastOnSimplex(count, objective).value + 1e-9)
    }
  })

  it.each([
    [3, 8],
    [8, 30],
    [8, 4],
    [64, 100],
    [64, 20],
  ])('of %i gradients of width %i: the worst gain is that of the dual problem', (tasks, width) => {
    for (let seed = 1; seed <= 8; seed += 1) {
      const gradients = randomGradients(tasks, width, seed)
      for (const c of [0.05, 0.5, 0.9]) {
        const mean = combined(Array<number>(tasks).fill(1 / tasks), gradients)
        const found = combination({ method: 'cagrad', c, rescale: 'none' }, gradients)
        const offset = found.map((value, at) => value - (mean[at] ?? 0))
        const radius = c * length(mean)
        // The gradients of most of these cancel in no combination; else d is the mean.
        if (length(offset) < 1e-12) {
          const shortest = combination('mgda', gradients)
          expect(length(shortest)).toBeLessThan(1e-3)
          continue
        }
        expect(length(offset) / radius).toBeCloseTo(1, 8)
        // offset = radius g_w / |g_w|, so the dual value is |g_w| (offset . g_0 / radius + radius). Weights of the offset give |g_w|.
        const weights = weightsOf(made({ method: 'cagrad', c, rescale: 'none' }, tasks), { gradients }).map(
          (weight) => weight - 1 / tasks,
        )
        const norm = radius / weights.reduce((sum, weight) => sum + weight, 0)
        const dual = norm * (dot(offset, mean) / radius + radius)
        const worst = Math.min(...gradients.map((gradient) => dot(gradient, found)))
        expect(Math.abs(worst - dual)).toBeLessThan(1e-6 * length(mean))
      }
    }
  })
})

describe('pcgrad', () => {
  it('is what TorchJD prints', () => {
    expectClose(combination('pcgrad', example), [0.5848, 3.8012, 3.8012])
  })

  function projected(gradients: readonly (readonly number[])[], task: number, order: readonly number[]): number[] {
    return order.reduce(
      (own, other) => {
        const against = gradients[other] ?? []
        const product = dot(own, against)
        return product < 0 ? own.map((value, at) => value - (product / dot(against, against)) * (against[at] ?? 0)) : own
      },
      [...(gradients[task] ?? [])],
    )
  }

  it('projects gradients one after another, in orders that change with the step and come equally often', () => {
    const gradients = [
      [1, 0.2, -0.3],
      [-0.9, 1, 0.1],
      [-0.4, -1.1, 0.5],
    ]
    const orders = [0, 1, 2].map((task) => {
      const [a = 0, b = 0] = [0, 1, 2].filter((other) => other !== task)
      return [projected(gradients, task, [a, b]), projected(gradients, task, [b, a])]
    })
    const sums = [0, 1, 2, 3, 4, 5, 6, 7].map((choice) =>
      combined(
        [1, 1, 1],
        orders.map((own, task) => own[(choice >> task) & 1] ?? []),
      ),
    )
    const found = sums.map(() => 0)
    const balancer = made('pcgrad', 3)
    for (let step = 0; step < 1600; step += 1) {
      const own = combined(weightsOf(balancer, { step, gradients }), gradients)
      const near = sums.findIndex((sum) => length(sum.map((value, at) => value - (own[at] ?? 0))) < 1e-12)
      expect(near).toBeGreaterThanOrEqual(0)
      found[near]! += 1
    }
    // 200 each, deviation 13.
    for (const count of found) expect(count).toBeGreaterThan(120)
  })

  it('adds gradients that agree', () => {
    expect(
      weightsOf(made('pcgrad', 3), {
        gradients: [
          [1, 0],
          [1, 1],
          [0, 0],
        ],
      }),
    ).toEqual([1, 1, 1])
  })
})

describe('gradnorm', () => {
  it('moves weights along the numerical gradient of its objective, by Adam, and keeps their sum', () => {
    const gradients = randomGradients(3, 7, 3)
    const lengths = gradients.map(length)
    const average = lengths.reduce((sum, own) => sum + own, 0) / 3
    const balancer = made('gradnorm', 3)
    let weights = [1, 1, 1]
    const moments = weights.map(() => ({ mean: 0, square: 0 }))
    const first = [2, 1, 4]
    for (let step = 1; step <= 25; step += 1) {
      const losses = first.map((loss, task) => loss * (1 - (step - 1) * 0.01 * (task + 1)))
      const rates = losses.map((loss, task) => loss / (first[task] ?? 1))
      const rate = rates.reduce((sum, own) => sum + own, 0) / 3
      const mean = dot(weights, lengths) / 3
      const goals = rates.map((own) => mean * (own / rate) ** 1.5)
      const objective = (own: readonly number[]) =>
        own.reduce((sum, weight, task) => sum + Math.abs(weight * (lengths[task] ?? 0) - (goals[task] ?? 0)), 0) / average
      const moved = weights.map((weight, task) => {
        const by = (size: number) => weights.map((own, at) => (at === task ? own + size : own))
        const gradient = (objective(by(1e-7)) - objective(by(-1e-7))) / 2e-7
        const own = moments[task] ?? { mean: 0, square: 0 }
        own.mean += 0.1 * (gradient - own.mean)
        own.square += 0.001 * (gradient ** 2 - own.square)
        return weight - (0.025 * own.mean) / (1 - 0.9 ** step) / (Math.sqrt(own.square / (1 - 0.999 ** step)) + 1e-8)
      })
      const sum = moved.reduce((total, weight) => total + weight, 0)
      weights = moved.map((weight) => (3 * weight) / sum)
      balancer.settle(batchOf({ losses, gradients }))
      expectClose(weightsOf(balancer, { losses }), weights, 6)
    }
  })

  it('makes weighted lengths equal with alpha 0, and prefers slow tasks above it', () => {
    const gradients = [
      [4, 0],
      [0, 1],
      [0.5, 0],
    ]
    const balancer = made({ method: 'gradnorm', alpha: 0, learningRate: 0.002 }, 3)
    for (let step = 0; step < 4000; step += 1) balancer.settle(batchOf({ gradients }))
    const weighted = weightsOf(balancer, { gradients }).map((weight, task) => weight * length(gradients[task] ?? []))
    for (const own of weighted) expect(Math.abs(own / (weighted[0] ?? 0) - 1)).toBeLessThan(0.03)

    const slow = made({ method: 'gradnorm', learningRate: 0.002 }, 2)
    slow.settle(
      batchOf({
        gradients: [
          [1, 0],
          [0, 1],
        ],
        losses: [1, 1],
      }),
    )
    for (let step = 0; step < 2000; step += 1)
      slow.settle(
        batchOf({
          gradients: [
            [1, 0],
            [0, 1],
          ],
          losses: [0.25, 1],
        }),
      )
    // Rates 0.4 and 1.6: the weights are in the ratio 4^1.5, by the mean that both have.
    const [fast = 0, held = 0] = weightsOf(slow, {
      gradients: [
        [1, 0],
        [0, 1],
      ],
    })
    expect(held / fast).toBeGreaterThan(5)
  })

  it('does not depend on the scale of all gradients', () => {
    const gradients = randomGradients(3, 7, 3)
    const [plain, scaled] = [1, 1e-12].map((scale) => {
      const balancer = made('gradnorm', 3)
      for (let step = 0; step < 5; step += 1)
        balancer.settle(
          batchOf({ losses: [1, 2, 3 - step / 4], gradients: gradients.map((own) => own.map((value) => value * scale)) }),
        )
      return weightsOf(balancer, { gradients })
    })
    expectClose(scaled ?? [], plain ?? [], 9)
  })

  it('leaves out a task until it has a loss, and one that is absent', () => {
    const balancer = made('gradnorm', 3)
    const gradients = [
      [1, 0],
      [0, 3],
      [2, 0],
    ]
    balancer.settle(batchOf({ gradients, losses: [1, 1, 0], present: [1, 1, 0] }))
    expect(balancer.state()['firstLosses']).toEqual([1, 1, 0])
    const [a = 0, b = 0, c] = weightsOf(balancer, { gradients })
    expect(c).toBe(1)
    expect(a + b).toBeCloseTo(2, 12)
    expect(a).toBeGreaterThan(b)
  })
})

describe('nashMtl', () => {
  it('is what TorchJD prints', () => {
    expectClose(combination('nashMtl', example), [0.0542, 0.7061, 0.7061])
  })

  it.each([
    [1, 3],
    [2, 4],
    [5, 9],
    [8, 30],
    [64, 200],
  ])('of %i gradients of width %i: the gain of each task is the inverse of its weight', (tasks, width) => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const gradients = randomGradients(tasks, width, seed)
      const weights = weightsOf(made({ method: 'nashMtl', maxNorm: 0 }, tasks), { gradients })
      const found = combined(weights, gradients)
      const products = gradients.map((gradient, task) => dot(gradient, found) * (weights[task] ?? 0))
      // Weights are sqrt(|G|) a with G a = 1 / a.
      const norm = length(gradients.flatMap((a) => gradients.map((b) => dot(a, b))))
      for (const product of products) expect(Math.abs(product / norm - 1)).toBeLessThan(1e-3)
      expect(Math.min(...weights)).toBeGreaterThan(0)
    }
  })

  it('finds the positive solution where full steps of Newton end in a negative one', () => {
    const gradients = [
      [-4, -4, -4],
      [-9, -7, 6],
      [0, 7, -7],
      [-9, 8, 1],
      [7, 2, -6],
      [6, -9, 0],
    ]
    const weights = weightsOf(made({ method: 'nashMtl', maxNorm: 0 }, 6), { gradients })
    const found = combined(weights, gradients)
    const norm = length(gradients.flatMap((a) => gradients.map((b) => dot(a, b))))
    gradients.forEach((gradient, task) => {
      const weight = weights[task] ?? 0
      // Six gradients in three dimensions need the 1e-6 that is added to the diagonal of their cosines.
      expect((weight * (dot(gradient, found) + 1e-6 * weight * dot(gradient, gradient))) / norm).toBeCloseTo(1, 7)
    })
    expect(Math.min(...weights)).toBeGreaterThan(0)
  })

  it('limits the length of the combined gradient', () => {
    expect(length(combination({ method: 'nashMtl', maxNorm: 0.25 }, example))).toBeCloseTo(0.25, 12)
    const short = example.map((gradient) => gradient.map((value) => value * 1e-3))
    const free = combination({ method: 'nashMtl', maxNorm: 0 }, short)
    expect(length(free)).toBeLessThan(1)
    expectClose(combination('nashMtl', short), free, 15)
  })

  it('makes new weights every so many steps', () => {
    const balancer = made({ method: 'nashMtl', every: 3, maxNorm: 0 }, 2)
    const at = (step: number) => weightsOf(balancer, { step, gradients: randomGradients(2, 3, step + 1) })
    // Step 1 makes the first, since there are none yet.
    const [first, second, third, fourth, fifth] = [1, 2, 3, 4, 6].map(at)
    expect(second).toEqual(first)
    expect(third).not.toEqual(first)
    expect(fourth).toEqual(third)
    expect(fifth).not.toEqual(third)
  })

  it('has a solution where gradients cancel', () => {
    const weights = weightsOf(made({ method: 'nashMtl', maxNorm: 0 }, 2), {
      gradients: [
        [1, 2],
        [-1, -2],
      ],
    })
    expect(weights[0]).toBeCloseTo(weights[1] ?? 0, 8)
    expect(weights[0]).toBeLessThan(3000)
  })
})

describe('alignedMtl', () => {
  it('is what TorchJD prints', () => {
    expectClose(combination('alignedMtl', example), [0.2133, 0.9673, 0.9673])
  })

  type Matrix = readonly (readonly number[])[]
  const product = (a: Matrix, b: Matrix): number[][] =>
    a.map((row) =>
      (b[0] ?? []).map((_, at) =>
        dot(
          row,
          b.map((other) => other[at] ?? 0),
        ),
      ),
    )

  /** The inverse root of a positive matrix, by the iteration of Newton and Schulz. */
  function inverseRoot(matrix: Matrix): number[][] {
    const trace = matrix.reduce((sum, row, at) => sum + (row[at] ?? 0), 0)
    const unit = matrix.map((_, row) => matrix.map((_, column) => (row === column ? 1 : 0)))
    let y: Matrix = matrix.map((row) => row.map((value) => value / trace))
    let z: Matrix = unit
    for (let turn = 0; turn < 60; turn += 1) {
      const factor = product(z, y).map((row, at) => row.map((value, column) => (at === column ? 1.5 : 0) - value / 2))
      ;[y, z] = [product(y, factor), product(factor, z)]
    }
    return z.map((row) => row.map((value) => value / Math.sqrt(trace)))
  }

  it.each([2, 3, 6])('of %i gradients is the mean of orthogonal ones of one length', (tasks) => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const gradients = randomGradients(tasks, tasks + 6, seed)
      const inverse = inverseRoot(gradients.map((a) => gradients.map((b) => dot(a, b))))
      const direct = inverse.map((row) => row.reduce((sum, value) => sum + value / tasks, 0))
      // The mean of orthonormal gradients, times the scale.
      const scales = (['min', 'median', 'rmse'] as const).map((scale) => {
        const found = weightsOf(made({ method: 'alignedMtl', scale }, tasks), { gradients })
        const own = (found[0] ?? 0) / (direct[0] ?? 1)
        expectClose(
          found,
          direct.map((value) => own * value),
          8,
        )
        return own
      })
      // The largest eigenvalue of the inverse root is the inverse of the least singular value: by powers.
      let vector = Array<number>(tasks)
        .fill(1)
        .map((value, at) => value + at / 10)
      for (let turn = 0; turn < 4000; turn += 1) {
        const next = inverse.map((row) => dot(row, vector))
        vector = next.map((value) => value / length(next))
      }
      expect(scales[0]).toBeCloseTo(1 / length(inverse.map((row) => dot(row, vector))), 6)
      const squares = gradients.reduce((sum, gradient) => sum + dot(gradient, gradient), 0)
      expect(scales[2]).toBeCloseTo(Math.sqrt(squares / tasks), 8)
      // The lower median of two is the least. The next test has others.
      if (tasks === 2) expect(scales[1]).toBeCloseTo(scales[0] ?? 0, 12)
      else expect(scales[1]).toBeGreaterThan(scales[0] ?? 0)
    }
  })

  it('has the median of singular values that are known', () => {
    const gradients = [1, 2, 3, 5, 7].map((size, task) => Array.from({ length: 5 }, (_, at) => (at === task ? size : 0)))
    // Gradients at right angles: each is scaled to the length 3, and averaged.
    expectClose(combination({ method: 'alignedMtl', scale: 'median' }, gradients), [0.6, 0.6, 0.6, 0.6, 0.6], 12)
    expectClose(combination('alignedMtl', gradients), [0.2, 0.2, 0.2, 0.2, 0.2], 12)
  })
})

describe('gradients that are equal but for the rounding of float32', () => {
  it('count as equal in alignedMtl', () => {
    const gradients = [
      [1, 0],
      [1, 1e-5],
    ]
    expectClose(weightsOf(made('alignedMtl', 2), { gradients }), [0.5, 0.5], 4)
    // Two of three: singular values sqrt 2 and 1, and nothing for the third.
    const three = [
      [1, 0, 0],
      [1, 1e-5, 0],
      [0, 0, 1],
    ]
    const scale = Math.sqrt(1.5)
    expectClose(combination({ method: 'alignedMtl', scale: 'rmse' }, three), [(scale * Math.SQRT2) / 3, 0, scale / 3], 4)
  })

  it('count as equal in imtlG', () => {
    // Taken for different, they would have the weights 0, 1/2 and 1/2.
    const near = [
      [1, 0, 0],
      [1, 1e-5, 0],
      [1, 0, 3e-5],
    ]
    expectClose(weightsOf(made('imtlG', 3), { gradients: near }), [1 / 3, 1 / 3, 1 / 3], 4)
    const gradients = [
      [1, 0, 0],
      [1, 1e-5, 0],
      [0, 0, 1],
    ]
    expectClose(weightsOf(made('imtlG', 3), { gradients }), [0.25, 0.25, 0.5], 4)
  })
})

describe('imtlG', () => {
  it('is what TorchJD prints', () => {
    expectClose(combination('imtlG', example), [0.0767, 1, 1])
  })

  it.each([2, 3, 8, 20])('of %i gradients has equal projections, and weights of sum 1', (tasks) => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const gradients = randomGradients(tasks, tasks + 10, seed).map((gradient, task) =>
        gradient.map((value) => value * 4 ** (task % 5)),
      )
      const weights = weightsOf(made('imtlG', tasks), { gradients })
      expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 10)
      const found = combined(weights, gradients)
      const projections = gradients.map((gradient) => dot(gradient, found) / length(gradient))
      for (const projection of projections) expect(projection / (projections[0] ?? 0)).toBeCloseTo(1, 7)
    }
  })

  it('gives 0 where gradients cancel, and leaves out those that are 0', () => {
    expect(
      weightsOf(made('imtlG', 2), {
        gradients: [
          [1, 2, 0.3],
          [-3, -6, -0.9],
        ],
      }),
    ).toEqual([0, 0])
    const turn = (angle: number, size: number) => [size * Math.cos(angle), size * Math.sin(angle)]
    const around = [turn(0.1, 1), turn(0.1 + (2 * Math.PI) / 3, 2), turn(0.1 + (4 * Math.PI) / 3, 5)]
    expect(weightsOf(made('imtlG', 3), { gradients: around })).toEqual([0, 0, 0])
    expectClose(
      weightsOf(made('imtlG', 3), {
        gradients: [
          [1, 0],
          [0, 0],
          [0, 1],
        ],
      }),
      [0.5, 0, 0.5],
      12,
    )
  })
})
