// The frame of every model: features, bottom, the model's own body, one tower and one head per task. It is lowered over one layout once
// per use: to train, to evaluate, to predict. A model declares only the body between bottom and towers.

import { Layout } from '../core/layout.js'
import type { View } from '../core/op-fields.js'
import { type LoweredProgram, ProgramBuilder } from '../core/program.js'
import { blocks } from '../layers/blocks/registry.js'
import { type DenseStack, denseStack } from '../layers/dense.js'
import {
  emitLoss,
  emitOrderLoss,
  emitPrediction,
  headWidth,
  type LossReduction,
  labelInput,
  measuredInput,
  weightInput,
} from '../layers/heads.js'
import { type DenseInput, type EmbeddedInput, type Fields, type Inputs, inputs } from '../layers/inputs.js'
import { type IsFrozen, type Signal, Tape, type WatchedGate } from '../layers/tape.js'
import type {
  ExpertOutputs,
  Network,
  NetworkFeature,
  NetworkTask,
  RepresentationGradients,
  TableGradient,
  TaskGradients,
} from './network.js'
import type { CommonOptions } from './options.js'
import { sharedParameters } from './shared-parameters.js'

/** The part of a model between bottom and towers. */
export interface Body {
  /** Width of each task's signal. */
  readonly outputDim: number
  /**
   * Emits what the body reads besides the output of the bottom, if anything. It is emitted before the bottom: a layer that reads some fields
   * goes before one that reads all.
   */
  readonly beside?: ((tape: Tape, x: Fields) => readonly Signal[]) | undefined
  /** One signal per task; tasks may share one. */
  forward(tape: Tape, x: Signal, beside: readonly Signal[]): Signal[]
  /** Makes losses and predictions of the towers' signals. Default: each task has its own loss and prediction. */
  readonly objective?: Objective | undefined
}

/** Losses and predictions of all tasks, from one signal per task. */
export interface Objective {
  /** Emits the loss of the task with this index. */
  loss(tape: Tape, signals: readonly Signal[], tasks: readonly NetworkTask[], index: number, reduction: LossReduction): void
  /** Adds to the loss of a task what it takes from the signals of others. All losses of the pass that read these signals are emitted. */
  order?(tape: Tape, signals: readonly Signal[], tasks: readonly NetworkTask[], index: number): void
  predictions(program: ProgramBuilder, signals: readonly Signal[], tasks: readonly NetworkTask[]): void
}

const separateTasks: Objective = {
  loss(tape, signals, tasks, index, reduction) {
    const [task, signal] = [tasks[index], signals[index]]
    if (task === undefined || signal === undefined) throw new Error(`task ${index} has no signal`)
    emitLoss(tape, signal, task, reduction)
  },
  order(tape, signals, tasks, index) {
    const { atMost, ...task } = tasks[index] as NetworkTask
    if (atMost === undefined) return
    const [signal, other] = [signals[index], signals[tasks.findIndex(({ name }) => name === atMost.task)]]
    if (signal === undefined || other === undefined) throw new Error(`task ${task.name} has no task ${atMost.task}`)
    emitOrderLoss(tape, [signal, other], task, atMost.weight)
  },
  predictions(program, signals, tasks) {
    for (const [task, signal] of pairs(tasks, signals)) emitPrediction(program, signal, task)
  },
}

/** What a body is built from. */
export interface BodyContext<Options extends CommonOptions> {
  readonly layout: Layout
  readonly options: Options
  readonly inputDim: number
  /** Width of each feature in the network's input, by name. */
  readonly featureWidths: ReadonlyMap<string, number>
  readonly tasks: readonly NetworkTask[]
}

export type BodyBuilder<Options extends CommonOptions> = (context: BodyContext<Options>) => Body

/** Features and tasks that a model is lowered for. */
export interface LoweringTarget {
  /** Fitted features, so table sizes are known. */
  readonly features: readonly NetworkFeature[]
  readonly tasks: readonly NetworkTask[]
  /** Weights that the rows of a training step need no gradient of. Default: none. */
  readonly isFrozen?: IsFrozen | undefined
  /** Whether training steps also give predictions, labels and row weights, as row outputs by the names of tasks and inputs. */
  readonly scored?: boolean | undefined
}

