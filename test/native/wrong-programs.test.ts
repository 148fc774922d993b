// Wrong programs: each is refused with ERR_MULTIGATE_PROGRAM and a text that names op, field, found and expected. Kernels check
// nothing, so what is missing here would be an access out of bounds there.
import { describe, expect, it } from 'vitest'

import type { ProgramSpec } from '../../lib/native/binding.js'
import {
  anything,
  binding,
  boundPlan,
  denseProgram,
  expectCode,
  mixtureProgram,
  requestFor,
  trainingProgram,
  view,
  withOp,
} from './programs.js'

const withBuffer = (program: ProgramSpec, number: number, fields: Record<string, unknown>): ProgramSpec => ({
  ...program,
  buffers: program.buffers.map((buffer, index) => (index === number ? anything({ ...buffer, ...fields }) : buffer)),
})
const dense = (fields: Record<string, unknown>): ProgramSpec => withOp(denseProgram(), 1, fields)
const mixture = (fields: Record<string, unknown>): ProgramSpec => withOp(mixtureProgram(), 1, fields)
const training = (number: number, fields: Record<string, unknown>): ProgramSpec => withOp(trainingProgram(), number, fields)

/** Losses in the place of the binary one. */
const regression = { op: 'regression_loss', prediction: view(4, 0, 1), dprediction: view(5, 0, 1), kind: 0, parameter: 0 }
const lognormal = { op: 'ziln_loss', dlogits: view(5, 0, 1) }
const order = { op: 'order_loss', logits: [view(4, 0, 1), view(3, 0, 1)], dlogits: [], accumulate: [], factor: 1 }
const steps = { op: 'ordinal_predict', logits: view(1, 0, 3), unit: 1, offset: 0 }
/** A prediction in the place of the dense layer, which writes its `y`. */
const withPredict = (fields: Record<string, unknown>): ProgramSpec => dense({ y: view(3, 0, 1), ...fields })

/** The mixture keeps its experts for a backward op: two more buffers (7 kept, 8 an activation as wide), and what else is to change. */
const keeping = (fields: Record<string, unknown> = {}, kept: Record<string, unknown> = {}): ProgramSpec => {
  const program = mixture({ experts: view(7, 0, 4), ...fields })
  const activation = { class: 'activation', dtype: 'f32', width: 4, count: 0 } as const
  return { ...program, buffers: [...program.buffers, anything({ ...activation, ...kept }), activation] }
}
const withCopy = (program: ProgramSpec, before: number, x: unknown, y: unknown): ProgramSpec => ({
  ...program,
  ops: program.ops.toSpliced(before, 0, anything({ op: 'copy_columns', x, y })),
})
const twice = (program: ProgramSpec, number: number): ProgramSpec => ({
  ...program,
  ops: program.ops.toSpliced(number, 0, program.ops[number] ?? anything(undefined)),
})

/** The ids are lists with these combiners. */
const list = (length: number, { gather, update }: { readonly gather: number; readonly update: number }): ProgramSpec => {
  const ids = view(0, 0, length)
  const program = withOp(trainingProgram(), 0, { ids, combiner: gather })
  return withBuffer(withOp(program, 7, { ids: [ids], combiners: [update] }), 0, { width: length })
}
/** A fusion of two columns whose gradient has `width` columns. */
const fusion = (width: number): ProgramSpec => {
  const { buffers, ...program } = denseProgram()
  const [inputs, dinputs] = [[view(1, 0, 2)], [view(4, 0, width)]]
  const op = anything<ProgramSpec['ops'][number]>({
    op: 'fusion_backward',
    inputs,
    dy: view(1, 1, 2),
    dinputs,
    accumulate: [0],
    kind: 1,
  })
  return {
    ...program,
    buffers: [...buffers, { class: 'activation', dtype: 'f32', width: 3, count: 0 }],
    ops: [...program.ops, op],
  }
}

