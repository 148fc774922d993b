// Every golden layer (deep experts and gates, several levels, fusion) through the bodies of the models.

import { describe, expect, it } from 'vitest'
import type { Activation } from '../../lib/core/activation.js'
import { type FusionOption, fusionParts } from '../../lib/core/fusion.js'
import type { Layout, Tensor } from '../../lib/core/layout.js'
import { topology } from '../../lib/core/topology.js'
import { cgc } from '../../lib/models/cgc.js'
import type { ModelDefinition } from '../../lib/models/definition.js'
import { layerOptions, levelBody, levelsBody } from '../../lib/models/experts.js'
import type { Body } from '../../lib/models/lowering.js'
import { mmoe } from '../../lib/models/mmoe.js'
import { omoe } from '../../lib/models/omoe.js'
import { ple } from '../../lib/models/ple.js'
import { runBody } from '../support/body-run.js'
import { goldenCount, relativeError } from '../support/golden.js'
import { goldenCases } from '../support/golden-cases.js'
import { bfloat16Places, places } from '../support/places.js'

interface Config {
  readonly activation: Activation
  readonly gate_bias: boolean
  readonly gate_hidden: readonly number[]
  readonly expert_hidden: readonly number[]
  readonly n_task: number
  readonly n_expert?: number
  readonly single_gate?: boolean
  readonly n_specific: readonly number[]
  readonly n_shared: number
  readonly n_level?: number
  readonly fusion?: string
}

const cases = [...goldenCases('mmoe'), ...goldenCases('cgc'), ...goldenCases('ple')]

it('covers every layer', () => {
  expect(cases).toHaveLength(goldenCount(44, 9))
})

describe.each([...places, ...bfloat16Places])('on $name', (place) => {
  it.each(cases)('$id', (golden) => {
    const config = golden.entry.config as Config
    const tasks = range(config.n_task)
    const result = runBody({
      place,
      rows: golden.entry.B as number,
      x: golden.f32('in/x'),
      upstream: tasks.map((task) => golden.f32(`up/task.${task}`)),
      build: (layout, inputDim) => bodyOf(config, layout, inputDim),
      weights: (tensor) => gather(tensor, (name) => golden.f32(`w/${name}`), config),
    })
    const f32 = golden.entry.f32_torch_rel as { readonly out: number; readonly grad: number }
    const close = (name: string, got: ArrayLike<number>, want: ArrayLike<number>, part: 'forward' | 'gradient'): void => {
      // A rounded sum may fall to the other side of a relu's kink.
      if (part === 'gradient' && place.precision === 'bfloat16' && config.activation === 'relu') return
      const missed = part === 'forward' ? f32.out : f32.grad
      const limit = Array.from(want).every((value) => value === 0) ? 1e-6 : place.tolerance(missed, part)
      expect(relativeError(got, want), name).toBeLessThan(limit)
    }
    for (const task of tasks) close(`task ${task}`, result.outputs[task] ?? [], golden.f64(`out/task.${task}`), 'forward')
    close('dx', result.dx, golden.f64('g/x'), 'gradient')
    for (const [name, got] of result.gradients) {
      forEachSlice(name, got.length, config, (theirs, from, to) => {
        close(theirs, got.subarray(from, to), golden.f64(`g/${theirs}`), 'gradient')
      })
    }
  })
})

function bodyOf(config: Config, layout: Layout, inputDim: number): Body {
  const numTasks = config.n_task
  const tasks = range(numTasks).map((task) => ({ kind: 'binary' as const, name: `${task}`, weight: 1, rowWeights: false }))
  const common = {
    expertHiddenUnits: config.expert_hidden,
    gateHiddenUnits: config.gate_hidden,
    gateBias: config.gate_bias,
    activation: config.activation,
  }
  const counts = { numSharedExperts: config.n_shared, numSpecificExperts: config.n_specific }
  const fusion = (config.fusion?.split('+') ?? 'none') as FusionOption
  const size = { inputDim, numTasks }
  if (config.n_level !== undefined && config.n_level > 1) {
    const options = ple.parse({ ...common, ...counts, numLevels: config.n_level, fusion })
    const levels = topology.ple({ ...size, ...counts, numLevels: config.n_level, fusion, ...layerOptions(options) })
    return levelsBody({ layout, options, inputDim, featureWidths: new Map(), tasks }, levels, fusionParts(fusion))
  }
  if (config.n_level === 1) {
    const options = cgc.parse({ ...common, ...counts })
    return levelBody(
      { layout, options, inputDim, featureWidths: new Map(), tasks },
      topology.cgc({ ...size, ...counts, ...layerOptions(options) }),
    )
  }
  const numExperts = config.n_expert ?? 0
  const [definition, make] = config.single_gate ? [omoe, topology.omoe] : [mmoe, topology.mmoe]
  const options = (definition as ModelDefinition<object, ReturnType<typeof mmoe.parse>>).parse({ ...common, numExperts })
  return levelBody(
    { layout, options, inputDim, featureWidths: new Map(), tasks },
    make({ ...size, numExperts, ...layerOptions(options) }),
  )
}

/** Calls with golden's name of each slice of a tensor of ours. */
function forEachSlice(
  name: string,
  length: number,
  config: Config,
  visit: (theirs: string, from: number, to: number) => void,
): void {
  const [, level = '', rest = ''] = /^(level\.\d+\.)?(.*)$/.exec(name) ?? []
  const prefix = config.n_level === undefined ? '' : level || 'level.0.'
  const part = rest.endsWith('.kernel') ? 'kernel' : 'bias'
  const gate = /^gate\.(\w+)\.(?:hidden\.(\d+)\.)?(?:kernel|bias)$/.exec(rest)
  if (gate !== null) {
    const theirs = gate[1] === 'shared' ? 'gate_shared' : `gate.${gate[1]}`
    visit(`${prefix}${theirs}.${gate[2] ?? config.gate_hidden.length}.${part}`, 0, length)
    return
  }
  const [, hidden, stream] = /^expert\.(?:hidden\.(\d+)\.)?(?:(\d+)\.)?(?:kernel|bias)$/.exec(rest) ?? []
  const experts = expertNames(config).filter(({ owner }) => stream === undefined || owner === Number(stream))
  const size = length / experts.length
  const layer = hidden ?? config.expert_hidden.length - 1
  experts.forEach(({ name: expert }, index) => visit(`${prefix}${expert}.${layer}.${part}`, index * size, (index + 1) * size))
}

function gather(tensor: Tensor, read: (name: string) => Float32Array, config: Config): Float32Array {
  const length = tensor.shape.reduce((product, size) => product * size, 1)
  const values = new Float32Array(length)
  forEachSlice(tensor.name, length, config, (theirs, from) => values.set(read(theirs), from))
  return values
}

/** Golden's experts in our order, and whose they are: a task's number, or of all tasks the number after. */
function expertNames(config: Config): { name: string; owner: number }[] {
  if (config.n_expert !== undefined) return range(config.n_expert).map((expert) => ({ name: `expert.${expert}`, owner: 0 }))
  const shared = range(config.n_shared).map((expert) => ({ name: `shared.${expert}`, owner: config.n_task }))
  const specific = config.n_specific.flatMap((count, task) => {
    return range(count).map((own) => ({ name: `specific.${task}.${own}`, owner: task }))
  })
  return [...shared, ...specific]
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
