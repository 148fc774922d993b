// What each op of a prediction becomes in ONNX: one row here per op. Formulas are those of native/abi/ops.h.

import { quote } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import type { MixtureForwardOpFields, Op, OpFields, OpName, View } from '../core/op-fields.js'
import { DataType, type GraphBuilder, type Value } from './graph.js'
import type { RowValues } from './row-values.js'

/** What the ops of a program read and write. */
export interface OpContext {
  readonly graph: GraphBuilder
  /** Ids are int64, everything else is float32. */
  readonly rows: RowValues
  /** Elements of the flat store as a tensor of this shape. */
  parameter(view: View, shape: readonly number[]): Value
  /** The table [rows, dim] of a view. */
  table(view: View): Value
}

type Mapping<Name extends OpName> = (context: OpContext, fields: OpFields[Name]) => void

/** mg_combiner, mg_link and the kinds of fusion, by their numbers. */
const combiners = ['single', 'mean', 'sum', 'concat'] as const
const links = ['identity', 'exp', 'expm1'] as const
const fusions = ['Add', 'Mul'] as const

/** Predictions stop growing here: e^88 is near the largest float32. */
const largestExponent = 88

const mappings: { readonly [Name in OpName]?: Mapping<Name> } = {
  copy_columns: ({ rows }, { x, y }) => rows.write(y, rows.read(x)),

  embedding_gather({ graph, rows, table: tableOf }, { table, ids, y, combiner }) {
    const [weights, at] = [tableOf(table), rows.read(ids)]
    const how = combiners[combiner]
    if (how === 'single') {
      const id = graph.node('Squeeze', [at, graph.constant('int64', [1], [1])])
      rows.write(y, graph.node('Gather', [weights, id]))
      return
    }
    const known = graph.node('Not', [graph.node('Equal', [at, graph.constant('int64', [0])])])
    const counts = graph.node('Cast', [known], { to: BigInt(DataType.FLOAT) })
    const last = graph.constant('int64', [-1], [1])
    const kept = graph.node('Mul', [graph.node('Gather', [weights, at]), graph.node('Unsqueeze', [counts, last])])
    if (how === 'concat') {
      rows.write(y, graph.node('Reshape', [kept, graph.constant('int64', [0, y.width], [2])]))
      return
    }
    const items = graph.constant('int64', [1], [1])
    const sum = graph.node('ReduceSum', [kept, items], { keepdims: 0n })
    if (how === 'sum') rows.write(y, sum)
    else {
      const count = graph.node('ReduceSum', [counts, items], { keepdims: 1n })
      rows.write(y, graph.node('Div', [sum, graph.node('Max', [count, graph.constant('float', [1])])]))
    }
  },

  dense_forward({ graph, rows, parameter }, { x, kernel, bias, z, y, activation }) {
    const weights = parameter(kernel, [x.width, y.width])
    const before =
      bias === null
        ? graph.node('MatMul', [rows.read(x), weights])
        : graph.node('Gemm', [rows.read(x), weights, parameter(bias, [y.width])])
    if (z !== null) rows.write(z, before)
    rows.write(y, activated(graph, before, activation))
  },

  mixture_forward(context, fields) {
    const { graph, rows } = context
    const experts = expertOutputs(context, fields)
    fields.outputs.forEach((output, gate) => {
      const seen = fields.gateExpert.slice(fields.gateOffset[gate], fields.gateOffset[gate + 1])
      const all = seen.length === fields.expertStream.length && seen.every((expert, index) => expert === index)
      const own = all ? experts : graph.node('Gather', [experts, graph.constant('int64', seen, [seen.length])])
      // [rows, seen] becomes [seen, rows, 1].
      const turned = graph.node('Transpose', [probabilities(context, fields, gate, seen.length)], { perm: [1n, 0n] })
      const weights = graph.node('Unsqueeze', [turned, graph.constant('int64', [2], [1])])
      const sum = graph.node('ReduceSum', [graph.node('Mul', [own, weights]), graph.constant('int64', [0], [1])], {
        keepdims: 0n,
      })
      rows.write(output, sum)
    })
  },

  fusion_forward({ graph, rows }, { inputs, y, kind }) {
    const operator = fusions[kind]
    if (operator === undefined) throw new Error(`there is no fusion ${kind}`)
    const values = inputs.map((input) => rows.read(input))
    rows.write(
      y,
      values.reduce((left, right) => graph.node(operator, [left, right])),
    )
  },

  binary_predict({ graph, rows }, { logit, y, offset }) {
    const value = rows.read(logit)
    const moved = offset === 0 ? value : graph.node('Add', [value, graph.constant('float', [offset])])
    rows.write(y, graph.node('Sigmoid', [moved]))
  },

  product_predict({ graph, rows }, { logits, y }) {
    const factors = logits.map((logit) => graph.node('Sigmoid', [rows.read(logit)]))
    rows.write(
      y,
      factors.reduce((left, right) => graph.node('Mul', [left, right])),
    )
  },

  regression_predict({ graph, rows }, { prediction, y, link, scale, offset }) {
    const scaled = graph.node('Mul', [rows.read(prediction), graph.constant('float', [scale])])
    const value = graph.node('Add', [scaled, graph.constant('float', [offset])])
    const how = links[link]
    if (how === 'identity') rows.write(y, value)
    else {
      const exponential = limitedExp(graph, value)
      rows.write(y, how === 'exp' ? exponential : graph.node('Sub', [exponential, graph.constant('float', [1])]))
    }
  },

  ziln_predict({ graph, rows }, { logits, y }) {
    const [a, mu, r] = [0, 1, 2].map((column) => rows.read({ ...logits, offset: logits.offset + column, width: 1 })) as [
      Value,
      Value,
      Value,
    ]
    const sigma = graph.node('Add', [graph.node('Softplus', [r]), graph.constant('float', [2 ** -10])])
    const half = graph.node('Mul', [graph.node('Mul', [sigma, sigma]), graph.constant('float', [0.5])])
    rows.write(y, graph.node('Mul', [graph.node('Sigmoid', [a]), limitedExp(graph, graph.node('Add', [mu, half]))]))
  },

  ordinal_predict({ graph, rows }, { logits, y, steps, unit, offset }) {
    const heights = graph.constant(
      'float',
      steps.map((step) => step * unit),
      [steps.length, 1],
    )
    const sum = graph.node('MatMul', [graph.node('Sigmoid', [rows.read(logits)]), heights])
    rows.write(y, graph.node('Add', [sum, graph.constant('float', [offset])]))
  },

  multiclass_predict: ({ graph, rows }, { logits, y }) => {
    rows.write(y, graph.node('Softmax', [rows.read(logits)], { axis: 1n }))
  },
}

