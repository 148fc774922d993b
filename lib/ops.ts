// The fused mixture on plain typed arrays: the entry `multigate/ops`. A call writes the parameters, runs one program and returns new
// arrays. Compiled programs are kept with the topology object, so keep and reuse it.

import './core/disposable.js'

import { threadsWithin } from './core/cgroups.js'
import { checkInteger, checkKeys } from './core/check.js'
import { chooseDevice } from './core/device.js'
import { mostThreads } from './core/limits.js'
import { checkPrecision } from './core/precision.js'
import { checkedTopology, type Topology } from './core/topology.js'
import type { DeviceName, FloatArray, Precision } from './native/binding.js'
import { loadNative } from './native/loader.js'
import {
  checkCache,
  checkProbabilities,
  checkStreams,
  checkUpstream,
  type GateUpstream,
  type MixtureParameters,
  readGradients,
  type StreamRows,
  type Streams,
  writeParameters,
} from './ops/arguments.js'
import {
  isDouble,
  type Pass,
  type Place,
  type RowOutputs,
  returnWorkspace,
  takeWorkspace,
  type Workspace,
} from './ops/workspace.js'

export type { Activation } from './core/activation.js'
export type { Fusion, FusionOption } from './core/fusion.js'
export {
  type CGCOptions,
  type Expert,
  type Gate,
  type LevelOptions,
  type MixtureOptions,
  type PLEOptions,
  type SharedBottomOptions,
  type Topology,
  topology,
} from './core/topology.js'
export type { DeviceName, FloatArray, Precision } from './native/binding.js'
export type { MixtureParameters, StreamRows } from './ops/arguments.js'

export interface MixtureRunOptions {
  /** Default `'auto'`: the GPU if there is one, else the CPU. `'reference'` computes in float64. */
  readonly device?: DeviceName | 'auto' | undefined
  /** The precision of the experts' matrix products. Gates, softmax and sums are float32. Default `'float32'`; `'tf32'` only on GPUs. */
  readonly precision?: Precision | undefined
  /** The most threads to use. The bits of the result do not depend on it. Default: every processor this process may use. */
  readonly threads?: number | undefined
  /** An instruction set of the CPU. Default: the best of this machine. */
  readonly isa?: string | undefined
}

/** The arrays that an op returns: float64 on the reference, else float32. */
export type ArrayOn<Options> = Options extends { readonly device: infer Device }
  ? Device extends 'reference'
    ? Float64Array
    : Float32Array
  : Float32Array

/** The same structure of arrays with another element type. */
export type Like<Arrays, A extends FloatArray> = Arrays extends FloatArray
  ? A
  : Arrays extends readonly FloatArray[]
    ? A[]
    : { -readonly [Name in keyof Arrays]: Like<Arrays[Name], A> }

/** What a backward pass needs from a forward pass: probabilities and rows. The experts are computed again. */
export interface MixtureCache<X extends StreamRows = StreamRows, A extends FloatArray = FloatArray> {
  /** One [n, experts seen] per gate. */
  readonly gates: readonly A[]
  /** A copy of the rows. */
  readonly x: X
}

export interface MixtureForward<X extends StreamRows, A extends FloatArray> {
  /** One [n, units] per output: tasks, then a shared gate. */
  readonly outputs: A[]
  readonly cache: MixtureCache<X, A>
}

export interface MixtureBackward<P, X, A extends FloatArray> {
  /** The gradient of x, in the form of x. */
  readonly dx: Like<X, A>
  /** The gradients of the parameters, in their form. */
  readonly dparams: Like<P, A>
}

export interface MixtureGrad<P, X, A extends FloatArray> extends MixtureBackward<P, X, A> {
  readonly outputs: A[]
}

/** The gradient of each output, [n, units]; null means zero. */
export type Upstream = readonly (FloatArray | null)[]

/**
 * outputs_j = sum over the experts i that gate j sees of softmax(x G_j + c_j)[i] activation(x W_i + b_i).
 *
 * The number of rows follows from the length of `x`. Rows are float32 on every device.
 *
 * @throws ERR_MULTIGATE_ARGUMENT naming the array with the wrong length, and both lengths.
 * @example
 * const topo = topology.mmoe({ inputDim: 128, numExperts: 20, units: 32, numTasks: 4 })
 * const { outputs, cache } = mixtureForward(topo, params, x)
 */
export function mixtureForward<X extends StreamRows, const Options extends MixtureRunOptions = object>(
  topology: Topology,
  params: MixtureParameters,
  x: X,
  options?: Options | undefined,
): MixtureForward<X, ArrayOn<Options>> {
  return runNow(forwardCall(topology, params, x), placeOf(options)) as MixtureForward<X, ArrayOn<Options>>
}

