// A built model as an ONNX graph: its features, the ops of its prediction and its tasks.

import { create } from '@bufbuild/protobuf'

import { quote } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import { elementsOf } from '../core/layout.js'
import type { View } from '../core/op-fields.js'
import type { Sliced } from '../core/slices.js'
import type { Encoder } from '../features/encode/encoder.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { addFeature, type Taken } from './features.js'
import { DataType, type Domain, GraphBuilder, type Value, type Weights } from './graph.js'
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
} from './onnx-ml_pb.js'
import { addOp, type OpContext } from './ops.js'
import { RowValues } from './row-values.js'

/** What an ONNX file is made from. */
export interface OnnxSource {
  /** The model's name: `MMoE`. */
  readonly model: string
  /** The library's version. */
  readonly version: string
  readonly encoders: readonly Encoder[]
  readonly runner: NetworkRunner
  /** The classes of each multiclass task. */
  readonly classes: ReadonlyMap<string, readonly string[]>
}

/** The parts of a file. */
export interface OnnxModel {
  /** Without its graph. */
  readonly message: ModelProto
  /** Without its weights. */
  readonly graph: GraphProto
  readonly weights: readonly Weights[]
}

/** Versions that onnxruntime reads since 1.12, of 2022. LabelEncoder has float64 from version 4 on, onnxruntime 1.18. */
const irVersion = 8n
const versions: Readonly<Record<Domain, bigint>> = { '': 17n, 'ai.onnx.ml': 2n, 'com.microsoft': 1n }
const tensorKeysVersion = 4n

/**
 * The graph of a model's predictions.
 * @param encoded whether inputs are what the encoders give: ids, and numbers after their transforms.
 * @throws ERR_MULTIGATE_ARGUMENT naming what has no form in ONNX.
 */
export function* modelGraph(
  { model, version, encoders, runner, classes }: OnnxSource,
  { encoded }: { readonly encoded: boolean },
): Sliced<OnnxModel> {
  const { predict } = runner.network
  const features = encoders.map(({ feature }) => feature.name)
  checkNames(features, predict.rowOutputs)
  const graph = new GraphBuilder(model, [...features, ...predict.rowOutputs])
  const rows = new RowValues(graph)
  const viewsOf = (kind: string): View[] =>
    predict.spec.buffers.flatMap(({ class: own, width }, buffer) => (own === kind ? [{ buffer, offset: 0, width }] : []))

  const inputs = new Map<string, Taken>()
  for (const encoder of encoders) inputs.set(encoder.feature.name, yield* addFeature(graph, encoder, { encoded }))
  viewsOf('rowInput').forEach((view, index) => {
    const taken = inputs.get(predict.rowInputs[index] ?? '')
    if (taken === undefined) throw new Error(`there is no feature ${predict.rowInputs[index]}`)
    rows.write(view, taken.value)
  })
  const context = contextOf(graph, rows, runner)
  for (const op of predict.spec.ops) {
    graph.scope = op.op
    addOp(context, op)
  }
  const outputs = viewsOf('rowOutput').map((view, index) => {
    const name = predict.rowOutputs[index] ?? ''
    graph.output({ name, type: DataType.FLOAT, width: view.width }, rows.read(view))
    return { name, width: view.width, ...(classes.has(name) && { classes: classes.get(name) }) }
  })
  const described = [...inputs.values()].map(({ input }) => input)
  const message = messageOf(graph, { model, version, encoded, inputs: described, outputs })
  return { message, graph: graph.proto, weights: graph.weights }
}

/** In a graph every tensor has a name of its own. */
function checkNames(features: readonly string[], tasks: readonly string[]): void {
  const both = tasks.find((task) => features.includes(task))
  if (both === undefined) return
  const problem = `expected different names, as ONNX needs, found a feature and a task of this name; rename one, and give it its column`
  throw new ArgumentError(`saveOnnx: feature ${quote(both)}: ${problem}`, { field: both })
}

function contextOf(graph: GraphBuilder, rows: RowValues, { network, weights }: NetworkRunner): OpContext {
  const { tensors } = network.parameters
  const tables = new Map(network.tables.map((table) => [network.predict.bindings[`table:${table.name}`], table]))
  return {
    graph,
    rows,
    parameter({ offset, width }, shape): Value {
      if (elementsOf(shape) !== width) throw new Error(`${width} weights do not make [${shape}]`)
      const tensor = tensors.findLast((candidate) => candidate.offset <= offset)
      if (tensor === undefined) throw new Error(`there are no weights at ${offset}`)
      const from = offset - tensor.offset
      const name = from === 0 && width === elementsOf(tensor.shape) ? tensor.name : `${tensor.name}[${from / width}]`
      const place = { memory: 'parameters', offset, shape }
      return graph.weight(`${offset} ${shape}`, { name, shape, chunks: () => weights.passing(place) })
    },
    table({ buffer }): Value {
      const table = tables.get(buffer)
      if (table === undefined) throw new Error(`buffer ${buffer} is no table`)
      const place = { memory: `table:${table.name}`, offset: 0, shape: [table.rows, table.dim] }
      return graph.weight(place.memory, {
        name: `embedding.${table.name}`,
        shape: place.shape,
        chunks: () => weights.passing(place),
      })
    },
  }
}

interface Described {
  readonly model: string
  readonly version: string
  readonly encoded: boolean
  readonly inputs: readonly object[]
  readonly outputs: readonly object[]
}

function messageOf({ proto, domains }: GraphBuilder, { model, version, encoded, inputs, outputs }: Described): ModelProto {
  const takesTensors = proto.node.some(({ attribute }) => attribute.some(({ name }) => name === 'keys_tensor'))
  const opsetImport = [...domains].map((domain) => {
    const number = domain === 'ai.onnx.ml' && takesTensors ? tensorKeysVersion : versions[domain]
    return create(OperatorSetIdProtoSchema, { domain, version: number })
  })
  const microsoft = domains.has('com.microsoft') ? ' It needs onnxruntime: MurmurHash3 is an operator of com.microsoft.' : ''
  const entries = {
    'multigate.model': model,
    'multigate.encoded': String(encoded),
    'multigate.inputs': JSON.stringify(inputs),
    'multigate.outputs': JSON.stringify(outputs),
  }
  return create(ModelProtoSchema, {
    irVersion,
    opsetImport,
    producerName: 'multigate',
    producerVersion: version,
    modelVersion: 1n,
    docString: `A ${model} model of multigate. Its metadata describe inputs and outputs.${microsoft}`,
    metadataProps: Object.entries(entries).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value })),
  })
}