/** Adds an op's nodes. @throws ERR_MULTIGATE_ARGUMENT naming an op that has no form in ONNX. */
export function addOp(context: OpContext, op: Op): void {
  const mapping = mappings[op.op] as ((context: OpContext, fields: Op) => void) | undefined
  if (mapping === undefined) throw new ArgumentError(`saveOnnx: expected ops that ONNX can express, found ${quote(op.op)}`)
  mapping(context, op)
}

function limitedExp(graph: GraphBuilder, value: Value): Value {
  return graph.node('Exp', [graph.node('Min', [value, graph.constant('float', [largestExponent])])])
}

/** mg_activation, by its numbers. */
const activations: readonly ((graph: GraphBuilder, z: Value) => Value)[] = [
  (_, z) => z,
  (graph, z) => graph.node('Relu', [z]),
  (graph, z) => graph.node('Tanh', [z]),
  (graph, z) => graph.node('Sigmoid', [z]),
  (graph, z) => {
    const erf = graph.node('Erf', [graph.node('Mul', [z, graph.constant('float', [Math.SQRT1_2])])])
    const twice = graph.node('Mul', [z, graph.node('Add', [erf, graph.constant('float', [1])])])
    return graph.node('Mul', [twice, graph.constant('float', [0.5])])
  },
  (graph, z) => graph.node('Mul', [z, graph.node('Sigmoid', [z])]),
]

function activated(graph: GraphBuilder, z: Value, activation: number): Value {
  const apply = activations[activation]
  if (apply === undefined) throw new Error(`there is no activation ${activation}`)
  return apply(graph, z)
}

/** The outputs of all experts, [experts, rows, units]. */
function expertOutputs({ graph, rows, parameter }: OpContext, fields: MixtureForwardOpFields): Value {
  const { streams, expertStream, expertKernel, expertBias, units, activation } = fields
  const order: number[] = []
  const parts = streams.flatMap((stream, number) => {
    const kernel = expertKernel[number]
    const own = expertStream.flatMap((read, expert) => (read === number ? [expert] : []))
    if (kernel == null || own.length === 0) return []
    order.push(...own)
    // One stream for all of its experts: the kernels' first dimension is that of the products.
    return [graph.node('MatMul', [rows.read(stream), parameter(kernel, [own.length, stream.width, units])])]
  })
  const joined = parts.length === 1 ? (parts[0] as Value) : graph.node('Concat', parts, { axis: 0n })
  const places = expertStream.map((_, expert) => order.indexOf(expert))
  const sorted = places.every((place, expert) => place === expert)
    ? joined
    : graph.node('Gather', [joined, graph.constant('int64', places, [places.length])])
  const bias = parameter(expertBias, [expertStream.length, 1, units])
  return activated(graph, graph.node('Add', [sorted, bias]), activation)
}

/** What a gate gives the experts that it sees, [rows, seen]. */
function probabilities({ graph, rows, parameter }: OpContext, fields: MixtureForwardOpFields, gate: number, seen: number): Value {
  const stream = fields.streams[fields.gateStream[gate] ?? -1]
  const [kernel, bias] = [fields.gateKernel[gate], fields.gateBias[gate]]
  if (stream === undefined || kernel === undefined) throw new Error(`gate ${gate} has no stream`)
  const weights = parameter(kernel, [stream.width, seen])
  const logits =
    bias === undefined
      ? graph.node('MatMul', [rows.read(stream), weights])
      : graph.node('Gemm', [rows.read(stream), weights, parameter(bias, [seen])])
  const divided = fields.temperature === 1 ? logits : graph.node('Div', [logits, graph.constant('float', [fields.temperature])])
  return graph.node('Softmax', [divided], { axis: 1n })
}
