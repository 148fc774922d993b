// Twenty steps of training against golden: every weight after one step and after all, every loss on the way.

import { afterEach, describe, expect, it } from 'vitest'
import type { OptimizerRule } from '../../lib/layers/update.js'
import { mmoe } from '../../lib/models/mmoe.js'
import type { Network, NetworkFeature } from '../../lib/models/network.js'
import { relativeError } from '../support/golden.js'
import { type GoldenCase, goldenCases } from '../support/golden-cases.js'
import { NetworkRun, type Rows } from '../support/network-run.js'
import { places, type TestPlace } from '../support/places.js'

interface Config {
  readonly vocab: readonly [number, number, number]
  readonly emb_dim: readonly [number, number, number]
  readonly n_dense: number
  readonly types: readonly string[]
  readonly task_weight: readonly number[]
  readonly l2_kernel: number
  readonly l2_embedding: number
  readonly gate_bias: boolean
  readonly activation: 'relu' | 'tanh'
  readonly tower_hidden: readonly number[]
  readonly model: string
  readonly expert_hidden: readonly number[]
  readonly n_expert: number
}

interface Optimizer {
  readonly name: string
  readonly style: 'keras' | 'torch'
  readonly lr: number
  readonly momentum?: number
  readonly nesterov?: boolean
  readonly beta_1?: number
  readonly beta_2?: number
  readonly epsilon?: number
  readonly eps?: number
}

/** A tensor of golden and where it lies here. */
interface Weight {
  readonly golden: string
  readonly name: string
  readonly index?: number
}

const cases = goldenCases('trajectory').filter((golden) => {
  const { model, types } = configOf(golden)
  return model === 'mmoe' && types.every((type) => type === 'binary') && ['adam', 'sgd'].includes(optimizerOf(golden).name)
})

let run: NetworkRun | undefined
afterEach(() => {
  run?.dispose()
  run = undefined
})

it.runIf(cases.length > 0)('covers sgd, momentum, nesterov and both forms of adam', () => {
  expect(cases.map(({ entry }) => entry.id)).toHaveLength(6)
})

describe.each(cases.length > 0 ? places : [])('on $name', (place) => {
  describe.each(['exact', 'lazy'] as const)('%s', (sparseUpdate) => {
    it.each(cases)('$id', (golden) => {
      const network = lower(golden, sparseUpdate)
      const current = new NetworkRun(network, place)
      run = current
      const check = checker(golden, place)
      const weights = weightsOf(network, configOf(golden))
      for (const weight of weights) current.write(weight.name, golden.f32(`w0/${weight.golden}`), weight.index)

      const losses = trainAll(current, golden, (step) => {
        if (step > 0) return
        compareWeights(current, weights, golden, 'w1', check)
        compareWeights(current, weights, golden, 'g0', check)
      })
      compareWeights(current, weights, golden, 'wT', check, sparseUpdate === 'lazy')
      check(
        'losses of tasks',
        losses.flatMap(({ tasks }) => tasks),
        golden.f64('out/loss_task').subarray(0, losses.length * 2),
        'loss',
      )
      const total = golden.f64(sparseUpdate === 'lazy' ? 'out/loss_total_touched' : 'out/loss_total')
      check(
        'total loss',
        losses.map((loss) => loss.total),
        total.subarray(0, losses.length),
        'loss',
      )
      comparePredictions(current, golden, check)
    })
  })
})

type Check = (name: string, got: ArrayLike<number>, want: ArrayLike<number>, part: 'g0' | 'w1' | 'wT' | 'loss') => void

function checker(golden: GoldenCase, place: TestPlace): Check {
  const f32 = golden.entry.f32_torch_rel as Readonly<Record<string, number>>
  return (name, got, want, part) => {
    const limit = Array.from(want).every((value) => value === 0) ? 1e-6 : place.tolerance(f32[part])
    expect(relativeError(got, want), name).toBeLessThan(limit)
  }
}

function lower(golden: GoldenCase, sparseUpdate: 'exact' | 'lazy'): Network {
  const config = configOf(golden)
  const options = mmoe.parse({
    numExperts: config.n_expert,
    expertHiddenUnits: config.expert_hidden,
    towerHiddenUnits: config.tower_hidden,
    activation: { expert: config.activation },
    gateBias: config.gate_bias,
    l2: { kernel: config.l2_kernel, embedding: config.l2_embedding },
    lossReduction: 'batch',
    sparseUpdate,
  })
  const tasks = config.task_weight.map((weight, task) => ({
    kind: 'binary' as const,
    name: `${task}`,
    weight,
    rowWeights: false,
  }))
  return mmoe.lower(options, { features: featuresOf(golden), tasks, optimizer: ruleOf(optimizerOf(golden)) })
}

function featuresOf(golden: GoldenCase): NetworkFeature[] {
  const { vocab, emb_dim: dims, n_dense: width } = configOf(golden)
  const [, length = 1] = golden.shape('in/tags')
  return [
    { kind: 'sparse', name: 'user', rows: vocab[0], dim: dims[0] },
    { kind: 'sparse', name: 'item', rows: vocab[1], dim: dims[1] },
    { kind: 'sequence', name: 'tags', rows: vocab[2], dim: dims[2], length, combiner: 'mean' },
    { kind: 'dense', name: 'dense', width },
  ]
}