/** name, program, parts of the text */
const wrongPrograms: readonly (readonly [name: string, program: unknown, ...parts: string[]])[] = [
  ['nothing', undefined, 'program', 'undefined'],
  ['a number', 3, 'program', '3'],
  ['no buffers', { ...denseProgram(), buffers: [] }, '0'],
  ['no ops', { ...denseProgram(), ops: [] }, '0'],
  ['buffers missing', { ...denseProgram(), buffers: undefined }, 'program.buffers', 'undefined', 'an array'],
  ['ops a proxy of an array', { ...denseProgram(), ops: new Proxy([], {}) }, 'program.ops'],
  [
    'a huge sparse list',
    mixture({ expertStream: anything(Object.assign([], { length: 2 ** 32 - 1 })) }),
    'expertStream',
    '4294967295',
  ],
  ['too many scalars', { ...denseProgram(), scalarInputs: 2 ** 40 }, 'scalarInputs', '1099511627776'],
  ['negative scalars', { ...denseProgram(), scalarOutputs: -1 }, 'scalarOutputs', '-1'],
  ['an unknown class', withBuffer(denseProgram(), 0, { class: 'heap' }), 'program.buffers[0].class', "'heap'", "'rowInput'"],
  ['an i32 parameter', withBuffer(denseProgram(), 2, { dtype: 'i32' }), 'buffer 2', 'dtype'],
  ['a wide row', withBuffer(denseProgram(), 0, { width: 2 ** 24 + 1 }), 'buffer 0', 'width', '16777217'],
  ['no width', withBuffer(denseProgram(), 0, { width: 0 }), 'width', '0'],
  ['a fractional width', withBuffer(denseProgram(), 0, { width: 1.5 }), 'width', '1.5', 'integer'],
  ['a BigInt width', withBuffer(denseProgram(), 0, { width: 3n }), 'width', 'BigInt'],
  ['a NaN count', withBuffer(denseProgram(), 2, { count: NaN }), 'count', 'NaN'],
  ['a huge count', withBuffer(denseProgram(), 2, { count: 1e18 }), 'count'],
  ['a table of too many rows', withBuffer(trainingProgram(), 9, { count: 2 ** 32 }), 'buffer 9', 'count'],
  ['a counted row buffer', withBuffer(denseProgram(), 1, { count: 7 }), 'count', '7'],
  ['two parameter buffers', withBuffer(trainingProgram(), 8, { class: 'parameter' }), 'parameter'],
  ['a short gradient', withBuffer(trainingProgram(), 8, { count: 3 }), 'buffer 8', '3', '4'],

  ['an unknown op', dense({ op: 'dense_sideways' }), 'program.ops[1].op', "'dense_sideways'"],
  ['an op that is a symbol', dense({ op: Symbol('op') }), 'program.ops[1].op', 'a symbol'],
  ['a missing field', dense({ kernel: undefined }), 'program.ops[1].kernel', 'undefined', 'null'],
  ['a view of no buffer', dense({ x: view(99, 0, 3) }), 'op 1 (dense_forward)', 'x', '99'],
  ['a negative buffer', dense({ x: view(-1, 0, 3) }), 'program.ops[1].x.buffer', '-1'],
  ['a view past the end', dense({ kernel: view(2, 3, 6) }), 'kernel', '[3, 3 + 6)', '[0, 8)'],
  ['a negative offset', dense({ kernel: view(2, -1, 6) }), 'kernel', '-1'],
  ['a huge offset', dense({ kernel: view(2, Number.MAX_SAFE_INTEGER, 6) }), 'kernel', '9007199254740991'],
  ['an infinite width', dense({ kernel: view(2, 0, Infinity) }), 'kernel.width', 'inf'],
  ['a short kernel', dense({ kernel: view(2, 0, 5) }), 'op 1 (dense_forward)', 'kernel', '5', '6'],
  ['a long bias', dense({ bias: view(2, 0, 3) }), 'bias', '3', '2'],
  ['an absent required view', dense({ x: null }), 'x', 'absent'],
  ['a kernel of an activation', dense({ kernel: view(1, 0, 3) }), 'kernel', 'activation', 'parameter'],
  ['x of parameters', dense({ x: view(2, 0, 3) }), 'x', 'parameter', 'activation'],
  ['y into a row input', dense({ y: view(0, 0, 2) }), 'y', 'rowInput'],
  ['y into parameters', dense({ y: view(2, 0, 2) }), 'y', 'parameter'],
  ['y over x', dense({ y: view(1, 0, 2) }), 'overlap'],
  ['an unknown activation', dense({ activation: 6 }), 'activation', '6', '[0, 5]'],
  ['a fractional activation', dense({ activation: 0.5 }), 'activation', '0.5'],
  ['an activation read before it is written', { ...denseProgram(), ops: denseProgram().ops.slice(1) }, 'x', 'read'],
  ['columns read before they are written', withOp(denseProgram(), 0, { x: view(0, 0, 2), y: view(1, 0, 2) }), 'x', 'read'],

  ['an expert on no stream', mixture({ expertStream: [0, 1] }), 'expertStream[1]', '1', '[0, 0]'],
  ['offsets that fall', mixture({ gateOffset: [0, 3, 2] }), 'gateOffset'],
  ['offsets past the end', mixture({ gateOffset: [0, 2, 4] }), 'gateOffset[2]', '4'],
  ['a first offset', mixture({ gateOffset: [1, 2, 3] }), 'gateOffset[0]', '1'],
  ['too few offsets', mixture({ gateOffset: [0, 3] }), 'gateOffset', '2', '3'],
  ['offsets that end early', mixture({ gateExpert: [0, 1, 1, 0] }), 'gateOffset[2]', '3', '4'],
  ['a gate that sees none', mixture({ gateOffset: [0, 3, 3] }), 'gateOffset[2]', '3', '4'],
  ['a gate that sees an unknown expert', mixture({ gateExpert: [0, 2, 1] }), 'gateExpert[1]', '2'],
  ['a gate that sees one twice', mixture({ gateExpert: [1, 1, 1] }), 'gateExpert[1]', 'twice'],
  ['a short expert kernel', mixture({ expertKernel: [view(1, 0, 7)] }), 'expertKernel[0]', '7', '8'],
  ['no expert kernels', mixture({ expertKernel: [] }), 'expertKernel', '0', '1'],
  ['an absent expert kernel', mixture({ expertKernel: [null] }), 'expertKernel[0]', 'absent'],
  ['no expert bias', mixture({ expertBias: null }), 'expertBias', 'absent'],
  ['a wrong gate kernel', mixture({ gateKernel: [view(1, 12, 4), view(1, 16, 3)] }), 'gateKernel[1]', '3', '2'],
  ['half the gate biases', mixture({ gateBias: [view(1, 18, 2)] }), 'gateBias', '1', '2'],
  ['no outputs', mixture({ outputs: [] }), 'outputs', '0', '2'],
  ['outputs over each other', mixture({ outputs: [view(2, 0, 2), view(2, 0, 2)] }), 'outputs[1]', 'overlap'],
  ['narrow gates', mixture({ gates: view(6, 0, 2) }), 'gates', '2', '3'],
  ['no units', mixture({ units: 0 }), 'units', '0'],
  ['units whose product overflows', mixture({ units: 2 ** 24 }), 'expertKernel'],
  ['pre without experts', mixture({ pre: view(6, 0, 3) }), 'pre'],
  ['no streams', mixture({ streams: [] }), 'streams', 'empty'],
  ['a temperature below float32', mixture({ temperature: 1e-39 }), 'temperature', '1e-39'],
  [
    'a copy out of experts',
    withCopy(keeping(), 2, view(7, 0, 4), view(8, 0, 4)),
    'op 2',
    'x',
    'buffer 7',
    'op 1 (mixture_forward)',
  ],
  [
    'a copy into experts',
    withCopy(keeping(), 2, view(0, 0, 2), view(7, 1, 2)),
    'op 2',
    'y',
    'buffer 7',
    'op 1 (mixture_forward)',
  ],
  [
    'experts that an op has used',
    withCopy(keeping(), 1, view(0, 0, 2), view(7, 0, 2)),
    'experts',
    'buffer 7',
    'op 1 (copy_columns)',
  ],
  ['two mixtures of one experts', twice(keeping(), 1), 'op 2 (mixture_forward)', 'experts', 'buffer 7'],
  ['experts in a row output', keeping({}, { class: 'rowOutput' }), 'experts', 'rowOutput', 'activation'],
  ['experts that are stored', keeping({}, { class: 'stored' }), 'experts', 'stored', 'activation'],
  ['experts within a buffer', keeping({}, { width: 5 }), 'experts', 'the whole buffer, width 5'],
  ['experts and pre in one', keeping({ pre: view(7, 0, 4) }), 'pre', 'buffer 7'],

  ['ids of floats', training(0, { ids: view(1, 0, 1) }), 'ids', 'f32', 'i32'],
  ['ids of an activation', training(0, { ids: view(3, 0, 1) }), 'ids', 'activation', 'rowInput'],
  ['floats of ids', training(1, { x: view(0, 0, 1) }), 'x', 'i32'],
  ['half a table', training(0, { table: view(9, 0, 1) }), 'table', 'width 2'],
  ['an unknown combiner', training(0, { combiner: 4 }), 'combiner', '4'],
  ['two ids for one', withBuffer(training(0, { ids: view(0, 0, 2) }), 0, { width: 2 }), 'ids', '2', 'one id per row'],
  ['the columns of one id for a list that is not pooled', list(2, { gather: 3, update: 2 }), 'y', '2', '4'],
  ['the gradient of one id for a list that is not pooled', list(2, { gather: 2, update: 3 }), 'gradients[0]', '2', '4'],
  ['a list that is wider than a row', list(2 ** 23 + 1, { gather: 3, update: 3 }), 'ids', '16777216'],
  ['a label that is no row input', training(3, { label: view(4, 0, 1) }), 'label'],
  ['a loss beyond the scalars', training(3, { loss: 2 }), 'loss', '2', '[0, 2)'],
  ['a denominator beyond the scalars', training(3, { denominator: 4 }), 'denominator', '4'],
  ['no denominator', training(3, { denominator: null }), 'denominator', 'absent'],
  ['a task weight beyond the scalars', training(3, { taskWeight: 4 }), 'taskWeight', '4'],
  ['a negative gamma', training(3, { gamma: -1 }), 'op 3 (binary_loss)', 'gamma', '-1'],
  ['an infinite gamma', training(3, { gamma: Infinity }), 'program.ops[3].gamma', 'inf'],
  ['an unknown regression', training(3, { ...regression, kind: 7 }), 'op 3 (regression_loss)', 'kind', '7', '[0, 6]'],
  ['a huber loss without a delta', training(3, { ...regression, kind: 2 }), 'parameter', '0', '> 0'],
  ['a quantile of 1', training(3, { ...regression, kind: 4, parameter: 1 }), 'parameter', '1', '(0, 1)'],
  ['a power of 2', training(3, { ...regression, kind: 6, parameter: 2 }), 'parameter', '2', '(1, 2)'],
  ['a lognormal of two logits', training(3, { ...lognormal, logits: view(3, 0, 2) }), 'op 3 (ziln_loss)', 'logits', '2', '3'],
  [
    'a short gradient of a lognormal',
    training(3, { ...lognormal, logits: view(3, 0, 3) }),
    'op 3 (ziln_loss)',
    'dlogits',
    '1',
    '3',
  ],
  ['an order of one', training(3, { ...order, logits: [view(4, 0, 1)] }), 'op 3 (order_loss)', 'logits', '1', '2'],
  [
    'an unknown link',
    withPredict({ op: 'regression_predict', prediction: view(1, 0, 1), link: 3, scale: 1, offset: 0 }),
    'link',
    '3',
  ],
  ['a step too many', withPredict({ ...steps, steps: [1, 2, 3, 4] }), 'steps', '4', '3'],
  ['a negative step', withPredict({ ...steps, steps: [1, -2, 3] }), 'steps[1]', '-2'],
  ['a gradient without a task weight', training(3, { taskWeight: null }), 'op 3 (binary_loss)', 'taskWeight', 'absent'],
  ['a task weight that is a number', training(3, { taskWeight: 0.5 }), 'taskWeight', '0.5', 'integer'],
  ['gelu backward without z', training(4, { activation: 4 }), 'op 4 (dense_backward)', 'z', 'absent'],
  ['dx wider than x', withBuffer(training(4, { dx: view(6, 0, 4) }), 6, { width: 4 }), 'dx', '4', '3'],
  ['dinputs wider than an input', fusion(3), 'op 2 (fusion_backward)', 'dinputs[0]', '3', 'at most 2'],
  ['accumulation into nothing', training(4, { accumulate: 1 }), 'dx', 'before'],
  ['backward without a gradient buffer', withBuffer(trainingProgram(), 8, { class: 'state' }), 'gradients', 'class gradient'],
  ['backward into half the gradients', training(4, { gradients: view(8, 0, 3) }), 'op 4', 'gradients', 'all 4'],
  ['half the gradients', training(5, { gradients: view(8, 0, 3) }), 'gradients', 'all 4'],
  ['adam without moments', training(6, { rule: 1 }), 'moment1', 'absent'],
  ['momentum without a moment', training(6, { momentum: 0.9 }), 'moment1', 'absent'],
  ['a moment of parameters', training(6, { moment1: view(7, 0, 4) }), 'moment1', 'state'],
  ['an unknown rule', training(6, { rule: 6 }), 'rule', '6'],
  ['a rule of rows for weights without rows', training(6, { rule: 5 }), 'rule', 'single elements'],
  ['a learning rate beyond the scalars', training(6, { learningRate: 4 }), 'learningRate'],
  ['two updates of one table', twice(trainingProgram(), 7), 'op 8 (embedding_update)', 'table', 'already'],
  ['two optimizers', twice(trainingProgram(), 6), 'op 7 (optimize)', 'parameters', 'already'],
  ['a learning constant beyond float32', training(6, { epsilon: 1e39 }), 'epsilon', '1e+39'],
  [
    'one scalar of two denominators',
    { ...trainingProgram(), denominators: [...trainingProgram().denominators, ...trainingProgram().denominators] },
    'denominator 1',
    'scalar',
  ],
  ['gradients that are not stored', training(7, { gradients: [view(3, 0, 2)] }), 'gradients[0]', 'stored'],
  ['fewer combiners than ids', training(7, { combiners: [] }), 'combiners', '0'],
  ['step ops before rows ops', { ...trainingProgram(), ops: trainingProgram().ops.toReversed() }, 'op'],
  [
    'no reduce_gradients',
    { ...trainingProgram(), ops: trainingProgram().ops.filter(({ op }) => op !== 'reduce_gradients') },
    'reduce_gradients',
  ],
  [
    'a denominator of no label',
    { ...trainingProgram(), denominators: [{ scalar: 0, label: null, weight: null, reduction: 'valid' }] },
    'label',
  ],
  [
    'a denominator of ids',
    { ...trainingProgram(), denominators: [{ scalar: 0, label: view(0, 0, 1), weight: null, reduction: 'valid' }] },
    'label',
  ],
  [
    'a denominator out of range',
    { ...trainingProgram(), denominators: [{ scalar: 3, label: view(2, 0, 1), weight: null, reduction: 'valid' }] },
    'scalar',
  ],
  [
    'an unknown reduction',
    { ...trainingProgram(), denominators: [{ scalar: 0, label: view(2, 0, 1), weight: null, reduction: 'sum' }] },
    'reduction',
    "'sum'",
  ],
]

