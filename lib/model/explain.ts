// Explains the predictions of single rows: what became of each value, how the gates weighed the experts, and what each feature contributed
// to the logit of each task. Contributions are Shapley values (Shapley 1953; Štrumbelj and Kononenko 2014 for predictions): features take
// the row's values one after another, in many orders, and a feature's contribution is the mean change of the logit when its turn comes.

import { z } from 'zod'

import { describeValue, wrongArgument } from '../core/check.js'
import { rowValue } from '../core/columns.js'
import { Draws } from '../core/draws.js'
import { DataError } from '../core/errors.js'
import type { Signal } from '../core/slices.js'
import { Dataset, isDataset } from '../data/dataset.js'
import type { Encoder, SequenceEncoder, SparseEncoder } from '../features/encode/encoder.js'
import { encodeColumn } from '../features/encode/encoders.js'
import { columnNameOf, type Feature } from '../features/spec/feature.js'
import type { FloatArray, NativeBinding } from '../native/binding.js'
import { checkRows, type DataEncoder, EncodedRows, featureColumn } from '../runtime/encode.js'
import { type GateWeights, gatesOfRow } from '../runtime/gates.js'
import { createColumns } from '../runtime/memory-budget.js'
import type { Queue } from '../runtime/queue.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { inContext } from '../runtime/source.js'
import type { Task } from '../tasks/task.js'
import { signalOption } from '../training/options.js'

/** Options of `explain`. */
export interface ExplainOptions {
  /**
   * Rows to compare with: `base` is the mean logit of some of them, and contributions lead from there to the row's logit. Default: a row in
   * which every value is missing.
   */
  readonly background?: Dataset | undefined
  /**
   * In how many orders features take the row's values, with one row of the background each. All possible ones, which are exact, if there
   * are not more; else random ones. From 1 to 10,000, default 128.
   */
  readonly orders?: number | undefined
  /** Seed of the random orders, an integer in [0, 2^53). Default 0. */
  readonly seed?: number | undefined
  /** An `AbortSignal`. */
  readonly signal?: Signal | undefined
}

export const explainSchema = z.strictObject({
  background: z
    .custom<Dataset>(isDataset, { error: ({ input }) => `expected a Dataset, found ${describeValue(input)}` })
    .optional(),
  orders: z.int().min(1).max(10_000).default(128),
  seed: z.int().min(0).default(0),
  signal: signalOption,
})

/** A value as a dataset has it. */
export type RawValue = number | string | null | (number | string | null)[]

/** What became of a row's value. `value` is the value as the dataset has it, null if it is missing; booleans are 0 and 1. */
export type ExplainedFeature =
  | {
      readonly kind: 'sparse'
      readonly value: RawValue
      /** The row of the feature's table. */
      readonly id: number
      /** `'known'`: in the vocabulary, or its own id. `'unknown'` and `'missing'` values share an id. */
      readonly state: 'known' | 'hashed' | 'bucket' | 'unknown' | 'missing'
      /** The value in the vocabulary, if there is one. */
      readonly entry?: string | number | undefined
      /** The boundaries of its bucket: at least `from` and below `to`; null is no boundary. */
      readonly bucket?: { readonly from: number | null; readonly to: number | null } | undefined
    }
  | {
      readonly kind: 'sequence'
      readonly value: RawValue
      /** Rows of the feature's table for the last `maxLength` items, without the zeros at the end. An unknown or missing item has id 0. */
      readonly ids: readonly number[]
      /** The same items in the vocabulary, if there is one; null for id 0. */
      readonly entries?: readonly (string | number | null)[] | undefined
      /** How many items the vocabulary does not know. */
      readonly unknown: number
    }
  | {
      readonly kind: 'dense'
      readonly value: RawValue
      /** After the transform, as the network takes them. */
      readonly numbers: readonly number[]
      readonly missing: boolean
    }

/** One number for a binary task. For others one, or a list: one per class, or what a regression task with such a loss makes its number of. */
export type LogitOf<Kind> = Kind extends 'binary' ? number : number | readonly number[]

