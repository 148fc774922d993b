// Arguments of the ops: their checks, and the map from named parameters to the tensors of the flat store. Every check names the
// argument, the expected value and the found value. Only one function loops over rows: the sum of upstream gradients of outputs that
// share a gate (OMoE).

import { goneMemory, isGone, isTypedArray, lengthOf } from '../core/arrays.js'
import { checkList, checkObject, describeValue, guarded, wrongArgument } from '../core/check.js'
import { elementsOf, type Tensor } from '../core/layout.js'
import { expertPositions, expertsByStream, gateWidths, type Topology } from '../core/topology.js'
import type { ExpertLayer, MixtureTensors } from '../layers/mixture-tensors.js'
import type { FloatArray, NativeMemory } from '../native/binding.js'

/** Parameters of a level by name. */
export interface MixtureParameters {
  /** [E, D, H], shared experts first, then specific ones task by task. If stream widths differ, one [E_s, D_s, H] per stream. */
  readonly expertKernel: FloatArray | readonly FloatArray[]
  /** [E, H]. */
  readonly expertBias: FloatArray
  /** One [D, experts seen] per gate. */
  readonly gateKernel: readonly FloatArray[]
  /** One [experts seen] per gate, if the topology has `gateBias`. */
  readonly gateBias?: readonly FloatArray[] | undefined
  /** The hidden layers of experts, if the topology has them: kernel [E, in, out] (the first as `expertKernel`), bias [E, out]. */
  readonly expertHidden?:
    | readonly { readonly kernel: FloatArray | readonly FloatArray[]; readonly bias: FloatArray }[]
    | undefined
  /** One list per gate with its layers before the softmax, if the topology has them: kernel [in, out], bias [out]. */
  readonly gateHidden?: readonly (readonly { readonly kernel: FloatArray; readonly bias: FloatArray }[])[] | undefined
}

/** The rows of one stream, or of each stream. */
export type StreamRows = FloatArray | readonly FloatArray[]

/** A copy of the cache of a forward pass, which must be an object. Other checks cover its arrays. */
export function checkCache<Cache extends object>(cache: Cache): Cache {
  return guarded('cache', undefined, () => ({ ...checkObject('cache', cache, 'the cache that mixtureForward gave') }))
}

/** Checked rows of all streams. */
export interface Streams {
  readonly rows: number
  readonly arrays: readonly FloatArray[]
}

/** A part of a user's array that belongs to a tensor, in elements. */
interface Piece {
  readonly tensor: Tensor
  readonly tensorOffset: number
  readonly array: number
  readonly arrayOffset: number
  readonly elements: number
}

/** One named parameter: its arrays, and where their parts lie. */
interface ParameterMap {
  readonly shapes: readonly (readonly number[])[]
  readonly single: boolean
  readonly pieces: readonly Piece[]
}

/** @throws ERR_MULTIGATE_ARGUMENT if a length is not a whole number of rows, or if streams have different numbers of rows. */
export function checkStreams(topology: Topology, x: StreamRows, name: string): Streams {
  const { streams } = topology
  if (!isArray(x) && !isList(name, x)) throw notFloats(name, streams.length, x)
  const arrays = isArray(x) ? [x] : checkList(name, x, 'streams')
  if (!arrays.every(isArray)) throw notFloats(name, streams.length, x)
  checkCount(name, arrays, streams.length, 'stream')
  arrays.forEach((array, stream) => checkThere(nameOf(name, x, stream), array))
  const [first, width] = [arrays[0] ? lengthOf(arrays[0]) : 0, streams[0] ?? 1]
  if (first === 0 || first % width !== 0) {
    throw wrongArgument(nameOf(name, x, 0), `expected rows of ${width} elements, found ${first} elements`)
  }
  const rows = first / width
  arrays.forEach((array, stream) => checkLength(nameOf(name, x, stream), array, [rows, streams[stream] ?? 0]))
  return { rows, arrays }
}

