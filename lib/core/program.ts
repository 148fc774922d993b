// Builds a program: a flat list of ops over classed buffers. Layers call it to allocate views and emit ops; what it builds
// is plain data. It keeps one rule: ops that run on any range of rows come first, in the order emitted, then the ops that
// run once a step.

import type { BufferClass, BufferSpec, DenominatorSpec, ProgramSpec } from '../native/binding.js'
import { ArgumentError } from './errors.js'
import { elementsOf, type Layout, type Table, type Tensor } from './layout.js'
import { largestWidth, mostBuffers, mostOps } from './limits.js'
import type { Op, OpFields, OpName, OpsOf, OptionalView, View } from './op-fields.js'

/** A program whose ops are typed. */
export interface Program extends ProgramSpec {
  readonly ops: readonly Op[]
}

/** A program and the names of what goes in and out, in buffer order. */
export interface LoweredProgram {
  readonly spec: Program
  /** Names of row inputs: a feature's name, `label:<task>`, `weight:<task>`. */
  readonly rowInputs: readonly string[]
  /** Task names of row outputs. */
  readonly rowOutputs: readonly string[]
  /** Buffer numbers to bind: 'parameters', 'gradients', 'moment1', 'moment2', 'table:<name>', 'moment1:<name>', ... */
  readonly bindings: Readonly<Record<string, number>>
  /** What every element of a moment starts from, by binding name; moments not named here start from 0. */
  readonly initial: Readonly<Record<string, number>>
  /** Scalar input numbers by name: 'learningRate', 'step', 'draw' (training only; steps of the optimizer, and of the model's life, which dropout draws from), 'denominator:<task>'. */
  readonly scalarInputs: Readonly<Record<string, number>>
  /** Scalar output numbers by name: 'loss:<task>' (unweighted), 'penalty' parts 'penalty:<group>' and 'penalty:<table>'. */
  readonly scalarOutputs: Readonly<Record<string, number>>
}

export interface ProgramOptions {
  /** A backward pass follows: forward ops keep what it needs. */
  readonly training: boolean
}

/** Columns [offset, offset + width) of a row view. */
export function columnsOf(view: View, offset: number, width: number): View {
  if (offset < 0 || offset + width > view.width) {
    throw new Error(`columns ${offset} to ${offset + width} lie outside a view ${view.width} wide`)
  }
  return { buffer: view.buffer, offset: view.offset + offset, width }
}

export class ProgramBuilder {
  readonly training: boolean
  readonly #layout: Layout
  readonly #buffers: BufferSpec[] = []
  readonly #rowsOps: Op[] = []
  readonly #stepOps: Op[] = []
  readonly #denominators: DenominatorSpec[] = []
  readonly #rowInputs = new Map<string, View>()
  readonly #rowOutputs: string[] = []
  readonly #bindings = new Map<string, number>()
  readonly #initial = new Map<string, number>()
  readonly #scalarInputs = new Map<string, number>()
  readonly #scalarOutputs = new Map<string, number>()

  /** The layout must be complete: its length becomes the length of the parameter buffer. */
  constructor(layout: Layout, { training }: ProgramOptions) {
    this.#layout = layout
    this.training = training
  }

  /** Rows from outside; the same name gives the same buffer. */
  rowInput(name: string, width: number, dtype: 'f32' | 'i32' = 'f32'): View {
    const known = this.#rowInputs.get(name)
    if (known !== undefined) return known
    const view = this.#buffer('rowInput', width, 0, dtype)
    this.#rowInputs.set(name, view)
    return view
  }

  rowOutput(name: string, width: number): View {
    this.#rowOutputs.push(name)
    return this.#buffer('rowOutput', width, 0)
  }

  /** Rows that need not exist all at once. */
  activation(width: number): View {
    return this.#buffer('activation', width, 0)
  }

  /** Rows that a step op reads whole. */
  stored(width: number): View {
    return this.#buffer('stored', width, 0)
  }

  /** The whole flat store. */
  parameters(): View {
    return this.#flat('parameter', 'parameters')
  }

  /** One tensor of the flat store. */
  parameter(tensor: Tensor): View {
    return { buffer: this.parameters().buffer, offset: tensor.offset, width: elementsOf(tensor.shape) }
  }

  gradients(): View {
    return this.#flat('gradient', 'gradients')
  }

  /** An optimizer's moment of the flat store; every element starts from `initial`. */
  moment(number: 1 | 2 | 3, initial: number): View {
    const name = `moment${number}`
    this.#starts(name, initial)
    return this.#flat('state', name)
  }

