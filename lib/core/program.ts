// Builds a program: a flat list of ops over buffers of several classes. Layers call it to allocate views and emit ops. The result is
// plain data. One rule holds: ops are sorted by phase, and within a phase they keep the order in which they were emitted.

import type { BufferClass, BufferSpec, DenominatorSpec, ProgramSpec } from '../native/binding.js'
import { ArgumentError } from './errors.js'
import { elementsOf, type Layout, type Table, type Tensor } from './layout.js'
import { largestWidth, mostBuffers, mostOps } from './limits.js'
import { type Op, type OpFields, type OpName, type OptionalView, phaseOf, phases, type View } from './op-fields.js'

/** A program whose ops are typed. */
export interface Program extends ProgramSpec {
  readonly ops: readonly Op[]
}

/** A program with the names of its inputs and outputs, in buffer order. */
export interface LoweredProgram {
  readonly spec: Program
  /** Names of row inputs: a feature's name, `label:<task>`, `weight:<task>`. */
  readonly rowInputs: readonly string[]
  /** Task names of row outputs. */
  readonly rowOutputs: readonly string[]
  /** Buffer numbers to bind: 'parameters', 'gradients', 'gradients:<name>', 'moment1', 'table:<name>', 'moment1:<name>', ... */
  readonly bindings: Readonly<Record<string, number>>
  /** The initial value of each moment, by binding name. Other moments start from 0. */
  readonly initial: Readonly<Record<string, number>>
  /** Numbers of the scalar inputs that a step sets. */
  readonly scalars: Readonly<Numbers>
  /** Scalar inputs that weight the gradients of tasks. Empty without gradients. */
  readonly taskWeights: readonly { readonly task: string; readonly scalar: number }[]
  readonly losses: readonly TaskLoss[]
  /** Scalar outputs that are penalties on a group of tensors or on a table. */
  readonly penalties: readonly { readonly of: string; readonly output: number }[]
  /** The scalar output that is the sum of squares of the whole gradient; undefined: the step does not measure it. */
  readonly squares?: number | undefined
}

/** A learning rate. Groups of weights may have further ones. */
export type RateScalar = 'learningRate' | `learningRate:${number}`

/**
 * `step` counts the steps of the optimizer. `draw` counts the steps of the model's whole life; dropout draws from it. `averageScale`: see
 * lib/training/weight-average.ts.
 */
export type StepScalar = RateScalar | 'step' | 'draw' | 'averageScale'

type Numbers = Partial<Record<Exclude<StepScalar, `${string}:${string}`>, number>> &
  Record<Extract<StepScalar, `${string}:${string}`>, number>

/** The unweighted loss of a task in the results of a run. */
export interface TaskLoss {
  readonly task: string
  /** The number of its scalar output. */
  readonly output: number
  /** The number of the denominator that divides it. */
  readonly denominator: number
}

/** What a program knows of a layout: its dense tensors and the length of their store. */
export type StoreLayout = Pick<Layout, 'tensors' | 'elements'>

export interface ProgramOptions {
  /** Whether a backward pass follows. Forward ops then keep what it needs. */
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
  readonly #layout: StoreLayout
  #buffers: BufferSpec[] = []
  #ops: Op[] = []
  #denominators: DenominatorSpec[] = []
  readonly #rowInputs = new Map<string, View>()
  #rowOutputs: string[] = []
  readonly #bindings = new Map<string, number>()
  readonly #initial = new Map<string, number>()
  readonly #scalars = new Map<StepScalar, number>()
  #taskWeights: { readonly task: string; readonly scalar: number }[] = []
  #losses: TaskLoss[] = []
  #penalties: { readonly of: string; readonly output: number }[] = []
  #scalarInputs = 0
  #scalarOutputs = 0
  #squares: number | undefined

  /** The layout must be complete: its length is the length of the parameter buffer. */
  constructor(layout: StoreLayout, { training }: ProgramOptions) {
    this.#layout = layout
    this.training = training
  }

  /** A program that begins with the ops of another, over the same layout and buffers. */
  static after(program: LoweredProgram, layout: StoreLayout): ProgramBuilder {
    const builder = new ProgramBuilder(layout, { training: true })
    const { spec } = program
    builder.#buffers = [...spec.buffers]
    builder.#ops = [...spec.ops]
    builder.#denominators = [...spec.denominators]
    const inputs = spec.buffers.flatMap(({ class: kind, width }, buffer) =>
      kind === 'rowInput' ? [{ buffer, offset: 0, width }] : [],
    )
    program.rowInputs.forEach((name, index) => {
      builder.#rowInputs.set(name, inputs[index] as View)
    })
    builder.#rowOutputs = [...program.rowOutputs]
    for (const [name, buffer] of Object.entries(program.bindings)) builder.#bindings.set(name, buffer)
    for (const [name, value] of Object.entries(program.initial)) builder.#initial.set(name, value)
    for (const [name, number] of Object.entries(program.scalars)) builder.#scalars.set(name as StepScalar, number)
    builder.#taskWeights = [...program.taskWeights]
    builder.#losses = [...program.losses]
    builder.#penalties = [...program.penalties]
    builder.#scalarInputs = spec.scalarInputs
    builder.#scalarOutputs = spec.scalarOutputs
    builder.#squares = program.squares
    return builder
  }

  /** Rows from the caller. The same name gives the same buffer. */
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

  /** Rows of the current block only: they need not all exist at once. */
  activation(width: number): View {
    return this.#buffer('activation', width, 0)
  }

  /** Rows that are kept whole for an op of a later phase. */
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

  /** A gradient buffer of the flat store. A program may have several by name, such as one per task. */
  gradients(name?: string): View {
    return this.#flat('gradient', name === undefined ? 'gradients' : `gradients:${name}`)
  }