/** What a task's prediction is made of. The sum of `base` and all contributions is `logit`, up to rounding. */
export interface ExplainedTask<Kind = Task['kind']> {
  /**
   * What the task's tower gives: a logit, logits of classes, or the number that a regression task predicts from, before its link and scale.
   * A correction by `negativeRate` comes after it. In an ESMM it belongs to the task's own step, such as buying after a click.
   */
  readonly logit: LogitOf<Kind>
  /** The mean logit of the rows to compare with. */
  readonly base: LogitOf<Kind>
  /** By feature. */
  readonly contributions: Readonly<Record<string, LogitOf<Kind>>>
}

/** The explanation of one row. `Tasks`: the tasks of the model. */
export interface Explanation<Tasks extends readonly Task[] = readonly Task[]> {
  /** As `predict` gives them: a number, or one per class. */
  readonly predictions: Readonly<Record<string, number | readonly number[]>>
  readonly features: Readonly<Record<string, ExplainedFeature>>
  /** As `gates` gives them for this row. */
  readonly gates: readonly GateWeights[]
  readonly tasks: { readonly [T in Tasks[number] as T['name']]: ExplainedTask<T['kind']> }
}

/** A built model, as far as this needs to know it. */
export interface Explained {
  readonly encoder: DataEncoder
  readonly runner: NetworkRunner
  readonly native: NativeBinding
  readonly queue: Queue
}

type Settings = Omit<z.output<typeof explainSchema>, 'signal'>
/** Encoded features of some rows, [rows * width] by name. */
type Encoded = ReturnType<DataEncoder['encodeFeatures']>

/** @throws ERR_MULTIGATE_DATA as `predict`; ERR_MULTIGATE_ARGUMENT if a feature takes no missing value and there is no background. */
export async function explain(model: Explained, data: Dataset, settings: Settings, check: () => void): Promise<Explanation[]> {
  const { encoder, runner, native, queue } = model
  const rows = encoder.encodeFeatures(data)
  const { background, count } = backgroundOf(encoder, settings)
  const game = gameOf(encoder.encoders.length, count, settings)
  const explained: Explanation[] = []
  for (let row = 0; row < data.rows; row += 1) {
    check()
    using mixed = mixedRows(encoder.encoders, native, { game, rows, row, background })
    const results = await queue.take(() => resultsOf(runner, mixed, check))
    const { gates, logits, predictions } = results
    explained.push({
      predictions,
      features: Object.fromEntries(encoder.encoders.map((one) => [one.feature.name, featureOf(one, data, row)])),
      gates,
      tasks: Object.fromEntries([...logits].map(([task, values]) => [task, taskOf(game, encoder.encoders, values)])) as never,
    })
  }
  return explained
}

function backgroundOf(encoder: DataEncoder, { background, orders }: Settings): { background: Encoded; count: number } {
  if (background === undefined) return { background: missingRow(encoder), count: 1 }
  checkRows(background)
  const count = Math.min(background.rows, orders)
  const chosen = Array.from({ length: count }, (_, index) => Math.floor((index * background.rows) / count))
  try {
    return { background: encoder.encodeFeatures(background.select(chosen)), count }
  } catch (error) {
    throw inContext(error, { before: 'background: ' })
  }
}

function missingRow(encoder: DataEncoder): Encoded {
  const columns = encoder.encoders.map(({ feature }) => [columnNameOf(feature), [null]] as const)
  try {
    return encoder.encodeFeatures(Dataset.fromColumns(Object.fromEntries(columns)))
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    const problem = `expected rows to compare with, found none, and not every value may be missing: ${error.message}`
    throw wrongArgument('explain.background', `${problem}; pass some rows as background`)
  }
}

