// A level of gated experts as data: streams (each with a width), experts (each reads one stream) and gates (each reads one stream
// and sees some experts). Every model is a choice of topologies. A topology is checked when it is made, and then frozen: compiled
// plans are cached by its identity.

import { type Activation, activationNames } from './activation.js'
import {
  checkFailed,
  checkInteger,
  checkKeys,
  checkList,
  checkObject,
  checkOneOf,
  describeValue,
  guarded,
  invalidArgument,
} from './check.js'
import { type FusionOption, fusedWidth, fusionParts } from './fusion.js'
import { largestWidth, longestList, mostLevels, mostSeats } from './limits.js'

/** An expert: a stack of dense layers over a stream. */
export interface Expert {
  readonly stream: number
}

/** A gate: a softmax over the experts that it sees, in this order. */
export interface Gate {
  readonly stream: number
  readonly experts: readonly number[]
}

export interface Topology {
  /** Width of each stream. */
  readonly streams: readonly number[]
  readonly experts: readonly Expert[]
  /** Empty if a single expert passes on unchanged (shared bottom). */
  readonly gates: readonly Gate[]
  /** The gate of each output, in order. Without gates, the expert. */
  readonly outputs: readonly number[]
  /** Width of every expert and output. */
  readonly units: number
  /** Widths of an expert's layers before the last. */
  readonly expertHiddenUnits: readonly number[]
  /** Widths of a gate's layers before its softmax. */
  readonly gateHiddenUnits: readonly number[]
  /** Follows every layer of an expert and every hidden layer of a gate. */
  readonly activation: Activation
  /** Whether the softmax layers of gates have a bias. */
  readonly gateBias: boolean
  /** Divides the logits of gates. */
  readonly gateTemperature: number
}

interface LayerOptions {
  /** Width of every expert and output. */
  readonly units: number
  /** Widths of an expert's layers before the last. Default none. */
  readonly expertHiddenUnits?: readonly number[] | undefined
  /** Widths of a gate's layers before its softmax, each with a bias. Default none. */
  readonly gateHiddenUnits?: readonly number[] | undefined
  /** Follows every layer of an expert and every hidden layer of a gate. Default `'relu'`. */
  readonly activation?: Activation | undefined
  /** Whether softmax layers have a bias. Default false, as in the papers. */
  readonly gateBias?: boolean | undefined
  /** Divides the logits of gates. Above 1, gates mix more evenly. Default 1. */
  readonly gateTemperature?: number | undefined
}

/** Any level: the general form that the named ones are made from. */
export interface LevelOptions extends LayerOptions {
  readonly streams: readonly number[]
  readonly experts: readonly Expert[]
  readonly gates: readonly Gate[]
  /** Default: each gate once. */
  readonly outputs?: readonly number[] | undefined
}

export interface SharedBottomOptions extends Omit<LayerOptions, 'gateBias' | 'gateHiddenUnits' | 'gateTemperature'> {
  readonly inputDim: number
  readonly numTasks: number
}

export interface MixtureOptions extends LayerOptions {
  readonly inputDim: number
  readonly numExperts: number
  readonly numTasks: number
}

export interface CGCOptions extends LayerOptions {
  readonly inputDim: number
  readonly numTasks: number
  /** Experts of each task alone: one number for all tasks, or one per task. */
  readonly numSpecificExperts: number | readonly number[]
  readonly numSharedExperts: number
}

export interface PLEOptions extends CGCOptions {
  readonly numLevels: number
  /** How a level's outputs enter the next level. Default `'none'`: each task's output and the shared one pass on separately. */
  readonly fusion?: FusionOption | undefined
}

const ofLayers = ['units', 'expertHiddenUnits', 'gateHiddenUnits', 'activation', 'gateBias', 'gateTemperature'] as const
const ofLevel: readonly (keyof LevelOptions)[] = [...ofLayers, 'streams', 'experts', 'gates', 'outputs']
const ofBottom: readonly (keyof SharedBottomOptions)[] = ['units', 'expertHiddenUnits', 'activation', 'inputDim', 'numTasks']
const ofMixture: readonly (keyof MixtureOptions)[] = [...ofLayers, 'inputDim', 'numExperts', 'numTasks']
const ofCgc: readonly (keyof CGCOptions)[] = [...ofLayers, 'inputDim', 'numTasks', 'numSpecificExperts', 'numSharedExperts']
const ofPle: readonly (keyof PLEOptions)[] = [...ofCgc, 'numLevels', 'fusion']

