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

it('uncertainty keeps what it knows of a task that is absent', () => {
  const balancer = made('uncertainty', 2)
  balancer.settle(batchOf({ losses: [3, 3] }))
  const [, before] = weightsOf(balancer, { losses: [1, 1] })
  balancer.settle(batchOf({ losses: [3, 0], present: [1, 0] }))
  expect(weightsOf(balancer, { losses: [1, 1] })[1]).toBe(before)
  expect(balancer.state()['steps']).toEqual([2, 1])
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

describe('famo', () => {
  const softmax = (values: readonly number[]) => {
    const all = values.map(Math.exp)
    const sum = all.reduce((total, value) => total + value, 0)
    return all.map((value) => value / sum)
  }

  it('begins with weights that make the logarithms of all losses fall alike', () => {
    const [a = 0, b = 0] = weightsOf(made('famo', 2), { losses: [0.5, 2] })
    expect(a + b).toBeCloseTo(1, 12)
    expect(a / b).toBeCloseTo(4, 12)
    const [c = 0, d = 0] = weightsOf(made({ method: 'famo', minLosses: { t0: 0.25 } }, 2), { losses: [0.5, 2] })
    expect(c / d).toBeCloseTo(8, 12)
  })

  it('moves logits along the numerical gradient of the falls, by Adam', () => {
    const balancer = made({ method: 'famo', gamma: 0.05 }, 3)
    let logits = [0, 0, 0]
    const moments = logits.map(() => ({ mean: 0, square: 0 }))
    for (let step = 1; step <= 30; step += 1) {
      const losses = [1, 2, 3].map((loss, task) => loss + 0.3 * Math.sin(step + task))
      const after = losses.map((loss, task) => loss * (0.9 + 0.05 * Math.cos(step * task)))
      const objective = (own: readonly number[]) =>
        softmax(own).reduce((sum, share, task) => sum + share * Math.log((losses[task] ?? 1) / (after[task] ?? 1)), 0) +
        0.025 * own.reduce((sum, value) => sum + value ** 2, 0)
      logits = logits.map((value, task) => {
        const by = (size: number) => logits.map((own, at) => (at === task ? own + size : own))
        const gradient = (objective(by(1e-5)) - objective(by(-1e-5))) / 2e-5
        const own = moments[task] ?? { mean: 0, square: 0 }
        own.mean += 0.1 * (gradient - own.mean)
        own.square += 0.001 * (gradient ** 2 - own.square)
        return value - (0.025 * own.mean) / (1 - 0.9 ** step) / (Math.sqrt(own.square / (1 - 0.999 ** step)) + 1e-8)
      })
      balancer.settle(batchOf({ losses }), Float64Array.from(after))
      const parts = softmax(logits).map((share, task) => share / (losses[task] ?? 1))
      const sum = parts.reduce((total, part) => total + part, 0)
      weightsOf(balancer, { losses }).forEach((weight, task) => expect(weight).toBeCloseTo((parts[task] ?? 0) / sum, 6))
    }
  })

  it('prefers a task whose loss falls less', () => {
    const balancer = made('famo', 2)
    for (let step = 0; step < 50; step += 1) balancer.settle(batchOf({ losses: [1, 1] }), Float64Array.of(0.9, 0.99))
    const [fast = 0, slow = 0] = weightsOf(balancer, { losses: [1, 1] })
    expect(slow).toBeGreaterThan(2 * fast)
  })

  it('refuses a loss at its least value before and after the update, and names that are no tasks', () => {
    const balancer = made({ method: 'famo', minLosses: { buy: 0.5 } }, ['click', 'buy'])
    expect(() => weightsOf(balancer, { losses: [1, 0.5] })).toThrow(refusal('ARGUMENT', { says: ['famo', "'buy'", '0.5'] }))
    expect(() => balancer.settle(batchOf({ losses: [1, 1] }), Float64Array.of(0, 1))).toThrow(
      refusal('ARGUMENT', { says: ['famo', "'click'"] }),
    )
    expect(() => made({ method: 'famo', minLosses: { bye: 0.5 } }, ['click', 'buy'])).toThrow(
      refusal('ARGUMENT', { field: 'balance.minLosses', says: ["'buy'", '"bye"'] }),
    )
  })
})

describe('stch', () => {
  const gradientOf = (objective: (losses: readonly number[]) => number, losses: readonly number[]) =>
    losses.map((loss, task) => {
      const by = (size: number) => objective(losses.map((own, at) => (at === task ? own + size : own)))
      return (by(1e-6 * loss) - by(-1e-6 * loss)) / (2e-6 * loss)
    })

  it('trains the sum of logarithms, and then the smooth maximum of them, by the means of the last epoch of the warm-up', () => {
    const balancer = made({ method: 'stch', mu: 0.5, warmUp: 2 }, 3)
    const losses = [0.5, 2, 7]
    const logs = (own: readonly number[]) => own.reduce((sum, loss) => sum + Math.log(loss), 0)
    for (const means of [
      [9, 9, 9],
      [1, 5, 6],
    ]) {
      weightsOf(balancer, { losses }).forEach((weight, task) =>
        expect(weight).toBeCloseTo(gradientOf(logs, losses)[task] ?? 0, 7),
      )
      balancer.epoch(Float64Array.from(means), all(3))
    }
    balancer.epoch(Float64Array.of(2, 2, 2), all(3))
    const nadir = [1, 5, 6]
    const smooth = (own: readonly number[]) =>
      3 * 0.5 * Math.log(own.reduce((sum, loss, task) => sum + Math.exp(Math.log(loss / (nadir[task] ?? 1)) / 0.5), 0))
    weightsOf(balancer, { losses }).forEach((weight, task) =>
      expect(weight).toBeCloseTo(gradientOf(smooth, losses)[task] ?? 0, 7),
    )
  })

  it('is the smooth maximum of distances from ideal losses, with the form plain', () => {
    const balancer = made({ method: 'stch', form: 'plain', mu: 0.7, ideal: { t1: 0.4 } }, 3)
    const losses = [0.5, 2, 0]
    const smooth = (own: readonly number[]) =>
      0.7 * Math.log(own.reduce((sum, loss, task) => sum + Math.exp((loss - (task === 1 ? 0.4 : 0)) / 0.7), 0))
    const found = weightsOf(balancer, { losses })
    const positive = [0.5, 2, 1e-12]
    found.slice(0, 2).forEach((weight, task) => expect(weight).toBeCloseTo(gradientOf(smooth, positive)[task] ?? 0, 7))
    expect(found.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12)
  })

  it('waits for the nadir of a task that the warm-up did not have', () => {
    const balancer = made({ method: 'stch', warmUp: 1 }, 2)
    balancer.epoch(Float64Array.of(2, 0), Uint8Array.of(1, 0))
    // By its own loss until then: log 1 for both.
    expect(weightsOf(balancer, { losses: [2, 4] })).toEqual([0.5, 0.25])
    balancer.epoch(Float64Array.of(3, 1), all(2))
    expect(balancer.state()['nadir']).toEqual([2, 1])
  })

  it('refuses options of the other form, and a loss of 0', () => {
    expect(() => made({ method: 'stch', form: 'plain', warmUp: 2 }, 2)).toThrow(refusal('ARGUMENT', { field: 'balance.warmUp' }))
    expect(() => made({ method: 'stch', warmUp: 0 }, 2)).toThrow(refusal('ARGUMENT', { field: 'balance.warmUp' }))
    expect(() => made({ method: 'stch', ideal: { t0: 1 } }, 2)).toThrow(refusal('ARGUMENT', { field: 'balance.ideal' }))
    expect(() => weightsOf(made('stch', ['click', 'buy']), { losses: [1, 0] })).toThrow(
      refusal('ARGUMENT', { says: ['stch', "'buy'"] }),
    )
  })
})