/** Which rows to score, and how contributions follow from their logits. */
interface Game {
  /** For each row and feature: whether it has the value of the row that is explained. The first row has all of them. */
  readonly mixes: readonly { readonly own: readonly boolean[]; readonly background: number }[]
  /** An order of features, and the mixes that it goes through: first none of the row's values, at last all. */
  readonly walks: readonly { readonly order: readonly number[]; readonly mixes: readonly number[] }[]
}

function gameOf(features: number, backgrounds: number, { orders, seed }: Settings): Game {
  const mixes: Game['mixes'][number][] = [{ own: Array.from({ length: features }, () => true), background: 0 }]
  const known = new Map<string, number>()
  const numberOf = (own: readonly boolean[], background: number): number => {
    if (!own.includes(false)) return 0
    const key = `${background}:${own.map(Number).join('')}`
    const number = known.get(key) ?? mixes.push({ own, background }) - 1
    known.set(key, number)
    return number
  }
  const walks = ordersOf(features, backgrounds, orders, seed).map(({ order, background }) => {
    const own = Array.from({ length: features }, () => false)
    const first = numberOf([...own], background)
    const others = order.map((feature) => {
      own[feature] = true
      return numberOf([...own], background)
    })
    return { order, mixes: [first, ...others] }
  })
  return { mixes, walks }
}

interface Order {
  readonly order: readonly number[]
  readonly background: number
}

/** Every order with every row of the background, or random ones, each followed by its reverse, which takes out part of the chance. */
function ordersOf(features: number, backgrounds: number, most: number, seed: number): Order[] {
  const all = Array.from({ length: features }, (_, feature) => feature)
  if (all.reduce((product, feature) => product * (feature + 1), backgrounds) <= most) {
    return permutations(all).flatMap((order) => Array.from({ length: backgrounds }, (_, background) => ({ order, background })))
  }
  const draws = new Draws()
  let order = all
  return Array.from({ length: most }, (_, number) => {
    if (number % 2 === 1) order = order.toReversed()
    else {
      draws.begin(seed, number, 0)
      order = shuffled(all, draws)
    }
    return { order, background: Math.floor((number * backgrounds) / most) }
  })
}

function permutations(items: readonly number[]): number[][] {
  if (items.length <= 1) return [[...items]]
  return items.flatMap((item) => permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]))
}

/** Fisher and Yates. */
function shuffled(items: readonly number[], draws: Draws): number[] {
  const order: number[] = []
  for (const [at, item] of items.entries()) {
    const other = Math.floor(draws.uniform() * (at + 1))
    order[at] = order[other] ?? item
    order[other] = item
  }
  return order
}

/** The rows of a game in the addon's memory. The caller disposes of them. */
function mixedRows(
  encoders: readonly Encoder[],
  native: NativeBinding,
  {
    game,
    rows,
    row,
    background,
  }: { readonly game: Game; readonly rows: Encoded; readonly row: number; readonly background: Encoded },
): EncodedRows {
  const columns = createColumns(native, encoders.map(featureColumn), game.mixes.length)
  try {
    const parts = encoders.map((encoder, feature) => {
      const { width } = encoder
      const [own, others] = [rows.get(encoder.feature.name), background.get(encoder.feature.name)]
      const mixed = new (encoder.kind === 'dense' ? Float32Array : Int32Array)(game.mixes.length * width)
      for (const [place, mix] of game.mixes.entries()) {
        const [from, at] = mix.own[feature] === true ? [own, row] : [others, mix.background]
        if (from !== undefined) mixed.set(from.subarray(at * width, (at + 1) * width), place * width)
      }
      return mixed
    })
    columns.write(0, parts)
  } catch (error) {
    columns.dispose()
    throw error
  }
  const names = encoders.map(({ feature }) => feature.name)
  return new EncodedRows(columns, names, [], new Map())
}

interface Results extends Pick<Explanation, 'predictions' | 'gates'> {
  /** By task: [mixes * width]. */
  readonly logits: ReadonlyMap<string, FloatArray>
}

