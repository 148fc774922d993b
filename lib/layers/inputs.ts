// The first layer of every model: features side by side in one row, embeddings first, then dense columns. Gathers and
// copies write straight into their columns. Because embeddings come first, the gradient that is worth having is a prefix
// of the row: one stored buffer that the table updates read; without embeddings there is none.

import { type InitializerOption, initializerOf } from '../core/initializers.js'
import type { Layout, Table } from '../core/layout.js'
import type { View } from '../core/op-fields.js'
import { columnsOf, type ProgramBuilder } from '../core/program.js'
import { Signal, type Tape } from './tape.js'
import { type Penalty, type UpdateRule, updateFields } from './update.js'

/** Combiners by their number in the ABI. */
const combinerCodes = { none: 0, mean: 1, sum: 2 } as const

/** Ids looked up in a table: one per row, or a padded list that is combined. */
export interface EmbeddedInput {
  readonly name: string
  readonly rows: number
  readonly dim: number
  readonly length: number
  readonly combiner: keyof typeof combinerCodes
}

/** Float columns as they are. */
export interface DenseInput {
  readonly name: string
  readonly width: number
}

export interface InputOptions {
  readonly embedded: readonly EmbeddedInput[]
  readonly dense: readonly DenseInput[]
  readonly initializer: InitializerOption
}

interface EmbeddingColumns extends EmbeddedInput {
  readonly table: Table
  /** First column in the row. */
  readonly column: number
}

export interface Inputs {
  readonly outputDim: number
  /** Emits the gathers and copies. */
  forward(tape: Tape): Signal
  /** Emits the update of every table from the gradient of what `forward` gave; a step op, after backward. */
  update(program: ProgramBuilder, x: Signal, rule: UpdateRule, options: EmbeddingUpdateOptions): void
}

export interface EmbeddingUpdateOptions {
  readonly penalty: Penalty
  /** Every row moves, touched or not. */
  readonly exact: boolean
}

/** Declares the tables. */
export function inputs(layout: Layout, { embedded, dense, initializer }: InputOptions): Inputs {
  let width = 0
  const embeddings = embedded.map((input): EmbeddingColumns => {
    const { name, rows, dim } = input
    const table = layout.table({ name, rows, dim, initializer: initializerOf(initializer, rows, dim) })
    const column = width
    width += dim
    return { ...input, table, column }
  })
  const embeddingWidth = width
  const outputDim = dense.reduce((sum, input) => sum + input.width, width)

  return {
    outputDim,
    forward({ program, training }) {
      const value = program.activation(outputDim)
      for (const embedding of embeddings) gather(program, embedding, value)
      let column = embeddingWidth
      for (const input of dense) {
        program.rows('copy_columns', {
          x: program.rowInput(input.name, input.width),
          y: columnsOf(value, column, input.width),
        })
        column += input.width
      }
      return new Signal(value, training && embeddingWidth > 0 ? program.stored(embeddingWidth) : null)
    },
    update(program, x, rule, options) {
      const gradient = x.gradient()
      if (gradient === null) return
      for (const embedding of embeddings) {
        updateTable(program, embedding, columnsOf(gradient, embedding.column, embedding.dim), rule, options)
      }
    },
  }
}

function gather(program: ProgramBuilder, embedding: EmbeddingColumns, x: View): void {
  program.rows('embedding_gather', {
    table: program.table(embedding.table),
    ids: idsOf(program, embedding),
    y: columnsOf(x, embedding.column, embedding.dim),
    combiner: combinerCodes[embedding.combiner],
  })
}

function updateTable(
  program: ProgramBuilder,
  embedding: EmbeddingColumns,
  gradient: View,
  rule: UpdateRule,
  { penalty, exact }: EmbeddingUpdateOptions,
): void {
  const { table, combiner } = embedding
  program.step('embedding_update', {
    table: program.table(table),
    ids: [idsOf(program, embedding)],
    gradients: [gradient],
    combiners: [combinerCodes[combiner]],
    exact: exact ? 1 : 0,
    loss: program.scalarOutput(`penalty:${table.name}`),
    l1: penalty.l1,
    l2: penalty.l2,
    ...updateFields(program, rule, (number, initial) => program.tableMoment(table, number, initial)),
  })
}

function idsOf(program: ProgramBuilder, { name, length }: EmbeddingColumns): View {
  return program.rowInput(name, length, 'i32')
}