/** Any level, checked. @throws ERR_MULTIGATE_TOPOLOGY naming the stream, expert, gate or output that is wrong. */
function level(options: LevelOptions): Topology {
  return levelOf(checkKeys('topology.level', options, ofLevel))
}

const checkedOf = new WeakMap<object, Topology>()

/**
 * Checks a topology that may be made by hand or copied from another thread.
 * @throws as `topology.level`.
 */
export function checkedTopology(topology: Topology): Topology {
  // PLE has a list of topologies, one per level; a caller may pass it by mistake.
  checkObject('topology', topology, 'that of one level')
  return checkedOf.get(topology) ?? kept(topology, level(topology))
}

/** Remembers a checked topology, so that its compiled programs are found again. */
function kept(topology: object, checked: Topology): Topology {
  checkedOf.set(topology, checked)
  return checked
}

function levelOf(options: LevelOptions): Topology {
  return guarded('topology', undefined, () => checkedLevel(options))
}

/** Reads everything once, by index: holes become `undefined`, and the checked values are the ones that stay. */
function checkedLevel(options: LevelOptions): Topology {
  const layers = layersOf(options)
  const streams = checkList('streams', options.streams, 'widths')
  const experts = checkList('experts', options.experts, 'experts').map((expert, index) => {
    const { stream } = checkObject(`experts[${index}]`, expert, '{ stream }')
    return Object.freeze({ stream })
  })
  let seats = 0
  const gates = checkList('gates', options.gates, 'gates').map((gate, index) => {
    const { stream, experts: seen } = checkObject(`gates[${index}]`, gate, '{ stream, experts }')
    const list = checkList(`gates[${index}].experts`, seen, 'experts')
    seats += list.length
    checkSeats(index + 1, seats)
    return Object.freeze({ stream, experts: Object.freeze(list) })
  })
  if (streams.length === 0) fail('streams: expected at least one width, found none')
  streams.forEach((width, stream) => checkInteger(`streams[${stream}]`, width, { min: 1, max: largestWidth }))
  if (experts.length === 0) fail('experts: expected at least one expert, found none')
  experts.forEach(({ stream }, expert) => checkReference(`experts[${expert}].stream`, 'a stream', stream, streams.length))
  gates.forEach((gate, index) => checkGate(gate, index, streams.length, experts.length))
  if (gates.length === 0 && experts.length > 1)
    fail(`gates: expected at least one gate for ${experts.length} experts, found none; only a single expert works without one`)
  const each = gates.length === 0 ? [0] : gates.map((_, gate) => gate)
  const outputs = options.outputs === undefined ? each : checkList('outputs', options.outputs, 'gates')
  outputs.forEach((gate, output) => checkReference(`outputs[${output}]`, 'a gate', gate, Math.max(gates.length, 1)))
  const checked = Object.freeze({
    streams: Object.freeze(streams),
    experts: Object.freeze(experts),
    gates: Object.freeze(gates),
    outputs: Object.freeze(outputs),
    ...layers,
  })
  return kept(checked, checked)
}

/** One gate per task, each over all experts. */
function mmoe(given: MixtureOptions): Topology {
  const options = checkKeys('topology.mmoe', given, ofMixture)
  const { streams, experts } = oneStream(options, options.numExperts)
  checkInteger('numTasks', options.numTasks, { min: 1, max: longestList })
  const all = range(experts.length)
  return levelOf({ ...options, streams, experts, gates: range(options.numTasks).map(() => ({ stream: 0, experts: all })) })
}

