// How gates use their experts, measured on a sample of rows without dropout: weights, entropies, and how much the experts' outputs resemble
// each other, with words for what is wrong. It reads weights alone and changes nothing.

import { Draws } from '../core/draws.js'
import { inBlocks, inSlices, type Sliced, sliceValues } from '../core/slices.js'
import type { WatchedGate } from '../layers/tape.js'
import type { EncodedRows } from './encode.js'
import type { GateWeights } from './gates.js'
import type { NetworkRunner } from './runner.js'

/** How one gate weighs its experts. `gatesTable` shows a list of them. */
export interface GateStatistics extends GateWeights {
  /**
   * The mean over rows of the entropy of the weights, as a share of the largest one, log of the number of experts: 1 if all weigh the same,
   * 0 if each row uses one expert. Undefined for a gate of one expert.
   */
  readonly entropy: number | undefined
  /** Experts in the gate's order. `top`: the share of rows in which the expert has the largest weight, the first one if several have it. */
  readonly experts: readonly { readonly name: string; readonly weight: number; readonly top: number }[]
}

/** What an epoch made of gates and experts. */
export interface GateRecord {
  /** Gates of the first level first. */
  readonly gates: readonly GateStatistics[]
  /**
   * By level: the correlation of the outputs of two experts, by the name of one and of the later one. Outputs are compared unit by unit, each
   * less its mean over rows. An expert whose outputs never change has no correlation, so its pairs are absent. Levels of more than 128 experts
   * have none.
   */
  readonly similarity: readonly Readonly<Record<string, Readonly<Record<string, number>>>>[]
  /** What is wrong, in words: a gate with one expert, an expert that no gate uses or that never changes, two experts that do the same. */
  readonly warnings: readonly string[]
}

/** Rows of a sample, and groups of consecutive rows that it has at most: each is a run. */
const sampleRows = 1024
const sampleRuns = 64
/** Numbers that gates and experts may give for the sample, so that wide models take fewer rows. */
const mostOutputs = 2 ** 23
/** Experts of a level that are compared with each other: the work and the record grow with the square. */
const mostCompared = 128

/** A weight from which a gate counts as one that uses a single expert. */
const collapsed = 0.95
/** A share of an even weight below which an expert counts as unused, if no row prefers it. */
const unused = 0.1
/** A correlation from which two experts do the same. */
const twins = 0.99

/** What a level gives for the sample. */
interface LevelSample {
  readonly gates: Float64Array
  readonly experts: Float64Array
}

/**
 * Measures the gates on a sample of the rows: all of them if they are few, else groups of rows that are spread evenly, at places that the seed
 * draws. The same rows give the same sample. Undefined if the model has no gates.
 */
export async function gateStatistics(
  runner: NetworkRunner,
  data: EncodedRows,
  { seed, check }: { readonly seed: number; readonly check: () => void },
): Promise<GateRecord | undefined> {
  const { gateLevels } = runner.network
  if (gateLevels.length === 0) return undefined
  const names = runner.network.experts().levels
  const { levels, rows } = await sampled(runner, data, { seed, check })
  const gates: GateStatistics[] = []
  const similarity: Record<string, Record<string, number>>[] = []
  const warnings: string[] = []
  for (const [level, { gates: weights, experts: outputs }] of levels.entries()) {
    const experts = names[level] ?? []
    const own = measureGates(gateLevels[level] ?? [], level, weights, rows)
    const { correlations, constant } = await inSlices(correlate(experts, outputs, rows), { check })
    gates.push(...own)
    similarity.push(correlations)
    const place = levels.length > 1 ? `level ${level + 1}: ` : ''
    warnings.push(...warningsOf(own, experts, correlations, constant).map((warning) => place + warning))
  }
  return { gates, similarity, warnings }
}

