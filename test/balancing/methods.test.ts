// What holds for every method: options, states, tasks that are absent, scales, orders and degenerate gradients.

import { describe, expect, it } from 'vitest'

import type { BalanceOptions } from '../../lib/balancing/registry.js'
import { balancerOf, balancingNames, needsOf, parseBalancing } from '../../lib/balancing/registry.js'
import { refusal } from '../support/refusal.js'
import { batchOf, combined, type Given, gramOf, made, names, noise, randomGradients, weightsOf } from './support.js'

/** Options other than the defaults, so that every path is taken. */
const others: readonly Exclude<BalanceOptions, string>[] = [
  { method: 'dwa', temperature: 0.5 },
  { method: 'uncertainty', learningRate: 0.1 },
  { method: 'gradnorm', alpha: 0.12, on: 'representation' },
  { method: 'cagrad', c: 0.9, rescale: 'none' },
  { method: 'cagrad', c: 0.05, rescale: 'sum' },
  { method: 'mgda', normalization: 'l2' },
  { method: 'mgda', normalization: 'loss' },
  { method: 'mgda', normalization: 'loss+' },
  { method: 'upgrad', normEps: 1e-4, regEps: 0 },
  { method: 'nashMtl', maxNorm: 0, every: 3 },
  { method: 'alignedMtl', scale: 'median' },
  { method: 'alignedMtl', scale: 'rmse' },
  { method: 'famo', gamma: 0, minLosses: { t0: 1e-31 } },
  { method: 'stch', form: 'plain', mu: 0.1, ideal: { t0: 0.1 } },
  { method: 'stch', mu: 0.1, warmUp: 1 },
]
const all: readonly BalanceOptions[] = [...balancingNames, ...others]
const titled = (which: readonly BalanceOptions[]) => which.map((balance) => [JSON.stringify(balance), balance] as const)
const needs = (balance: BalanceOptions) => needsOf(parseBalancing(balance))
const byGradients = all.filter((balance) => needs(balance).before === 'gram')
const byBatch = all.filter((balance) => needs(balance).before !== 'nothing')

function expectNear(found: readonly number[], expected: readonly number[], tolerance = 1e-9): void {
  const size = Math.max(...expected.map(Math.abs))
  found.forEach((value, at) => expect(Math.abs(value - (expected[at] ?? NaN))).toBeLessThanOrEqual(tolerance * size))
}

/** Some steps with other losses, gradients and absent tasks each. */
function* steps(
  tasks: number,
  first: number,
  count: number,
): Generator<Required<Omit<Given, 'gram'>> & { readonly after: number[] }> {
  for (let step = first; step < first + count; step += 1) {
    const draw = noise(step + 77)
    for (let k = 0; k < 5; k += 1) draw()
    const losses = Array.from({ length: tasks }, () => 1.1 + draw())
    const present = losses.map((_, task) => (draw() > 0.6 && task !== step % tasks ? 0 : 1))
    const absent = <Value>(values: readonly Value[], none: Value) =>
      values.map((value, task) => (present[task] === 1 ? value : none))
    const width = 9
    yield {
      step,
      losses: absent(losses, 0),
      gradients: absent(randomGradients(tasks, width, step), Array<number>(width).fill(0)),
      present,
      after: absent(
        losses.map((loss) => loss * (0.9 + 0.05 * draw())),
        0,
      ),
    }
  }
}