interface Frame {
  readonly layout: Layout
  readonly options: CommonOptions
  readonly target: LoweringTarget
  readonly inputs: Inputs
  /** Turns the fields into one signal per task. */
  readonly signals: (tape: Tape, x: Fields) => Signal[]
  readonly objective: Objective
}

/** Lowers a model with this body to a layout and its programs. */
export function lowerModel<Options extends CommonOptions>(
  body: BodyBuilder<Options>,
  options: Options,
  target: LoweringTarget,
): Network {
  const frame = declare(body, options, target)
  const { layout } = frame
  return {
    parameters: { tensors: layout.tensors, elements: layout.elements },
    tables: layout.tables,
    ...lowerRows(frame),
    evaluate: lowerEvaluation(frame),
    predict: lowerPrediction(frame),
    ...lowerGates(frame),
    experts: once(() => lowerExperts(frame)),
  }
}

function declare<Options extends CommonOptions>(
  buildBody: BodyBuilder<Options>,
  options: Options,
  target: LoweringTarget,
): Frame {
  const layout = new Layout()
  const { tasks } = target
  const row = declareInputs(layout, options, target.features)
  const bottom = blocks[options.bottom](layout, {
    inputDim: row.outputDim,
    hiddenUnits: options.bottomHiddenUnits,
    activation: options.activation.bottom,
    initializer: options.initializers.bottom,
  })
  const body = buildBody({ layout, options, inputDim: bottom.outputDim, featureWidths: row.widths, tasks })
  const towers = tasks.map((task) => declareTower(layout, options, task, body.outputDim))
  const signals = (tape: Tape, x: Fields): Signal[] => {
    const beside = body.beside?.(tape, x) ?? []
    const shared = bottom.forward(tape, x)
    tape.represent([shared, ...beside])
    const outputs = body.forward(tape, shared, beside)
    if (outputs.length > 1 && new Set(outputs).size === 1) tape.represent(outputs.slice(0, 1))
    return pairs(towers, outputs).map(([tower, signal]) => tower.forward(tape, signal))
  }
  return { layout, options, target, inputs: row, signals, objective: body.objective ?? separateTasks }
}

function declareTower(layout: Layout, options: CommonOptions, task: NetworkTask, inputDim: number): DenseStack {
  return denseStack(layout, {
    name: `tower.${task.name}`,
    group: 'tower',
    task: task.name,
    inputDim,
    hiddenUnits: options.towerHiddenUnits,
    activation: options.activation.tower,
    linearUnits: headWidth(task),
    initializer: options.initializers.tower,
  })
}

function declareInputs(layout: Layout, options: CommonOptions, features: readonly NetworkFeature[]): Inputs {
  return inputs(layout, {
    embedded: features.flatMap((feature): EmbeddedInput[] => {
      if (feature.kind === 'dense') return []
      return [feature.kind === 'sequence' ? feature : { ...feature, length: 1, combiner: 'none' }]
    }),
    dense: features.flatMap((feature): DenseInput[] => (feature.kind === 'dense' ? [feature] : [])),
    initializer: options.initializers.embedding,
  })
}

