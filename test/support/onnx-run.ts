// A small evaluator of ONNX graphs, by the words of the operators' specification: plain loops, and a check of every type. It knows the
// operators that exported models have.

import { hashText } from '../../lib/core/hash.js'
import {
  type AttributeProto,
  TensorProto_DataType as DataType,
  type ModelProto,
  type TensorProto,
} from '../../lib/onnx/onnx-ml_pb.js'

/** Integers are numbers, Booleans 0 and 1. */
export interface OnnxTensor {
  readonly type: DataType
  readonly shape: readonly number[]
  readonly data: readonly (number | string)[]
}

type Attributes = Readonly<Record<string, AttributeProto>>
type Operator = (inputs: readonly OnnxTensor[], attributes: Attributes) => OnnxTensor

/** Runs a model. Every tensor must be there before a node reads it. */
export function runOnnx({ graph }: ModelProto, feeds: Readonly<Record<string, OnnxTensor>>): Record<string, OnnxTensor> {
  if (graph === undefined) throw new Error('there is no graph')
  const values = new Map<string, OnnxTensor>()
  const set = (name: string, value: OnnxTensor): void => {
    if (values.has(name)) throw new Error(`${name} is there twice`)
    values.set(name, value)
  }
  const get = (name: string): OnnxTensor => {
    const found = values.get(name)
    if (found === undefined) throw new Error(`${name} is read before it is there`)
    return found
  }
  for (const { name, type } of graph.input) {
    const feed = feeds[name]
    if (feed === undefined) throw new Error(`there is no value for ${name}`)
    if (type?.value.case !== 'tensorType' || type.value.value.elemType !== feed.type) throw new Error(`${name} has another type`)
    set(name, feed)
  }
  for (const tensor of graph.initializer) set(tensor.name, tensorOf(tensor))
  for (const { opType, input, output, attribute } of graph.node) {
    const operator = operators[opType]
    if (operator === undefined) throw new Error(`there is no operator ${opType}`)
    const attributes = Object.fromEntries(attribute.map((one) => [one.name, one]))
    set(output[0] ?? '', operator(input.map(get), attributes))
  }
  return Object.fromEntries(graph.output.map(({ name }) => [name, get(name)]))
}

/** The values of a constant. */
export function tensorOf({ dims, dataType, rawData }: TensorProto): OnnxTensor {
  const { buffer } = Uint8Array.from(rawData)
  const arrays: { readonly [type: number]: () => ArrayLike<number | bigint> } = {
    [DataType.FLOAT]: () => new Float32Array(buffer),
    [DataType.DOUBLE]: () => new Float64Array(buffer),
    [DataType.INT64]: () => new BigInt64Array(buffer),
  }
  const data = Array.from(arrays[dataType]?.() ?? [], Number)
  const shape = dims.map(Number)
  if (data.length !== sizeOf(shape)) throw new Error(`${data.length} numbers do not make [${shape}]`)
  return { type: dataType, shape, data }
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)
const numbersOf = ({ data }: OnnxTensor): number[] => data.map(Number)
const at = <T>(values: readonly T[], index: number): T => {
  const found = values[index]
  if (found === undefined) throw new Error(`there is nothing at ${index} of ${values.length}`)
  return found
}
const rounded = (type: DataType, value: number): number => (type === DataType.FLOAT ? Math.fround(value) : value)

/** Position by position, with broadcasting as in numpy. */
function elementwise(compute: (...values: (number | string)[]) => number | string, result?: DataType, typed = 0): Operator {
  return (inputs) => {
    const type = result ?? at(inputs, typed).type
    if (inputs.slice(typed).some((input) => input.type !== at(inputs, typed).type)) throw new Error('operands differ in type')
    const rank = Math.max(...inputs.map(({ shape }) => shape.length))
    const padded = inputs.map(({ shape }) => [...Array<number>(rank - shape.length).fill(1), ...shape])
    const shape = Array.from({ length: rank }, (_, axis) => Math.max(...padded.map((own) => at(own, axis))))
    if (padded.some((own) => own.some((size, axis) => size !== 1 && size !== shape[axis]))) throw new Error('shapes do not fit')
    const data = Array.from({ length: sizeOf(shape) }, (_, position) => {
      const places = indexOf(shape, position)
      const own = inputs.map(({ data }, number) => {
        const sizes = at(padded, number)
        return at(
          data,
          sizes.reduce((sum, size, axis) => sum * size + (size === 1 ? 0 : at(places, axis)), 0),
        )
      })
      const value = compute(...own)
      return typeof value === 'number' ? rounded(type, value) : value
    })
    return { type, shape, data }
  }
}