describe.each(titled(all))('%s', (_, balance) => {
  /** Trains some steps, and returns the weights of each. */
  function trained(balancer: ReturnType<typeof made>, tasks: number, first: number, count: number): number[][] {
    return [...steps(tasks, first, count)].map((given) => {
      const weights = weightsOf(balancer, given)
      balancer.settle(batchOf(given), Float64Array.from(given.after))
      if (given.step % 4 === 3) balancer.epoch(Float64Array.from(given.losses), Uint8Array.from(given.present))
      return weights
    })
  }

  it('reads its own options again', () => {
    const parsed = parseBalancing(balance)
    expect(parseBalancing(JSON.parse(JSON.stringify(parsed)))).toEqual(parsed)
    expect(Object.isFrozen(parsed)).toBe(true)
    expect(() => parseBalancing({ ...parsed, rate: 1 }, 'fit.balance')).toThrow(
      refusal('ARGUMENT', { field: 'fit.balance.rate' }),
    )
  })

  it('goes on from a saved state with the same bits', () => {
    const whole = made(balance, 4)
    const expected = [...trained(whole, 4, 1, 11), ...trained(whole, 4, 12, 11)]
    const before = made(balance, 4)
    const found = trained(before, 4, 1, 11)
    const text = JSON.stringify(before.state())
    const after = made(balance, 4)
    after.restore(JSON.parse(text))
    expect(JSON.stringify(after.state())).toBe(text)
    expect([...found, ...trained(after, 4, 12, 11)]).toEqual(expected)
  })

  it('refuses a state of another method, of other tasks, or damaged, and keeps its own', () => {
    const balancer = made(balance, 3)
    trained(balancer, 3, 1, 5)
    const state = balancer.state()
    expect(() => balancer.restore({ ...state, method: 'other' })).toThrow(refusal('FORMAT', { field: 'balance.state.method' }))
    expect(() => balancer.restore(null)).toThrow(refusal('FORMAT'))
    expect(() => balancer.restore({ ...state, more: [1] })).toThrow(refusal('FORMAT', { field: 'balance.state.more' }))
    const kept = Object.entries(state).find(([name]) => name !== 'method')
    if (kept !== undefined) {
      const [name, values] = kept as [string, readonly number[]]
      const damaged = [[...values, 1], values.map(() => null), values.map(() => NaN), undefined]
      for (const wrong of damaged)
        expect(() => balancer.restore({ ...state, [name]: wrong })).toThrow(
          refusal('FORMAT', { field: expect.stringContaining(`balance.state.${name}`) }),
        )
    }
    expect(balancer.state()).toEqual(state)
  })

  it('reads no more than it says', () => {
    const { before, after, epochs } = needs(balance)
    const balancer = made(balance, 3)
    const other = made(balance, 3)
    for (const given of steps(3, 1, 8)) {
      const whole = batchOf({ ...given, present: [1, 1, 1], losses: [1, 2, 3] })
      const nothing = new Float64Array(9).fill(NaN)
      const part = {
        ...whole,
        losses: before === 'nothing' ? nothing.subarray(0, 3) : whole.losses,
        gram: before === 'gram' ? whole.gram : nothing,
        present: before === 'nothing' ? new Uint8Array(3) : whole.present,
      }
      const [found, expected] = [new Float64Array(3), new Float64Array(3)]
      balancer.weigh(part, found)
      other.weigh(whole, expected)
      expect(found).toEqual(expected)
      const left = after === 'nothing' ? { ...whole, losses: nothing.subarray(0, 3), gram: nothing } : whole
      balancer.settle(
        after === 'gram' ? left : { ...left, gram: nothing },
        after === 'again' ? Float64Array.of(0.9, 1.9, 2.5) : undefined,
      )
      other.settle(whole, Float64Array.of(0.9, 1.9, 2.5))
      balancer.epoch(epochs ? whole.losses : nothing.subarray(0, 3), whole.present)
      other.epoch(whole.losses, whole.present)
      expect(balancer.state()).toEqual(other.state())
    }
  })

  it('does not change with what is called after a step if it needs nothing then', () => {
    if (needs(balance).after !== 'nothing') return
    const balancer = made(balance, 3)
    const state = balancer.state()
    for (const given of steps(3, 1, 3)) balancer.settle(batchOf(given))
    expect(balancer.state()).toEqual(state)
  })

  it('gives finite weights for every kind of batch, and 0 to absent tasks', () => {
    const readsBatch = needs(balance).before !== 'nothing'
    const wrong: object[] = []
    const shapes: number[][][] = [
      [
        [1, 2],
        [1, 2],
        [1, 2],
      ],
      [
        [1, 2],
        [-1, -2],
        [0, 0],
      ],
      [
        [0, 0],
        [0, 0],
        [0, 0],
      ],
      [
        [1, 0],
        [1, 1e-8],
        [1, -1e-8],
      ],
      [
        [1, 0],
        [-1, 1e-8],
        [0, 1e-8],
      ],
      [
        [1e-15, 0],
        [0, 1e15],
        [1, 1],
      ],
      [
        [1, 1e-7],
        [1, 0],
        [-1e-9, 1],
      ],
      [
        [1e-30, 1],
        [1, 1],
        [-1, 1e-30],
      ],
      [
        [1, 1],
        [-2, -2],
        [3, 3.0000001],
      ],
    ]
    const presents = [
      [1, 1, 1],
      [1, 0, 1],
      [0, 1, 0],
      [0, 0, 0],
    ]
    for (const scale of [1, 1e-15, 1e15, 1e-19, 1e19])
      for (const shape of shapes)
        for (const present of presents)
          for (const losses of [
            [1, 2, 0.5],
            [1e-30, 1e30, 1],
          ]) {
            const balancer = made(balance, 3)
            const known = shape.map((gradient, task) => gradient.map((value) => (present[task] === 1 ? value * scale : 0)))
            const given = { gradients: known, present, losses: losses.map((loss, task) => (present[task] === 1 ? loss : 0)) }
            for (let step = 1; step <= 3; step += 1) {
              const weights = weightsOf(balancer, { ...given, step })
              if (!weights.every((weight) => Number.isFinite(Math.fround(weight)))) wrong.push({ given, weights })
              if (readsBatch && weights.some((weight, task) => weight !== 0 && present[task] !== 1))
                wrong.push({ given, weights })
              balancer.settle(batchOf(given), Float64Array.from(given.losses.map((loss) => loss * 1.5)))
              balancer.epoch(Float64Array.from(given.losses), Uint8Array.from(present))
              const kept = Object.values(balancer.state()).filter((values) => typeof values !== 'string')
              if (!kept.flat().every(Number.isFinite)) wrong.push({ given, kept })
            }
          }
    expect(wrong).toEqual([])
  })

  it.each([1, 2, 64])('works with %i tasks', (tasks) => {
    const options = typeof balance === 'string' ? balance : { ...balance, ...('ideal' in balance && { ideal: {} }) }
    const balancer = made(options, tasks)
    for (const weights of trained(balancer, tasks, 1, 5)) {
      expect(weights.length).toBe(tasks)
      expect(weights.every(Number.isFinite)).toBe(true)
      expect(weights.some((weight) => weight !== 0)).toBe(true)
    }
  })

  it('does not mind the order of tasks', () => {
    const method = parseBalancing(balance).method
    if (method === 'rlw' || method === 'pcgrad') return
    const order = [2, 0, 3, 1]
    const moved = <Value>(values: readonly Value[]) => order.map((task) => values[task] as Value)
    const whole = made(balance, names(4))
    const other = made(balance, moved(names(4)))
    for (const given of steps(4, 1, 9)) {
      const own = { ...given, gradients: moved(given.gradients), losses: moved(given.losses), present: moved(given.present) }
      expectNear(weightsOf(other, own), moved(weightsOf(whole, given)), 1e-7)
      whole.settle(batchOf(given), Float64Array.from(given.after))
      other.settle(batchOf(own), Float64Array.from(moved(given.after)))
      if (given.step % 3 !== 2) continue
      whole.epoch(Float64Array.from(given.losses), Uint8Array.from(given.present))
      other.epoch(Float64Array.from(own.losses), Uint8Array.from(own.present))
    }
  })
})