  table(table: Table): View {
    const buffer = this.#bound(`table:${table.name}`, 'table', table.dim, table.rows)
    return { buffer, offset: 0, width: table.dim }
  }

  /** An optimizer's moment of an embedding table. */
  tableMoment(table: Table, number: 1 | 2 | 3, initial: number): View {
    const elements = table.rows * table.dim
    const name = `moment${number}:${table.name}`
    this.#starts(name, initial)
    const buffer = this.#bound(name, 'state', 1, elements)
    return { buffer, offset: 0, width: elements }
  }

  scalarInput(name: string): number {
    return numbered(this.#scalarInputs, name)
  }

  scalarOutput(name: string): number {
    return numbered(this.#scalarOutputs, name)
  }

  /** A scalar input that is computed from the labels and weights of the batch. */
  denominator(name: string, label: View, weight: OptionalView, reduction: DenominatorSpec['reduction']): number {
    const scalar = this.scalarInput(name)
    this.#denominators.push({ scalar, label, weight, reduction })
    return scalar
  }

  /** Appends an op that works on any range of rows. */
  rows<Name extends OpsOf<'rows'>>(op: Name, fields: OpFields[Name]): void {
    this.#rowsOps.push(opOf(op, fields))
    if (this.#rowsOps.length > mostOps) throw tooMany(`${mostOps} operations`, op)
  }

  /** Appends an op that runs once, after all rows. */
  step<Name extends OpsOf<'step'>>(op: Name, fields: OpFields[Name]): void {
    this.#stepOps.push(opOf(op, fields))
  }

  build(): LoweredProgram {
    return {
      spec: {
        buffers: [...this.#buffers],
        ops: [...this.#rowsOps, ...this.#stepOps],
        scalarInputs: this.#scalarInputs.size,
        scalarOutputs: this.#scalarOutputs.size,
        denominators: [...this.#denominators],
      },
      rowInputs: [...this.#rowInputs.keys()],
      rowOutputs: [...this.#rowOutputs],
      bindings: Object.fromEntries(this.#bindings),
      initial: Object.fromEntries(this.#initial),
      scalarInputs: Object.fromEntries(this.#scalarInputs),
      scalarOutputs: Object.fromEntries(this.#scalarOutputs),
    }
  }

  /** @throws ERR_MULTIGATE_ARGUMENT for rows wider than a program can have. */
  #buffer(kind: BufferClass, width: number, count: number, dtype: 'f32' | 'i32' = 'f32'): View {
    if (width > largestWidth) throw tooWide(width, this.#layout)
    this.#buffers.push({ class: kind, dtype, width, count })
    if (this.#buffers.length > mostBuffers) throw tooMany(`${mostBuffers} signals`, kind)
    return { buffer: this.#buffers.length - 1, offset: 0, width }
  }

  #bound(name: string, kind: BufferClass, width: number, count: number): number {
    const known = this.#bindings.get(name)
    if (known !== undefined) return known
    const { buffer } = this.#buffer(kind, width, count)
    this.#bindings.set(name, buffer)
    return buffer
  }

  #starts(name: string, initial: number): void {
    if (initial !== 0) this.#initial.set(name, initial)
  }

  #flat(kind: BufferClass, name: string): View {
    const elements = this.#layout.elements
    return { buffer: this.#bound(name, kind, 1, elements), offset: 0, width: elements }
  }
}

/** Name and fields that belong together are an op: of the union that has both, the compiler cannot say so. */
function opOf<Name extends OpName>(op: Name, fields: OpFields[Name]): Op {
  return { op, ...fields } as unknown as Op
}

/** The options are each within bounds; the largest tensor shows which of them do not go together. */
function tooWide(width: number, { tensors }: Layout): ArgumentError {
  const [largest] = [...tensors].sort((one, other) => elementsOf(other.shape) - elementsOf(one.shape))
  return new ArgumentError(
    `the rows of a layer would be ${width} numbers wide, expected ${largestWidth} at most: lower dim, hidden units or the number of ` +
      `experts; the largest tensor is ${largest?.name} [${largest?.shape.join(', ')}]`,
  )
}

/** Thrown while the program grows, so that no option makes it grow for minutes. */
function tooMany(most: string, last: string): ArgumentError {
  return new ArgumentError(
    `a step of the model would take more than ${most} (${last} was the last): expected fewer layers, experts with hidden layers, ` +
      'levels, tasks or features',
  )
}

function numbered(names: Map<string, number>, name: string): number {
  const known = names.get(name)
  if (known !== undefined) return known
  names.set(name, names.size)
  return names.size - 1
}
