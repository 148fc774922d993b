// From raw columns to what a network is fed: one fitted encoder per feature, labels and weights per task. Encoders are
// fitted once, on training rows, and frozen.

/// <reference lib="esnext.disposable" preserve="true" />

import { quote } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import type { LoweredProgram } from '../core/program.js'
import type { Dataset } from '../data/dataset.js'
import type { Encoder } from '../features/encoder.js'
import { fitEncoder } from '../features/encoders.js'
import { columnNameOf, type Feature } from '../features/feature.js'
import { labelInput, weightInput } from '../layers/heads.js'
import type { NetworkFeature, NetworkTask } from '../models/network.js'
import type { ColumnSpec, NativeBinding, NativeColumns } from '../native/binding.js'
import { classCount } from '../tasks/multiclass.js'
import { encodeLabels, encodeWeights, labelColumnOf, type Task } from '../tasks/task.js'

/**
 * Which columns of a dataset are encoded beside the features: labels and weights, none for prediction. The first rows of all to
 * train on must have something to learn, more of them need not.
 */
export type Purpose = 'training' | 'more training' | 'evaluation' | 'prediction'

export class DataEncoder {
  readonly encoders: readonly Encoder[]
  readonly #tasks: readonly Task[]

  constructor(encoders: readonly Encoder[], tasks: readonly Task[]) {
    this.encoders = encoders
    this.#tasks = tasks
  }

  /** Fits every open encoder. @throws ERR_MULTIGATE_DATA naming the feature and the value that it cannot take. */
  static fit(train: Dataset, features: readonly Feature[], tasks: readonly Task[]): DataEncoder {
    const fitted = ofSource(train, () => features.map((feature) => fitEncoder(feature, featureColumn(train, feature))))
    return new DataEncoder(fitted, tasks)
  }

  get features(): NetworkFeature[] {
    return this.encoders.map(networkFeature)
  }

  get tasks(): NetworkTask[] {
    return this.#tasks.map((task) => ({
      kind: task.kind,
      name: task.name,
      weight: task.weight,
      rowWeights: task.weightColumn !== undefined,
      ...(task.kind === 'multiclass' && { classes: classCount(task) }),
    }))
  }

  /**
   * Checks that the labels that there are have something to learn.
   * @throws ERR_MULTIGATE_DATA naming the task.
   */
  checkLabels(train: Dataset): void {
    const labelled = this.#tasks.filter((task) => train.has(labelColumnOf(task)))
    ofSource(train, () => {
      for (const task of labelled) encodeLabels(task, train.column(labelColumnOf(task)), { training: true })
    })
  }

  /** Encoded features by name, [rows * width] each. @throws ERR_MULTIGATE_DATA. */
  encodeFeatures(data: Dataset): Map<string, Int32Array | Float32Array> {
    const encoded = (encoder: Encoder) => encoder.encode(featureColumn(data, encoder.feature)).data
    return ofSource(data, () => new Map(this.encoders.map((encoder) => [encoder.feature.name, encoded(encoder)])))
  }

  /** Encodes a dataset and hands it to the addon, which copies it. To be disposed. */
  encode(data: Dataset, native: NativeBinding, purpose: Purpose): EncodedRows {
    return ofSource(data, () => this.#encode(data, native, purpose))
  }

  #encode(data: Dataset, native: NativeBinding, purpose: Purpose): EncodedRows {
    const columns = new Map<string, ColumnSpec & { readonly data: Float32Array | Int32Array }>()
    const unknown: Record<string, number> = {}
    for (const encoder of this.encoders) {
      const { name } = encoder.feature
      const { unknown: count, ...encoded } = encoder.encode(featureColumn(data, encoder.feature))
      const ids = encoder.kind !== 'dense'
      columns.set(name, { ...encoded, type: ids ? 'i32' : 'f32', limit: ids ? encoder.tableRows : 0 })
      if (count !== undefined && count > 0) unknown[name] = count
    }
    const targets = purpose === 'prediction' ? [] : this.#tasks.map((task) => targetsOf(task, data, purpose))
    for (const { task, labels, weights } of targets) {
      columns.set(labelInput(task.name), { data: labels, type: 'f32', width: 1, limit: 0 })
      if (weights !== undefined) columns.set(weightInput(task.name), { data: weights, type: 'f32', width: 1, limit: 0 })
    }
    const specs = [...columns.values()]
    const held = native.createColumns(specs, data.rows)
    held.write(
      0,
      specs.map(({ data }) => data),
    )
    return new EncodedRows(held, [...columns.keys()], targets, unknown)
  }
}