describe.each(titled(byBatch))('%s, of the batch,', (_, balance) => {
  it('is as if a task that is absent did not exist', () => {
    if (parseBalancing(balance).method === 'pcgrad') return
    const gradients = randomGradients(4, 7, 12)
    const losses = [1, 2, 0.5, 3]
    const three = (values: readonly number[]) => values.slice(0, 3)
    const fewer = weightsOf(made(balance, 3), { gradients: gradients.slice(0, 3), losses: three(losses) })
    const more = weightsOf(made(balance, 4), {
      gradients: [...gradients.slice(0, 3), Array<number>(7).fill(0)],
      losses: [...three(losses), 0],
      present: [1, 1, 1, 0],
    })
    expectNear(three(more), fewer, 1e-12)
    expect(more[3]).toBe(0)
  })
})

describe.each(titled(byGradients))('%s, of gradients,', (_, balance) => {
  const { method } = parseBalancing(balance)

  it('does not depend on the scale of all gradients', () => {
    // A limit of length, and a threshold, are in the units of the gradients.
    if (balance === 'nashMtl' || (typeof balance !== 'string' && balance.method === 'upgrad')) return
    const gradients = randomGradients(4, 7, 3)
    const expected = weightsOf(made(balance, 4), { gradients })
    for (const scale of [1e-15, 1e-6, 1e6, 1e15]) {
      const scaled = gradients.map((gradient) => gradient.map((value) => value * scale))
      expectNear(weightsOf(made(balance, 4), { gradients: scaled }), expected, 1e-8)
    }
  })

  it('treats two equal gradients alike', () => {
    const [first = [], second = []] = randomGradients(2, 5, 4)
    const [a = 0, b = 0] = weightsOf(made(balance, 3), { gradients: [first, first, second] })
    expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-5 * Math.max(Math.abs(a), Math.abs(b)))
  })

  it('goes along a gradient that all tasks share', () => {
    const gradient = [1, -2, 0.5]
    const found = combined(weightsOf(made(balance, 2), { gradients: [gradient, gradient] }), [gradient, gradient])
    const share = (found[0] ?? 0) / (gradient[0] ?? 1)
    expect(share).toBeGreaterThan(0)
    expectNear(
      found,
      gradient.map((value) => value * share),
    )
  })

  it('stands still between two opposed gradients of one length', () => {
    const gradients = [
      [1, -2, 0.5],
      [-1, 2, -0.5],
    ]
    for (const value of combined(weightsOf(made(balance, 2), { gradients }), gradients))
      expect(Math.abs(value)).toBeLessThan(1e-6)
  })

  it('ends with a gradient that is no descent for a task only if it may', () => {
    // The mean with a pull, the aligned mean, and the sum of projections may: of three gradients and more. With two none of them does.
    for (let seed = 1; seed <= 30; seed += 1) {
      const gradients = randomGradients(2, 3, seed)
      const found = combined(weightsOf(made(balance, 2), { gradients }), gradients)
      const gains = gradients.map((gradient) => gradient.reduce((sum, value, at) => sum + value * (found[at] ?? 0), 0))
      if (['pcgrad', 'upgrad', 'nashMtl', 'alignedMtl', 'imtlG'].includes(method) || balance === 'mgda')
        expect(Math.min(...gains)).toBeGreaterThan(-1e-3)
    }
  })
})

