// Balancing in training: what each step's weights are made of, and that the steps take them.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { type BalanceOptions, balancingNames, needsOf, parseBalancing } from '../../lib/balancing/registry.js'
import { Dataset } from '../../lib/data/dataset.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { readSafetensors } from '../../lib/io/safetensors.js'
import { MMoE, OMoE, SharedBottom, SingleTask } from '../../lib/model/classes.js'
import type { Model } from '../../lib/model/model.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { progress } from '../../lib/report/progress.js'
import { binary } from '../../lib/tasks/binary.js'
import { regression } from '../../lib/tasks/regression.js'
import type { Callback, FitControl } from '../../lib/training/callbacks.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import type { FitOptions } from '../../lib/training/options.js'
import type { BalanceRecord } from '../../lib/training/task-balance.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'

const rows = 900
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')

/** `like` and `hide` are opposites, `watch` is a number; a third of `like` has no label. */
function table(): Dataset {
  const random = randomOf(3)
  const user = Int32Array.from({ length: rows }, () => Math.floor(40 * random()))
  const x = Float32Array.from({ length: rows }, () => 2 * random() - 1)
  const like = Float32Array.from(x, (value, row) => Number(value + ((user[row] ?? 0) % 5) / 5 + 0.3 * random() > 0.6))
  const watch = Float32Array.from(x, (value) => value * value + 0.1 * random())
  return Dataset.fromColumns({
    user,
    x,
    like: like.map((value) => (random() < 0.3 ? NaN : value)),
    hide: like.map((value) => 1 - value),
    watch,
    up: watch.map((value) => 1 + value),
    down: watch.map((value) => -1 - value),
    again: watch.slice(),
  })
}

const train = table()
const features = [sparse('user', { dim: 6 }), dense('x')] as const
const shape = { numExperts: 3, expertHiddenUnits: [12], bottomHiddenUnits: [10] }
const tasks = [binary('like', { weight: 2 }), binary('hide'), regression('watch')] as const

function mmoe(options: object = {}): Model {
  return new MMoE({ features, tasks, seed: 1, threads: 2, dropout: 0.1, ...shape, ...options }) as unknown as Model
}

/** `up` and `down` want the opposite of the layers that they share, `up` and `watch` the same. */
function opposed(): Model {
  return new SharedBottom({
    features,
    tasks: [regression('up'), regression('down'), regression('watch')],
    bottomHiddenUnits: [12],
    initializers: { tower: { kind: 'uniform', low: 0.1, high: 0.2 } },
  }) as unknown as Model
}

async function weightsOf(model: Model): Promise<Map<string, unknown>> {
  const path = newPath()
  await model.save(path)
  const { tensors } = await readSafetensors(path)
  return new Map([...tensors].map(([name, { data }]) => [name, data]))
}

const settings = { batchSize: 128, epochs: 2 }

/** The last epoch and the weights of a model that is trained. */
async function trained(options: FitOptions, model = mmoe()) {
  using net = model
  const { epochs } = await net.fit(train, { ...settings, ...options })
  return { weights: await weightsOf(net), epochs, balance: epochs.at(-1)?.balance as BalanceRecord }
}

const named = (method: string, on?: string): BalanceOptions => (on === undefined ? { method } : { method, on }) as BalanceOptions
const usesGram = (method: string): boolean => {
  const { before, after } = needsOf(parseBalancing(method))
  return before === 'gram' || after === 'gram'
}
const all = balancingNames.flatMap((method) =>
  usesGram(method) ? [named(method, 'parameters'), named(method, 'representation')] : [named(method)],
)