/** Labels of a task, NaN where they are missing, and weights where rows have one. */
export interface Targets {
  readonly task: Task
  readonly labels: Float32Array
  readonly weights: Float32Array | undefined
}

/** A dataset in the addon's memory. */
export class EncodedRows {
  readonly columns: NativeColumns
  /** Empty for prediction. */
  readonly targets: readonly Targets[]
  /** Values that a vocabulary does not know, by feature that has any. */
  readonly unknown: Readonly<Record<string, number>>
  readonly #names: readonly string[]

  constructor(columns: NativeColumns, names: readonly string[], targets: readonly Targets[], unknown: Record<string, number>) {
    this.columns = columns
    this.unknown = unknown
    this.targets = targets
    this.#names = names
  }

  get rows(): number {
    return this.columns.rows
  }

  /** The columns that a program reads, in the order of its row inputs. */
  columnOf({ rowInputs }: LoweredProgram): number[] {
    return rowInputs.map((name) => {
      const column = this.#names.indexOf(name)
      if (column < 0) throw new Error(`the program reads ${name}, which was not encoded`)
      return column
    })
  }

  [Symbol.dispose](): void {
    this.columns.dispose()
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

function targetsOf(task: Task, data: Dataset, purpose: Purpose): Targets {
  const { weightColumn } = task
  const column = (name: string, option: string): Column => columnOf(data, name, `task ${quote(task.name)}`, option)
  return {
    task,
    labels: encodeLabels(task, column(labelColumnOf(task), 'label'), { training: purpose === 'training' }),
    weights: weightColumn === undefined ? undefined : encodeWeights(task, column(weightColumn, 'weightColumn')),
  }
}

function featureColumn(data: Dataset, feature: Feature): Column {
  return columnOf(data, columnNameOf(feature), `feature ${quote(feature.name)}`, 'column')
}

/** The column that a feature or task reads, which `option` can say. */
function columnOf(data: Dataset, name: string, reader: string, option: string): Column {
  if (data.has(name)) return data.column(name)
  return inData({ before: `${reader}: `, after: () => `; say which one it reads with '${option}'` }, () => data.column(name))
}

/** What `fit` does with one of its datasets: an error about the data says which one. */
export function ofDataset<Result>(dataset: 'training' | 'validation', work: () => Result): Result {
  return inData({ before: `${dataset} data: `, dataset }, work)
}

/** An error about a row of a part of some data says which row of all it is. */
function ofSource<Result>(data: Dataset, work: () => Result): Result {
  const after = ({ row }: DataError): string => {
    const source = row === undefined ? undefined : data.sourceRow(row)
    return source === row ? '' : `; it is row ${source} of the data that these rows were taken from`
  }
  return inData({ before: '', after }, work)
}

function inData<Result>(
  {
    before,
    after = () => '',
    dataset,
  }: { readonly before: string; readonly after?: (error: DataError) => string; readonly dataset?: string },
  work: () => Result,
): Result {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    const { file, row, column, value } = error
    throw new DataError(`${before}${error.message}${after(error)}`, { dataset, file, row, column, value, cause: error })
  }
}

/** @throws ERR_MULTIGATE_DATA where there is none. */
export function checkRows({ rows }: Dataset): void {
  if (rows === 0) throw new DataError('expected one row at least, found none; look at how the data were read, filtered or split')
}
