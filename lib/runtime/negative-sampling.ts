// Leaves negative rows out of training. A row has one draw, which a hash of its key gives, so that it does not depend on the order of rows or on
// other rows. A task keeps its label 0 if the draw is below its `negativeRate`. Other labels stay. Rows without a label left are dropped.

import { invalidArgument, quote } from '../core/check.js'
import { rowsOf, type ScalarColumn } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { hashBlock, hashEnd } from '../core/hash.js'
import { allocate } from '../core/memory.js'
import { inBlocks, type Sliced } from '../core/slices.js'
import type { Dataset } from '../data/dataset.js'
import { hashesOf } from '../data/split-shares.js'
import type { Task } from '../tasks/task.js'
import { labelsOf, type Targets } from './encode.js'
import { SampleSpace } from './sample-space.js'
import { columnOf } from './source.js'

/** Draws differ from those of a split by the same columns. */
const salt = 0x6e656761

export interface SamplingOptions {
  /** Columns that tell rows apart. */
  readonly by: readonly string[]
  readonly seed: number
}

export class NegativeSampling {
  readonly by: readonly string[]
  readonly #tasks: readonly Task[]
  readonly #seed: number

  /** @throws ERR_MULTIGATE_ARGUMENT if no task has a rate. */
  constructor(tasks: readonly Task[], { by, seed }: SamplingOptions) {
    this.by = by
    this.#tasks = tasks
    this.#seed = seed
    if (tasks.every((task) => rateOf(task) === 1)) {
      const names = tasks.map(({ name }) => name)
      const next = "set it where negative rows are to be left out: binary('like', { negativeRate: 0.1 })"
      throw invalidArgument('fit.sampleNegatives', 'a binary task with a negativeRate below 1', names, next)
    }
  }

  /** The numbers of the rows that keep a label. @throws ERR_MULTIGATE_DATA for a row without a key. */
  *kept(data: Dataset): Sliced<Int32Array> {
    const draws = yield* this.#draws(data)
    const keeps = allocate(`which of ${data.rows} rows are kept`, Uint8Array, data.rows)
    const space = new SampleSpace(this.#tasks, data)
    for (const task of this.#tasks) {
      const labels = yield* labelsOf(task, data, space, 'more training')
      const rate = rateOf(task)
      yield* inBlocks(0, data.rows, (from, to) => {
        for (let row = from; row < to; row += 1) {
          const label = labels[row] ?? NaN
          if (!Number.isNaN(label) && !isLeftOut(label, draws[row] ?? NaN, rate)) keeps[row] = 1
        }
      })
    }
    const count = keeps.reduce((sum, one) => sum + one, 0)
    const rows = allocate(`the numbers of ${count} rows`, Int32Array, count)
    let at = 0
    for (let row = 0; row < keeps.length; row += 1) if (keeps[row] === 1) rows[at++] = row
    return rows
  }

  /** Makes the labels missing that are left out. */
  *apply(targets: readonly Targets[], data: Dataset): Sliced<void> {
    const draws = yield* this.#draws(data)
    for (const { task, labels, network } of targets) {
      const rate = rateOf(task)
      if (rate === 1) continue
      yield* inBlocks(0, data.rows, (from, to) => {
        for (let row = from; row < to; row += 1) {
          if (isLeftOut(labels[row] ?? NaN, draws[row] ?? NaN, rate)) labels[row] = network.labels[row] = NaN
        }
      })
    }
  }

  /** A number in [0, 2^32) for each row. */
  *#draws(data: Dataset): Sliced<Float64Array> {
    const keys = this.by.map((name): [string, ScalarColumn] => [name, keyOf(data, name)])
    const { hashes, keyless } = yield* hashesOf(data.rows, keys, this.#seed)
    const without = keyless.indexOf(1)
    if (without >= 0) {
      const message = `fit.sampleNegatives.by, row ${without}: expected a value in ${this.by.map(quote).join(' or ')}, found only missing ones; name columns that tell rows apart`
      throw new DataError(message, { row: without, column: this.by[0] })
    }
    const draws = allocate(`draws of ${data.rows} rows`, Float64Array, data.rows)
    yield* inBlocks(0, data.rows, (from, to) => {
      for (let row = from; row < to; row += 1) draws[row] = hashEnd(hashBlock(salt, (hashes[row] ?? 0) | 0), 4)
    })
    return draws
  }
}

/** The error if no row is left. */
export function noneKept(): DataError {
  const next = 'raise negativeRate, or set another seed in sampleNegatives'
  return new DataError(`expected at least one row with a label after negative rows were left out, found none; ${next}`)
}

function rateOf(task: Task): number {
  return task.kind === 'binary' ? (task.negativeRate ?? 1) : 1
}

function isLeftOut(label: number, draw: number, rate: number): boolean {
  return label === 0 && draw >= rate * 2 ** 32
}

function keyOf(data: Dataset, name: string): ScalarColumn {
  const column = data.column(columnOf(data, name, 'fit.sampleNegatives', 'by'))
  if (column.kind !== 'list' && rowsOf(column) === data.rows) return column
  throw new DataError(`fit.sampleNegatives.by: expected one value per row in column ${quote(name)}, found lists; name another`, {
    column: name,
  })
}