/** {@link mixtureForward} off the main thread. Arguments are copied before it returns. */
export async function mixtureForwardAsync<X extends StreamRows, const Options extends MixtureRunOptions = object>(
  topology: Topology,
  params: MixtureParameters,
  x: X,
  options?: Options | undefined,
): Promise<MixtureForward<X, ArrayOn<Options>>> {
  return (await runLater(forwardCall(topology, params, x), placeOf(options))) as MixtureForward<X, ArrayOn<Options>>
}

/**
 * Gradients of x and of all parameters, from the gradients of the outputs and the cache of {@link mixtureForward}.
 *
 * @throws ERR_MULTIGATE_ARGUMENT naming the array with the wrong length, and both lengths.
 */
export function mixtureBackward<
  P extends MixtureParameters,
  X extends StreamRows,
  const Options extends MixtureRunOptions = object,
>(
  topology: Topology,
  params: P,
  cache: MixtureCache<X>,
  dOutputs: Upstream,
  options?: Options | undefined,
): MixtureBackward<P, X, ArrayOn<Options>> {
  const place = placeOf(options)
  return runNow(backwardCall(topology, params, cache, dOutputs, place), place) as MixtureBackward<P, X, ArrayOn<Options>>
}

/** {@link mixtureBackward} off the main thread. Arguments are copied before it returns. */
export async function mixtureBackwardAsync<
  P extends MixtureParameters,
  X extends StreamRows,
  const Options extends MixtureRunOptions = object,
>(
  topology: Topology,
  params: P,
  cache: MixtureCache<X>,
  dOutputs: Upstream,
  options?: Options | undefined,
): Promise<MixtureBackward<P, X, ArrayOn<Options>>> {
  const place = placeOf(options)
  const result = await runLater(backwardCall(topology, params, cache, dOutputs, place), place)
  return result as MixtureBackward<P, X, ArrayOn<Options>>
}

/**
 * Outputs and gradients in one pass, block by block.
 *
 * @throws ERR_MULTIGATE_ARGUMENT naming the array with the wrong length, and both lengths.
 */
export function mixtureGrad<P extends MixtureParameters, X extends StreamRows, const Options extends MixtureRunOptions = object>(
  topology: Topology,
  params: P,
  x: X,
  dOutputs: Upstream,
  options?: Options | undefined,
): MixtureGrad<P, X, ArrayOn<Options>> {
  const place = placeOf(options)
  return runNow(gradCall(topology, params, x, dOutputs, place), place) as MixtureGrad<P, X, ArrayOn<Options>>
}

/** {@link mixtureGrad} off the main thread. Arguments are copied before it returns. */
export async function mixtureGradAsync<
  P extends MixtureParameters,
  X extends StreamRows,
  const Options extends MixtureRunOptions = object,
>(topology: Topology, params: P, x: X, dOutputs: Upstream, options?: Options): Promise<MixtureGrad<P, X, ArrayOn<Options>>> {
  const place = placeOf(options)
  return (await runLater(gradCall(topology, params, x, dOutputs, place), place)) as MixtureGrad<P, X, ArrayOn<Options>>
}

/** One call of an op: its checked rows, its pass, and its result from the outputs. */
interface Call<Result> {
  readonly topology: Topology
  readonly params: MixtureParameters
  readonly rows: number
  readonly inputs: ReadonlyMap<string, FloatArray>
  readonly pass: (workspace: Workspace) => Pass
  readonly result: (outputs: RowOutputs, workspace: Workspace) => Result
}

function forwardCall(given: Topology, params: MixtureParameters, x: StreamRows): Call<MixtureForward<StreamRows, FloatArray>> {
  const topology = checkedTopology(given)
  const streams = checkStreams(topology, x, 'x')
  const copy = isList(x) ? streams.arrays.map((stream) => stream.slice()) : x.slice()
  return {
    topology,
    params,
    rows: streams.rows,
    inputs: new Map(streamInputs(streams)),
    pass: (workspace) => workspace.forward(),
    result: (outputs) => ({
      outputs: outputsOf(topology, outputs),
      cache: { gates: topology.gates.map((_, gate) => taken(outputs, `gate:${gate}`)), x: copy },
    }),
  }
}