describe('a balancer', () => {
  it('refuses numbers that no state has', () => {
    const state = { ...made('uncertainty', 2).state(), square: [1, -1e-9] }
    expect(() => made('uncertainty', 2).restore(state)).toThrow(
      refusal('FORMAT', { field: 'balance.state.square[1]', says: '-1e-9' }),
    )
  })

  it('takes from 1 to 64 tasks, and names only tasks that it has', () => {
    for (const count of [0, 65])
      expect(() => balancerOf(parseBalancing('mgda'), { tasks: names(count), seed: 1 })).toThrow(
        refusal('ARGUMENT', { field: 'balance', says: ['64', String(count)] }),
      )
    expect(() => balancerOf(parseBalancing('rlw'), { tasks: names(2), seed: -1 })).toThrow(refusal('ARGUMENT', { field: 'seed' }))
  })

  it('names the task whose loss or gradient is not finite', () => {
    const balancer = made('cagrad', ['click', 'buy'])
    const gram = gramOf([
      [1, 0],
      [0, 1],
    ])
    gram[3] = Infinity
    expect(() => weightsOf(balancer, { gram, losses: [1, 1] })).toThrow(
      refusal('DIVERGED', { says: ['gradient', "'buy'", 'Infinity'] }),
    )
    expect(() => weightsOf(balancer, { losses: [NaN, 1], gradients: [[1], [1]] })).toThrow(
      refusal('DIVERGED', { says: ['loss', "'click'"] }),
    )
    const famo = made('famo', ['click', 'buy'])
    expect(() => famo.settle(batchOf({ losses: [1, 1] }), Float64Array.of(1, NaN))).toThrow(
      refusal('DIVERGED', { says: ["'buy'", 'NaN'] }),
    )
    expect(() => made('dwa', ['click', 'buy']).epoch(Float64Array.of(1, NaN), Uint8Array.of(1, 1))).toThrow(
      refusal('DIVERGED', { says: "'buy'" }),
    )
  })

  it('takes a Gram matrix that rounding has made impossible', () => {
    const gram = Float64Array.of(1, 1.001, -1.001, 1.001, 1, -1, -1.001, -1, 1)
    for (const balance of byGradients)
      expect(weightsOf(made(balance, 3), { gram }).every(Number.isFinite), JSON.stringify(balance)).toBe(true)
  })

  it('says which weights can be made ahead', () => {
    const ahead = balancingNames.filter((name) => made(name, 2).ahead)
    expect(ahead).toEqual(['fixed', 'dwa', 'rlw'])
  })

  it('keeps weights within float32', () => {
    const [first = 0] = weightsOf(made('gls', 2), { losses: [1e-300, 1e300] })
    expect(Number.isFinite(Math.fround(first))).toBe(true)
  })
})

