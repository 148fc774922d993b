// Turns raw columns into a network's inputs: one fitted encoder per feature, labels and weights per task. Encoders are fitted once, on
// training rows, and then frozen.

/// <reference lib="esnext.disposable" preserve="true" />

import { invalidArgument, quote } from '../core/check.js'
import { type Column, rowsOf } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { allocate } from '../core/memory.js'
import type { LoweredProgram } from '../core/program.js'
import { inBlocks, inSlices, type Sliced } from '../core/slices.js'
import type { Dataset } from '../data/dataset.js'
import type { Encoder, Fitter, ValueCounts } from '../features/encode/encoder.js'
import { emptyRows, encodeColumn, fitterOf } from '../features/encode/encoders.js'
import { columnNameOf, type Feature } from '../features/spec/feature.js'
import { labelInput, measuredInput, weightInput } from '../layers/heads.js'
import type { NetworkFeature, NetworkTask } from '../models/network.js'
import type { ColumnSpec, NativeBinding, NativeColumns } from '../native/binding.js'
import { describeWhere } from '../tasks/condition.js'
import type { FittedLabels, Refined } from '../tasks/kind.js'
import { onlyInside } from '../tasks/labels.js'
import {
  changesTargets,
  checkLearnable,
  encodeLabels,
  encodeWeights,
  kindOf,
  labelColumnOf,
  labelFitter,
  refinedTargets,
  rowWeightsOf,
  type Task,
} from '../tasks/task.js'
import { createColumns } from './memory-budget.js'
import type { NegativeSampling } from './negative-sampling.js'
import { RequestEncoder } from './request.js'
import { SampleSpace } from './sample-space.js'
import { columnOf, inContext, numbersOf, ofSource, partRows, withRows } from './source.js'

/**
 * What a dataset is encoded for. Prediction encodes features only; the other purposes add labels and weights. The first training rows
 * must have something to learn; further ones need not.
 */
export type Purpose = 'training' | 'more training' | 'evaluation' | 'prediction'

export interface EncodeOptions {
  /** Which labels are left out. Default: none. */
  readonly sampling?: NegativeSampling | undefined
  /** Whether steps that give their predictions read these rows. Default false. */
  readonly scored?: boolean | undefined
}

export class DataEncoder {
  readonly encoders: readonly Encoder[]
  /** What each task has fitted on training labels, if it needs that. */
  readonly fitted: readonly (FittedLabels | undefined)[]
  /** Encodes the candidates of a request. */
  readonly request: RequestEncoder
  readonly #tasks: readonly Task[]

  /** @throws ERR_MULTIGATE_ARGUMENT if tasks lack what they must have fitted. */
  constructor(encoders: readonly Encoder[], tasks: readonly Task[], fitted: readonly (FittedLabels | undefined)[] = []) {
    this.encoders = encoders
    this.request = new RequestEncoder(encoders)
    this.#tasks = tasks
    this.fitted = tasks.map((task, index) => checkFitted(task, fitted[index]))
  }

  /** Fits every open encoder. @throws ERR_MULTIGATE_DATA naming the feature and the value that it cannot take. */
  static async fit(train: Dataset, features: readonly Feature[], tasks: readonly Task[]): Promise<DataEncoder> {
    const fitted: Encoder[] = []
    for (const feature of features) {
      const fitter = fitterOf(feature)
      await ofSource(train, () => inSlices(fitOn(fitter, train, feature)))
      fitted.push(await inSlices(fitter.finish()))
    }
    const space = new SampleSpace(tasks, train)
    const labels: (FittedLabels | undefined)[] = []
    for (const task of tasks) labels.push(await ofSource(train, () => inSlices(fittedLabels(task, train, space))))
    return new DataEncoder(fitted, tasks, labels)
  }

  get features(): NetworkFeature[] {
    return this.encoders.map(networkFeature)
  }

  get tasks(): NetworkTask[] {
    return this.#tasks.map((task, index) => networkTask(task, this.fitted[index]))
  }