/** Runs the sample. */
async function sampled(
  runner: NetworkRunner,
  data: EncodedRows,
  { seed, check }: { readonly seed: number; readonly check: () => void },
): Promise<{ levels: LevelSample[]; rows: number }> {
  const { program, levels } = runner.network.experts()
  const widths = [...runner.outputs(program, 1)].map(([name, { length }]) => [name, length] as const)
  const columns = widths.reduce((sum, [, width]) => sum + width, 0)
  const runs = runsOf(data.rows, Math.max(Math.floor(mostOutputs / columns), sampleRuns), seed)
  const rows = runs.reduce((sum, run) => sum + run.rows, 0)
  const found = new Map(widths.map(([name, width]) => [name, new Float64Array(rows * width)]))
  let before = 0
  for (const run of runs) {
    check()
    const outputs = runner.outputs(program, run.rows)
    await runner.runPart(program, data, { ...run, outputs: [...outputs.values()] })
    for (const [name, width] of widths) found.get(name)?.set(outputs.get(name) ?? [], before * width)
    before += run.rows
  }
  const read = (name: string): Float64Array => found.get(name) ?? new Float64Array(0)
  return { levels: levels.map((_, level) => ({ gates: read(`gates:${level}`), experts: read(`experts:${level}`) })), rows }
}

/** Groups of consecutive rows, one in each of as many equal parts of the data. */
function runsOf(rows: number, most: number, seed: number): { readonly start: number; readonly rows: number }[] {
  const wanted = Math.min(sampleRows, most)
  if (rows <= wanted) return [{ start: 0, rows }]
  const draws = new Draws()
  draws.begin(seed, 0, 0)
  const each = Math.floor(wanted / sampleRuns)
  return Array.from({ length: sampleRuns }, (_, run) => {
    const from = Math.floor((run * rows) / sampleRuns)
    const room = Math.floor(((run + 1) * rows) / sampleRuns) - from - each
    return { start: from + Math.floor(draws.uniform() * (room + 1)), rows: each }
  })
}

function measureGates(gates: readonly WatchedGate[], level: number, weights: Float64Array, rows: number): GateStatistics[] {
  const columns = weights.length / rows
  let column = 0
  return gates.map(({ name, experts }) => {
    const { sums, tops, entropy } = summed(weights, rows, { columns, column, width: experts.length })
    column += experts.length
    return {
      level,
      gate: name,
      entropy: experts.length > 1 ? entropy / rows / Math.log(experts.length) : undefined,
      experts: experts.map((expert, index) => {
        return { name: expert, weight: (sums[index] ?? NaN) / rows, top: (tops[index] ?? NaN) / rows }
      }),
    }
  })
}

/** Sums over the rows of the weights of one gate, of how often each is the largest, and of their entropies. */
function summed(
  weights: Float64Array,
  rows: number,
  { columns, column, width }: Readonly<Record<'columns' | 'column' | 'width', number>>,
): { readonly sums: Float64Array; readonly tops: Float64Array; readonly entropy: number } {
  const sums = new Float64Array(width)
  const tops = new Float64Array(width)
  let entropy = 0
  for (let row = 0; row < rows; row += 1) {
    const first = row * columns + column
    let top = 0
    for (let expert = 0; expert < width; expert += 1) {
      const weight = weights[first + expert] ?? NaN
      sums[expert] = (sums[expert] ?? NaN) + weight
      if (weight > 0) entropy -= weight * Math.log(weight)
      if (weight > (weights[first + top] ?? NaN)) top = expert
    }
    tops[top] = (tops[top] ?? NaN) + 1
  }
  return { sums, tops, entropy }
}

interface Correlations {
  readonly correlations: Record<string, Record<string, number>>
  /** Names of experts whose outputs are the same for all rows. */
  readonly constant: readonly string[]
}

