// Golden cases of one mixture level as arguments and results of the ops.

import { type Activation, type MixtureParameters, type Topology, topology } from '../../lib/ops.js'
import { type GoldenCase, goldenCases } from './golden-cases.js'

export interface GoldenMixture {
  readonly id: string
  readonly topology: Topology
  readonly params: PlainParameters
  readonly x: Float32Array
  readonly upstream: Float32Array[]
  readonly expected: {
    readonly outputs: Float64Array[]
    readonly gates: Float64Array[]
    readonly dx: Float64Array
    readonly dparams: PlainParameters<Float64Array>
  }
  /** The float32 error of another library. */
  readonly f32: { readonly out: number; readonly grad: number }
}

/** Parameters of a level of one stream. */
export interface PlainParameters<A extends Float32Array | Float64Array = Float32Array> extends MixtureParameters {
  readonly expertKernel: A
  readonly expertBias: A
  readonly gateKernel: readonly A[]
  readonly gateBias?: readonly A[]
}

interface Config {
  readonly activation: Activation
  readonly gate_bias: boolean
  readonly gate_hidden: readonly number[]
  readonly expert_hidden: readonly number[]
  readonly n_task: number
  readonly n_expert?: number
  readonly single_gate?: boolean
  readonly n_specific?: readonly number[]
  readonly n_shared?: number
}

/** Every case of one level with one-layer experts and gates without hidden layers. */
export function goldenMixtures(): GoldenMixture[] {
  return [...goldenCases('mmoe'), ...goldenCases('cgc')].filter(isPlain).map(mixtureOf)
}

function configOf(golden: GoldenCase): Config {
  return golden.entry.config as Config
}

function isPlain(golden: GoldenCase): boolean {
  const { expert_hidden, gate_hidden } = configOf(golden)
  return expert_hidden.length === 1 && gate_hidden.length === 0
}

function mixtureOf(golden: GoldenCase): GoldenMixture {
  const config = configOf(golden)
  const tasks = range(config.n_task)
  const gates = range(config.single_gate === true ? 1 : config.n_task)
  const prefix = config.n_specific === undefined ? '' : 'level.0.'
  const experts = expertNames(config).map((name) => `${prefix}${name}.0`)
  const gateNames = gates.map((gate) => `${prefix}gate.${gate}`)
  return {
    id: golden.entry.id,
    topology: topologyOf(config, golden.entry.D as number),
    params: parametersOf('w/', experts, gateNames, config.gate_bias, (name) => golden.f32(name), Float32Array),
    x: golden.f32('in/x'),
    upstream: tasks.map((task) => golden.f32(`up/task.${task}`)),
    expected: {
      outputs: tasks.map((task) => golden.f64(`out/task.${task}`)),
      gates: gateNames.map((name) => golden.f64(`out/${name}`)),
      dx: golden.f64('g/x'),
      dparams: parametersOf('g/', experts, gateNames, config.gate_bias, (name) => golden.f64(name), Float64Array),
    },
    f32: golden.entry.f32_torch_rel as GoldenMixture['f32'],
  }
}

function topologyOf(config: Config, inputDim: number): Topology {
  const [units = 0] = config.expert_hidden
  const base = { inputDim, units, numTasks: config.n_task, activation: config.activation, gateBias: config.gate_bias }
  if (config.n_specific !== undefined) {
    return topology.cgc({ ...base, numSpecificExperts: config.n_specific, numSharedExperts: config.n_shared ?? 0 })
  }
  const numExperts = config.n_expert ?? 0
  return config.single_gate === true ? topology.omoe({ ...base, numExperts }) : topology.mmoe({ ...base, numExperts })
}

/** Golden names in the order of our experts: shared first, then specific, task by task. */
function expertNames(config: Config): string[] {
  if (config.n_specific === undefined) return range(config.n_expert ?? 0).map((expert) => `expert.${expert}`)
  const shared = range(config.n_shared ?? 0).map((expert) => `shared.${expert}`)
  return [...shared, ...config.n_specific.flatMap((count, task) => range(count).map((own) => `specific.${task}.${own}`))]
}

function parametersOf<A extends Float32Array | Float64Array>(
  prefix: string,
  experts: readonly string[],
  gates: readonly string[],
  gateBias: boolean,
  read: (name: string) => A,
  ArrayOf: new (values: number[]) => A,
): PlainParameters<A> {
  const stacked = (part: string): A => new ArrayOf(experts.flatMap((name) => [...read(`${prefix}${name}.${part}`)]))
  return {
    expertKernel: stacked('kernel'),
    expertBias: stacked('bias'),
    gateKernel: gates.map((name) => read(`${prefix}${name}.0.kernel`)),
    ...(gateBias && { gateBias: gates.map((name) => read(`${prefix}${name}.0.bias`)) }),
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
