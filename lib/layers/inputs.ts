// The first layer of every model joins the fields in one row: trained embeddings first, then frozen ones, then dense columns. Gathers and
// copies write directly into their columns, so joining costs nothing. The useful gradient is a prefix of the row, because trained
// embeddings come first. It is one stored buffer, which the updates of tables read. Without trained embeddings there is none.

import { type InitializerOption, initializerOf } from '../core/initializers.js'
import type { Layout, Table } from '../core/layout.js'
import type { View } from '../core/op-fields.js'
import { columnsOf, type ProgramBuilder } from '../core/program.js'
import { Signal, type Tape } from './tape.js'

/** The ABI's code of each combiner. */
const combinerCodes = { none: 0, mean: 1, sum: 2, concat: 3 } as const

/** Ids to look up in a table: one per row, or a padded list whose rows of the table are pooled or put side by side. */
export interface EmbeddedInput {
  readonly name: string
  /** The name of the table. Inputs with equal rows and width may share one. Default: the name of the input. */
  readonly table?: string | undefined
  readonly rows: number
  readonly dim: number
  readonly length: number
  /** With `concat` the field has `length` x `dim` columns, and padding gives zeros. */
  readonly combiner: keyof typeof combinerCodes
  /** Whether the table stays unchanged, for all inputs that share it. Default false. */
  readonly frozen?: boolean | undefined
}

/** Float columns, passed on unchanged. */
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
  /** First column in the row, and columns. */
  readonly column: number
  readonly width: number
}

/** Output of the input layer: every field, and the row of all fields. A layer may read either or both. */
export interface Fields {
  /** Signals by input name, in the order of the row's columns. */
  readonly fields: ReadonlyMap<string, Signal>
  readonly row: Signal
}

export interface Inputs {
  readonly outputDim: number
  /** Width of each field, by input name. */
  readonly widths: ReadonlyMap<string, number>
  /**
   * Emits the gathers and copies.
   * @param keeps whether the gradient of the row is kept for updates of tables (default), or `keep` copies it, pass by pass.
   */
  forward(tape: Tape, keeps?: boolean): Fields
  /** Copies what a backward pass left as the gradient of the row, which is then forgotten. Null if nothing needs gradients. */
  keep(program: ProgramBuilder, x: Fields): View | null
  /**
   * Gradients of the output of `forward` by table. Call it after the backward ops; it is empty if nothing needs gradients.
   * @param kept what `keep` returned, or a sum of that; default: what the backward ops left.
   */
  gradients(program: ProgramBuilder, x: Fields, kept?: View): TableGradient[]
}

/** The row gradients of a table: one per list of gathered ids, input by input. */
export interface TableGradient {
  readonly table: Table
  readonly inputs: readonly {
    /** A row input. */
    readonly ids: View
    /** The row input's number in ops. */
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
    const own = { column: width, width: input.combiner === 'concat' ? input.length * input.dim : input.dim }
    width += own.width
    return { ...input, ...own, table: tableOf(input), frozen: isFrozen(input) }
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
  const embeddings = [...trained, ...embedded.filter(isFrozen).map(columnsFrom)]
  const embeddingWidth = width
  const outputDim = dense.reduce((sum, input) => sum + input.width, width)

  return {
    outputDim,
    widths: new Map([...embeddings, ...dense].map(({ name, width }) => [name, width])),
    forward({ program, training, isFrozen: staysNow }, keeps = true) {
      const value = program.activation(outputDim)
      const stays = ({ frozen, table }: EmbeddingColumns): boolean => frozen || staysNow(table)
      const last = embeddings.findLast((embedding) => !stays(embedding))
      const place = (width: number): View => (keeps ? program.stored(width) : program.activation(width))
      const gradient = training && last !== undefined ? place(last.column + last.width) : null
      const fields = new Map<string, Signal>()
      for (const embedding of embeddings) {
        const { name, column, width } = embedding
        gather(program, embedding, value)
        const own = gradient === null || stays(embedding) ? null : columnsOf(gradient, column, width)
        fields.set(name, new Signal(columnsOf(value, column, width), own))
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
    keep(program, { row }) {
      const x = row.gradient()
      row.clear()
      if (x === null) return null
      const y = program.stored(x.width)
      program.op('copy_columns', { x, y })
      return y
    },
    gradients(program, { fields }, kept) {
      const read = trained.flatMap((embedding) => {
        const field = fields.get(embedding.name)
        if (field === undefined || !field.takesGradient) return []
        const gradient = kept === undefined ? field.gradient() : columnsOf(kept, embedding.column, embedding.width)
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
    y: columnsOf(x, embedding.column, embedding.width),
    combiner: combinerCodes[embedding.combiner],
  })
}

function idsOf(program: ProgramBuilder, { name, length }: EmbeddingColumns): View {
  return program.rowInput(name, length, 'i32')
}