function indexOf(shape: readonly number[], position: number): number[] {
  let rest = position
  return shape.map((_, axis) => {
    const below = sizeOf(shape.slice(axis + 1))
    const index = Math.floor(rest / below)
    rest %= below
    return index
  })
}

const numeric = (compute: (...values: number[]) => number, result?: DataType): Operator =>
  elementwise((...values) => compute(...values.map(Number)), result)
const boolean = DataType.BOOL

/** Cuts along an axis: [outer, axis, inner]. */
function around(
  shape: readonly number[],
  axis: number,
): { readonly outer: number; readonly size: number; readonly inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), size: at(shape, axis), inner: sizeOf(shape.slice(axis + 1)) }
}

function fill(type: DataType, shape: readonly number[], valueAt: (index: number[]) => number | string): OnnxTensor {
  return { type, shape, data: Array.from({ length: sizeOf(shape) }, (_, position) => valueAt(indexOf(shape, position))) }
}

function gather([values, indices]: readonly OnnxTensor[]): OnnxTensor {
  if (values === undefined || indices?.type !== DataType.INT64) throw new Error('indices are int64')
  const { size, inner } = around(values.shape, 0)
  const data = numbersOf(indices).flatMap((row) => {
    if (row < 0 || row >= size) throw new RangeError(`there is no row ${row} of ${size}`)
    return values.data.slice(row * inner, (row + 1) * inner)
  })
  return { type: values.type, shape: [...indices.shape, ...values.shape.slice(1)], data }
}

/** [.., n, k] x [.., k, m]; only the right one may have a dimension before. */
function product([left, right]: readonly OnnxTensor[]): OnnxTensor {
  if (left?.shape.length !== 2 || right === undefined || left.type !== right.type) throw new Error('operands do not fit')
  const [rows, depth, width] = [at(left.shape, 0), at(left.shape, 1), at(right.shape, right.shape.length - 1)]
  if (right.shape.at(-2) !== depth) throw new Error('shapes do not fit')
  const shape = [...right.shape.slice(0, -2), rows, width]
  return fill(left.type, shape, (index) => {
    const [batch, row, column] = index.length === 3 ? index : [0, ...index]
    let sum = 0
    for (let k = 0; k < depth; k += 1) {
      const weight = at(right.data, (at([batch ?? 0], 0) * depth + k) * width + (column ?? 0))
      sum += Number(at(left.data, (row ?? 0) * depth + k)) * Number(weight)
    }
    return Math.fround(sum)
  })
}

function labels([values]: readonly OnnxTensor[], attributes: Attributes): OnnxTensor {
  const { keys_strings, keys_int64s, keys_tensor, values_int64s, values_tensor, default_int64, default_tensor } = attributes
  const decoder = new TextDecoder()
  const keys =
    keys_strings?.strings.map((bytes) => decoder.decode(bytes)) ??
    keys_int64s?.ints.map(Number) ??
    (keys_tensor?.t && tensorOf(keys_tensor.t).data)
  const ids = values_int64s?.ints.map(Number) ?? (values_tensor?.t && numbersOf(tensorOf(values_tensor.t)))
  const other = default_tensor?.t ? numbersOf(tensorOf(default_tensor.t))[0] : Number(default_int64?.i)
  if (values === undefined || keys === undefined || ids?.length !== keys.length) throw new Error('keys and values differ')
  const map = new Map(keys.map((key, index) => [key, at(ids, index)]))
  return { type: DataType.INT64, shape: values.shape, data: values.data.map((value) => map.get(value) ?? other ?? NaN) }
}

const integers = (tensor: OnnxTensor | undefined): number[] => (tensor === undefined ? [] : numbersOf(tensor))

/** By Abramowitz and Stegun 7.1.5, a series that converges everywhere. */
function erf(x: number): number {
  let [term, sum] = [x, x]
  for (let n = 1; n < 200; n += 1) {
    term *= -(x * x) / n
    sum += term / (2 * n + 1)
  }
  return Math.abs(x) > 5 ? Math.sign(x) : (2 / Math.sqrt(Math.PI)) * sum
}