  /** An optimizer's moment of dense parameters: `elements` in all, each of which starts from `initial`. */
  moment(name: `moment${string}`, elements: number, initial: number): View {
    this.#starts(name, initial)
    return { buffer: this.#bound(name, 'state', 1, elements), offset: 0, width: elements }
  }

  table(table: Table): View {
    const buffer = this.#bound(`table:${table.name}`, 'table', table.dim, table.rows)
    return { buffer, offset: 0, width: table.dim }
  }

  /** An optimizer's moment of an embedding table: a number per weight, or per row. */
  tableMoment(
    table: Table,
    number: 1 | 2 | 3,
    { initial, perRow }: { readonly initial: number; readonly perRow: boolean },
  ): View {
    return this.moment(`moment${number}:${table.name}`, perRow ? table.rows : table.rows * table.dim, initial)
  }

  /** The memory of an average of dense parameters or of a table, as lib/training/weight-average.ts keeps it. It starts from 0. */
  average(table?: Table): View {
    if (table === undefined) return this.moment('momentAverage', this.#layout.elements, 0)
    return this.moment(`momentAverage:${table.name}`, table.rows * table.dim, 0)
  }

  /** A scalar input that a step sets. */
  scalar(name: StepScalar): number {
    const known = this.#scalars.get(name)
    if (known !== undefined) return known
    const scalar = this.#scalarInputs++
    this.#scalars.set(name, scalar)
    return scalar
  }

  /** A scalar input that weights the gradient of a task. */
  taskWeight(task: string): number {
    const known = this.#taskWeights.find((weight) => weight.task === task)
    if (known !== undefined) return known.scalar
    const scalar = this.#scalarInputs++
    this.#taskWeights.push({ task, scalar })
    return scalar
  }

  /** Scalar inputs one after another that weight gradients; the number of the first. */
  weights(count: number): number {
    const first = this.#scalarInputs
    this.#scalarInputs += count
    return first
  }

  /** Scalar outputs one after another; the number of the first. */
  outputs(count: number): number {
    const first = this.#scalarOutputs
    this.#scalarOutputs += count
    return first
  }

  /** The ops so far, in the order in which they were emitted. */
  get ops(): readonly Op[] {
    return this.#ops
  }

  /** The scalar output of a task's loss, and the scalar input that divides it. The batch's labels and weights give the latter. */
  loss(
    task: string,
    {
      label,
      weight,
      reduction,
    }: { readonly label: View; readonly weight: OptionalView; readonly reduction: DenominatorSpec['reduction'] },
  ): { loss: number; denominator: number } {
    const scalar = this.#scalarInputs++
    const output = this.#scalarOutputs++
    this.#losses.push({ task, output, denominator: this.#denominators.length })
    this.#denominators.push({ scalar, label, weight, reduction })
    return { loss: output, denominator: scalar }
  }

  /** The same for another term of a loss that the task already has. */
  lossAgain(task: string): {
    readonly label: View
    readonly weight: OptionalView
    readonly loss: number
    readonly denominator: number
  } {
    const own = this.#losses.find((loss) => loss.task === task)
    const divisor = own && this.#denominators[own.denominator]
    if (own === undefined || !divisor?.label) throw new Error(`task ${task} has no loss yet`)
    return { label: divisor.label, weight: divisor.weight, loss: own.output, denominator: divisor.scalar }
  }

  /** The scalar output of a penalty. */
  penalty(of: string): number {
    const output = this.#scalarOutputs++
    this.#penalties.push({ of, output })
    return output
  }

  /** The scalar output of the gradient's sum of squares. */
  squares(): number {
    this.#squares ??= this.#scalarOutputs++
    return this.#squares
  }

  /** Appends an op to its phase. */
  op<Name extends OpName>(op: Name, fields: OpFields[Name]): void {
    this.#ops.push(opOf(op, fields))
    if (this.#ops.length > mostOps) throw tooMany(`${mostOps} operations`, op)
  }

  build(): LoweredProgram {
    return {
      spec: {
        buffers: [...this.#buffers],
        ops: phases.flatMap((phase) => this.#ops.filter(({ op }) => phaseOf[op] === phase)),
        scalarInputs: this.#scalarInputs,
        scalarOutputs: this.#scalarOutputs,
        denominators: [...this.#denominators],
      },
      rowInputs: [...this.#rowInputs.keys()],
      rowOutputs: [...this.#rowOutputs],
      bindings: Object.fromEntries(this.#bindings),
      initial: Object.fromEntries(this.#initial),
      scalars: Object.fromEntries(this.#scalars),
      taskWeights: [...this.#taskWeights],
      losses: [...this.#losses],
      penalties: [...this.#penalties],
      squares: this.#squares,
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

/** The compiler cannot see that a name and its own fields form one member of the union. */
function opOf<Name extends OpName>(op: Name, fields: OpFields[Name]): Op {
  return { op, ...fields } as unknown as Op
}

/** Each option alone is within bounds. The largest tensor shows which of them are too large together. */
function tooWide(width: number, { tensors }: StoreLayout): ArgumentError {
  const [largest] = [...tensors].sort((one, other) => elementsOf(other.shape) - elementsOf(one.shape))
  return new ArgumentError(
    `model: expected rows of at most ${largestWidth} numbers in every layer, found ${width}; lower dim, hidden units or the number ` +
      `of experts (the largest tensor is ${largest?.name} [${largest?.shape.join(', ')}])`,
  )
}

/** Thrown while the program grows, so that it cannot grow for minutes. */
function tooMany(most: string, last: string): ArgumentError {
  return new ArgumentError(
    `model: expected at most ${most} in a step, found more (the last is ${last}); use fewer layers, experts with hidden layers, ` +
      'levels, tasks or features',
  )
}