/** One gate over all experts. Its mix is the output of every task. */
function omoe(given: MixtureOptions): Topology {
  const options = checkKeys('topology.omoe', given, ofMixture)
  const { streams, experts } = oneStream(options, options.numExperts)
  checkInteger('numTasks', options.numTasks, { min: 1, max: longestList })
  const gates = [{ stream: 0, experts: range(experts.length) }]
  return levelOf({ ...options, streams, experts, gates, outputs: range(options.numTasks).map(() => 0) })
}

/** One gate per task over the shared experts, then the task's own. Order of experts: shared, then specific, task by task. */
function cgc(given: CGCOptions): Topology {
  const options = checkKeys('topology.cgc', given, ofCgc)
  checkInteger('inputDim', options.inputDim, { min: 1, max: largestWidth })
  return extraction(options, [options.inputDim], false)
}

/**
 * Progressive layered extraction: one level after another. Inner levels have a gate per task, then a shared gate. The shared gate
 * sees all experts: specific ones task by task, then shared ones. The first level has one stream. Later levels have numTasks + 1
 * streams (tasks, then shared), and experts and gates of a task read the task's stream. With fusion they have one stream.
 */
function ple(given: PLEOptions): readonly Topology[] {
  const options = checkKeys('topology.ple', given, ofPle)
  const { inputDim, numLevels, numTasks, units, fusion = 'none' } = options
  checkInteger('numLevels', numLevels, { min: 1, max: mostLevels })
  checkInteger('inputDim', inputDim, { min: 1, max: largestWidth })
  checkInteger('numTasks', numTasks, { min: 1, max: longestList })
  checkInteger('units', units, { min: 1, max: largestWidth })
  const parts = fusionParts(fusion)
  const between = parts.length === 0 ? range(numTasks + 1).map(() => units) : [fusedWidth(parts, numTasks + 1, units)]
  let seats = 0
  return range(numLevels).map((index) => {
    const made = extraction(options, index === 0 ? [inputDim] : between, index + 1 < numLevels)
    seats += gateWidths(made).reduce((sum, width) => sum + width, 0)
    if (seats > mostSeats)
      fail(
        `gates: expected the gates of ${numLevels} levels to see at most ${mostSeats} experts together, found more; use fewer levels, tasks or experts`,
      )
    return made
  })
}

/** A level of shared and specific experts. With several streams, those of the tasks come first and the shared one last. */
function extraction(options: CGCOptions, streams: readonly number[], sharedGate: boolean): Topology {
  const { numTasks, numSharedExperts } = options
  checkInteger('numTasks', numTasks, { min: 1, max: longestList })
  checkInteger('numSharedExperts', numSharedExperts, { min: 0, max: longestList })
  const counts = specificExperts(options.numSpecificExperts, numTasks)
  const specificCount = counts.reduce((sum, count) => sum + count, 0)
  const ofShared = sharedGate ? specificCount + numSharedExperts : 0
  checkSeats(numTasks + (sharedGate ? 1 : 0), numTasks * numSharedExperts + specificCount + ofShared)
  const streamOf = (owner: number): number => (streams.length === 1 ? 0 : owner)
  const shared = range(numSharedExperts)
  const experts = shared.map(() => ({ stream: streamOf(numTasks) }))
  const gates = counts.map((count, task) => {
    const own = range(count).map((index) => experts.length + index)
    experts.push(...own.map(() => ({ stream: streamOf(task) })))
    return { stream: streamOf(task), experts: [...shared, ...own] }
  })
  const specific = range(experts.length).slice(numSharedExperts)
  if (sharedGate) gates.push({ stream: streamOf(numTasks), experts: [...specific, ...shared] })
  return levelOf({ ...options, streams, experts, gates })
}

/** One expert, passed unchanged to every task: no gate, no gate parameters. */
function sharedBottom(given: SharedBottomOptions): Topology {
  const options = checkKeys('topology.sharedBottom', given, ofBottom)
  checkInteger('numTasks', options.numTasks, { min: 1, max: longestList })
  const { streams, experts } = oneStream(options, 1)
  return levelOf({ ...options, streams, experts, gates: [], outputs: range(options.numTasks).map(() => 0) })
}

/** Makes the topology of one level. */
export const topology = { level, mmoe, omoe, cgc, ple, sharedBottom } as const

