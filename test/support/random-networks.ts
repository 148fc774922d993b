// Random models of every kind with unusual options and tasks, each with a batch of rows.

import type { Table, Tensor } from '../../lib/core/layout.js'
import { temperatureAfter } from '../../lib/core/temperature.js'
import type { ModelDefinition } from '../../lib/models/definition.js'
import type { LoweringTarget } from '../../lib/models/lowering.js'
import type { LoweredProgram, Network, NetworkTask, RepresentationGradients, TaskGradients } from '../../lib/models/network.js'
import { type ModelName, models } from '../../lib/models/registry.js'
import { type Optimizer, parseOptimizer } from '../../lib/optimizers/optimizer.js'
import type { ValueHead } from '../../lib/tasks/kind.js'
import { randomArray, randomOf } from '../../lib/verify/numbers.js'
import type { NetworkRun, Rows } from './network-run.js'
import { type TestNetwork, testNetwork } from './train-program.js'

export interface RandomNetwork extends TestNetwork {
  readonly name: string
  readonly taskGradients: TaskGradients
  readonly representation: RepresentationGradients
  readonly losses: LoweredProgram
  readonly rows: Rows
}

export interface RandomNetworkOptions {
  readonly model: ModelName
  readonly rows: number
  /** The largest width and number of experts. */
  readonly size: number
  readonly activations: readonly string[]
  readonly optimizer: Optimizer['name'] | (Partial<Optimizer> & { readonly name: Optimizer['name'] })
  /** Replaces drawn options. */
  readonly options?: object
  /** Whether tasks have losses of other kinds, and bounds. */
  readonly heads?: boolean
}

export const modelNames = Object.keys(models) as ModelName[]

/** Heads of regression tasks whose losses have no kink. */
const valueHeads: readonly ValueHead[] = [
  { form: 'number', loss: 'logCosh', parameter: 0, link: 'identity', scale: 2, offset: 1 },
  { form: 'number', loss: 'poisson', parameter: 0, link: 'exp', scale: 1, offset: 0 },
  { form: 'number', loss: 'tweedie', parameter: 1.5, link: 'exp', scale: 1, offset: 0 },
  { form: 'odds' },
  { form: 'ziln' },
  { form: 'buckets', steps: [1, 2, 3], unit: 1, first: 0 },
]

/** The tasks with losses of other kinds, one after another from this number on, and bounds among binary tasks. */
function withHeads(tasks: readonly NetworkTask[], number: number): NetworkTask[] {
  return tasks.map((task, index) => {
    const bound = tasks.find(({ kind, name }) => kind === 'binary' && name !== task.name)
    const value = valueHeads[(number + index) % valueHeads.length]
    if (task.kind === 'regression') return { ...task, value }
    return task.kind === 'binary' ? { ...task, gamma: index, ...(bound && { atMost: { task: bound.name, weight: 1.5 } }) } : task
  })
}

/** What gates read, in two of three networks. The dense feature may be absent, so no list has it. */
function gateFeaturesOf(seed: number, model: ModelName): object {
  if (seed % 3 === 0) return {}
  if (seed % 3 === 1) return { gateFeatures: seed % 2 === 0 ? ['user'] : ['tags', 'user'] }
  return { gateFeatures: model === 'OMoE' ? ['tags'] : { t0: ['tags'] } }
}

/** Gates with noise or a temperature that the weights hold, for two seeds of five. */
function gateSteeringOf(seed: number): object {
  const schedule = { schedule: 'linear', start: 2, epochs: 3 }
  return [{}, {}, { gateNoise: 0.3, gateDropout: 0.4 }, { gateTemperature: schedule, gateNoise: 0.2 }, {}][seed % 5] ?? {}
}

function isTemperature(weights: Tensor | Table): boolean {
  return 'temperature' in weights && weights.temperature !== undefined
}