describe.each(all)('%o', (balance) => {
  it('trains with the same bits on any number of threads, watched or not, and after a break', async () => {
    const path = newPath()
    const one = await trained({ balance, callbacks: [checkpoint({ path })] })
    const steps: number[] = []
    const watched: Callback = { onStep: ({ step }) => void steps.push(step) }
    expect((await trained({ balance, callbacks: [watched] }, mmoe({ threads: 1 }))).weights).toEqual(one.weights)
    expect(steps).toHaveLength(16)
    const half = newPath()
    await trained({ balance, epochs: 1, callbacks: [checkpoint({ path: half })] })
    const rest = await trained({ balance, resume: half })
    expect(rest.weights).toEqual(one.weights)
    expect(rest.epochs.map(({ balance: record }) => record)).toEqual(one.epochs.map(({ balance: record }) => record))
  })

  it('reports the weights, and what it saw of gradients', async () => {
    const { balance: record, epochs } = await trained({ balance })
    const { method } = balance as { method: string }
    if (method === 'fixed') return expect(record).toBeUndefined()
    expect(Object.keys(record.weights)).toEqual(['like', 'hide', 'watch'])
    for (const weight of Object.values(record.weights)) expect(weight).toSatisfy(Number.isFinite)
    expect(epochs.every(({ loss }) => loss < 3)).toBe(true)
    if (!usesGram(method)) return expect(record.norms).toBeUndefined()
    for (const norm of Object.values(record.norms ?? {})) expect(norm).toBeGreaterThan(0)
    const cosine = record.cosines?.['like']?.['hide'] ?? NaN
    expect(cosine).toBeLessThan(0.2)
    expect(Math.abs(record.cosines?.['hide']?.['watch'] ?? NaN)).toBeLessThanOrEqual(1)
  })
})

describe('a balanced step', () => {
  it('of weights known in advance is that of tasks with these weights', async () => {
    const fixed = await trained({})
    expect((await trained({ balance: 'fixed' })).weights).toEqual(fixed.weights)
    // Its first two epochs have equal weights.
    expect((await trained({ balance: 'dwa' })).weights).toEqual(fixed.weights)
  })

  it.each([
    ['parameters', []],
    ['parameters', ['embedding.user']],
    ['parameters', ['embedding.other']],
    ['representation', []],
    ['representation', ['embedding.other']],
  ] as const)('on %s, with frozen %o, is the joint one if no gradients conflict', async (on, freeze) => {
    // Two tasks with the same labels and one expert: PCGrad finds nothing to project, and adds up.
    const model = (): Model =>
      new OMoE({
        features: [...features, sparse('other', { column: 'user', dim: 4 })],
        tasks: [regression('watch'), regression('again')],
        seed: 4,
        towerHiddenUnits: [],
        ...shape,
        initializers: { tower: { kind: 'uniform', low: 0.1, high: 0.2 } },
      }) as unknown as Model
    const optimizer = sgd({ learningRate: 0.05 })
    const joint = await trained({ optimizer, freeze }, model())
    const { weights, balance } = await trained({ optimizer, freeze, balance: { method: 'pcgrad', on } }, model())
    expect(balance.weights).toEqual({ watch: 1, again: 1 })
    for (const [name, values] of joint.weights) {
      const found = weights.get(name) as Float32Array
      const error = Math.max(...[...(values as Float32Array)].map((value, at) => Math.abs(value - (found[at] ?? NaN))))
      expect(error, name).toBeLessThan(1e-5)
    }
  })

  it.each(['parameters', 'representation'] as const)(
    'on %s sees that tasks oppose each other, and progress says so',
    async (on) => {
      let text = ''
      const write = (part: string): boolean => {
        text += part
        return true
      }
      const stream = { write, isTTY: false } as never
      const { balance } = await trained(
        { balance: { method: 'upgrad', on }, freeze: ['tower'], callbacks: [progress({ stream })] },
        opposed(),
      )
      const cosines = balance.cosines?.['up']
      expect(cosines?.['down']).toBeLessThan(-0.5)
      expect(cosines?.['watch']).toBeGreaterThan(0.5)
      expect(text).toMatch(/up and down pull against each other: .* -0\.\d\d/)
      expect(text).not.toMatch(/up and watch pull/)
    },
  )

  it('takes frozen groups out of the Gram matrix', async () => {
    const balance = { method: 'mgda' } as const
    const free = await trained({ balance, epochs: 1 })
    const frozen = await trained({ balance, epochs: 1, freeze: ['expert'] })
    expect(frozen.balance.norms?.['watch']).toBeLessThan(free.balance.norms?.['watch'] ?? NaN)
    await expect(trained({ balance, freeze: ['expert', 'bottom', 'gate'] })).rejects.toThrow(
      refusal('ARGUMENT', { field: 'fit.balance' }),
    )
  })
})

