// Twenty steps of training against golden: every weight after one step and after all, every loss on the way.

import { afterEach, describe, expect, it } from 'vitest'
import type { OptimizerRule } from '../../lib/layers/update.js'
import type { ModelDefinition } from '../../lib/models/definition.js'
import type { Network, NetworkFeature } from '../../lib/models/network.js'
import { models } from '../../lib/models/registry.js'
import { parseOptimizer } from '../../lib/optimizers/optimizer.js'
import { goldenCount, relativeError } from '../support/golden.js'
import { type GoldenCase, goldenCases } from '../support/golden-cases.js'
import { NetworkRun, type Rows } from '../support/network-run.js'
import { places, type TestPlace } from '../support/places.js'
import { type TestNetwork, testNetwork } from '../support/train-program.js'

interface Config {
  readonly vocab: readonly [number, number, number]
  readonly emb_dim: readonly [number, number, number]
  readonly n_dense: number
  readonly types: readonly ('binary' | 'regression')[]
  readonly task_weight: readonly number[]
  readonly l2_kernel: number
  readonly l2_embedding: number
  readonly gate_bias: boolean
  readonly activation: 'relu' | 'tanh'
  readonly tower_hidden: readonly number[]
  readonly model: keyof typeof modelOf
  readonly expert_hidden: readonly number[]
  readonly n_expert: number
  readonly n_specific: readonly number[]
  readonly n_shared: number
  readonly n_level: number
  readonly bottom_hidden: readonly number[]
}

/** An optimizer in golden's words. */
type Optimizer = Readonly<Record<string, unknown>>

/** Golden's words that are not ours. */
const optionOf: Readonly<Record<string, string>> = {
  style: 'form',
  lr: 'learningRate',
  beta_1: 'beta1',
  beta_2: 'beta2',
  eps: 'epsilon',
  initial_accumulator_value: 'initialAccumulator',
  learning_rate_power: 'learningRatePower',
  l2_shrinkage: 'l2Shrinkage',
  weight_decay: 'weightDecay',
}

/** A tensor of golden and where it lies here. */
interface Weight {
  readonly golden: string
  readonly name: string
  readonly index?: number
}

const modelOf = { mmoe: 'MMoE', cgc: 'CGC', ple: 'PLE', shared_bottom: 'SharedBottom', esmm: 'ESMM' } as const

const cases = goldenCases('trajectory')

let run: NetworkRun | undefined
afterEach(() => {
  run?.dispose()
  run = undefined
})

it('covers every case', () => {
  expect(cases).toHaveLength(goldenCount(17, 6))
})