const operators: Readonly<Record<string, Operator>> = {
  Identity: ([value]) => at([value], 0) as OnnxTensor,
  Add: numeric((x, y) => x + y),
  Sub: numeric((x, y) => x - y),
  Mul: numeric((x, y) => x * y),
  Div: numeric((x, y) => x / y),
  Mod: numeric((x, y) => ((x % y) + y) % y),
  Max: numeric(Math.max),
  Min: numeric(Math.min),
  Log: numeric(Math.log),
  Exp: numeric(Math.exp),
  Tanh: numeric(Math.tanh),
  Relu: numeric((x) => Math.max(x, 0)),
  Sigmoid: numeric((x) => 1 / (1 + Math.exp(-x))),
  Softplus: numeric((x) => Math.log1p(Math.exp(x))),
  Erf: numeric(erf),
  IsNaN: numeric((x) => Number(Number.isNaN(x)), boolean),
  Not: numeric((x) => 1 - x, boolean),
  And: numeric((x, y) => x * y, boolean),
  Equal: numeric((x, y) => Number(x === y), boolean),
  Less: numeric((x, y) => Number(x < y), boolean),
  GreaterOrEqual: numeric((x, y) => Number(x >= y), boolean),
  Where: (inputs, attributes) =>
    elementwise((chosen, x, y) => (chosen === 1 ? x : y) as number, at(inputs, 1).type, 1)(inputs, attributes),
  Cast: ([value], { to }) => {
    const type = Number(to?.i) as DataType
    const cast = (one: number | string) => (type === DataType.STRING ? String(one) : rounded(type, Number(one)))
    return { type, shape: value?.shape ?? [], data: (value?.data ?? []).map(cast) }
  },
  MurmurHash3: ([value]) => ({
    type: DataType.UINT32,
    shape: value?.shape ?? [],
    data: (value?.data ?? []).map((one) => hashText(String(one))),
  }),
  LabelEncoder: labels,
  Gather: gather,
  MatMul: product,
  Gemm: ([x, weights, bias], attributes) =>
    at([operators.Add], 0)?.([product([x, weights] as OnnxTensor[]), bias as OnnxTensor], attributes) as OnnxTensor,
  Unsqueeze: ([value, axes]) => {
    const shape = [...(value?.shape ?? [])]
    const [axis = 0] = integers(axes)
    shape.splice(axis < 0 ? shape.length + 1 + axis : axis, 0, 1)
    return { ...(value as OnnxTensor), shape }
  },
  Squeeze: ([value, axes]) => {
    const [axis = 0] = integers(axes)
    if (value?.shape[axis] !== 1) throw new Error('only dimensions of 1 can go')
    return { ...value, shape: value.shape.filter((_, index) => index !== axis) }
  },
  Reshape: ([value, wanted]) => {
    const shape = integers(wanted).map((size, axis) => (size === 0 ? (value?.shape[axis] ?? 0) : size))
    return { ...(value as OnnxTensor), shape }
  },
  Transpose: ([value]) => {
    const [rows = 0, columns = 0] = value?.shape ?? []
    return fill(DataType.FLOAT, [columns, rows], ([column = 0, row = 0]) => at(value?.data ?? [], row * columns + column))
  },
  Concat: (inputs, { axis }) => {
    const parts = inputs.map((input) => ({ ...around(input.shape, Number(axis?.i)), data: input.data }))
    const data = Array.from({ length: at(parts, 0).outer }, (_, row) =>
      parts.flatMap(({ data, size, inner }) => data.slice(row * size * inner, (row + 1) * size * inner)),
    ).flat()
    const shape = at(inputs, 0).shape.map((size, own) =>
      own === Number(axis?.i) ? parts.reduce((sum, part) => sum + part.size, 0) : size,
    )
    return { type: at(inputs, 0).type, shape, data }
  },
  Slice: ([value, starts, ends]) => {
    const [from = 0, to = 0] = [...integers(starts), ...integers(ends)]
    const [rows = 0, width = 0] = value?.shape ?? []
    const { type, data } = value as OnnxTensor
    return fill(type, [rows, to - from], ([row = 0, column = 0]) => at(data, row * width + from + column))
  },
  ReduceSum: ([value, axes], { keepdims }) => {
    const { type, shape, data } = value as OnnxTensor
    const [given = 0] = integers(axes)
    const axis = given < 0 ? shape.length + given : given
    const { outer, size, inner } = around(shape, axis)
    const sums = Array.from({ length: outer * inner }, (_, position) => {
      let sum = 0
      for (let index = 0; index < size; index += 1)
        sum += Number(at(data, (Math.floor(position / inner) * size + index) * inner + (position % inner)))
      return rounded(type, sum)
    })
    const kept =
      keepdims?.i === 0n ? shape.filter((_, own) => own !== axis) : shape.map((own, index) => (index === axis ? 1 : own))
    return { type, shape: kept, data: sums }
  },
  Softmax: ([value]) => {
    const { type, shape, data } = value as OnnxTensor
    const width = shape.at(-1) ?? 1
    const result = Array.from({ length: data.length / width }, (_, row) => {
      const own = data.slice(row * width, (row + 1) * width).map(Number)
      const powers = own.map((x) => Math.exp(x - Math.max(...own)))
      const sum = powers.reduce((all, one) => all + one, 0)
      return powers.map((power) => Math.fround(power / sum))
    })
    return { type, shape, data: result.flat() }
  },
}
