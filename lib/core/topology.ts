// A level of gated experts as data: streams (each with a width), experts (each reads one stream), gates (each reads one
// stream and sees some experts). Every model in scope is a choice of topologies; the kernels know nothing else. A topology
// has been checked when it exists, and is frozen: compiled plans are cached by its identity.

import { type Activation, activationNames } from './activation.js'
import { checkFailed, checkInteger, checkOneOf } from './check.js'

/** An expert: one dense layer over a stream. */
export interface Expert {
  readonly stream: number
}

/** A gate: a softmax over the experts it sees, in this order. */
export interface Gate {
  readonly stream: number
  readonly experts: readonly number[]
}

export interface Topology {
  /** Width of each stream. */
  readonly streams: readonly number[]
  readonly experts: readonly Expert[]
  /** Empty where one expert is passed on as it is (shared bottom). */
  readonly gates: readonly Gate[]
  /** For each output, in order, the gate that it is the mix of; without gates, the expert. */
  readonly outputs: readonly number[]
  /** Width of every expert and output. */
  readonly units: number
  /** After every expert. */
  readonly activation: Activation
  /** Whether gates have a bias. */
  readonly gateBias: boolean
}

interface LayerOptions {
  /** Width of every expert and output. */
  readonly units: number
  /** Default `'relu'`. */
  readonly activation?: Activation
  /** Default false, as in the papers. */
  readonly gateBias?: boolean
}

/** Any level: the general form that the named ones are made from. */
export interface LevelOptions extends LayerOptions {
  readonly streams: readonly number[]
  readonly experts: readonly Expert[]
  readonly gates: readonly Gate[]
  /** Default: each gate once. */
  readonly outputs?: readonly number[]
}

export interface SharedBottomOptions extends Omit<LayerOptions, 'gateBias'> {
  readonly inputDim: number
  readonly numTasks: number
}

export interface MixtureOptions extends LayerOptions {
  readonly inputDim: number
  readonly numExperts: number
  readonly numTasks: number
}

export interface CgcOptions extends LayerOptions {
  readonly inputDim: number
  readonly numTasks: number
  /** Experts of each task's own; one number for all tasks or one per task. */
  readonly numSpecificExperts: number | readonly number[]
  readonly numSharedExperts: number
}

/** Any level, checked. @throws ERR_MULTIGATE_TOPOLOGY naming the stream, expert, gate or output that is wrong. */
function level({ streams, experts, gates, outputs, units, activation = 'relu', gateBias = false }: LevelOptions): Topology {
  checkLayer(units, activation)
  if (streams.length === 0) fail('a topology needs a stream')
  streams.forEach((width, stream) => checkInteger(`streams[${stream}]`, width, { min: 1 }))
  if (experts.length === 0) fail('a topology needs an expert')
  experts.forEach(({ stream }, expert) => checkReference(`expert ${expert} reads`, 'stream', stream, streams.length))
  gates.forEach((gate, index) => checkGate(gate, index, streams.length, experts.length))
  if (gates.length === 0 && experts.length > 1)
    fail(`${experts.length} experts need a gate; only one alone is passed on as it is`)
  const sources = outputs ?? (gates.length === 0 ? [0] : gates.map((_, gate) => gate))
  sources.forEach((gate, output) => checkReference(`output ${output} is`, 'gate', gate, Math.max(gates.length, 1)))
  return Object.freeze({
    streams: Object.freeze([...streams]),
    experts: Object.freeze(experts.map(({ stream }) => Object.freeze({ stream }))),
    gates: Object.freeze(gates.map((gate) => Object.freeze({ stream: gate.stream, experts: Object.freeze([...gate.experts]) }))),
    outputs: Object.freeze([...sources]),
    units,
    activation,
    gateBias,
  })
}

/** One gate per task, each over all experts. */
function mmoe(options: MixtureOptions): Topology {
  const { streams, experts } = oneStream(options, options.numExperts)
  checkInteger('numTasks', options.numTasks, { min: 1 })
  const all = range(experts.length)
  return level({ ...options, streams, experts, gates: range(options.numTasks).map(() => ({ stream: 0, experts: all })) })
}