/** The experts that read each stream, in ascending order. */
export function expertsByStream({ streams, experts }: Topology): readonly (readonly number[])[] {
  const lists: number[][] = streams.map(() => [])
  experts.forEach(({ stream }, expert) => lists[stream]?.push(expert))
  return lists
}

/** The position of each expert among the experts of its stream. */
export function expertPositions(topology: Topology): readonly number[] {
  const positions: number[] = []
  for (const list of expertsByStream(topology)) {
    list.forEach((expert, position) => {
      positions[expert] = position
    })
  }
  return positions
}

/** How many experts each gate sees: the widths of the gate probabilities, side by side. */
export function gateWidths({ gates }: Topology): number[] {
  return gates.map(({ experts }) => experts.length)
}

function oneStream({ inputDim }: { readonly inputDim: number }, numExperts: number) {
  checkInteger('inputDim', inputDim, { min: 1, max: largestWidth })
  checkInteger('numExperts', numExperts, { min: 1, max: longestList })
  return { streams: [inputDim], experts: range(numExperts).map(() => ({ stream: 0 })) }
}

function specificExperts(counts: number | readonly number[], numTasks: number): readonly number[] {
  const list =
    typeof counts === 'number'
      ? range(numTasks).map(() => counts)
      : checkList('numSpecificExperts', counts, 'numbers, one per task, or one number for all')
  if (list.length !== numTasks) {
    fail(`numSpecificExperts: expected one number per task (${numTasks}), found ${list.length}`)
  }
  list.forEach((count, task) => checkInteger(`numSpecificExperts[${task}]`, count, { min: 0, max: longestList }))
  return list
}

/** The checked options of layers, with defaults. */
function layersOf({
  units,
  expertHiddenUnits = [],
  gateHiddenUnits = [],
  activation = 'relu',
  gateBias = false,
  gateTemperature = 1,
}: LayerOptions) {
  checkInteger('units', units, { min: 1, max: largestWidth })
  const widths = (name: string, list: readonly number[]): readonly number[] => {
    return checkList(name, list, 'widths').map((width, layer) =>
      checkInteger(`${name}[${layer}]`, width, { min: 1, max: largestWidth }),
    )
  }
  checkOneOf('activation', activation, activationNames)
  if (typeof gateBias !== 'boolean') throw invalidArgument('gateBias', 'true or false', gateBias)
  if (!(typeof gateTemperature === 'number' && gateTemperature > 0 && gateTemperature < Infinity))
    fail(`gateTemperature: expected a number > 0, found ${describeValue(gateTemperature)}`)
  return {
    units,
    expertHiddenUnits: Object.freeze(widths('expertHiddenUnits', expertHiddenUnits)),
    gateHiddenUnits: Object.freeze(widths('gateHiddenUnits', gateHiddenUnits)),
    activation,
    gateBias,
    gateTemperature,
  }
}

function checkGate({ stream, experts }: Gate, gate: number, streams: number, count: number): void {
  checkReference(`gates[${gate}].stream`, 'a stream', stream, streams)
  if (experts.length === 0) fail(`gates[${gate}].experts: expected at least one expert, found none`)
  const seen = new Set<number>()
  for (const expert of experts) {
    checkReference(`gates[${gate}].experts`, 'an expert', expert, count)
    if (seen.has(expert)) fail(`gates[${gate}].experts: expected each expert once, found ${expert} twice`)
    seen.add(expert)
  }
}

/** The experts seen by all gates of a level form one list, which has a limit. */
function checkSeats(gates: number, seats: number): void {
  if (seats > longestList)
    fail(
      `gates: expected ${gates} gates to see at most ${longestList} experts together, found ${seats}; use fewer experts or tasks`,
    )
}

function checkReference(field: string, what: string, index: number, count: number): void {
  if (Number.isInteger(index) && index >= 0 && index < count) return
  fail(`${field}: expected ${what} in [0, ${count}), found ${describeValue(index)}`)
}

function fail(message: string): never {
  throw checkFailed('ERR_MULTIGATE_TOPOLOGY', message)
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