describe.each(places)('on $name', (place) => {
  describe.each(['exact', 'lazy'] as const)('%s', (sparseUpdate) => {
    it.each(cases)('$id', (golden) => {
      const test = lower(golden, sparseUpdate)
      const current = new NetworkRun(test, place)
      run = current
      const check = checker(golden, place)
      const weights = weightsOf(test.network, configOf(golden))
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
    // A float32's 0.1 is what an accumulator starts from.
    const accumulates = optimizerOf(golden).initial_accumulator_value !== undefined
    const least = accumulates || Array.from(want).every((value) => value === 0) ? 1e-6 : 0
    const limit = Math.max(least, place.tolerance(f32[part]))
    expect(relativeError(got, want), name).toBeLessThan(limit)
  }
}

function lower(golden: GoldenCase, sparseUpdate: 'exact' | 'lazy'): TestNetwork {
  const config = configOf(golden)
  const model = models[modelOf[config.model]] as unknown as ModelDefinition<object>
  const options = model.parse({
    ...ownOptions(config),
    towerHiddenUnits: config.tower_hidden,
    activation: { expert: config.activation },
    l2: { kernel: config.l2_kernel, embedding: config.l2_embedding },
    lossReduction: 'batch',
    sparseUpdate,
  })
  const tasks = config.task_weight.map((weight, task) => ({
    kind: config.types[task] ?? 'binary',
    name: `${task}`,
    weight,
    rowWeights: false,
  }))
  const network = model.lower(options, { features: featuresOf(golden), tasks })
  return testNetwork(network, tasks, options, ruleOf(optimizerOf(golden)))
}

function ownOptions(config: Config): object {
  const experts = { expertHiddenUnits: config.expert_hidden, gateBias: config.gate_bias }
  const counts = { numSpecificExperts: config.n_specific, numSharedExperts: config.n_shared }
  switch (config.model) {
    case 'mmoe':
      return { ...experts, numExperts: config.n_expert }
    case 'cgc':
      return { ...experts, ...counts }
    case 'ple':
      return { ...experts, ...counts, numLevels: config.n_level }
    case 'shared_bottom':
      return { bottomHiddenUnits: config.bottom_hidden }
    case 'esmm':
      return {}
  }
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

function ruleOf(golden: Optimizer): OptimizerRule {
  const options = Object.entries(golden).map(([name, value]) => [optionOf[name] ?? name, value] as const)
  // FTRL has one form only.
  return parseOptimizer(Object.fromEntries(options.filter(([name]) => golden.name !== 'ftrl' || name !== 'form')))
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

/** Every tensor and table of ours, slice by slice, and what golden calls it. */
function weightsOf({ parameters, tables }: Network, config: Config): Weight[] {
  const tensors = parameters.tensors.flatMap(({ name, shape }): Weight[] => {
    const [, level = '', rest = ''] = /^(level\.\d+\.)?(.*)$/.exec(name) ?? []
    const prefix = config.n_level === undefined ? '' : level || 'level.0.'
    const part = name.endsWith('.kernel') ? 'kernel' : 'bias'
    const gate = /^gate\.(\w+)\./.exec(rest)?.[1]
    if (gate !== undefined) return [{ golden: `${prefix}${gate === 'shared' ? 'gate_shared' : `gate.${gate}`}.0.${part}`, name }]
    const expert = /^expert\.(?:(\d+)\.)?(?:kernel|bias)$/.exec(rest)
    if (expert === null) return [{ golden: name, name }]
    const experts = expertNames(config).filter(({ owner }) => expert[1] === undefined || owner === Number(expert[1]))
    expect(experts).toHaveLength(shape[0] ?? 0)
    return experts.map((own, index) => ({ golden: `${prefix}${own.name}.0.${part}`, name, index }))
  })
  return [...tensors, ...tables.map(({ name }) => ({ golden: `emb.${name}`, name: `table:${name}` }))]
}

/** Golden's experts in our order, and whose they are: a task's number, or of all tasks the number after. */
function expertNames({ n_expert, n_shared, n_specific }: Config): { name: string; owner: number }[] {
  if (n_expert !== undefined) return range(n_expert).map((expert) => ({ name: `expert.${expert}`, owner: 0 }))
  const shared = range(n_shared).map((expert) => ({ name: `shared.${expert}`, owner: n_specific.length }))
  const specific = n_specific.flatMap((count, task) => {
    return range(count).map((own) => ({ name: `specific.${task}.${own}`, owner: task }))
  })
  return [...shared, ...specific]
}

/** Losses before every update, as golden counts them. */
function trainAll(network: NetworkRun, golden: GoldenCase, after: (step: number) => void): { tasks: number[]; total: number }[] {
  const weights = configOf(golden).task_weight
  return range(golden.entry.steps as number).map((step) => {
    const { scalars } = network.train(rowsOf(golden), { learningRate: Number(optimizerOf(golden).lr), step: step + 1 })
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
  const { model, types } = configOf(golden)
  const logits = [0, 1].map((task) => golden.f64('out/logits_final').filter((_, index) => index % 2 === task))
  const sigmoid = (logit: number): number => 1 / (1 + Math.exp(-logit))
  for (const task of [0, 1]) {
    const own = logits[task] ?? new Float64Array(0)
    // Of a funnel's second task: the product.
    const before = (row: number): number => (model === 'esmm' && task === 1 ? sigmoid(logits[0]?.[row] ?? NaN) : 1)
    const want = types[task] === 'regression' ? own : own.map((logit, row) => sigmoid(logit) * before(row))
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