/** Lowers the rows of a model with this body to one backward pass per task, and the sum of their gradients by weights. */
export function lowerTaskGradients<Options extends CommonOptions>(
  body: BodyBuilder<Options>,
  options: Options,
  target: LoweringTarget,
): TaskGradients {
  const frame = declare(body, options, target)
  const { program, tape, x, emitLossOf, emitOrderOf } = forwardRows(frame, false)
  const passes = target.tasks.map(({ name }, index) => {
    emitLossOf(index)
    emitOrderOf(index)
    const before = program.ops.length
    tape.backward(name)
    return { name, ops: program.ops.slice(before), row: frame.inputs.keep(program, x) }
  })
  const tasks = new Map(passes.map(({ name }) => [name, reducedGradients(program, name)]))
  const shared = sharedParameters(
    passes.map(({ ops }) => ops),
    (offset) => {
      const tensor = frame.layout.tensors.findLast((candidate) => candidate.offset <= offset)
      return tensor !== undefined && !tape.isFrozen(tensor)
    },
  )
  const gradients = [...tasks.values()]
  const output = program.outputs(pairsOf(passes.length))
  if (shared.length > 0) program.op('gradient_gram', { gradients, parameters: shared, output })
  const weights = program.weights(passes.length)
  const parameters = program.gradients()
  program.op('combine_gradients', { gradients, y: parameters, weights })
  const rows = passes.flatMap(({ row }) => row ?? [])
  return {
    gradients: { parameters, tables: combineRows(program, frame.inputs, x, rows, weights) },
    rows: program.build(),
    tasks,
    shared,
    grams: shared.length > 0 ? [{ output, tasks: passes.map((_, index) => index) }] : [],
    weights,
  }
}

/** The weighted sum of row gradients, one per task. */
function combineRows(
  program: ProgramBuilder,
  inputs: Inputs,
  x: Fields,
  rows: readonly View[],
  weights: number,
): TableGradient[] {
  const [first] = rows
  if (first === undefined) return []
  const y = program.stored(first.width)
  program.op('combine_rows', { inputs: rows, y, weights })
  return inputs.gradients(program, x, y)
}

/** Lowers the rows of a model with this body to the Gram matrix of the tasks' gradients by the representation. */
export function lowerRepresentation<Options extends CommonOptions>(
  body: BodyBuilder<Options>,
  options: Options,
  target: LoweringTarget,
): RepresentationGradients {
  const { program, tape, emitLossOf, emitOrderOf } = forwardRows(declare(body, options, target), false)
  const found = tape.representation.map(() => ({ gradients: [] as View[], tasks: [] as number[] }))
  target.tasks.forEach((_, index) => {
    emitLossOf(index)
    emitOrderOf(index)
    tape.backwardToRepresentation((gradients) => {
      for (const [place, x] of pairs(found, gradients)) {
        if (x === null) continue
        const y = program.activation(x.width)
        program.op('copy_columns', { x, y })
        place.gradients.push(y)
        place.tasks.push(index)
      }
    })
  })
  const grams = found
    .filter(({ tasks }) => tasks.length > 0)
    .map(({ gradients, tasks }) => {
      const output = program.outputs(pairsOf(tasks.length))
      program.op('row_gram', { gradients, output })
      return { output, tasks }
    })
  return { rows: program.build(), grams }
}

/** Lowers the rows of a model with this body to the losses of training, with its dropout. */
export function lowerLosses<Options extends CommonOptions>(
  body: BodyBuilder<Options>,
  options: Options,
  target: LoweringTarget,
): LoweredProgram {
  const { program, emitLossOf, emitOrderOf } = forwardRows(declare(body, options, target), false)
  for (const index of target.tasks.keys()) emitLossOf(index)
  for (const index of target.tasks.keys()) emitOrderOf(index)
  return program.build()
}

/** Pairs i <= j of a list. */
function pairsOf(count: number): number {
  return (count * (count + 1)) / 2
}

function lowerRows(frame: Frame): Pick<Network, 'rows' | 'gradients'> {
  const { program, tape, x, emitLossOf, emitOrderOf } = forwardRows(frame)
  for (const index of frame.target.tasks.keys()) emitLossOf(index)
  for (const index of frame.target.tasks.keys()) emitOrderOf(index)
  tape.backward()
  const parameters = reducedGradients(program)
  const tables = frame.inputs.gradients(program, x)
  return { rows: program.build(), gradients: { parameters, tables } }
}

