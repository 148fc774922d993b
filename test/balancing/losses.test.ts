// Methods that read losses alone, against solutions found another way.

import { describe, expect, it } from 'vitest'

import { refusal } from '../support/refusal.js'
import { batchOf, made, weightsOf } from './support.js'

const all = (count: number) => new Uint8Array(count).fill(1)

it('fixed gives every task the weight 1', () => {
  expect(weightsOf(made('fixed', 3), { losses: [0, 5, 1] })).toEqual([1, 1, 1])
})

describe('uncertainty', () => {
  it('begins with 1 and comes to rest at 1 / (2 L)', () => {
    const losses = [0.2, 1, 30]
    const balancer = made({ method: 'uncertainty', learningRate: 0.01 }, 3)
    expect(weightsOf(balancer, { losses })).toEqual([1, 1, 1])
    for (let step = 0; step < 10_000; step += 1) balancer.settle(batchOf({ losses }))
    weightsOf(balancer, { losses }).forEach((weight, task) => expect(weight * 2 * (losses[task] ?? 0)).toBeCloseTo(1, 3))
  })

  it('moves s along the numerical gradient of exp(-s) L + s / 2, by Adam', () => {
    const objective = (s: number, loss: number) => Math.exp(-s) * loss + s / 2
    const balancer = made('uncertainty', 1)
    let [s, mean, square] = [0, 0, 0]
    for (let step = 1; step <= 20; step += 1) {
      const loss = 2 + Math.sin(step)
      const gradient = (objective(s + 1e-5, loss) - objective(s - 1e-5, loss)) / 2e-5
      mean += 0.1 * (gradient - mean)
      square += 0.001 * (gradient ** 2 - square)
      s -= (0.025 * mean) / (1 - 0.9 ** step) / (Math.sqrt(square / (1 - 0.999 ** step)) + 1e-8)
      balancer.settle(batchOf({ losses: [loss] }))
      expect(weightsOf(balancer, { losses: [loss] })[0]).toBeCloseTo(Math.exp(-s), 7)
    }
  })
})

describe('imtlL', () => {
  it('makes weighted losses equal', () => {
    const losses = [0.2, 1, 30]
    const balancer = made({ method: 'imtlL', learningRate: 0.01 }, 3)
    for (let step = 0; step < 10_000; step += 1) balancer.settle(batchOf({ losses }))
    weightsOf(balancer, { losses }).forEach((weight, task) => expect(weight * (losses[task] ?? 0)).toBeCloseTo(1, 3))
  })

  it('refuses a loss of 0, naming the task, but not that of a task that is absent', () => {
    const balancer = made('imtlL', ['click', 'buy'])
    expect(() => balancer.settle(batchOf({ losses: [1, 0] }))).toThrow(
      refusal('ARGUMENT', { field: 'balance', says: ['imtlL', "'buy'", '0'] }),
    )
    balancer.settle(batchOf({ losses: [1, 0], present: [1, 0] }))
    expect(balancer.state()['steps']).toEqual([1, 0])
  })
})

describe('dwa', () => {
  it('gives 1 for two epochs, then T softmax of the ratios', () => {
    const balancer = made('dwa', 2)
    expect(weightsOf(balancer, { losses: [1, 1] })).toEqual([1, 1])
    balancer.epoch(Float64Array.of(4, 1), all(2))
    expect(weightsOf(balancer, { losses: [1, 1] })).toEqual([1, 1])
    balancer.epoch(Float64Array.of(2, 0.9), all(2))
    // Ratios 0.5 and 0.9, temperature 2: the first weight is 2 / (1 + exp(0.2)).
    const [first = 0, second = 0] = weightsOf(balancer, { losses: [1, 1] })
    expect(first).toBeCloseTo(2 / (1 + Math.exp(0.2)), 12)
    expect(first + second).toBeCloseTo(2, 12)
  })

  it('takes the last two epochs that a task was in, and 1 for a loss of 0', () => {
    const balancer = made({ method: 'dwa', temperature: 1 }, 2)
    balancer.epoch(Float64Array.of(4, 0), all(2))
    balancer.epoch(Float64Array.of(2, 1), all(2))
    const before = weightsOf(balancer, { losses: [1, 1] })
    expect(before[0]).toBeCloseTo(2 / (1 + Math.exp(0.5)), 12)
    balancer.epoch(Float64Array.of(0, 0), Uint8Array.of(0, 0))
    expect(weightsOf(balancer, { losses: [1, 1] })).toEqual(before)
  })
})

describe('rlw', () => {
  it('draws from the seed and the step alone', () => {
    const [one, other] = [made('rlw', 4, 3), made('rlw', 4, 3)]
    const losses = [1, 1, 1, 1]
    weightsOf(other, { step: 5, losses })
    expect(weightsOf(one, { step: 9, losses })).toEqual(weightsOf(other, { step: 9, losses }))
    expect(weightsOf(one, { step: 9, losses })).not.toEqual(weightsOf(one, { step: 10, losses }))
    expect(weightsOf(one, { step: 9, losses })).not.toEqual(weightsOf(made('rlw', 4, 4), { step: 9, losses }))
    expect(weightsOf(one, { step: 9, losses })).not.toEqual(weightsOf(made('rlw', 4, 3 + 2 ** 40), { step: 9, losses }))
  })

  it('has the softmax of standard normal numbers: the logarithm of two weights by each other has mean 0 and variance 2', () => {
    const balancer = made('rlw', 3)
    const count = 20_000
    const ratios: number[] = []
    let triple = 0
    for (let step = 0; step < count; step += 1) {
      const [a = 0, b = 0, c = 0] = weightsOf(balancer, { step, losses: [1, 1, 1] })
      expect(a + b + c).toBeCloseTo(1, 12)
      ratios.push(Math.log(a / b))
      triple += Math.log(a / b) * Math.log(b / c)
    }
    const moment = (power: number) => ratios.reduce((sum, ratio) => sum + ratio ** power, 0) / count
    // Six standard errors each.
    expect(Math.abs(moment(1))).toBeLessThan(0.06)
    expect(Math.abs(moment(2) - 2)).toBeLessThan(0.12)
    expect(Math.abs(moment(4) - 12)).toBeLessThan(1.7)
    expect(Math.abs(triple / count + 1)).toBeLessThan(0.08)
  })
})

describe('gls', () => {
  it('has the gradient of the geometric mean of the losses that are present', () => {
    const losses = [0.5, 2, 9, 3]
    const mean = (of: readonly number[]) => of.reduce((product, loss) => product * loss, 1) ** (1 / of.length)
    const weights = weightsOf(made('gls', 4), { losses, present: [1, 1, 1, 0] })
    for (let task = 0; task < 3; task += 1) {
      const moved = (by: number) => losses.slice(0, 3).map((loss, at) => (at === task ? loss + by : loss))
      expect(weights[task]).toBeCloseTo((mean(moved(1e-5)) - mean(moved(-1e-5))) / 2e-5, 8)
    }
    expect(weights[3]).toBe(0)
  })

  it('refuses a loss of 0, naming the task', () => {
    const balancer = made('gls', ['click', 'buy'])
    expect(() => weightsOf(balancer, { losses: [1, 0] })).toThrow(
      refusal('ARGUMENT', { field: 'balance', says: ['gls', "'buy'", '0'] }),
    )
    expect(weightsOf(balancer, { losses: [1, 0], present: [1, 0] })).toEqual([1, 0])
  })
})