/** One gate over all experts; its mix is every task's output. */
function omoe(options: MixtureOptions): Topology {
  const { streams, experts } = oneStream(options, options.numExperts)
  checkInteger('numTasks', options.numTasks, { min: 1 })
  const gates = [{ stream: 0, experts: range(experts.length) }]
  return level({ ...options, streams, experts, gates, outputs: range(options.numTasks).map(() => 0) })
}

/** One gate per task over the shared experts, then its own. Experts: shared first, then specific, task by task. */
function cgc(options: CgcOptions): Topology {
  const { numTasks, numSharedExperts } = options
  checkInteger('numTasks', numTasks, { min: 1 })
  checkInteger('numSharedExperts', numSharedExperts, { min: 0 })
  const specific = specificExperts(options.numSpecificExperts, numTasks)
  const { streams, experts } = oneStream(options, numSharedExperts + specific.reduce((sum, count) => sum + count, 0))
  let next = numSharedExperts
  const gates = specific.map((count) => {
    const own = range(count).map((index) => next + index)
    next += count
    return { stream: 0, experts: [...range(numSharedExperts), ...own] }
  })
  return level({ ...options, streams, experts, gates })
}

/** One expert passed to every task as it is: no gate, no gate parameters. */
function sharedBottom(options: SharedBottomOptions): Topology {
  checkInteger('numTasks', options.numTasks, { min: 1 })
  const { streams, experts } = oneStream(options, 1)
  return level({ ...options, streams, experts, gates: [], outputs: range(options.numTasks).map(() => 0) })
}

/** Makes the topology of one level. */
export const topology = { level, mmoe, omoe, cgc, sharedBottom } as const

/** The experts that read a stream, in ascending order. */
export function expertsOf({ experts }: Topology, stream: number): number[] {
  return range(experts.length).filter((expert) => experts[expert]?.stream === stream)
}

/** Columns of the gate probabilities of all gates side by side: how many experts each gate sees. */
export function gateWidths({ gates }: Topology): number[] {
  return gates.map(({ experts }) => experts.length)
}

function oneStream({ inputDim }: { readonly inputDim: number }, numExperts: number) {
  checkInteger('inputDim', inputDim, { min: 1 })
  checkInteger('numExperts', numExperts, { min: 1 })
  return { streams: [inputDim], experts: range(numExperts).map(() => ({ stream: 0 })) }
}

function specificExperts(counts: number | readonly number[], numTasks: number): readonly number[] {
  const list = typeof counts === 'number' ? range(numTasks).map(() => counts) : counts
  if (list.length !== numTasks) {
    fail(`numSpecificExperts: expected one number per task (${numTasks}), found ${list.length}`)
  }
  list.forEach((count, task) => checkInteger(`numSpecificExperts[${task}]`, count, { min: 0 }))
  return list
}

function checkLayer(units: number, activation: Activation): void {
  checkInteger('units', units, { min: 1 })
  checkOneOf('activation', activation, activationNames)
}

function checkGate({ stream, experts }: Gate, gate: number, streams: number, count: number): void {
  checkReference(`gate ${gate} reads`, 'stream', stream, streams)
  if (experts.length === 0) fail(`gate ${gate} sees no expert`)
  experts.forEach((expert, position) => {
    checkReference(`gate ${gate} sees`, 'expert', expert, count)
    if (experts.indexOf(expert) !== position) fail(`gate ${gate} sees expert ${expert} twice`)
  })
}

function checkReference(who: string, what: string, index: number, count: number): void {
  if (Number.isInteger(index) && index >= 0 && index < count) return
  fail(`${who} ${what} ${index} but there ${count === 1 ? `is 1 ${what}` : `are ${count} ${what}s`}`)
}

function fail(message: string): never {
  throw checkFailed('ERR_MULTIGATE_TOPOLOGY', message)
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
