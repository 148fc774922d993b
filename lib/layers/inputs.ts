// The first layer of every model: the fields side by side in one row. Embeddings that are trained come first, then frozen ones, then dense
// columns. Gathers and copies write straight into their columns, so that joining the fields costs nothing. Because trained embeddings come
// first, the gradient that is worth having is a prefix of the row: one stored buffer that the updates of tables read. Without them there
// is none.

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
  /** The table, which several inputs may share where they have as many rows and the same width. Default: one called as the input. */
  readonly table?: string | undefined
  readonly rows: number
  readonly dim: number
  readonly length: number
  readonly combiner: keyof typeof combinerCodes
  /** Whether its table stays as it is, for all inputs that share it. Default false. */
  readonly frozen?: boolean | undefined
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

interface EmbeddingColumns extends Omit<EmbeddedInput, 'table' | 'frozen'> {
  readonly table: Table
  readonly frozen: boolean
  /** First column in the row. */
  readonly column: number
}

/** What the input layer gives: every field by itself, and all of them as one row. A layer reads the fields or the row, or both. */
export interface Fields {
  /** By the name of the input, in the order of the row's columns. */
  readonly fields: ReadonlyMap<string, Signal>
  readonly row: Signal
}

export interface Inputs {
  readonly outputDim: number
  /** Emits the gathers and copies. */
  forward(tape: Tape): Fields
  /** Where the gradients of what `forward` gave are once backward ops are emitted: none where nobody wants them. */
  gradients(program: ProgramBuilder, x: Fields): TableGradient[]
}

/** Where the row gradients of a table are: of the rows that some ids were gathered for, input by input. */
export interface TableGradient {
  readonly table: Table
  readonly inputs: readonly {
    /** A row input. */
    readonly ids: View
    /** As the ops number them. */
    readonly combiner: number
    /** Columns of a stored buffer. */
    readonly gradient: View
  }[]
}

/** Declares the tables. */
export function inputs(layout: Layout, { embedded, dense, initializer }: InputOptions): Inputs {
  const tables = new Map<string, Table>()
  const frozen = new Set(embedded.flatMap((input) => (input.frozen === true ? [input.table ?? input.name] : [])))
  const isFrozen = ({ name, table = name }: EmbeddedInput): boolean => frozen.has(table)
  let width = 0
  const columnsFrom = (input: EmbeddedInput): EmbeddingColumns => {
    const column = width
    width += input.dim
    return { ...input, table: tableOf(input), frozen: isFrozen(input), column }
  }
  const tableOf = ({ name, table = name, rows, dim }: EmbeddedInput): Table => {
    const known = tables.get(table)
    if (known === undefined) {
      const made = layout.table({ name: table, rows, dim, initializer: initializerOf(initializer, rows, dim) })
      tables.set(table, made)
      return made
    }
    if (known.rows !== rows || known.dim !== dim) {
      throw new Error(`${name} wants table ${table} as [${rows}, ${dim}], which is [${known.rows}, ${known.dim}]`)
    }
    return known
  }
  const trained = embedded.filter((input) => !isFrozen(input)).map(columnsFrom)
  const trainedWidth = width
  const embeddings = [...trained, ...embedded.filter(isFrozen).map(columnsFrom)]
  const embeddingWidth = width
  const outputDim = dense.reduce((sum, input) => sum + input.width, width)

  return {
    outputDim,
    forward({ program, training }) {
      const value = program.activation(outputDim)
      const gradient = training && trainedWidth > 0 ? program.stored(trainedWidth) : null
      const fields = new Map<string, Signal>()
      for (const embedding of embeddings) {
        const { name, column, dim } = embedding
        gather(program, embedding, value)
        const own = gradient === null || embedding.frozen ? null : columnsOf(gradient, column, dim)
        fields.set(name, new Signal(columnsOf(value, column, dim), own))
      }
      let column = embeddingWidth
      for (const input of dense) {
        const y = columnsOf(value, column, input.width)
        program.op('copy_columns', { x: program.rowInput(input.name, input.width), y })
        fields.set(input.name, new Signal(y, null))
        column += input.width
      }
      return { fields, row: new Signal(value, gradient, [...fields.values()]) }
    },
    gradients(program, { fields }) {
      const read = trained.flatMap((embedding) => {
        const gradient = fields.get(embedding.name)?.gradient() ?? null
        return gradient === null ? [] : [{ embedding, gradient }]
      })
      return [...new Set(read.map(({ embedding }) => embedding.table))].map((table) => {
        const own = read.filter(({ embedding }) => embedding.table === table)
        return {
          table,
          inputs: own.map(({ embedding, gradient }) => {
            return { ids: idsOf(program, embedding), combiner: combinerCodes[embedding.combiner], gradient }
          }),
        }
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