/** Upstream gradients per gate: none, one, or several if outputs share the gate. */
export type GateUpstream = readonly (readonly FloatArray[])[]

/**
 * Upstream gradients sorted by gate. Those of one gate are added here, unless `apart`. Row inputs are float32, so the sum would be
 * rounded for a backend that computes in float64.
 */
export function checkUpstream(
  topology: Topology,
  rows: number,
  upstream: readonly (FloatArray | null)[],
  apart: boolean,
): GateUpstream {
  const { outputs, gates, units } = topology
  const given = checkList('dOutputs', upstream, 'gradients')
  checkCount('dOutputs', given, outputs.length, 'output')
  const byGate: FloatArray[][] = Array.from({ length: Math.max(gates.length, 1) }, () => [])
  outputs.forEach((gate, output) => {
    const gradient = given[output] ?? null
    if (gradient === null) return
    checkLength(`dOutputs[${output}]`, gradient, [rows, units])
    byGate[gate]?.push(gradient)
  })
  // A gate accepts an absent gradient; a dense layer does not.
  if (gates.length === 0 && byGate[0]?.length === 0) return [[new Float32Array(rows * units)]]
  return apart ? byGate : byGate.map((gradients) => (gradients.length > 1 ? [gradients.reduce(add)] : gradients))
}

/** Probabilities of a cache, one array per gate. */
export function checkProbabilities(topology: Topology, rows: number, gates: readonly FloatArray[]): readonly FloatArray[] {
  const widths = gateWidths(topology)
  const given = checkList('cache.gates', gates, 'arrays')
  checkCount('cache.gates', given, widths.length, 'gate')
  widths.forEach((seen, gate) => checkLength(`cache.gates[${gate}]`, given[gate], [rows, seen]))
  return given
}

/** Copies parameters into the flat store. */
export function writeParameters(
  topology: Topology,
  tensors: MixtureTensors,
  parameters: MixtureParameters,
  memory: NativeMemory,
): void {
  guarded('params', undefined, () => checkAbsent(topology, checkObject('params', parameters, 'an object of parameters by name')))
  for (const { path, map } of parameterMaps(topology, tensors)) {
    const name = `params.${textOf(path)}`
    const arrays = checkParameter(
      name,
      guarded(name, undefined, () => valueAt(parameters, path)),
      map,
    )
    for (const { tensor, tensorOffset, array, arrayOffset, elements } of map.pieces) {
      const values = arrays[array] ?? new Float32Array(0)
      memory.write(tensor.offset + tensorOffset, values.subarray(arrayOffset, arrayOffset + elements))
    }
  }
}

/** Parameter gradients from the gradient store, in the form of the parameters. */
export function readGradients(topology: Topology, tensors: MixtureTensors, memory: NativeMemory): MixtureParameters {
  const gradients: Nested = {}
  for (const { path, map } of parameterMaps(topology, tensors)) {
    const arrays = map.shapes.map((shape, array) => {
      return readPieces(
        map.pieces.filter((piece) => piece.array === array),
        elementsOf(shape),
        memory,
      )
    })
    place(gradients, path, map.single ? arrays[0] : arrays)
  }
  return gradients as unknown as MixtureParameters
}

/** The path of a parameter: `['expertHidden', 0, 'kernel']`. */
type Path = readonly (string | number)[]

type Nested = Record<string | number, unknown>

function textOf(path: Path): string {
  return path.map((key, depth) => (typeof key === 'number' ? `[${key}]` : depth === 0 ? key : `.${key}`)).join('')
}

function valueAt(parameters: MixtureParameters, path: Path): unknown {
  return path.reduce<unknown>((value, key) => (value as Nested | null | undefined)?.[key], parameters)
}

function place(into: Nested, [key = '', ...rest]: Path, value: unknown): void {
  if (rest.length === 0) into[key] = value
  else place((into[key] ??= typeof rest[0] === 'number' ? [] : {}) as Nested, rest, value)
}