export function randomNetwork(
  seed: number,
  { model, rows, size, activations, optimizer, options, heads = false }: RandomNetworkOptions,
): RandomNetwork {
  const random = randomOf(seed)
  const upTo = (most: number): number => 1 + Math.floor(random() * most)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const widths = (least: number): number[] => Array.from({ length: least + Math.floor(random() * 2) }, () => upTo(size))
  const numTasks = model === 'SingleTask' ? 1 : model === 'ESMM' ? upTo(2) + 1 : upTo(3)
  const plain = Array.from({ length: numTasks }, (_, index): NetworkTask => {
    const kind = model === 'ESMM' ? 'binary' : pick(['binary', 'regression', 'multiclass'] as const)
    const common = { name: `t${index}`, weight: pick([1, 0.3]), rowWeights: random() < 0.5 }
    return kind === 'multiclass' ? { kind, ...common, classes: 2 + upTo(3) } : { kind, ...common }
  })
  const tasks = heads ? withHeads(plain, seed) : plain

  const experts = {
    expertHiddenUnits: widths(1),
    gateHiddenUnits: widths(0),
    gateBias: random() < 0.5,
    gateTemperature: pick([1, 0.5, 2]),
  }
  const numSharedExperts = upTo(size) - 1
  const specific = (): number => upTo(3) - (numSharedExperts > 0 ? 1 : 0)
  const counts = { numSharedExperts, numSpecificExperts: random() < 0.5 ? tasks.map(specific) : upTo(3) }
  const own = {
    MMoE: { ...experts, numExperts: upTo(size) },
    OMoE: { ...experts, numExperts: upTo(size) },
    CGC: { ...experts, ...counts },
    PLE: { ...experts, ...counts, numLevels: upTo(3), fusion: pick(['none', 'sum', 'product', 'concat', ['sum', 'product']]) },
    SharedBottom: { bottomHiddenUnits: widths(1) },
    SingleTask: { bottomHiddenUnits: widths(0) },
    ESMM: { bottomHiddenUnits: widths(0) },
  }[model]
  const drawn = {
    ...own,
    towerHiddenUnits: widths(0),
    activation: pick(activations),
    l1: random() < 0.3 ? { kernel: 0.01, embedding: 0.02 } : {},
    l2: random() < 0.5 ? { kernel: 0.02, tower: 0.05, embedding: 0.03 } : {},
    lossReduction: pick(['valid', 'batch', 'weighted']),
    dropout: random() < 0.3 ? 0.3 : 0,
    sparseUpdate: 'exact',
    seed,
    ...('gateHiddenUnits' in own && { ...gateFeaturesOf(seed, model), ...gateSteeringOf(seed) }),
    ...options,
  }
  const definition = models[model] as unknown as ModelDefinition<object>
  const parsed = definition.parse(drawn)
  const target = {
    features: [
      { kind: 'sparse', name: 'user', rows: 7, dim: upTo(size) },
      { kind: 'sequence', name: 'tags', rows: 5, dim: upTo(size), length: 3, combiner: pick(['mean', 'sum']) },
      ...(random() < 0.8 ? [{ kind: 'dense' as const, name: 'dense', width: upTo(size) }] : []),
    ],
    tasks,
    isFrozen: isTemperature,
  } satisfies LoweringTarget
  const network = definition.lower(parsed, target)
  const made = testNetwork(network, tasks, parsed, parseOptimizer(optimizer))
  return {
    name: `${seed}: ${model} ${JSON.stringify(drawn)}`,
    ...made,
    taskGradients: definition.lowerTaskGradients(parsed, target),
    representation: definition.lowerRepresentation(parsed, target),
    losses: definition.lowerLosses(parsed, target),
    rows: randomRows(network, tasks, rows, random),
  }
}

function randomRows(network: Network, tasks: readonly NetworkTask[], rows: number, random: () => number): Rows {
  const below = (most: number): number => Math.floor(random() * most)
  const columns: Record<string, Float32Array | Int32Array> = {
    user: Int32Array.from({ length: rows }, () => below(7)),
    tags: Int32Array.from({ length: rows * 3 }, () => below(5)),
  }
  const { rowInputs, spec } = network.rows
  const inputs = spec.buffers.filter((buffer) => buffer.class === 'rowInput')
  rowInputs.forEach((name, index) => {
    if (name === 'dense') columns[name] = randomArray(random, rows * (inputs[index]?.width ?? 0))
  })
  for (const { name, kind, classes = 2, rowWeights, value } of tasks) {
    const label = (): number => {
      if (value !== undefined) return below(value.form === 'odds' ? 2 : 4)
      return kind === 'regression' ? 2 * random() - 1 : below(classes)
    }
    columns[`label:${name}`] = Float32Array.from({ length: rows }, () => (random() < 0.15 ? NaN : label()))
    if (rowWeights) columns[`weight:${name}`] = Float32Array.from({ length: rows }, () => 2 * random())
  }
  return columns
}

/** Draws every tensor from its own stream, as training does. */
export function initialize(run: NetworkRun): void {
  for (const { name, initializer, streams, temperature, shape } of run.network.parameters.tensors) {
    if (temperature === undefined) run.initialize(name, initializer, streams)
    else run.write(name, diagonal(shape[0] ?? 0, 1 / temperatureAfter(temperature, 0)))
  }
  for (const table of run.network.tables) run.initialize(`table:${table.name}`, table.initializer, [table.stream])
}

function diagonal(size: number, value: number): Float32Array {
  return Float32Array.from({ length: size * size }, (_, index) => (index % (size + 1) === 0 ? value : 0))
}

/** The names of everything that is trained. */
export function trained({ parameters, tables }: Network): string[] {
  const tensors = parameters.tensors.filter((tensor) => !isTemperature(tensor))
  return [...tensors.map(({ name }) => name), ...tables.map(({ name }) => `table:${name}`)]
}