function backwardCall(
  given: Topology,
  params: MixtureParameters,
  cache: MixtureCache,
  dOutputs: Upstream,
  { device }: Place,
): Call<MixtureBackward<MixtureParameters, StreamRows, FloatArray>> {
  const topology = checkedTopology(given)
  const { x, gates: cached } = checkCache(cache)
  const streams = checkStreams(topology, x, 'cache.x')
  const gates = checkProbabilities(topology, streams.rows, cached)
  const upstream = checkUpstream(topology, streams.rows, dOutputs, isDouble(device))
  const probabilities = gates.map((gate, index) => [`probabilities:${index}`, gate] as const)
  return {
    topology,
    params,
    rows: streams.rows,
    inputs: new Map([...streamInputs(streams), ...upstreamInputs(upstream), ...probabilities]),
    pass: (workspace) => workspace.backward(upstream.map((gradients) => gradients.length)),
    result: (outputs, workspace) => gradientsOf(topology, x, outputs, workspace),
  }
}

function gradCall(
  given: Topology,
  params: MixtureParameters,
  x: StreamRows,
  dOutputs: Upstream,
  { device }: Place,
): Call<MixtureGrad<MixtureParameters, StreamRows, FloatArray>> {
  const topology = checkedTopology(given)
  const streams = checkStreams(topology, x, 'x')
  const upstream = checkUpstream(topology, streams.rows, dOutputs, isDouble(device))
  return {
    topology,
    params,
    rows: streams.rows,
    inputs: new Map([...streamInputs(streams), ...upstreamInputs(upstream)]),
    pass: (workspace) => workspace.grad(upstream.map((gradients) => gradients.length)),
    result: (outputs, workspace) => ({
      outputs: outputsOf(topology, outputs),
      ...gradientsOf(topology, x, outputs, workspace),
    }),
  }
}

function runNow<Result>(call: Call<Result>, place: Place): Result {
  const workspace = takeWorkspace(call.topology, place)
  try {
    writeParameters(call.topology, workspace.programs.tensors, call.params, workspace.parameters)
    return call.result(call.pass(workspace).run(call.rows, call.inputs, place.threads), workspace)
  } finally {
    returnWorkspace(workspace)
  }
}

async function runLater<Result>(call: Call<Result>, place: Place): Promise<Result> {
  const workspace = takeWorkspace(call.topology, place)
  try {
    writeParameters(call.topology, workspace.programs.tensors, call.params, workspace.parameters)
    return call.result(await call.pass(workspace).runAsync(call.rows, call.inputs, place.threads), workspace)
  } finally {
    returnWorkspace(workspace)
  }
}

const runOptions: readonly (keyof MixtureRunOptions)[] = ['device', 'precision', 'threads', 'isa']

function placeOf(options: MixtureRunOptions = {}): Place {
  const { device = 'auto', precision = 'float32', threads, isa } = checkKeys('options', options, runOptions)
  if (threads !== undefined) checkInteger('threads', threads, { min: 1, max: mostThreads })
  const native = loadNative()
  const chosen = chooseDevice(native, device, isa)
  return {
    native,
    device: chosen.device,
    isa,
    precision: checkPrecision(precision, chosen.device),
    threads: threads ?? threadsWithin(native.processors()),
  }
}

function streamInputs({ arrays }: Streams): [string, FloatArray][] {
  return arrays.map((array, stream) => [`x:${stream}`, array])
}

function upstreamInputs(upstream: GateUpstream): [string, FloatArray][] {
  return upstream.flatMap((gradients, gate) => {
    return gradients.map((gradient, round): [string, FloatArray] => [`upstream:${gate}:${round}`, gradient])
  })
}

/** Outputs of the same gate have the same numbers, but each gets its own array. */
function outputsOf({ outputs: sources }: Topology, outputs: RowOutputs): FloatArray[] {
  return sources.map((source, output) => {
    const mix = taken(outputs, `output:${source}`)
    return sources.indexOf(source) === output ? mix : mix.slice()
  })
}

function gradientsOf(
  topology: Topology,
  x: StreamRows,
  outputs: RowOutputs,
  workspace: Workspace,
): MixtureBackward<MixtureParameters, StreamRows, FloatArray> {
  const dstreams = topology.streams.map((_, stream) => taken(outputs, `dx:${stream}`))
  return {
    dx: isList(x) ? dstreams : taken(outputs, 'dx:0'),
    dparams: readGradients(topology, workspace.programs.tensors, workspace.gradients) as Like<MixtureParameters, FloatArray>,
  }
}

function taken(outputs: RowOutputs, name: string): FloatArray {
  const array = outputs.get(name)
  if (array === undefined) throw new Error(`the program has no row output ${name}`)
  return array
}

function isList(x: StreamRows): x is readonly FloatArray[] {
  return Array.isArray(x)
}