  /**
   * Checks that the labels, if present, have something to learn.
   * @throws ERR_MULTIGATE_DATA naming the task.
   */
  async checkLabels(train: Dataset): Promise<void> {
    const space = new SampleSpace(this.#tasks, train)
    for (const task of this.#tasks) {
      if ([...space.columnsOf(task)].every((column) => train.has(column)))
        await ofSource(train, () => inSlices(labelsOf(task, train, space, 'training')))
    }
  }

  /** Encodes all features of a few rows at once: [rows * width] by name. @throws ERR_MULTIGATE_DATA. */
  encodeFeatures(data: Dataset): Map<string, Int32Array | Float32Array> {
    return withRows(data, () => {
      const encoded = (encoder: Encoder) => encodeColumn(encoder, data.column(columnOfFeature(data, encoder.feature))).data
      return new Map(this.encoders.map((encoder) => [encoder.feature.name, encoded(encoder)]))
    })
  }

  /**
   * Encodes a dataset into the addon's memory, slice by slice. The caller disposes of the result.
   * @param check throws if the work must stop; called between two slices and once at the end.
   * @throws ERR_MULTIGATE_DATA naming row and value; ERR_MULTIGATE_OUT_OF_MEMORY.
   */
  async encode(
    data: Dataset,
    native: NativeBinding,
    purpose: Purpose,
    check: () => void = () => undefined,
    options: EncodeOptions = {},
  ): Promise<EncodedRows> {
    const rows = await ofSource(data, () => inSlices(this.#encode(data, native, purpose, options), { check }))
    try {
      check()
    } catch (error) {
      rows.columns.dispose()
      throw error
    }
    return rows
  }

  /** @internal The columns that a dataset becomes, in an order that depends on the purpose alone. */
  *sourcesOf(
    data: Dataset,
    purpose: Purpose,
    { sampling, scored = false }: EncodeOptions = {},
  ): Sliced<{ readonly sources: ColumnSource[]; readonly targets: Targets[] }> {
    const features = this.encoders.map((encoder) => featureSource(encoder, data))
    const targets: Targets[] = []
    const space = new SampleSpace(this.#tasks, data)
    for (const [index, task] of purpose === 'prediction' ? [] : this.#tasks.entries())
      targets.push(yield* targetsOf(task, data, space, purpose, this.fitted[index]))
    if (sampling !== undefined) yield* sampling.apply(targets, data)
    return { sources: [...features, ...targets.flatMap((one) => targetSources(one, scored))], targets }
  }

  *#encode(data: Dataset, native: NativeBinding, purpose: Purpose, options: EncodeOptions): Sliced<EncodedRows> {
    const { sources, targets } = yield* this.sourcesOf(data, purpose, options)
    const columns = createColumns(
      native,
      sources.map(({ spec }) => spec),
      data.rows,
    )
    try {
      yield* writeRows(columns, sources)
    } catch (error) {
      columns.dispose()
      throw error
    }
    const counts = new Map(sources.flatMap(({ name, counts }) => ofEntry(name, counts?.())))
    return new EncodedRows(
      columns,
      sources.map(({ name }) => name),
      targets,
      counts,
    )
  }
}

/** Bytes of a part of the rows, in the addon's memory. */
const partBytes = 2 ** 21

/** How many rows to encode at once. */
export function rowsAtOnceOf(sources: readonly ColumnSource[]): number {
  const rowBytes = sources.reduce((sum, { spec }) => sum + spec.width * 4, 0)
  return Math.max(1, Math.min(partRows, Math.floor(partBytes / rowBytes)))
}

/** A column in the addon's memory. */
export interface ColumnSource {
  readonly name: string
  readonly spec: ColumnSpec
  /** Consecutive rows. */
  read(from: number, to: number): Float32Array | Int32Array
  readonly counts?: () => ValueCounts | undefined
}

/** The form of a feature's column in the addon's memory. */
export function featureColumn(encoder: Encoder): ColumnSpec {
  const { width } = encoder
  return encoder.kind === 'dense' ? { type: 'f32', width, limit: 0 } : { type: 'i32', width, limit: encoder.tableRows }
}

function featureSource(encoder: Encoder, data: Dataset): ColumnSource {
  const column = columnOfFeature(data, encoder.feature)
  const encoding = encoder.begin()
  return {
    name: encoder.feature.name,
    spec: featureColumn(encoder),
    read(from, to) {
      const encoded = emptyRows(encoder, to - from)
      encoding.encode(data.columnPart(column, from, to), encoded as never)
      return encoded
    },
    counts: () => encoding.counts(),
  }
}

/** @param scored whether the columns hold what metrics count, too, where that differs. */
function targetSources({ task, network, labels, weights }: Targets, scored: boolean): ColumnSource[] {
  const source = (name: string, values: Float32Array): ColumnSource => ({
    name,
    spec: { type: 'f32', width: 1, limit: 0 },
    read: (from, to) => values.subarray(from, to),
  })
  const all = (rows: LabelledRows, inputOf: (input: string) => string): ColumnSource[] => [
    source(inputOf(labelInput(task.name)), rows.labels),
    ...(rows.weights === undefined ? [] : [source(inputOf(weightInput(task.name)), rows.weights)]),
  ]
  const own = all(network, (input) => input)
  return scored && changesTargets(task) ? [...own, ...all({ labels, weights }, measuredInput)] : own
}

/** Encodes one part of every column, then the next part. No whole column ever exists beside the addon's copy. */
function* writeRows(columns: NativeColumns, sources: readonly ColumnSource[]): Sliced<void> {
  const step = rowsAtOnceOf(sources)
  for (let from = 0; from < columns.rows; from += step) {
    const to = Math.min(from + step, columns.rows)
    const parts: (Float32Array | Int32Array)[] = []
    for (const source of sources) {
      parts.push(source.read(from, to))
      yield
    }
    columns.write(from, parts)
  }
}

/** @internal Fits on the next rows. */
export function* fitOn(fitter: Pick<Fitter<Encoder>, 'add'>, train: Dataset, feature: Feature): Sliced<void> {
  const column = columnOfFeature(train, feature)
  for (let from = 0; from < train.rows; from += partRows) {
    yield* fitter.add(train.columnPart(column, from, Math.min(from + partRows, train.rows)))
    yield
  }
}

/** Labels of a task, NaN if missing, and weights if rows have them. */
export interface LabelledRows {
  readonly labels: Float32Array
  readonly weights: Float32Array | undefined
}

/** What metrics compare with, and what the network takes. */
export interface Targets extends LabelledRows {
  readonly task: Task
  readonly network: LabelledRows
}

/** A dataset in the addon's memory. */
export class EncodedRows {
  readonly columns: NativeColumns
  /** Labels and weights; empty for prediction. */
  readonly targets: readonly Targets[]
  /** For each feature with ids: how many values it has, and how many of them its vocabulary does not know. */
  readonly counts: ReadonlyMap<string, ValueCounts>
  readonly #numbers: ReadonlyMap<string, number>

  constructor(
    columns: NativeColumns,
    names: readonly string[],
    targets: readonly Targets[],
    counts: ReadonlyMap<string, ValueCounts>,
  ) {
    this.columns = columns
    this.counts = counts
    this.targets = targets
    this.#numbers = new Map(names.map((name, number) => [name, number]))
  }

  get rows(): number {
    return this.columns.rows
  }

  /** The columns that a program reads, in the order of its row inputs. */
  columnOf({ rowInputs }: LoweredProgram): number[] {
    return rowInputs.map((name) => {
      const column = this.#numbers.get(name)
      if (column === undefined) throw new Error(`the program reads ${name}, which was not encoded`)
      return column
    })
  }

  [Symbol.dispose](): void {
    this.columns.dispose()
  }
}

/** @throws ERR_MULTIGATE_ARGUMENT if the task lacks what it must have fitted, or has what it does not need. */
function checkFitted(task: Task, fitted: FittedLabels | undefined): FittedLabels | undefined {
  const needed = labelFitter(task)?.kind
  if (fitted?.kind === needed) return fitted
  throw invalidArgument(`task ${quote(task.name)}`, `${needed ?? 'nothing'} fitted on training labels`, fitted?.kind)
}

function networkTask(task: Task, fitted: FittedLabels | undefined): NetworkTask {
  const { scores, width, head } = kindOf(task)
  const atMost = task.kind === 'binary' ? task.atMost : undefined
  return {
    kind: task.kind,
    name: task.name,
    weight: task.weight,
    rowWeights: rowWeightsOf(task).network,
    ...(changesTargets(task) && { measured: { rowWeights: rowWeightsOf(task).metrics } }),
    ...(scores === 'classes' && { classes: width(task) }),
    ...head?.(task, fitted),
    ...(atMost !== undefined && {
      atMost: typeof atMost === 'string' ? { task: atMost, weight: 1 } : { task: atMost.task, weight: atMost.weight ?? 1 },
    }),
  }
}

function networkFeature(encoder: Encoder): NetworkFeature {
  const { name } = encoder.feature
  switch (encoder.kind) {
    case 'sparse':
      return { kind: 'sparse', name, rows: encoder.tableRows, dim: encoder.dim }
    case 'sequence': {
      const { maxLength, combiner } = encoder.feature
      return { kind: 'sequence', name, rows: encoder.tableRows, dim: encoder.dim, length: maxLength, combiner }
    }
    case 'dense':
      return { kind: 'dense', name, width: encoder.width }
  }
}

function* targetsOf(
  task: Task,
  data: Dataset,
  space: SampleSpace,
  purpose: Purpose,
  fitted: FittedLabels | undefined,
): Sliced<Targets> {
  const labels = yield* labelsOf(task, data, space, purpose)
  const weights = yield* weightsOf(task, data, space)
  const refined = refinedTargets(task, purpose !== 'evaluation', fitted)
  return {
    task,
    labels,
    weights,
    network: refined === undefined ? { labels, weights } : yield* refinedRows(task, labels, weights, refined),
  }
}

function* fittedLabels(task: Task, train: Dataset, space: SampleSpace): Sliced<FittedLabels | undefined> {
  const fitter = labelFitter(task)
  return fitter === undefined ? undefined : yield* fitter.fit(yield* labelsOf(task, train, space, 'training'))
}

/** @internal Labels of a task, NaN if missing. Those to train on first must have something to learn. */
export function* labelsOf(task: Task, data: Dataset, space: SampleSpace, purpose: Purpose): Sliced<Float32Array> {
  const column = columnOf(data, labelColumnOf(task), `task ${quote(task.name)}`, 'label')
  const inside = yield* space.inside(task)
  const labelled = (values: Column, from = 0): Column => {
    if (inside === undefined || task.outsideWeight !== undefined) return values
    return onlyInside(values, inside.subarray(from, from + rowsOf(values)))
  }
  const labels = yield* numbersOf(data, column, (values, from) => encodeLabels(task, labelled(values, from)))
  if (purpose !== 'training') return labels
  if (inside !== undefined) space.checkSome(task, inside)
  try {
    checkLearnable(task, labels, () => labelled(data.column(column)))
  } catch (error) {
    throw task.where === undefined ? error : inContext(error, { after: `; only rows where ${describeWhere(task.where)} count` })
  }
  return labels
}

/** The weights that metrics count, if rows have them. */
function* weightsOf(task: Task, data: Dataset, space: SampleSpace): Sliced<Float32Array | undefined> {
  if (!rowWeightsOf(task).metrics) return undefined
  const { weightColumn, insideWeight = 1, outsideWeight = 1 } = task
  const what = `task ${quote(task.name)}`
  const weights =
    weightColumn === undefined
      ? allocate(`weights of ${what}`, Float32Array, data.rows).fill(1)
      : yield* numbersOf(data, columnOf(data, weightColumn, what, 'weightColumn'), (values) => encodeWeights(task, values))
  const inside = yield* space.inside(task)
  if (inside === undefined) return weights
  yield* inBlocks(0, data.rows, (from, to) => {
    for (let row = from; row < to; row += 1)
      weights[row] = (weights[row] ?? NaN) * (inside[row] === 1 ? insideWeight : outsideWeight)
  })
  return weights
}

/** The labels and weights that the network takes. */
function* refinedRows(
  task: Task,
  labels: Float32Array,
  weights: Float32Array | undefined,
  refined: Refined,
): Sliced<LabelledRows> {
  const copy = (values: Float32Array | undefined): Float32Array => {
    const memory = allocate(`targets of task ${quote(task.name)}`, Float32Array, labels.length)
    if (values === undefined) return memory.fill(1)
    memory.set(values)
    return memory
  }
  const own = { labels: copy(labels), weights: rowWeightsOf(task).network ? copy(weights) : undefined }
  for (let from = 0; from < labels.length; from += partRows) {
    refined.apply(own.labels.subarray(from, from + partRows), own.weights?.subarray(from, from + partRows))
    yield
  }
  return own
}

function columnOfFeature(data: Dataset, feature: Feature): string {
  return columnOf(data, columnNameOf(feature), `feature ${quote(feature.name)}`, 'column')
}

/** Does something with one of `fit`'s datasets. An error about the data then names the dataset. */
export async function ofDataset<Result>(
  dataset: 'training' | 'validation',
  work: () => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    throw inContext(error, { before: `${dataset} data: `, dataset })
  }
}

function ofEntry<Value>(name: string, value: Value | undefined): [string, Value][] {
  return value === undefined ? [] : [[name, value]]
}

/** @throws ERR_MULTIGATE_DATA if there are no rows. */
export function checkRows({ rows }: Dataset): void {
  if (rows === 0) throw new DataError('expected at least one row, found none; check how the data were read, filtered or split')
}