describe('weights of tasks that a callback sets', () => {
  it('are those of the steps to come, and stay in a resumed run', async () => {
    const reset = (epoch: number, weights: Record<string, number>): Callback => ({
      onEpochEnd: (record, control) => {
        if (record.epoch === epoch) control.taskWeights(weights)
      },
    })
    const path = newPath()
    const whole = await trained({ epochs: 3, callbacks: [reset(1, { like: 0, hide: 3 }), checkpoint({ path })] })
    const started = newPath()
    await trained({ epochs: 1, callbacks: [reset(1, { like: 0, hide: 3 }), checkpoint({ path: started })] })
    const resumed = await trained({ epochs: 3, resume: started, callbacks: [{}, checkpoint({ path })] })
    expect(resumed.weights).toEqual(whole.weights)
    expect(whole.weights).not.toEqual((await trained({ epochs: 3 })).weights)
    // From the start they are the same as the option.
    const atStart: Callback = { onStart: (_, control) => control.taskWeights({ like: 0, hide: 3 }) }
    expect((await trained({ callbacks: [atStart] })).weights).toEqual(
      (await trained({ taskWeights: { like: 0, hide: 3 } })).weights,
    )
  })

  it('must be numbers >= 0 of tasks', async () => {
    let control: FitControl | undefined
    await trained({ callbacks: [{ onStart: (_, given) => void (control = given) }] })
    for (const wrong of [{ like: -1 }, { like: NaN }, { nobody: 1 }, null, 3]) {
      expect(() => control?.taskWeights(wrong as never)).toThrow(/^taskWeights/)
    }
  })
})

describe('what cannot be balanced', () => {
  it.each([
    ['uncertain', 'fit.balance.method'],
    [{ method: 'cagrad', C: 1 }, 'fit.balance.C'],
    [{ method: 'dwa', on: 'parameters' }, 'fit.balance.on'],
    [5, 'fit.balance'],
  ])('%o is refused', async (balance, field) => {
    await expect(trained({ balance: balance as never })).rejects.toThrow(refusal('ARGUMENT', { field }))
  })

  it('a model whose tasks share nothing', async () => {
    const single = (): Model => new SingleTask({ features, tasks: [binary('like')] }) as unknown as Model
    await expect(trained({ balance: 'mgda' }, single())).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.balance' }))
    const bare = (): Model =>
      new MMoE({ features: [dense('x')], tasks, numExperts: 2, expertHiddenUnits: [4] }) as unknown as Model
    const onNothing = trained({ balance: { method: 'mgda', on: 'representation' } }, bare())
    await expect(onNothing).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.balance.on' }))
  })

  it('the state of another method, in a resumed run', async () => {
    const path = newPath()
    await trained({ balance: 'dwa', epochs: 1, callbacks: [checkpoint({ path })] })
    await expect(trained({ balance: 'uncertainty', resume: path })).rejects.toThrow(
      refusal('ARGUMENT', { field: 'fit.resume', says: ['dwa', 'uncertainty'] }),
    )
  })

  it('a loss of 0, for a method that takes its logarithm', async () => {
    const zero = Dataset.fromColumns({
      user: new Int32Array(64),
      x: new Float32Array(64),
      a: new Float32Array(64),
      b: new Float32Array(64),
    })
    const net = new SharedBottom({
      features: [dense('x')],
      tasks: [regression('a'), regression('b')],
      bottomHiddenUnits: [2],
      initializers: { tower: { kind: 'uniform', low: 0, high: 0 } },
    })
    await expect(net.fit(zero, { balance: 'gls' })).rejects.toThrow(refusal('ARGUMENT', { field: 'balance', says: "'a'" }))
    net.dispose()
  })
})