function ruleOf({ name, style: form, momentum = 0, nesterov = false, ...rest }: Optimizer): OptimizerRule {
  if (name === 'sgd') return { name, form, momentum, nesterov }
  return { name: 'adam', form, beta1: rest.beta_1 ?? NaN, beta2: rest.beta_2 ?? NaN, epsilon: rest.epsilon ?? rest.eps ?? NaN }
}

function rowsOf(golden: GoldenCase): Rows {
  const labels = golden.f32('in/y')
  const label = (task: number): Float32Array => labels.filter((_, index) => index % 2 === task)
  return {
    user: golden.i32('in/user'),
    item: golden.i32('in/item'),
    tags: golden.i32('in/tags'),
    dense: golden.f32('in/dense'),
    'label:0': label(0),
    'label:1': label(1),
  }
}

function weightsOf(network: Network, { n_expert, tower_hidden, gate_bias }: Config): Weight[] {
  const parts = ['kernel', 'bias'] as const
  const experts = range(n_expert).flatMap((index) => {
    return parts.map((part) => ({ golden: `expert.${index}.0.${part}`, name: `expert.${part}`, index }))
  })
  const gates = [0, 1].flatMap((task) => {
    return parts.slice(0, gate_bias ? 2 : 1).map((part) => ({ golden: `gate.${task}.0.${part}`, name: `gate.${task}.${part}` }))
  })
  const towers = [0, 1].flatMap((task) => {
    return range(tower_hidden.length + 1).flatMap((layer) => {
      return parts.map((part) => ({ golden: `tower.${task}.${layer}.${part}`, name: `tower.${task}.${layer}.${part}` }))
    })
  })
  const tables = network.tables.map(({ name }) => ({ golden: `emb.${name}`, name: `table:${name}` }))
  return [...experts, ...gates, ...towers, ...tables]
}

/** Losses before every update, as golden counts them. */
function trainAll(network: NetworkRun, golden: GoldenCase, after: (step: number) => void): { tasks: number[]; total: number }[] {
  const weights = configOf(golden).task_weight
  return range(golden.entry.steps as number).map((step) => {
    const { scalars } = network.train(rowsOf(golden), { learningRate: optimizerOf(golden).lr, step: step + 1 })
    after(step)
    const tasks = weights.map((_, task) => scalars[`loss:${task}`] ?? NaN)
    const penalties = Object.entries(scalars).filter(([name]) => name.startsWith('penalty:'))
    const total =
      penalties.reduce((sum, [, value]) => sum + value, 0) +
      tasks.reduce((sum, loss, task) => sum + loss * (weights[task] ?? NaN), 0)
    return { tasks, total }
  })
}

function compareWeights(
  network: NetworkRun,
  weights: readonly Weight[],
  golden: GoldenCase,
  part: 'g0' | 'w1' | 'wT',
  check: Check,
  touchedOnly = false,
): void {
  const untouched = golden.entry.untouched_rows as Readonly<Record<string, readonly number[]>>
  for (const { golden: theirs, name, index = 0 } of weights) {
    const isTable = name.startsWith('table:')
    if (isTable && part === 'g0') continue
    const want = golden.f64(`${part}/${theirs}`)
    const all = network.read(name, part === 'g0' ? 'gradients' : 'parameters')
    const got = all.subarray(index * want.length, (index + 1) * want.length)
    if (!isTable || (part === 'wT' && !touchedOnly)) check(`${part} ${theirs}`, got, want, part)
    else {
      const [, dim = 1] = golden.shape(`${part}/${theirs}`)
      const keep = (_: number, element: number): boolean => !(untouched[theirs] ?? []).includes(Math.floor(element / dim))
      check(`${part} ${theirs}`, got.filter(keep), want.filter(keep), part)
    }
  }
}

function comparePredictions(network: NetworkRun, golden: GoldenCase, check: Check): void {
  const rows = rowsOf(golden)
  const { outputs, scalars } = network.evaluate(rows)
  const logits = golden.f64('out/logits_final')
  for (const task of [0, 1]) {
    const want = logits.filter((_, index) => index % 2 === task).map((logit) => 1 / (1 + Math.exp(-logit)))
    check(`probabilities of task ${task}`, outputs[`${task}`] ?? [], want, 'wT')
    expect(network.predict(rows).outputs[`${task}`]).toEqual(outputs[`${task}`])
  }
  const last = golden.f64('out/loss_task').slice(-2)
  check('losses at the end', [scalars['loss:0'] ?? NaN, scalars['loss:1'] ?? NaN], last, 'loss')
}

function configOf(golden: GoldenCase): Config {
  return golden.entry.config as unknown as Config
}

function optimizerOf(golden: GoldenCase): Optimizer {
  return golden.entry.optimizer as unknown as Optimizer
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
