// The frame that all models share: features, bottom, the model's own body, one tower and one head per task. It is lowered
// three times over one layout: to train, to evaluate, to predict. A model says only what stands between bottom and towers.

import { Layout, type ParameterGroup } from '../core/layout.js'
import { type LoweredProgram, ProgramBuilder } from '../core/program.js'
import { binaryLoss, binaryPrediction } from '../layers/binary-head.js'
import { type DenseStack, denseStack } from '../layers/dense.js'
import { type DenseInput, type EmbeddedInput, type Inputs, inputs } from '../layers/inputs.js'
import { type Signal, Tape } from '../layers/tape.js'
import { type OptimizerRule, updateParameters, updateRule } from '../layers/update.js'
import type { Network, NetworkFeature, NetworkTask } from './network.js'
import { type CommonOptions, penaltyOf } from './options.js'

/** What stands between bottom and towers. */
export interface Body {
  /** Width of each task's signal. */
  readonly outputDim: number
  /** One signal per task; tasks may share one. */
  forward(tape: Tape, x: Signal): Signal[]
}

/** What a body is made for. */
export interface BodyContext<Options extends CommonOptions> {
  readonly layout: Layout
  readonly options: Options
  readonly inputDim: number
  readonly tasks: readonly NetworkTask[]
}

export type BodyBuilder<Options extends CommonOptions> = (context: BodyContext<Options>) => Body

/** What a model is lowered for. */
export interface LoweringTarget {
  /** Fitted: table sizes are known. */
  readonly features: readonly NetworkFeature[]
  readonly tasks: readonly NetworkTask[]
  readonly optimizer: OptimizerRule
}

interface Frame {
  readonly layout: Layout
  readonly options: CommonOptions
  readonly target: LoweringTarget
  readonly inputs: Inputs
  /** From the feature row to one logit per task. */
  readonly logits: (tape: Tape, x: Signal) => Signal[]
}

const groups: readonly ParameterGroup[] = ['expert', 'gate', 'tower', 'bottom']

/** Lowers a model with this body to a layout and three programs. */
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
    train: lowerTraining(frame),
    evaluate: lowerEvaluation(frame),
    predict: lowerPrediction(frame),
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
  const bottom = denseStack(layout, {
    name: 'bottom',
    group: 'bottom',
    inputDim: row.outputDim,
    hiddenUnits: options.bottomHiddenUnits,
    activation: options.activation.bottom,
    initializer: options.initializers.bottom,
  })
  const body = buildBody({ layout, options, inputDim: bottom.outputDim, tasks })
  const towers = tasks.map(({ name }) => declareTower(layout, options, name, body.outputDim))
  const logits = (tape: Tape, x: Signal): Signal[] => {
    const signals = body.forward(tape, bottom.forward(tape, x))
    return pairs(towers, signals).map(([tower, signal]) => tower.forward(tape, signal))
  }
  return { layout, options, target, inputs: row, logits }
}

function declareTower(layout: Layout, options: CommonOptions, task: string, inputDim: number): DenseStack {
  return denseStack(layout, {
    name: `tower.${task}`,
    group: 'tower',
    inputDim,
    hiddenUnits: options.towerHiddenUnits,
    activation: options.activation.tower,
    linearUnits: 1,
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

function lowerTraining({ layout, options, target, inputs: row, logits }: Frame): LoweredProgram {
  const program = new ProgramBuilder(layout, { training: true })
  const tape = new Tape(program)
  const rule = updateRule(target.optimizer)
  const x = row.forward(tape)
  emitLosses(tape, options, target, logits(tape, x))
  tape.backward()
  program.step('reduce_gradients', { gradients: program.gradients() })
  for (const group of groups) emitPenalty(program, layout, options, group)
  updateParameters(program, rule)
  row.update(program, x, rule, { penalty: penaltyOf(options, 'embedding'), exact: options.sparseUpdate === 'exact' })
  return program.build()
}

function lowerEvaluation({ layout, options, target, inputs: row, logits }: Frame): LoweredProgram {
  const program = new ProgramBuilder(layout, { training: false })
  const tape = new Tape(program)
  const signals = logits(tape, row.forward(tape))
  emitLosses(tape, options, target, signals)
  emitPredictions(program, target, signals)
  return program.build()
}

function lowerPrediction({ layout, target, inputs: row, logits }: Frame): LoweredProgram {
  const program = new ProgramBuilder(layout, { training: false })
  const tape = new Tape(program)
  emitPredictions(program, target, logits(tape, row.forward(tape)))
  return program.build()
}

function emitLosses(tape: Tape, { lossReduction }: CommonOptions, { tasks }: LoweringTarget, logits: Signal[]): void {
  for (const [task, logit] of pairs(tasks, logits)) binaryLoss(tape, logit, { ...task, lossReduction })
}

function emitPredictions(program: ProgramBuilder, { tasks }: LoweringTarget, logits: Signal[]): void {
  for (const [task, logit] of pairs(tasks, logits)) binaryPrediction(program, logit, task)
}

/** Kernels only: biases are never penalised. */
function emitPenalty(program: ProgramBuilder, layout: Layout, options: CommonOptions, group: ParameterGroup): void {
  const { l1, l2 } = penaltyOf(options, group)
  const kernels = layout.tensors.filter((tensor) => tensor.group === group && tensor.role === 'kernel')
  if ((l1 === 0 && l2 === 0) || kernels.length === 0) return
  const parameters = kernels.map((tensor) => program.parameter(tensor))
  program.step('penalty', { parameters, loss: program.scalarOutput(`penalty:${group}`), l1, l2 })
}

function pairs<A, B>(left: readonly A[], right: readonly B[]): [A, B][] {
  if (left.length !== right.length) throw new Error(`${left.length} and ${right.length} do not pair`)
  return left.map((item, index) => [item, right[index] as B])
}