/** Refuses parameters that a level of this topology does not have. */
function checkAbsent(topology: Topology, { gateBias, expertHidden = [], gateHidden = [] }: MixtureParameters): void {
  if (gateBias !== undefined && !topology.gateBias)
    throw wrongArgument('params.gateBias', 'expected none, as the topology has gateBias: false, found some; leave it out')
  const check = (name: string, layers: readonly unknown[], expected: number): void => {
    const found = checkList(`params.${name}`, layers, 'layers').length
    if (found > expected)
      throw wrongArgument(`params.${name}`, `expected at most ${expected} layers, as in the topology, found ${found}`)
  }
  check('expertHidden', expertHidden, topology.expertHiddenUnits.length)
  const ofGates = checkList('params.gateHidden', gateHidden, 'layers per gate')
  ofGates.forEach((layers, gate) => check(`gateHidden[${gate}]`, layers, topology.gateHiddenUnits.length))
}

function readPieces(pieces: readonly Piece[], elements: number, memory: NativeMemory): FloatArray {
  const read = (piece: Piece): FloatArray => memory.read(piece.tensor.offset + piece.tensorOffset, piece.elements)
  const [first, ...rest] = pieces
  if (first === undefined) return memory.read(0, 0)
  if (rest.length === 0) return read(first)
  const parts = pieces.map(read)
  const whole = isTypedArray(parts[0], 'Float64Array') ? new Float64Array(elements) : new Float32Array(elements)
  pieces.forEach(({ arrayOffset }, part) => whole.set(parts[part] ?? [], arrayOffset))
  return whole
}

function parameterMaps(topology: Topology, tensors: MixtureTensors): { readonly path: Path; readonly map: ParameterMap }[] {
  const { expert, gateKernel, gateBias } = tensors
  const isDeep = topology.expertHiddenUnits.length > 0
  return [
    { path: ['expertKernel'], map: isDeep ? laterKernel(expert) : firstKernel(topology, expert) },
    { path: ['expertBias'], map: single(expert.bias) },
    { path: ['gateKernel'], map: perGate(gateKernel) },
    ...(topology.gateBias ? [{ path: ['gateBias'], map: perGate(gateBias) }] : []),
    ...tensors.expertHidden.flatMap((layer, index) => [
      { path: ['expertHidden', index, 'kernel'], map: index === 0 ? firstKernel(topology, layer) : laterKernel(layer) },
      { path: ['expertHidden', index, 'bias'], map: single(layer.bias) },
    ]),
    ...tensors.gateHidden.flatMap((layers, gate) =>
      layers.flatMap(({ kernel, bias }, index) => [
        { path: ['gateHidden', gate, index, 'kernel'], map: single(kernel) },
        { path: ['gateHidden', gate, index, 'bias'], map: single(bias) },
      ]),
    ),
  ]
}

/** The layer that reads the streams. The store has one stack per stream. Users see one stack in expert order if widths are equal. */
function firstKernel(topology: Topology, { kernel: tensors, bias }: ExpertLayer): ParameterMap {
  const { streams, experts } = topology
  const [, units = 0] = bias.shape
  const [width = 0] = streams
  if (streams.some((other) => other !== width)) {
    const shapes = expertsByStream(topology).map((list, stream) => [list.length, streams[stream] ?? 0, units])
    return { shapes, single: false, pieces: tensors.flatMap((tensor, stream) => (tensor ? [wholeOf(tensor, stream)] : [])) }
  }
  const elements = width * units
  const positions = expertPositions(topology)
  const pieces = experts.flatMap(({ stream }, expert): Piece[] => {
    const tensor = tensors[stream]
    const position = positions[expert] ?? 0
    return tensor ? [{ tensor, tensorOffset: position * elements, array: 0, arrayOffset: expert * elements, elements }] : []
  })
  return { shapes: [[experts.length, width, units]], single: true, pieces: joined(pieces) }
}