describe('a wrong program is refused', () => {
  const cases = wrongPrograms.map(([name, program, ...parts]) => ({ name, program, parts }))
  it.each(cases)('$name', ({ program, parts }) => {
    expectCode(() => binding.compile('reference', anything(program), {}), 'PROGRAM', ...parts)
  })

  it('passes on what a getter throws', () => {
    const program = {
      ...denseProgram(),
      get ops(): never {
        throw new RangeError('mine')
      },
    }
    expect(() => binding.compile('reference', program, {})).toThrow(new RangeError('mine'))
  })
})

describe('other arguments of compile', () => {
  it('refuses unknown devices and ISAs', () => {
    expectCode(() => binding.compile(anything('gpu'), denseProgram(), {}), 'ARGUMENT', "'gpu'", "'cpu'")
    expectCode(() => binding.compile(anything({}), denseProgram(), {}), 'ARGUMENT', 'device')
    expectCode(() => binding.compile('cpu', denseProgram(), { isa: 'sse9' }), 'UNSUPPORTED', 'sse9')
    expectCode(() => binding.compile('cpu', denseProgram(), { isa: '' }), 'ARGUMENT', 'isa')
    expectCode(() => binding.compile('cpu', denseProgram(), { isa: anything(5) }), 'ARGUMENT', 'options.isa', '5')
    expectCode(() => binding.compile('cpu', denseProgram(), anything(null)), 'ARGUMENT', 'options')
  })
})