describe('options', () => {
  it('have the defaults of the papers', () => {
    expect(balancingNames.map((name) => parseBalancing(name))).toEqual([
      { method: 'fixed' },
      { method: 'uncertainty', learningRate: 0.025 },
      { method: 'dwa', temperature: 2 },
      { method: 'rlw' },
      { method: 'gls' },
      { method: 'imtlL', learningRate: 0.025 },
      { method: 'gradnorm', alpha: 1.5, learningRate: 0.025, on: 'parameters' },
      { method: 'pcgrad', on: 'parameters' },
      { method: 'cagrad', c: 0.5, rescale: 'square', on: 'parameters' },
      { method: 'mgda', normalization: 'none', on: 'parameters' },
      { method: 'upgrad', normEps: 0, regEps: 1e-4, on: 'parameters' },
      { method: 'nashMtl', maxNorm: 1, every: 1, on: 'parameters' },
      { method: 'alignedMtl', scale: 'min', on: 'parameters' },
      { method: 'imtlG', on: 'parameters' },
      { method: 'famo', gamma: 0.01, learningRate: 0.025, minLosses: {} },
      { method: 'stch', mu: 1, form: 'log', ideal: {}, warmUp: 5 },
    ])
  })

  it.each<[unknown, string]>([
    ['mdga', 'balance.method'],
    [{ method: 'cagrad', c: 1 }, 'balance.c'],
    [{ method: 'cagrad', c: -0.1 }, 'balance.c'],
    [{ method: 'cagrad', rescale: 1 }, 'balance.rescale'],
    [{ method: 'dwa', temperature: 0 }, 'balance.temperature'],
    [{ method: 'gradnorm', alpha: -1 }, 'balance.alpha'],
    [{ method: 'gls', on: 'parameters' }, 'balance.on'],
    [{ method: 'mgda', on: 'rows' }, 'balance.on'],
    [{ method: 'nashMtl', every: 0 }, 'balance.every'],
    [{ method: 'famo', learningRate: 0 }, 'balance.learningRate'],
    [{ method: 'stch', mu: 0 }, 'balance.mu'],
    [{ c: 0.4 }, 'balance.method'],
    [3, 'balance'],
  ])('%j is refused', (value, field) => {
    expect(() => parseBalancing(value)).toThrow(refusal('ARGUMENT', { field }))
  })
})