/** @param outputs [rows, experts * units], of which nothing is left. */
function* correlate(names: readonly string[], outputs: Float64Array, rows: number): Sliced<Correlations> {
  const units = outputs.length / rows / names.length
  const vectors: { readonly name: string; readonly vector: Float64Array }[] = []
  for (const [expert, name] of names.entries()) {
    const vector = centred(outputs, { rows, units, column: expert * units, columns: names.length * units })
    if (vector.some((value) => value !== 0)) vectors.push({ name, vector })
    yield
  }
  const correlations: Record<string, Record<string, number>> = {}
  for (const [index, { name, vector }] of names.length > mostCompared ? [] : vectors.slice(0, -1).entries()) {
    const others: [string, number][] = []
    for (const other of vectors.slice(index + 1)) others.push([other.name, yield* dot(vector, other.vector)])
    correlations[name] = Object.fromEntries(others)
  }
  const constant = names.filter((name) => vectors.every((varying) => varying.name !== name))
  return { correlations, constant }
}

/** The outputs of an expert less their means over rows, scaled to the length 1; zeros if they are the same for all rows. */
function centred(
  outputs: Float64Array,
  { rows, units, column, columns }: Readonly<Record<'rows' | 'units' | 'column' | 'columns', number>>,
): Float64Array {
  const vector = new Float64Array(rows * units)
  const means = new Float64Array(units)
  const varies = new Uint8Array(units)
  for (let row = 0; row < rows; row += 1) {
    for (let unit = 0; unit < units; unit += 1) {
      const value = outputs[row * columns + column + unit] ?? NaN
      vector[row * units + unit] = value
      means[unit] = (means[unit] ?? NaN) + value / rows
      if (value !== outputs[column + unit]) varies[unit] = 1
    }
  }
  let squares = 0
  for (let index = 0; index < vector.length; index += 1) {
    const unit = index % units
    // The mean of equal numbers is not always that number.
    const value = varies[unit] === 1 ? (vector[index] ?? NaN) - (means[unit] ?? NaN) : 0
    vector[index] = value
    squares += value * value
  }
  const scale = Math.sqrt(squares)
  if (scale > 0) for (let index = 0; index < vector.length; index += 1) vector[index] = (vector[index] ?? NaN) / scale
  return vector
}

function* dot(one: Float64Array, other: Float64Array): Sliced<number> {
  let sum = 0
  yield* inBlocks(
    0,
    one.length,
    (from, to) => {
      // Two sums: else each addition would wait for the one before it.
      let even = 0
      let odd = 0
      for (let index = from; index < to; index += 2) {
        even += (one[index] ?? 0) * (other[index] ?? 0)
        odd += (one[index + 1] ?? 0) * (other[index + 1] ?? 0)
      }
      sum += even + odd
    },
    sliceValues,
  )
  return sum
}

function warningsOf(
  gates: readonly GateStatistics[],
  names: readonly string[],
  correlations: Correlations['correlations'],
  constant: readonly string[],
): string[] {
  const collapses = gates.flatMap(({ gate, experts }) => {
    const [only] = experts.filter(({ weight }) => weight >= collapsed)
    if (only === undefined || experts.length === 1) return []
    return [`gate ${gate} has collapsed: it gives ${only.name} ${percent(only.weight)} of its weight`]
  })
  const dead = names.filter((name) => gates.every((gate) => neglects(gate, name)))
  const same = Object.entries(correlations).flatMap(([one, others]) =>
    Object.entries(others).flatMap(([other, correlation]) =>
      correlation >= twins ? [`${one} and ${other} do the same: their outputs correlate by ${correlation.toFixed(3)}`] : [],
    ),
  )
  return [
    ...collapses,
    ...dead.map((name) => `no gate uses ${name}`),
    ...constant.map((name) => `${name} gives the same for every row`),
    ...same,
  ]
}

/** Whether a gate does not see an expert, or hardly weighs it in any row. */
function neglects({ experts }: GateStatistics, name: string): boolean {
  const seen = experts.find((expert) => expert.name === name)
  return seen === undefined || (seen.top === 0 && seen.weight < unused / experts.length)
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.995 ? 0 : 1)}%`
}