/** Emits the forward ops of training. Losses and backward follow. */
function forwardRows({ layout, options, target, inputs: row, signals, objective }: Frame, keepsRows = true) {
  const program = new ProgramBuilder(layout, { training: true })
  const dropout = { rate: options.dropout, seed: options.seed }
  const tape = new Tape(program, dropout, undefined, target.isFrozen)
  const x = row.forward(tape, keepsRows)
  const outputs = signals(tape, x)
  if (target.scored === true) emitScores(program, objective, outputs, target.tasks)
  const emitLossOf = (index: number): void => {
    objective.loss(tape, outputs, target.tasks, index, options.lossReduction)
  }
  const emitOrderOf = (index: number): void => objective.order?.(tape, outputs, target.tasks, index)
  return { program, tape, x, emitLossOf, emitOrderOf }
}

/** Emits the predictions of training, and the labels and weights that metrics compare them with. */
function emitScores(
  program: ProgramBuilder,
  objective: Objective,
  outputs: readonly Signal[],
  tasks: readonly NetworkTask[],
): void {
  objective.predictions(program, outputs, tasks)
  for (const { name, rowWeights, measured } of tasks) {
    const weighted = measured?.rowWeights ?? rowWeights
    for (const input of [labelInput(name), ...(weighted ? [weightInput(name)] : [])]) {
      const x = program.rowInput(measured === undefined ? input : measuredInput(input), 1)
      program.op('copy_columns', { x, y: program.rowOutput(input, 1) })
    }
  }
}

function reducedGradients(program: ProgramBuilder, name?: string): View {
  const gradients = program.gradients(name)
  program.op('reduce_gradients', { gradients })
  return gradients
}

function lowerEvaluation({ layout, options, target, inputs: row, signals, objective }: Frame): LoweredProgram {
  const program = new ProgramBuilder(layout, { training: false })
  const tape = new Tape(program)
  const outputs = signals(tape, row.forward(tape))
  target.tasks.forEach((_, index) => {
    objective.loss(tape, outputs, target.tasks, index, options.lossReduction)
    objective.order?.(tape, outputs, target.tasks, index)
  })
  objective.predictions(program, outputs, target.tasks)
  return program.build()
}

function lowerPrediction({ layout, target, inputs: row, signals, objective }: Frame): LoweredProgram {
  const program = new ProgramBuilder(layout, { training: false })
  const tape = new Tape(program)
  objective.predictions(program, signals(tape, row.forward(tape)), target.tasks)
  return program.build()
}

function lowerGates({ layout, target, inputs: row, signals }: Frame): Pick<Network, 'gates' | 'gateLevels' | 'signals'> {
  const program = new ProgramBuilder(layout, { training: false })
  const gateLevels: (readonly WatchedGate[])[] = []
  const tape = new Tape(program, undefined, {
    gates: (gates, columns) => program.rowOutput(`gates:${gateLevels.push(gates) - 1}`, columns),
  })
  const names = pairs(target.tasks, signals(tape, row.forward(tape))).map(([{ name }, { value }]) => {
    program.op('copy_columns', { x: value, y: program.rowOutput(`signal:${name}`, value.width) })
    return [name, `signal:${name}`] as const
  })
  return { gates: program.build(), gateLevels, signals: new Map(names) }
}

function lowerExperts({ layout, inputs: row, signals }: Frame): ExpertOutputs {
  const program = new ProgramBuilder(layout, { training: false })
  const levels: (readonly string[])[] = []
  const tape = new Tape(program, undefined, {
    gates: (_, columns) => program.rowOutput(`gates:${levels.length}`, columns),
    experts: (names, units) => program.rowOutput(`experts:${levels.push(names) - 1}`, names.length * units),
  })
  signals(tape, row.forward(tape))
  return { program: program.build(), levels }
}

function once<Result>(make: () => Result): () => Result {
  let made: { readonly result: Result } | undefined
  return () => {
    made ??= { result: make() }
    return made.result
  }
}

function pairs<A, B>(left: readonly A[], right: readonly B[]): [A, B][] {
  if (left.length !== right.length) throw new Error(`${left.length} and ${right.length} do not pair`)
  return left.map((item, index) => [item, right[index] as B])
}
