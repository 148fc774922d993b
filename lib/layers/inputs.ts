// The first layer of every model: features side by side in one row, embeddings first, then dense columns. Gathers and
// copies write straight into their columns. Because embeddings come first, the gradient that is worth having is a prefix
// of the row: one stored buffer that the updates of tables read; without embeddings there is none.

import { type InitializerOption, initializerOf } from '../core/initializers.js'
import type { Layout, Table } from '../core/layout.js'
import type { View } from '../core/op-fields.js'
import { columnsOf, type ProgramBuilder } from '../core/program.js'
import { Signal, type Tape } from './tape.js'

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
  /** Where the gradients of what `forward` gave are once backward ops are emitted: none where nobody wants them. */
  gradients(program: ProgramBuilder, x: Signal): TableGradient[]
}

/** Where the row gradients of a table are: of the rows that some ids were gathered for. */
export interface TableGradient {
  readonly table: Table
  /** A row input. */
  readonly ids: View
  /** As the ops number them. */
  readonly combiner: number
  /** Columns of a stored buffer. */
  readonly gradient: View
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
        program.op('copy_columns', {
          x: program.rowInput(input.name, input.width),
          y: columnsOf(value, column, input.width),
        })
        column += input.width
      }
      return new Signal(value, training && embeddingWidth > 0 ? program.stored(embeddingWidth) : null)
    },
    gradients(program, x) {
      const all = x.gradient()
      if (all === null) return []
      return embeddings.map((embedding) => {
        const { table, column, dim, combiner } = embedding
        const gradient = columnsOf(all, column, dim)
        return { table, ids: idsOf(program, embedding), combiner: combinerCodes[combiner], gradient }
      })
    },
  }
}

function gather(program: ProgramBuilder, embedding: EmbeddingColumns, x: View): void {
  program.op('embedding_gather', {
    table: program.table(embedding.table),
    ids: idsOf(program, embedding),
    y: columnsOf(x, embedding.column, embedding.dim),
    combiner: combinerCodes[embedding.combiner],
  })
}

function idsOf(program: ProgramBuilder, { name, length }: EmbeddingColumns): View {
  return program.rowInput(name, length, 'i32')
}