function laterKernel({ kernel: [tensor] }: ExpertLayer): ParameterMap {
  if (tensor == null) throw new Error('a later layer has no kernel')
  return single(tensor)
}

function single(tensor: Tensor): ParameterMap {
  return { shapes: [tensor.shape], single: true, pieces: [wholeOf(tensor, 0)] }
}

/** Joins pieces that are also neighbours in the tensor. With one stream, a single copy is left. */
function joined(pieces: readonly Piece[]): Piece[] {
  const runs: Piece[] = []
  for (const piece of pieces) {
    const last = runs.at(-1)
    if (last !== undefined && last.tensor === piece.tensor && last.tensorOffset + last.elements === piece.tensorOffset) {
      runs[runs.length - 1] = { ...last, elements: last.elements + piece.elements }
    } else {
      runs.push(piece)
    }
  }
  return runs
}

function perGate(tensors: readonly Tensor[]): ParameterMap {
  return { shapes: tensors.map(({ shape }) => shape), single: false, pieces: tensors.map(wholeOf) }
}

function wholeOf(tensor: Tensor, array: number): Piece {
  return { tensor, tensorOffset: 0, array, arrayOffset: 0, elements: elementsOf(tensor.shape) }
}

function checkParameter(name: string, given: unknown, { shapes, single }: ParameterMap): readonly FloatArray[] {
  const value = given as FloatArray | readonly FloatArray[] | undefined
  if (value === undefined)
    throw wrongArgument(name, `expected ${single ? 'an array' : `a list of ${shapes.length} arrays`}, found nothing`)
  if (single ? !isArray(value) : !isList(name, value)) throw notFloats(name, single ? 1 : shapes.length, value)
  const arrays = isArray(value) ? [value] : checkList(name, value, 'arrays')
  if (arrays.length !== shapes.length) throw wrongArgument(name, `expected ${shapes.length} arrays, found ${arrays.length}`)
  shapes.forEach((shape, index) => checkLength(single ? name : `${name}[${index}]`, arrays[index], shape))
  return arrays
}

function checkCount(name: string, list: readonly unknown[], expected: number, what: string): void {
  if (list.length !== expected) throw wrongArgument(name, `expected a list of ${expected}, one per ${what}, found ${list.length}`)
}

function checkLength(name: string, array: FloatArray | undefined, shape: readonly number[]): void {
  if (!isArray(array)) throw notFloats(name, 1, array)
  checkThere(name, array)
  const [expected, found] = [elementsOf(shape), lengthOf(array)]
  if (found === expected) return
  throw wrongArgument(name, `expected ${shape.join(' x ')} = ${expected} elements, found ${found}`)
}

function checkThere(name: string, array: FloatArray): void {
  if (isGone(array)) throw wrongArgument(name, `expected an array, found ${goneMemory}`)
}

function isList(name: string, value: unknown): value is readonly unknown[] {
  return guarded(name, undefined, () => Array.isArray(value))
}

function nameOf(name: string, x: StreamRows, stream: number): string {
  return isArray(x) ? name : `${name}[${stream}]`
}

function isArray(value: unknown): value is FloatArray {
  return isTypedArray(value, 'Float32Array') || isTypedArray(value, 'Float64Array')
}

function add(left: FloatArray, right: FloatArray): FloatArray {
  const sum = left.slice()
  for (let index = 0; index < sum.length; index += 1) sum[index] = (sum[index] ?? 0) + (right[index] ?? 0)
  return sum
}

function notFloats(name: string, count: number, found: unknown): Error {
  const expected = count === 1 ? 'a Float32Array or Float64Array' : `a list of ${count} Float32Arrays or Float64Arrays`
  return wrongArgument(name, `expected ${expected}, found ${describeValue(found)}`)
}