/** Runs the rows of a game. The first one is the row that is explained. */
async function resultsOf(runner: NetworkRunner, mixed: EncodedRows, check: () => void): Promise<Results> {
  const { predict, gates: inner, gateLevels, signals } = runner.network
  const scores = runner.outputs(predict, 1)
  await runner.runPart(predict, mixed, { start: 0, rows: 1, outputs: [...scores.values()] })
  const { outputs } = await runner.run(inner, mixed, check)
  const predictions = [...scores].map(([name, values]) => [name, one(Array.from(Float32Array.from(values)))] as const)
  return {
    predictions: Object.fromEntries(predictions),
    gates: gatesOfRow(gateLevels, outputs),
    logits: new Map([...signals].map(([task, name]) => [task, outputs.get(name) ?? new Float32Array(0)])),
  }
}

function taskOf({ mixes, walks }: Game, encoders: readonly Encoder[], logits: FloatArray): ExplainedTask {
  const width = logits.length / mixes.length
  const each = (value: (column: number) => number) => one(Array.from({ length: width }, (_, column) => value(column)))
  const logit = (mix: number | undefined, column: number): number => logits[(mix ?? 0) * width + column] ?? NaN
  const mean = (value: (walk: Game['walks'][number]) => number): number =>
    walks.reduce((sum, walk) => sum + value(walk), 0) / walks.length
  const contribution = (feature: number, column: number): number =>
    mean(({ order, mixes: passed }) => {
      const turn = order.indexOf(feature)
      return logit(passed[turn + 1], column) - logit(passed[turn], column)
    })
  return {
    logit: each((column) => logit(0, column)),
    base: each((column) => mean(({ mixes: [first] }) => logit(first, column))),
    contributions: Object.fromEntries(
      encoders.map((encoder, feature) => [encoder.feature.name, each((column) => contribution(feature, column))]),
    ),
  }
}

/** The only one of a list of one. */
function one(values: readonly number[]): number | readonly number[] {
  const [first, second] = values
  return first !== undefined && second === undefined ? first : values
}

function featureOf(encoder: Encoder, data: Dataset, row: number): ExplainedFeature {
  const column = data.columnPart(columnNameOf(encoder.feature as Feature), row, row + 1)
  const value = rowValue(column, 0)
  const { data: encoded, counts } = encodeColumn(encoder, column)
  switch (encoder.kind) {
    case 'dense':
      return { kind: 'dense', value, numbers: [...encoded], missing: isMissing(value) }
    case 'sparse':
      return {
        kind: 'sparse',
        value,
        ...idOf(encoder, encoded[0] ?? 0, { missing: counts?.values === 0, unknown: counts?.unknown !== 0 }),
      }
    case 'sequence': {
      const ids = encoded.subarray(0, encoded.findLastIndex((id) => id !== 0) + 1)
      const { vocabulary } = encoder
      const entries = vocabulary && [...ids].map((id) => (id === 0 ? null : vocabulary.keyAt(id - 1)))
      return { kind: 'sequence', value, ids: [...ids], ...(entries && { entries }), unknown: counts?.unknown ?? 0 }
    }
  }
}

function isMissing(value: RawValue): boolean {
  return value === null || (Array.isArray(value) && value.length === 0)
}

type ExplainedId = Omit<Extract<ExplainedFeature, { readonly kind: 'sparse' }>, 'kind' | 'value'>

function idOf(
  { feature, vocabulary }: SparseEncoder | SequenceEncoder,
  id: number,
  { missing, unknown }: { readonly missing: boolean; readonly unknown: boolean },
): ExplainedId {
  if (missing) return { id, state: 'missing' }
  if (feature.hash !== undefined) return { id, state: 'hashed' }
  if (feature.buckets !== undefined) {
    return { id, state: 'bucket', bucket: { from: feature.buckets[id - 2] ?? null, to: feature.buckets[id - 1] ?? null } }
  }
  if (unknown) return { id, state: 'unknown' }
  return { id, state: 'known', ...(vocabulary && { entry: vocabulary.keyAt(id - 1) }) }
}
