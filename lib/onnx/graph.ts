// Builds the graph of an ONNX file: nodes, constants and the weights' places. Names are unique: features and tasks keep theirs, and all
// others give way. It knows nothing of models.

import { create } from '@bufbuild/protobuf'

import { elementsOf } from '../core/layout.js'
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  type GraphProto,
  GraphProtoSchema,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './onnx-ml_pb.js'

export { DataType }

/** The name of a tensor in the graph. */
export type Value = string

/** Integers are bigint and floats are number, as attributes of nodes tell them apart. */
type Attribute = bigint | number | readonly bigint[] | readonly Uint8Array[] | TensorProto

export type Attributes = Readonly<Record<string, Attribute>>

/** The domains of operators, as a file names them. The first is ONNX itself. */
export type Domain = '' | 'ai.onnx.ml' | 'com.microsoft'

/** Weights, which may be large: they are read when the file is written. */
export interface Weights {
  readonly name: string
  readonly shape: readonly number[]
  /** Float32 or float64 parts in order. Each may reuse the memory of the one before. */
  chunks(): Iterable<Float32Array | Float64Array>
}

/** A tensor whose first dimension is the number of rows. */
export interface Port {
  readonly name: string
  readonly type: DataType
  readonly width: number
}

const arrayTypes = {
  float: DataType.FLOAT,
  double: DataType.DOUBLE,
  int64: DataType.INT64,
} as const

export class GraphBuilder {
  readonly proto: GraphProto = create(GraphProtoSchema)
  readonly weights: Weights[] = []
  readonly domains = new Set<Domain>([''])
  /** What the next nodes belong to: the beginning of their names. */
  scope = ''
  readonly #names: Set<string>
  readonly #known = new Map<string, Value>()

  /** @param reserved names that only `input` and `output` give. */
  constructor(name: string, reserved: Iterable<string>) {
    this.proto.name = name
    this.#names = new Set(reserved)
  }

  /** Adds a node with one output. */
  node(operator: string, inputs: readonly Value[], attributes: Attributes = {}, domain: Domain = ''): Value {
    const output = this.#unique(`${this.scope}/${operator}`)
    this.#add(operator, inputs, output, attributes, domain)
    return output
  }

  input(port: Port): Value {
    this.proto.input.push(valueInfo(port))
    return port.name
  }

  output(port: Port, value: Value): void {
    this.#add('Identity', [value], port.name, {}, '')
    this.proto.output.push(valueInfo(port))
  }

  /** A small constant. Equal ones are one. */
  constant(type: keyof typeof arrayTypes, values: readonly number[] | readonly bigint[], shape: readonly number[] = []): Value {
    const key = `${type} ${shape} ${values.map((value) => (Object.is(value, -0) ? '-0' : value))}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const name = this.#unique('constant')
    this.proto.initializer.push(tensor(type, values, shape, name))
    this.#known.set(key, name)
    return name
  }

  /** Weights by a key: equal keys are one tensor. */
  weight(key: string, { name, ...weights }: Weights): Value {
    const known = this.#known.get(`weight ${key}`)
    if (known !== undefined) return known
    const own = this.#unique(name)
    this.weights.push({ ...weights, name: own })
    this.#known.set(`weight ${key}`, own)
    return own
  }

  #add(operator: string, input: readonly Value[], output: Value, attributes: Attributes, domain: Domain): void {
    this.domains.add(domain)
    const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value))
    // A node's name is that of its output.
    const node = create(NodeProtoSchema, { opType: operator, input: [...input], output: [output], name: output, attribute })
    if (domain !== '') node.domain = domain
    this.proto.node.push(node)
  }

  #unique(wanted: string): string {
    let name = wanted
    for (let number = 2; this.#names.has(name); number += 1) name = `${wanted}_${number}`
    this.#names.add(name)
    return name
  }
}

/** A tensor with its values. */
export function tensor(
  type: keyof typeof arrayTypes,
  values: readonly number[] | readonly bigint[],
  shape: readonly number[],
  name?: string,
): TensorProto {
  if (values.length !== elementsOf(shape)) throw new Error(`${values.length} values do not make [${shape}]`)
  const array =
    type === 'int64'
      ? BigInt64Array.from(values, BigInt)
      : new (type === 'float' ? Float32Array : Float64Array)(values as readonly number[])
  const proto = create(TensorProtoSchema, { dims: shape.map(BigInt), dataType: arrayTypes[type], rawData: bytesOf(array) })
  if (name !== undefined) proto.name = name
  return proto
}

/** The bytes of an array, which ONNX wants as little endian, as every processor that multigate runs on has them. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)
}

function attributeOf(name: string, value: Attribute): AttributeProto {
  if (typeof value === 'bigint') return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: value })
  if (typeof value === 'number') return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value })
  if ('$typeName' in value) return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: value })
  if (typeof value[0] === 'bigint')
    return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value as bigint[] })
  return create(AttributeProtoSchema, { name, type: AttributeType.STRINGS, strings: value as Uint8Array<ArrayBuffer>[] })
}

function valueInfo({ name, type, width }: Port): ValueInfoProto {
  const dim = [
    { value: { case: 'dimParam' as const, value: 'rows' } },
    { value: { case: 'dimValue' as const, value: BigInt(width) } },
  ]
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType: type, shape: { dim } } } },
  })
}