describe('mutated programs', () => {
  const oddValues = [
    -1,
    0,
    1,
    2,
    3,
    7,
    100,
    0.5,
    NaN,
    Infinity,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    1n,
    '',
    'x',
    null,
    undefined,
    true,
    [],
    {},
    view(0, 0, 1),
    view(7, 0, 1),
    view(3, 1, 2),
  ]

  /** Small and deterministic: a failure can be repeated. */
  function random(seed: number): (below: number) => number {
    let state = seed
    return (below) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
  }

  function mutate(value: unknown, pick: (below: number) => number): unknown {
    if (typeof value !== 'object' || value === null || pick(8) === 0) return oddValues[pick(oddValues.length)]
    const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...(value as unknown[])] : { ...value }
    const keys = Object.keys(copy)
    const key = keys[pick(keys.length)]
    if (key === undefined) return oddValues[pick(oddValues.length)]
    Object.assign(copy, { [key]: mutate((copy as Record<string, unknown>)[key], pick) })
    return copy
  }

  it.each([denseProgram(), mixtureProgram(), trainingProgram()].map((program, number) => [number, program] as const))(
    'of program %i are refused, or run',
    (_number, program) => {
      const pick = random(7)
      let ran = 0
      for (let round = 0; round < 4000; ++round) {
        const mutant = anything<ProgramSpec>(mutate(program, pick))
        for (const device of ['reference', 'cpu'] as const) {
          try {
            if (mutant.buffers.some(({ width, count }) => width * count > 1e6)) continue // right, but slow
            const { plan, memories } = boundPlan(device, mutant)
            plan.run(requestFor(device, mutant, 5))
            ran += 1
            plan.dispose()
            for (const memory of memories.values()) memory.dispose()
          } catch (error) {
            if (error instanceof TypeError) continue // thrown by this test where the mutant is no program at all
            expect((error as { code?: unknown }).code, String(error)).toMatch(/^ERR_MULTIGATE_/)
          }
        }
      }
      expect(ran).toBeGreaterThan(0)
    },
  )
})
